"""The real server in a process of its own, started and stopped as a user would.

`make test-dist` has it be the executable.
"""

import re
import signal
import subprocess
from typing import Self

from patience import PATIENCE_S
from server.process import environment, serve_command


class RealServer:
    """Listens on 127.0.0.1; the port stays the same over restarts."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self._process = subprocess.Popen(
            serve_command("--port", str(self.port)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment({"PYTHONUNBUFFERED": "1"}),
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"listens on 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        process.wait(PATIENCE_S)
