"""A server that says what a test tells it to, over real sockets, from threads of its own.

`answer(request)` gives the reply to a request as a dict, or None for none; the default is
a small queue that stores nothing. All requests are kept, and a test waits for them by
condition, never by time. HELLO is answered by `hello` and kept among the `greetings`, so
that tests of other things need not know of it.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from patience import PATIENCE_S

Request = dict[str, Any]
Reply = dict[str, Any] | None

TELLS: Final[dict[str, Any]] = {
    "ok": True,
    "server": "fake",
    "version": "1.2",
    "core": "none",
    "protocol": 1,
    "persistence": "off",
    "limits": {},
    "capabilities": [],
}
"""The answer to HELLO of a server that can do nothing new."""


def polite(request: Request, ids: list[int] | None = None) -> Reply:
    """Accept everything; ids count up from 1 over all pushes in `ids`."""
    seen = ids if ids is not None else []
    fields: dict[str, Any] = {}
    match request["cmd"]:
        case "PUSH":
            seen.append(len(seen) + 1)
            fields = {"id": seen[-1]}
        case "PUSHB":
            new = list(range(len(seen) + 1, len(seen) + 1 + len(request["jobs"])))
            seen.extend(new)
            fields = {"ids": new}
        case "ACKB":
            fields = {"acked": len(request["ids"]), "missing": []}
        case "FAILB":
            fields = {"failed": len(request["jobs"]), "missing": []}
        case "HEARTBEAT":
            fields = {"extended": len(request["ids"]), "missing": []}
        case "PULLB":
            return None
    return {"ok": True, **fields}


def some_jobs(count: int, first: int = 1, attempts: int = 1) -> Reply:
    """Answer a PULLB with jobs whose data is their id."""
    job = {"queue": "q", "priority": 0, "created_at": 1, "run_at": 1, "attempts": attempts}
    ids = range(first, first + count)
    return {"ok": True, "jobs": [{"id": n, "data": n, **job} for n in ids]}


class FakeServer:
    """Listens on 127.0.0.1, or by `listener`; use it as a context manager."""

    def __init__(
        self,
        answer: Callable[[Request], Reply] | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        ids: list[int] = []
        self.answer: Callable[[Request], Reply] = answer or (lambda r: polite(r, ids))
        self.hello: Callable[[Request], Reply] = lambda _: TELLS
        self.behave: Callable[[socket.socket, Request], None] | None = None
        """Answers instead of `answer`, by writing whatever it likes."""
        self.greetings: list[Request] = []
        self.requests: list[Request] = []
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        self.accepted = 0
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        name = self._listener.getsockname()
        self.url = name if isinstance(name, str) else f"localhost:{name[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def cut(self) -> None:
        """Close every connection."""
        with self._changed:
            connections, self._connections = self._connections, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def send(self, reply: dict[str, Any]) -> None:
        """Write to every connection, unasked."""
        with self._changed:
            for connection in self._connections:
                connection.sendall(json.dumps(reply).encode() + b"\n")

    def of(self, cmd: str) -> list[Request]:
        """The requests of one command so far."""
        with self._changed:
            return [request for request in self.requests if request["cmd"] == cmd]

    def wait_for(self, cmd: str, count: int = 1) -> list[Request]:
        """Wait until a command has come so often."""
        self.wait_until(lambda: len(self.of(cmd)) >= count)
        return self.of(cmd)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), self.requests

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._connections.append(connection)
                self.accepted += 1
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    request = json.loads(line)
                    greets = request["cmd"] == "HELLO"
                    with self._changed:
                        (self.greetings if greets else self.requests).append(request)
                        self._changed.notify_all()
                    if not greets and self.behave is not None:
                        self.behave(connection, request)
                        continue
                    reply = (self.hello if greets else self.answer)(request)
                    if reply is not None:
                        if "rid" in request:
                            reply = {**reply, "rid": request["rid"]}
                        connection.sendall(json.dumps(reply).encode() + b"\n")
            except OSError:
                return
