"""A server as its own process, started as a user starts it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
SOURCES = ("client", "cores", "server")
EXECUTABLE = os.environ.get("MAGICQUEUE_TEST_EXECUTABLE")
"""Set by `make test-dist`: servers are this instead of the sources."""


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the server's own variables, and with `extra`."""
    ours = ("MAGICQUEUE_", "PORT", "PERSIST", "UNIX_SOCKET")
    env = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    if EXECUTABLE is None:
        env["PYTHONPATH"] = os.pathsep.join(str(ROOT / source) for source in SOURCES)
    else:
        env["PATH"] = ""
    return env | (extra or {})


def serve_command(*options: str) -> list[str]:
    """The command line of a server: of the executable, where that is what is tested."""
    if EXECUTABLE is not None:
        return [EXECUTABLE, "serve", *options]
    return [sys.executable, "-m", "magicqueue_server", "serve", *options]


def run_serve(
    *options: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `serve` to its end, for the cases where it ends at once."""
    return subprocess.run(
        serve_command(*options),
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class ServerProcess:
    """A server that runs until it is told to stop; a context manager that kills it."""

    def __init__(
        self,
        *options: str,
        env: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        if not any(option.startswith("--unix-socket") for option in options):
            options = ("--port", "0", *options)
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self.process = subprocess.Popen(
            serve_command(*options),
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=self._err,
            text=True,
            preexec_fn=before,  # noqa: PLW1509 - tests that give one start no threads
        )
        self.announced: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.announced.append(line.rstrip("\n"))
            if "Ctrl-C stops it." in line:
                break
        else:
            said = self.errors()
            self.__exit__()
            raise AssertionError(said)
        first = self.announced[0]
        said = json.loads(first)["event"] if first.startswith("{") else first
        self.place = said.split(" listens on ")[1]
        found = re.search(r":(\d+)$", self.place)
        self.port = int(found[1]) if found else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._err.close()

    def connect(self) -> "BlockingPeer":
        """Connect over TCP, or over the Unix socket."""
        if self.place.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.place.removeprefix("unix:"))
        else:
            sock = socket.create_connection(("127.0.0.1", self.port))
        sock.settimeout(PATIENCE_S)
        return BlockingPeer(sock)

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; gives the exit code and what stood on standard error."""
        self.process.send_signal(signal_number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for its end; gives the exit code and what stood on standard error."""
        code = self.process.wait(timeout=PATIENCE_S)
        return code, self.errors()

    def errors(self) -> str:
        """What it has written to standard error so far."""
        self._err.seek(0)
        return self._err.read()

    def memory_bytes(self) -> int:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


class BlockingPeer:
    """One connection, without an event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.sock.close()

    def send(self, *lines: bytes) -> "BlockingPeer":
        """Send lines, each without its end."""
        self.sock.sendall(b"".join(line + b"\n" for line in lines))
        return self

    def line(self) -> bytes:
        """The next reply; b"" when the server has closed."""
        return self._file.readline()

    def ask(self, line: bytes) -> bytes:
        """Send a line and give its reply."""
        return self.send(line).line()
