"""A TCP proxy that does to connections what networks do, at random from a seed.

Each connection through it is, by chance, chopped into tiny pieces, delayed, or left alone;
any may be cut at a random byte, cleanly or with a reset. `cut` ends all connections there
are now. What was cut is counted.
"""

import asyncio
import random
import socket
import struct
from contextlib import suppress

PIECE = 2**16
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of its own and passes connections on to `target_port`.

    cut_bytes: on average so many bytes pass through a connection before it is cut; 0 is
    never.
    """

    def __init__(self, target_port: int, seed: int, cut_bytes: int) -> None:
        self.port = 0
        self.connections = 0
        self.cuts = 0
        self.resets = 0
        self._target_port = target_port
        self._rng = random.Random(seed)
        self._cut_bytes = cut_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut everything and close."""
        if self._server is not None:
            self._server.close()
        self.cut()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections there are now."""
        for link in list(self._links):
            link.end(reset=True)

    def ended(self, *, reset: bool) -> None:
        """Count a connection that was cut."""
        self.cuts += 1
        self.resets += reset

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        link = Link(self, random.Random(self._rng.random()), self._cut_bytes, writer)
        self._links.add(link)
        try:
            with suppress(OSError):
                far = await asyncio.open_connection("127.0.0.1", self._target_port)
                await link.pass_on(reader, *far)
        finally:
            self._links.discard(link)
            self._tasks.discard(task)


class Link:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: Proxy,
        rng: random.Random,
        cut_bytes: int,
        near: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._rng = rng
        self._writers = [near]
        self._bytes_left = int(rng.expovariate(1 / cut_bytes)) if cut_bytes else 2**62
        self._manner = rng.choice(("plain", "plain", "plain", "pieces", "delays"))

    async def pass_on(
        self,
        near: asyncio.StreamReader,
        far: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass bytes both ways until one side closes or the connection is cut."""
        self._writers.append(far_writer)
        ways = [
            asyncio.create_task(self._one_way(near, far_writer)),
            asyncio.create_task(self._one_way(far, self._writers[0])),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*ways, return_exceptions=True)

    def end(self, *, reset: bool) -> None:
        """Cut the connection, with what is under way in it."""
        self._bytes_left = 0
        self._proxy.ended(reset=reset)
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if reset and not writer.is_closing():
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _one_way(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(PIECE):
                if self._manner == "delays":
                    await asyncio.sleep(self._rng.random() * 0.003)
                if len(data) >= self._bytes_left:
                    writer.write(data[: self._bytes_left])
                    self.end(reset=self._rng.random() < 0.5)
                    return
                self._bytes_left -= len(data)
                if self._manner == "pieces":
                    await self._write_in_pieces(writer, data)
                else:
                    writer.write(data)
                    await writer.drain()

    async def _write_in_pieces(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """One byte at a time, for the first bytes, then in larger pieces."""
        start = 0
        while start < len(data):
            size = 1 if start < 64 else self._rng.randrange(1, 4096)
            writer.write(data[start : start + size])
            start += size
            await asyncio.sleep(0)
        await writer.drain()
