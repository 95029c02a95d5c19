"""Python files that change, for `worker --reload`."""

import os
from pathlib import Path
from typing import Final

_NOT_HERE: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


class SourceWatch:
    """The Python files below a folder, but for hidden folders and installed packages."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._seen = self._now()

    def changed(self) -> str:
        """Name a file that is new, gone or changed since the last look; else empty."""
        now = self._now()
        before, self._seen = self._seen, now
        if now == before:
            return ""
        different = set(now.items()) ^ set(before.items())
        return os.path.relpath(min(different)[0], self._folder)

    def _now(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for folder, folders, files in os.walk(self._folder):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name not in _NOT_HERE
                and not Path(folder, name, "pyvenv.cfg").exists()
            ]
            for name in files:
                if name.endswith(".py"):
                    path = Path(folder, name)
                    try:
                        found[str(path)] = path.stat().st_mtime_ns
                    except OSError:  # it is gone meanwhile
                        continue
        return found
