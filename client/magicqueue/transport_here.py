"""An asyncio connection to a server in this process: see `in_process`."""

import asyncio
import contextlib
from typing import Any

from magicqueue.address import Address
from magicqueue.connection import Connection, OnLost
from magicqueue.in_process import Server


def open_here(
    server: Server, address: Address, timeout_s: float, on_lost: OnLost, *, greets: bool
) -> Connection:
    """Make an asyncio connection to a server in this process."""
    connection = Connection(address, timeout_s, on_lost, greets=greets)
    connection.connection_made(_Transport(server, connection))
    return connection


class _Transport(asyncio.Transport):
    """What an asyncio connection writes to."""

    def __init__(self, server: Server, connection: Connection) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._closing = False
        self._line = server.connect(self._deliver, self.abort)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give nothing: there is no socket."""
        del name
        return default

    def pause_reading(self) -> None:
        """Have it deliver no more; here it does."""

    def resume_reading(self) -> None:
        """Have it deliver again."""

    def is_closing(self) -> bool:
        """Whether it has been ended."""
        return self._closing or self._loop.is_closed()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Have the server take it now."""
        if not self._closing:
            self._line.send(bytes(data))

    def close(self) -> None:
        """End it."""
        self.abort()

    def abort(self) -> None:
        """End it; the connection is told in the next turn of its loop."""
        if not self._closing:
            self._closing = True
            self._line.close()
            with contextlib.suppress(RuntimeError):  # its loop is over, and it with it
                self._loop.call_soon_threadsafe(self._connection.connection_lost, None)

    def _deliver(self, data: bytes) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._receive, data)

    def _receive(self, data: bytes) -> None:
        if not self._closing:
            self._connection.data_received(data)
