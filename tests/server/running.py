"""A whole server in the test's own event loop, and peers that talk to it over sockets.

`make test-dist` puts the executable in its place.
"""

import asyncio
import logging
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, cast

import msgspec

from magicqueue_server.app import App
from magicqueue_server.config import load
from server.executable_app import executable_app
from server.process import EXECUTABLE

Scenario: TypeAlias = Callable[[App], Awaitable[None]]
LINE_LIMIT = 2**26
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Peer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, app: App, number: int = 0) -> "Peer":
        """Connect to an address of the server."""
        if app.address.path is not None:
            return cls(
                *await asyncio.open_unix_connection(app.address.path, limit=LINE_LIMIT)
            )
        host, port = app.address.tcp[number]
        return cls(*await asyncio.open_connection(host, port, limit=LINE_LIMIT))

    def send(self, *lines: bytes) -> "Peer":
        """Send lines, each without its end."""
        self.writer.write(b"".join(line + b"\n" for line in lines))
        return self

    async def line(self) -> bytes:
        """The next reply; b"" when the server has closed."""
        return await self.reader.readline()

    async def reply(self) -> dict[str, Any]:
        """The next reply, decoded."""
        fields: dict[str, Any] = msgspec.json.decode(await self.line())
        return fields

    async def ask(self, line: bytes) -> dict[str, Any]:
        """Send a line and give its reply."""
        return await self.send(line).reply()

    async def close(self) -> None:
        """Close and wait until it is."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close as a machine that crashes does: with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def alone(peer: Peer) -> None:
    """Wait until the server has noticed that no other connection is left."""
    while (await peer.ask(b'{"cmd":"STATS"}'))["connections"] != 1:
        pass


async def until(happened: Callable[[], bool]) -> None:
    """Let the loop turn until something that nobody announces has happened."""
    while not happened():  # noqa: ASYNC110 - the state asked for has no event
        await asyncio.sleep(0)


async def with_server(scenario: Scenario, options: dict[str, str]) -> None:
    """Start a server, run the scenario against it, and stop the server."""
    if EXECUTABLE is not None:
        async with executable_app(options) as there:
            await scenario(cast("App", there))
        return
    app = App(load({"port": "0", **options}, {}, None), version="1")
    with _handlers_as_before():
        await _with_app(app, scenario)


@contextmanager
def _handlers_as_before() -> Iterator[None]:
    """Take a server's handlers of signals away: uvloop leaves them where they are."""
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, handler)


async def _with_app(app: App, scenario: Scenario) -> None:
    listening = asyncio.Event()
    serving = asyncio.create_task(app.serve(lambda _: listening.set()))
    started = asyncio.create_task(listening.wait())
    await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        started.cancel()
        await serving
    try:
        await scenario(app)
    finally:
        app.stop()
        await serving


@contextmanager
def quiet(caplog: Any) -> Iterator[None]:
    """Fail if anything was logged as a warning or worse."""
    with caplog.at_level(logging.WARNING):
        yield
    assert not told(caplog)


def told(caplog: Any) -> list[str]:
    """Give what was logged, but for asyncio's notes on a busy machine."""
    return [r.getMessage() for r in caplog.records if not _is_slow_callback(r)]


def _is_slow_callback(record: logging.LogRecord) -> bool:
    return record.name == "asyncio" and "took" in record.getMessage()
