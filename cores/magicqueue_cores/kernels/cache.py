"""Where the machine code that numba makes is kept, so that it is made once.

The first of these places that can be had: `$MAGICQUEUE_CACHE_DIR`, `magicqueue` in
`$XDG_CACHE_HOME`, `~/.cache/magicqueue`, `magicqueue-UID` in the temp folder. A container
may have none of them: nothing is kept then, and each start compiles.

In it is a folder named after the kernels' sources: numba itself would not notice a change
in a part, only in the entry point's own file. It must be its user's alone, since what is
loaded from it is run. Whoever uses it marks it as used; those of other sources that nobody
has used for a week are removed.

numba writes a file under another name and renames it when whole, so a start that is
interrupted leaves nothing half done, and two at once do the work twice and no harm.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from magicqueue_cores.kernels import sources

VARIABLE: Final = "MAGICQUEUE_CACHE_DIR"
_NAME: Final = "magicqueue"
_UNUSED_S: Final = 7 * 86_400
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class Cache(NamedTuple):
    """The folder, or None where nothing can be kept."""

    folder: Path | None
    misses: list[str]
    """Places that would have been better, each with the reason why it cannot be used."""


def find(environ: Mapping[str, str]) -> Cache:
    """Give the cache that can be used here, made if it has to be."""
    misses: list[str] = []
    name = f"kernels-{sources.digest()}"
    for base, is_shared in _places(environ):
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_shared:
                _require_own(base)
            folder = base / name
            folder.mkdir(mode=0o700, exist_ok=True)
            _require_own(folder)
            os.utime(folder)
        except OSError as error:
            misses.append(f"{base}: {error.strerror}")
            continue
        _remove_unused(folder)
        return Cache(folder, misses)
    return Cache(None, misses)


def _places(environ: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """Give the places in order, and whether other users can make files beside each."""
    asked, xdg = environ.get(VARIABLE), environ.get("XDG_CACHE_HOME", "")
    if asked:
        yield Path(asked), False
    if os.path.isabs(xdg):  # noqa: PTH117 - "" is no path; others are ignored, as XDG says
        yield Path(xdg) / _NAME, False
    with contextlib.suppress(RuntimeError):  # a user without a name has no home
        yield Path.home() / ".cache" / _NAME, False
    with contextlib.suppress(FileNotFoundError):  # a container may have no temp folder
        yield Path(tempfile.gettempdir()) / f"{_NAME}-{os.geteuid()}", True


def _require_own(folder: Path) -> None:
    """Raise OSError for what others could have put there, or could write to."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "it is no folder", str(folder))
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(0, "others can write to it", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(0, "it cannot be written", str(folder))


def _remove_unused(folder: Path) -> None:
    """Remove what was made of other sources and not used for long, as `folder` just was."""
    now_s = folder.stat().st_mtime
    for other in folder.parent.glob("kernels-*"):
        try:
            unused_s = now_s - other.lstat().st_mtime
        except OSError:
            continue  # somebody else has removed it just now
        if unused_s > _UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)
