"""A server in this process, for tests: while one is set, all connections lead to it.

Whatever address a queue or worker was given: a test that meant to stay inside can push
nothing to a server outside. The client knows no server, so whoever has one sets it here
(`magicqueue_server.testing` does): something that takes bytes and gives bytes.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from magicqueue.address import Address
from magicqueue.errors import MagicQueueError, RequestTimeout
from magicqueue.protocol import Call
from magicqueue.protocol import Protocol as Replies
from magicqueue.trouble import lost_connection
from magicqueue.wire.replies import ServerInfo


class Line(Protocol):
    """A client's end of a connection within the process."""

    def send(self, data: bytes, /) -> None:
        """Have the server take bytes; it may answer at once."""

    def close(self) -> None:
        """End it."""


class Server(Protocol):
    """What may be connected to."""

    def connect(
        self, deliver: Callable[[bytes], None], hang_up: Callable[[], None], /
    ) -> Line:
        """Begin a connection. deliver: takes replies. hang_up: the server has ended it."""
        ...


_server: Server | None = None


def current() -> Server | None:
    """Give the server that all connections lead to, if there is one."""
    return _server


@contextlib.contextmanager
def connected_to(server: Server) -> Iterator[None]:
    """Have all connections lead to a server in this process."""
    global _server  # noqa: PLW0603 - a process has one, as it has one network
    before, _server = _server, server
    try:
        yield
    finally:
        _server = before


class ConnectionHere:
    """A blocking connection to a server in this process; as `SyncConnection`.

    Nobody else works while it waits, so what is not answered at once never is.
    """

    def __init__(self, server: Server, address: Address, *, greets: bool) -> None:
        self._address = address
        self._protocol = Replies(greets=greets)
        self.closed: bool = False
        self._line = server.connect(self._receive, self.close)

    @property
    def server(self) -> ServerInfo | None:
        """What the server told in HELLO, once it has."""
        return self._protocol.server

    def offers(self, what: str) -> bool:
        """Whether the server has told that it can do this."""
        return self._protocol.offers(what)

    @property
    def misread_greeting(self) -> bool:
        """Whether HELLO got an answer that is none."""
        return self._protocol.misread_greeting

    def send(self, call: Call[Any]) -> None:
        """Have a call answered, if it can be."""
        self._send(self._protocol.send(call))

    def ask(self, call: Call[Any]) -> None:
        """Have a call answered, or refuse to wait."""
        self.send(call)
        self.wait(call)

    def wait(self, call: Call[Any]) -> None:
        """Refuse to wait for what nobody can answer."""
        if not call.done:
            error = RequestTimeout(
                f"{call.command.name} would wait for ever: the server is in this process,"
                " where nobody else works meanwhile. Push before you pull, or pull with"
                " timeout=0"
            )
            self.close(error)

    def check(self, *, look: bool = True) -> None:
        """See whether the server hangs up."""
        del look
        if self._protocol.ending:
            self.close()

    def close(self, error: Exception | None = None) -> None:
        """End it; calls under way fail with the error."""
        if self.closed:
            return
        self.closed = True
        self._line.close()
        error = error or lost_connection(self._address, None)
        for call in self._protocol.abandon():
            call.fail(error)

    def _receive(self, data: bytes) -> None:
        try:
            self._protocol.receive(data)
        except MagicQueueError as error:
            self.close(error)
        else:
            self._send(self._protocol.take_unwritten())

    def _send(self, line: bytes) -> None:
        if line and not self.closed:
            self._line.send(line)
