"""Real servers in processes of their own, forked from one that has imported everything.

So a start takes some milliseconds, and a hundred kills a few seconds.
"""

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection as PipeConnection
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any
from unittest.mock import patch

from conformance.driver import CORES
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.cli import serve
from patience import PATIENCE_S

CORE = os.environ.get("TEST_CORE", "python")
"""Which core the servers have; the log is the same for all."""


def cores_here() -> tuple[str, ...]:
    """The cores that can run here, of which each life of a server may have another."""
    return tuple(name for name in CORES if _runs(name))


def _runs(name: str) -> bool:
    try:
        return make_core(name, CoreOptions()).name == name
    except ImportError:
        return False


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["magicqueue_server.cli", "uvloop", "wal.warm_core"])


@cache
def _start_fork_server() -> None:
    """Start it with a path to what it loads: it does not get ours by itself."""
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
        ensure_running()


def _serve(
    arguments: list[str], output: PipeConnection, prepare: Callable[[], object]
) -> None:
    prepare()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    serve.main(arguments, standalone_mode=True)


class Server:
    """A server that listens on a Unix socket. `output` is what it has said so far."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        log: Path | None = None,
        prepare: Callable[[], object] = int,
        core: str = CORE,
        port: int = 0,
    ) -> None:
        """log: the data folder, if not one in `folder`. prepare: runs in the process.

        port: of TCP to listen on, instead of the Unix socket.
        """
        self.socket_path = folder / "socket"
        self.output = ""
        read, write = _context.Pipe(duplex=False)
        door = f"--port={port}" if port else f"--unix-socket={self.socket_path}"
        options = [door, f"--core={core}", *arguments]
        options += ["--persist", f"--data-dir={log or folder / 'log'}"]
        self._pipe = os.fdopen(os.dup(read.fileno()))
        read.close()
        _start_fork_server()
        self.process: ForkServerProcess = _context.Process(
            target=_serve, args=(options, write, prepare)
        )
        self.process.start()
        write.close()

    def wait_until_it_listens(self) -> "Server":
        for line in self._pipe:
            self.output += line
            if "Ctrl-C stops it" in line:
                return self
        self.close()
        raise AssertionError(f"it did not start: {self.output}")

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def close(self) -> None:
        """Kill it, unless it has ended."""
        self.process.kill()
        self.process.join()
        self._pipe.close()

    def stop(self) -> int:
        """End it in good order; gives the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        self.output += self._pipe.read()
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    log: Path | None = None,
    prepare: Callable[[], object] = int,
    core: str = CORE,
) -> Iterator[Server]:
    """A server for a while, killed at the end unless it has ended."""
    server = Server(folder, *arguments, log=log, prepare=prepare, core=core)
    try:
        yield server.wait_until_it_listens()
    finally:
        server.close()


class Connection:
    """A blocking connection. Requests may be sent ahead of their replies."""

    def __init__(
        self,
        server: Server,
        timeout_s: float = PATIENCE_S,
        is_deaf: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_deaf = is_deaf
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(server.socket_path))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def send(self, *requests: dict[str, Any]) -> None:
        self._socket.sendall(
            b"".join(json.dumps(request).encode() + b"\n" for request in requests)
        )

    def receive(self) -> dict[str, Any]:
        """Give the next reply; raises ConnectionError if there is none."""
        line = self._file.readline()
        if self._is_deaf() or not line.endswith(b"\n"):
            raise ConnectionError("the server hung up")
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply

    def ask(self, **request: Any) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def ask_all(
        self, requests: list[dict[str, Any]], at_once: int = 500
    ) -> list[dict[str, Any]]:
        """Pipeline requests, some at a time."""
        replies = []
        for first in range(0, len(requests), at_once):
            some = requests[first : first + at_once]
            self.send(*some)
            replies += [self.receive() for _ in some]
        return replies

    def close(self) -> None:
        self._file.close()
        self._socket.close()
