"""A way to a server that outlives its connections.

Calls posted while there is no connection wait in a backlog, and posting one starts the
connecting. When a connection is lost, calls that were never sent, and those that may be
repeated, go back to the head of the backlog, in order; the others fail with
ConnectionLost, since nobody can know whether they were carried out.

A first connection that is refused fails the backlog at once: a wrong address or a server
that was not started is the likeliest reason. Later ones are tried again, with backoff,
for `reconnect_s`: a server that restarts is waited for. None means for ever, from the
first: that is a worker's way. Of several hosts one is waited for from the first, too, and
what one has not answered in time is asked of the next (`hosts`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from magicqueue import in_process
from magicqueue.address import Address
from magicqueue.backoff import TRIES_MAX, next_wait_s
from magicqueue.connection import Connection
from magicqueue.errors import (
    Closed,
    ConnectionRefused,
    MagicQueueError,
    RequestTimeout,
    Unauthorized,
)
from magicqueue.finding import find
from magicqueue.forks import after_fork, keep
from magicqueue.hosts import Hosts
from magicqueue.protocol import HELLO, REQUEST_KEYS, Call, Command
from magicqueue.refusals import Line
from magicqueue.transport_here import open_here
from magicqueue.trouble import fact_of, lost_connection
from magicqueue.wire.replies import ServerInfo

R = TypeVar("R")

logger: logging.Logger = logging.getLogger("magicqueue")


class Channel:
    """Posts calls, over one connection at a time; used from one event loop at a time.

    announce: log that a server is waited for, and that it is there. on_lost: called when
    a connection was lost.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_s: float,
        reconnect_s: float | None,
        announce: bool = False,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self.address = address
        self._hosts = Hosts(address)
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._announce = announce
        self._on_lost = on_lost
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._backlog: deque[Call[Any]] = deque()
        self._was_connected = False
        self._fruitless = 0
        self._greets = True
        self.on_event: Callable[[Line], object] | None = None
        """Takes the lines of events."""
        self._closed = False
        after_fork(self)

    def forked(self) -> None:
        """Connect anew, on a loop of this process; called in a child process."""
        keep((self._connection, self._connecting, list(self._backlog)))
        self._loop = None
        self._connection = None
        self._connecting = None
        self._backlog.clear()
        self._was_connected = False

    @property
    def busy(self) -> bool:
        """Whether calls are under way, or wait for a connection."""
        connection = self._connection
        return bool(self._backlog) or (connection is not None and connection.busy)

    def post(self, call: Call[Any]) -> None:
        """Send a call, now or as soon as there is a connection. Raises Closed."""
        if self._closed:
            raise Closed("it has been closed: make a new one")
        if self._loop is not asyncio.get_running_loop():
            self._move_to_this_loop()
        connection = self._connection
        if connection is not None and connection.usable:
            connection.send(call)
        else:
            self._backlog.append(call)
            self._begin_connecting()

    async def request(self, command: Command[R]) -> R:
        """Send a command and wait for its answer.

        Raises what the server refuses with, ConnectionLost, ConnectionRefused,
        RequestTimeout, ProtocolError or Closed. A cancelled wait leaves the request.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def settle(call: Call[R]) -> None:
            if future.done():
                return
            if call.error is not None:
                future.set_exception(call.error)
            else:
                future.set_result(call.result())

        self.post(Call(command, settle))
        return await future

    async def server(self) -> ServerInfo:
        """Give what the server tells in HELLO; asks only where it has not told yet.

        Raises as `request`; UnknownCommand from a server that knows no HELLO.
        """
        connection = self._connection
        mine = self._loop is asyncio.get_running_loop()
        if mine and connection is not None and connection.usable and connection.server:
            return connection.server
        return await self.request(HELLO)

    def read_on(self, *, reading: bool) -> None:
        """Read what comes, or let it wait at the server."""
        if self._connection is not None:
            self._connection.read_on(reading=reading)

    def offers(self, what: str) -> bool:
        """Whether the server at the other end, if any, has told that it can do this."""
        connection = self._connection
        return connection is not None and connection.usable and connection.offers(what)

    async def close(self) -> None:
        """End the connection; calls still under way fail."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            self._move_to_this_loop()  # the other loop's end was the connection's
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._fail_backlog(Closed("it was closed before this request was sent"))
        connection = self._connection
        if connection is not None:
            connection.abort()
            await asyncio.wait([connection.closed])

    def abort(self) -> None:
        """Close without waiting for it."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.abort()

    def _move_to_this_loop(self) -> None:
        """A queue made at import time may serve one event loop after the other."""
        self._loop = asyncio.get_running_loop()
        self._connection = None
        self._connecting = None
        self._backlog.clear()

    def _begin_connecting(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await self._open()
        finally:
            self._connecting = None
        if connection is not None:
            if self._connection is not None:
                self._connection.abort()
            self._was_connected = True
            self._connection = connection
            connection.hear(self.on_event)
            while self._backlog and connection.usable:
                connection.send(self._backlog.popleft())

    async def _open(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        for_ever = self._reconnect_s is None
        waits = self._was_connected or self._hosts.several
        patience_s = (self._reconnect_s or 0.0) if waits else 0.0
        give_up_at = loop.time() + patience_s
        attempt = 0
        if self._fruitless > 1:
            # it takes connections and ends them without an answer: not a busy loop
            await asyncio.sleep(next_wait_s(self._fruitless - 2))
        while True:
            error: MagicQueueError = lost_connection(self.address, None)
            connection: Connection | None = None
            try:
                connection = await self._new_connection()
            except ConnectionRefused as refused:
                error = refused
            except Unauthorized as refusal:
                self._fail_backlog(refusal)
                return None
            if connection is not None and not connection.closed.done():
                break
            if not for_ever and loop.time() >= give_up_at:
                self._fail_backlog(error)
                return None
            if self._announce and attempt == 0:
                logger.warning("waiting for a server: %s", fact_of(error))
            await asyncio.sleep(next_wait_s(attempt))
            attempt += 1
        if self._announce and (attempt or self._was_connected):
            logger.info("connected to %s", self._hosts.current)
        return connection

    async def _new_connection(self) -> Connection:
        server, greets = in_process.current(), self._greets
        if server is not None:
            arguments = self.address, self._timeout_s, self._lost
            return open_here(server, *arguments, greets=greets)
        return await find(self._hosts, self._timeout_s, self._lost, greets=greets)

    def _lost(
        self, connection: Connection, calls: list[Call[Any]], error: MagicQueueError
    ) -> None:
        if connection is self._connection:
            self._connection = None
            self._hosts.lost()
        self._greets = self._greets and not connection.misread_greeting
        self._fruitless = 0 if connection.answered else self._fruitless + 1
        for_ever = self._reconnect_s is None
        timed_out = isinstance(error, RequestTimeout) and not self._hosts.several
        again: list[Call[Any]] = []
        for call in calls:
            call.tries += 1
            hopeless = not for_ever and (timed_out or call.tries >= TRIES_MAX)
            hopeless = hopeless or isinstance(error, Unauthorized)
            if hopeless or self._closed:
                call.fail(error)
            elif call.command.repeat or not call.sent:
                again.append(call)
            elif call.command.has_key and connection.offers(REQUEST_KEYS):
                call.command = call.command.repeated(error)
                again.append(call)
            else:
                call.fail(error)
        if self._on_lost is not None and not self._closed:
            self._on_lost()
        self._backlog.extendleft(reversed(again))
        if self._backlog and not self._closed:
            self._begin_connecting()

    def _fail_backlog(self, error: MagicQueueError) -> None:
        while self._backlog:
            self._backlog.popleft().fail(error)
