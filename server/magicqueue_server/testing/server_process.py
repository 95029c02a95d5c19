"""A real server in a process of its own, on a port that is free, for integration tests."""

import re
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

_STOP_S: Final = 30.0
_LISTENS: Final = re.compile(r"listens on (\S+:\d+)")


class ServerProcess:
    """Runs from `with` to its end; `url` is its address.

    options: those of `magicqueue serve`, such as "--persist". It runs the python core,
    which starts at once, unless they name another.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        """Where it listens, once it does."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it listens. Raises RuntimeError with what it says."""
        if self._process is not None:
            return
        core = () if "--core" in self._options else ("--core", "python")
        command = [sys.executable, "-u", "-m", "magicqueue", "serve", "--port", "0"]
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and options of a test
            [*command, *core, *self._options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            if found := _LISTENS.search(line):
                self.url = found[1]
                return
            said.append(line)
        self.stop()
        raise RuntimeError(f"the server did not start: {''.join(said).strip()}")

    def stop(self) -> None:
        """Stop it in order."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        assert process.stdout is not None
        process.stdout.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
