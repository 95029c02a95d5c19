"""A network between a server and PostgreSQL that can be cut, either way or both.

What is under way when a way is cut is held, and arrives late when it is mended, as TCP does
it; who connects meanwhile gets no answer. `reset` ends all connections there are.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

from patience import PATIENCE_S

TO: Final = "to PostgreSQL"
FROM: Final = "from PostgreSQL"
_PIECE: Final = 2**16


class Partition:
    """Listens on a port of its own, and passes on what comes to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open = {TO: threading.Event(), FROM: threading.Event()}
        self.mend()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._start(self._accept)

    def cut(self, *ways: str) -> None:
        """Let nothing through these ways from now on."""
        for way in ways:
            self._open[way].clear()

    def mend(self) -> None:
        """Let all through again, first what was held."""
        for way in self._open.values():
            way.set()

    def reset(self) -> None:
        """End all connections."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.mend()
        while self._threads:
            self.reset()
            self._threads.pop().join(PATIENCE_S)
        self._listener.close()

    def _start(self, act: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        with near:
            self._open[TO].wait()
            if self._closed:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                return
            with far:
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [near, far]
                back = self._start(self._pass_on, FROM, far, near)
                self._pass_on(TO, near, far)
                back.join()

    def _pass_on(self, way: str, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_PIECE):
                self._open[way].wait()
                target.sendall(data)
        except OSError:
            pass
        self._open[way].wait()
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
