"""A client whose connections are cut, which notes what it asked in a history."""

import asyncio
from typing import Any, Final

import msgspec

from history.operations import History, Operation
from magicqueue.wire.requests import Request, encode_request

LINE_BYTES_MAX: Final = 2**26


class LostConnectionError(Exception):
    """The connection was cut before the reply came."""


class Client:
    """A connection through the proxy that is made anew after each cut."""

    def __init__(self, port: int, history: History) -> None:
        self._port = port
        self._history = history
        self.number = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request, operation: Operation) -> dict[str, Any]:
        """Send a request and give its reply; raises LostConnectionError.

        The operation begins here; whoever reads the reply ends it.
        """
        try:
            if self._streams is None:
                self.number = next(self._history.connections)
                self._streams = await asyncio.open_connection(
                    "127.0.0.1", self._port, limit=LINE_BYTES_MAX
                )
            reader, writer = self._streams
            operation.connection = self.number
            self._history.begin(operation)
            writer.write(encode_request(request))
            await writer.drain()
            line = await reader.readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            self.drop()
            raise LostConnectionError
        reply: dict[str, Any] = msgspec.json.decode(line)
        assert reply["ok"], reply
        return reply

    def drop(self) -> None:
        """Close without a word."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._history.cut(self.number)
        self._streams = None
