"""Several hosts of which one serves at a time: which is asked first, and if it answers.

Servers that share a log beyond their machines listen only while they have it. One that was
paused, or whose machine is gone, may take a connection, or not even refuse it. So each host
has `TRY_S` to connect, and to answer HELLO, before the next one is asked; and the one whose
connection was lost comes last. With one host none of this is done.
"""

import asyncio
from typing import Any, Final

from magicqueue.address import Address
from magicqueue.connection import Connection, OnLost, open_connection
from magicqueue.errors import (
    ConnectionRefused,
    MagicQueueError,
    RequestTimeout,
    Unauthorized,
)
from magicqueue.protocol import HELLO, Call
from magicqueue.sync_connection import SyncConnection

TRY_S: Final = 2.0


class Hosts:
    """The hosts of an address, in the order in which they are tried."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._each = address.each()
        self._first = 0

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self._each) > 1

    @property
    def current(self) -> Address:
        """The one that was found last, or is asked first."""
        return self._each[self._first]

    def lost(self) -> None:
        """Ask the one that was found last after all others."""
        self._first = (self._first + 1) % len(self._each)

    async def open(self, timeout_s: float, on_lost: OnLost, *, greets: bool) -> Connection:
        """Connect to the first that answers. Raises ConnectionRefused, or Unauthorized."""
        if not self.several:
            return await open_connection(self.current, timeout_s, on_lost, greets=greets)
        refused: list[ConnectionRefused] = []
        for _ in self._each:
            probed = _Probed(on_lost)
            try:
                connection = await open_connection(
                    self.current,
                    timeout_s,
                    probed.lost,
                    greets=greets,
                    connect_s=self._try_s(timeout_s),
                )
                await probed.answers(connection, self._try_s(timeout_s))
            except ConnectionRefused as error:
                refused.append(error)
            except Unauthorized:
                raise
            except MagicQueueError as error:
                refused.append(ConnectionRefused(str(self.current), str(error)))
            else:
                return connection
            self.lost()
        raise self._refused(refused)

    def connect(
        self, timeout_s: float, wake_fd: int | None, *, greets: bool
    ) -> SyncConnection:
        """Do the same, blocking. Raises Interrupted, too."""
        if not self.several:
            return SyncConnection(self.current, timeout_s, wake_fd, greets=greets)
        refused: list[ConnectionRefused] = []
        for _ in self._each:
            try:
                connection = SyncConnection(
                    self.current,
                    timeout_s,
                    wake_fd,
                    greets=greets,
                    connect_s=self._try_s(timeout_s),
                )
                _answers(connection, self._try_s(timeout_s))
            except ConnectionRefused as error:
                refused.append(error)
            except Unauthorized:
                raise
            except MagicQueueError as error:
                refused.append(ConnectionRefused(str(self.current), str(error)))
            else:
                return connection
            self.lost()
        raise self._refused(refused)

    def _try_s(self, timeout_s: float) -> float:
        return min(timeout_s, TRY_S)

    def _refused(self, refused: list[ConnectionRefused]) -> ConnectionRefused:
        """Say that none answers, and why."""
        reasons = [f"{error.address}: {error.reason}" for error in refused]
        return ConnectionRefused(str(self._address), "; ".join(reasons))


class _Probed:
    """Takes the end of a connection that is only being tried."""

    def __init__(self, on_lost: OnLost) -> None:
        self._on_lost = on_lost
        self._tried = False
        self._call: Call[Any] | None = None

    def lost(
        self, connection: Connection, calls: list[Call[Any]], error: MagicQueueError
    ) -> None:
        if self._tried:
            self._on_lost(connection, calls, error)
        elif self._call is not None and not self._call.done:
            self._call.fail(error)

    async def answers(self, connection: Connection, seconds: float) -> None:
        """Wait until it has answered HELLO. Raises what ended it, or RequestTimeout."""
        answered = asyncio.get_running_loop().create_future()

        def done(_: Call[Any]) -> None:
            if not answered.done():
                answered.set_result(None)

        self._call = Call(HELLO, done)
        connection.send(self._call)
        try:
            async with asyncio.timeout(seconds):
                await answered
        except TimeoutError:
            connection.abort()
            raise _silent(seconds) from None
        except BaseException:
            connection.abort()
            raise
        if connection.closed.done() and self._call.error is not None:
            raise self._call.error
        self._tried = True


def _answers(connection: SyncConnection, seconds: float) -> None:
    """Wait until a connection has answered HELLO; closes it if it does not."""
    call = Call(HELLO)
    try:
        connection.send(call)
        if not connection.wait_so_long(call, seconds):
            connection.close(_silent(seconds))
    except BaseException:
        connection.close()
        raise
    if connection.closed and call.error is not None:
        raise call.error


def _silent(seconds: float) -> RequestTimeout:
    return RequestTimeout(f"it takes connections, and does not answer within {seconds:g} s")
