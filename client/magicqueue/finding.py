"""Finding the host that serves, on an event loop; see `hosts`."""

import asyncio
from typing import Any

from magicqueue.connection import Connection, OnLost, open_connection
from magicqueue.errors import MagicQueueError, Unauthorized
from magicqueue.hosts import Hosts, silent, try_s
from magicqueue.protocol import HELLO, Call


async def find(
    hosts: Hosts, timeout_s: float, on_lost: OnLost, *, greets: bool
) -> Connection:
    """Connect to the first that answers. Raises ConnectionRefused, or Unauthorized."""
    if not hosts.several:
        return await open_connection(hosts.current, timeout_s, on_lost, greets=greets)
    hosts.begin()
    while True:
        probed = _Probed(on_lost)
        try:
            connection = await open_connection(
                hosts.current,
                timeout_s,
                probed.lost,
                greets=greets,
                connect_s=try_s(timeout_s),
            )
            await probed.answers(connection, try_s(timeout_s))
        except Unauthorized:
            raise
        except MagicQueueError as error:
            hosts.failed(error)
        else:
            return connection


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
            raise silent(seconds) from None
        except BaseException:
            connection.abort()
            raise
        if connection.closed.done() and self._call.error is not None:
            raise self._call.error
        self._tried = True
