"""A way to a server that outlives its connections, for blocking code.

The same rules as `channel`, said in order: a request that was never sent, or may be
repeated, is sent again over a new connection, another fails with ConnectionLost. Threads
may share one: a lock lets one request, or one window of them, through at a time. So may
processes: after a fork the child has a connection of its own (`forks`).
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from magicqueue import in_process
from magicqueue.address import Address
from magicqueue.backoff import TRIES_MAX, next_wait_s
from magicqueue.errors import (
    Closed,
    ConnectionLost,
    ConnectionRefused,
    MagicQueueError,
    ProtocolError,
    RequestTimeout,
)
from magicqueue.forks import after_fork
from magicqueue.hosts import Hosts
from magicqueue.protocol import HELLO, REQUEST_KEYS, Call, Command
from magicqueue.refusals import Line
from magicqueue.sync_connection import Interrupted, SyncConnection
from magicqueue.sync_finding import find
from magicqueue.trouble import lost_connection
from magicqueue.wire.replies import ServerInfo

R = TypeVar("R")

logger: logging.Logger = logging.getLogger("magicqueue")


class SyncChannel:
    """Sends commands, over one connection at a time.

    wait: sleeps between attempts to connect; it raises to give up (see `Interrupted`).
    announce, on_lost: as for `Channel`.
    """

    def __init__(  # noqa: PLR0913 - keywords, what a channel is told once
        self,
        address: Address,
        *,
        timeout_s: float,
        reconnect_s: float | None,
        wake_fd: int | None = None,
        wait: Callable[[float], None] = time.sleep,
        announce: bool = False,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self.address = address
        self._hosts = Hosts(address)
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._wake_fd = wake_fd
        self._wait = wait
        self._announce = announce
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._connection: SyncConnection | None = None
        self._was_connected = False
        self._greets = True
        self.on_event: Callable[[Line], object] | None = None
        """Takes the lines of events."""
        self._closed = False
        self._interrupted: Call[Any] | None = None
        after_fork(self)

    def forked(self) -> None:
        """Connect anew, whatever the parent was about; called in a child process."""
        self._lock = threading.Lock()
        self._connection = None
        self._was_connected = False
        self._interrupted = None

    def request(self, command: Command[R]) -> R:
        """Send a command and wait for its answer; raises as `Channel.request`."""
        with self._lock:
            return self._request(command)

    def begin(self, command: Command[R]) -> Call[R]:
        """Send a command without waiting: `look` takes its answer, or a later request.

        Raises ConnectionRefused, ConnectionLost and Closed; it is not sent again.
        """
        with self._lock:
            call = Call(command)
            connection = self._connected()
            connection.send(call)
            return call

    def look(self) -> None:
        """Take what has come, without waiting."""
        with self._lock:
            if self._connection is not None:
                self._connection.check()
                if self._connection.closed:
                    self._drop()

    def listen(self, seconds: float) -> bool:
        """Wait so long for anything to come; gives whether it did.

        Raises ConnectionLost, and ProtocolError.
        """
        with self._lock:
            connection = self._connection
            if connection is None:
                raise lost_connection(self.address, None)
            try:
                return connection.listen(seconds)
            finally:
                if connection.closed:
                    self._drop()

    def late_reply(self) -> Any:
        """Give what has come for a request that was interrupted, once; else None."""
        with self._lock:
            call, connection = self._interrupted, self._connection
            if call is None or connection is None:
                return None
            if not call.done:
                connection.check()
            if not call.done:
                return None
            self._interrupted = None
            return call.value

    def server(self) -> ServerInfo:
        """Give what the server tells in HELLO; asks only where it has not told yet.

        Raises as `request`; UnknownCommand from a server that knows no HELLO.
        """
        with self._lock:
            connection = self._connection
            if connection is not None:
                connection.check()
                if connection.server is not None and not connection.closed:
                    return connection.server
        return self.request(HELLO)

    def offers(self, what: str) -> bool:
        """Whether the server at the other end, if any, has told that it can do this."""
        connection = self._connection
        return connection is not None and connection.offers(what)

    def _request(self, command: Command[R], tries: int = 0) -> R:
        while True:
            call = Call(command)
            connection: SyncConnection | None = None
            try:
                # what may be sent again need not look first: a call to the system less
                connection = self._connected(look=not command.repeat)
                connection.ask(call)
                return call.result()
            except Interrupted:
                self._interrupted = call
                raise
            except (ConnectionLost, RequestTimeout, ProtocolError) as error:
                self._drop()
                tries += 1
                misread = connection is not None and connection.misread_greeting
                lost = misread or self._may_be_elsewhere(error)
                command = self._repeatable(call, connection, error)
                if not self._may_repeat(call, command, tries, lost=lost):
                    raise
                if tries > 1:
                    # it takes connections and ends them: not a busy loop
                    self._wait(next_wait_s(tries - 2))

    def stream(
        self, many: Iterator[Command[R]], window: int, take: Callable[[R], object]
    ) -> None:
        """Send commands with `window` of them under way, and `take` each answer in order.

        The first that fails ends it with its error, after those under way have got their
        answers. Nothing is sent again but what names a request key.
        """
        with self._lock:
            under_way: deque[tuple[Call[R], SyncConnection]] = deque()

            def take_oldest() -> None:
                call, connection = under_way.popleft()
                connection.wait(call)
                again = self._repeatable(call, connection, call.error)
                if again is call.command:
                    take(call.result())
                else:
                    take(self._request(again, tries=1))

            self._connected()
            try:
                for command in many:
                    if len(under_way) >= window:
                        take_oldest()
                    call, connection = Call(command), self._connected(look=False)
                    while under_way and under_way[0][1] is not connection:
                        take_oldest()  # none is to be overtaken
                    under_way.append((call, connection))
                    with contextlib.suppress(ConnectionLost):  # waiting for it tells, too
                        connection.send(call)
                while under_way:
                    take_oldest()
            except BaseException:
                while under_way:
                    with contextlib.suppress(MagicQueueError):
                        take_oldest()
                raise
            finally:
                if self._connection is not None and self._connection.closed:
                    self._drop()

    def close(self) -> None:
        """Close the connection; a request under way in another thread ends first."""
        self._closed = True
        with self._lock:
            self._drop()

    def disconnect(self) -> None:
        """Close the connection; the next request makes a new one."""
        with self._lock:
            self._drop()

    def _may_repeat(
        self, call: Call[R], command: Command[R], tries: int, *, lost: bool
    ) -> bool:
        if self._closed or (call.sent and not command.repeat):
            return False
        if self._reconnect_s is None:
            return True
        return lost and tries < TRIES_MAX

    def _may_be_elsewhere(self, error: Exception | None) -> bool:
        """Whether another connection, or another host, may answer what this has not."""
        late = isinstance(error, RequestTimeout) and self._hosts.several
        return late or isinstance(error, ConnectionLost)

    def _repeatable(
        self, call: Call[R], connection: SyncConnection | None, error: Exception | None
    ) -> Command[R]:
        """Give what may be sent again for a call that was lost, else its own command."""
        command = call.command
        lost = error is not None and self._may_be_elsewhere(error)
        if not lost or not command.has_key or command.repeat:
            return command
        if connection is None or not call.sent or not connection.offers(REQUEST_KEYS):
            return command
        assert error is not None
        return command.repeated(error)

    def _drop(self) -> None:
        if self._connection is not None:
            self._greets = self._greets and not self._connection.misread_greeting
            self._connection.close()
            self._connection = None
            self._hosts.lost()
            if self._on_lost is not None and not self._closed:
                self._on_lost()

    def _new_connection(self) -> SyncConnection:
        server = in_process.current()
        if server is not None:
            here = in_process.ConnectionHere(server, self.address, greets=self._greets)
            return cast("SyncConnection", here)  # it has the same face
        return find(self._hosts, self._timeout_s, self._wake_fd, greets=self._greets)

    def _connected(self, *, look: bool = True) -> SyncConnection:
        if self._closed:
            raise Closed("it has been closed: make a new one")
        if self._connection is not None:
            self._connection.check(look=look)
            if not self._connection.closed:
                return self._connection
            self._drop()
        for_ever = self._reconnect_s is None
        waits = self._was_connected or self._hosts.several
        patience_s = (self._reconnect_s or 0.0) if waits else 0.0
        give_up_at = time.monotonic() + patience_s
        attempt = 0
        while True:
            try:
                self._connection = self._new_connection()
            except ConnectionRefused as error:
                if not for_ever and time.monotonic() >= give_up_at:
                    raise
                if self._announce and attempt == 0:
                    logger.warning("waiting for a server: %s", error.fact)
                self._wait(next_wait_s(attempt))
                attempt += 1
            else:
                break
        if self._announce and (attempt or self._was_connected):
            logger.info("connected to %s", self._hosts.current)
        self._was_connected = True
        self._connection.hear(self.on_event)
        return self._connection
