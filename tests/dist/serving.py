"""Servers of either kind, from an executable or from the sources, on a Unix socket."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
FROM_SOURCE = [sys.executable, "-m", "magicqueue_server"]
WITHOUT_CRC32C = [
    sys.executable,
    "-c",
    (
        "import runpy, sys; sys.modules['crc32c'] = None;"
        " runpy.run_module('magicqueue_server', run_name='__main__', alter_sys=True)"
    ),
]


def environment(command: list[str]) -> dict[str, str]:
    """What a server gets: sources where it needs them, else nothing at all."""
    if command[0] != sys.executable:
        return {"PATH": "", "HOME": "/nonexistent"}
    sources = (str(ROOT / name) for name in ("client", "cores", "server"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(sources)}


class Server:
    """A server that listens; `seconds` is how long that took, to its first reply."""

    def __init__(self, command: list[str], folder: Path, *options: str) -> None:
        self.place = folder / "socket"
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "serve", f"--unix-socket={self.place}", *options],
            env=environment(command),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        else:
            self.process.communicate()
            raise AssertionError("\n".join(self.said))
        with self.connect() as first:
            assert first.ask(b'{"cmd":"PING"}\n', 1) == b'{"ok":true,"pong":true}\n'
        self.seconds = time.perf_counter() - started

    def connect(self) -> "Peer":
        return Peer(self.place)

    def stop(self) -> str:
        """End it in good order; gives what it had said since it listened."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, said
        return said


def seconds_of_a_bare_start() -> float:
    """The control of a start: how long a Python takes that only loads asyncio."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
    return time.perf_counter() - started


@contextmanager
def serving(command: list[str], folder: Path, *options: str) -> Iterator[Server]:
    """A server for a while."""
    server = Server(command, folder, *options)
    try:
        yield server
        if server.process.returncode is None:
            server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def get(place: Path, path: str, **headers: str) -> tuple[int, bytes]:
    """Ask for something by HTTP at a Unix socket; gives the status and the body."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE_S)
    connection.sock.connect(str(place))
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Peer:
    """A blocking connection; a context manager."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(place))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, lines: bytes, replies: int) -> bytes:
        """Send lines; gives so many replies."""
        self._socket.sendall(lines)
        return b"".join(self._file.readline() for _ in range(replies))
