"""Events one after the other, over a connection of their own.

`sync_event_streams` has the same for code without asyncio.

While nothing happens nobody sends anything, so a server that is gone would look like one
where nothing happens: after each span of silence a PING asks. A connection that is lost is
made again, as a channel does, and the subscription with it; that events may have been
missed is told as an event.

The asyncio connection stops reading while many events wait to be taken, so they wait at the
server, which bounds them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

from magicqueue.channel import Channel
from magicqueue.errors import ConnectionLost, RequestTimeout
from magicqueue.events import MISSED, Event, ping, read_event
from magicqueue.protocol import Command
from magicqueue.refusals import Line

_MANY: Final = 1_000
"""Events that were read and not taken: with more, no more is read."""


async def events_over(
    open_channel: Callable[[Callable[[], None]], Channel],
    command: Command[None],
    silence_s: float,
) -> AsyncGenerator[Event]:
    """Subscribe, and give events until that is ended. open_channel: with its `on_lost`."""
    stream = _Stream(command)
    channel = open_channel(stream.lost)
    channel.on_event = stream.hear
    stream.channel = channel
    try:
        await channel.request(command)
        while True:
            while stream.heard:
                yield stream.heard.popleft()
                if len(stream.heard) == _MANY // 2:
                    channel.read_on(reading=True)
            await stream.wait(silence_s)
    finally:
        await channel.close()


class _Stream:
    """What has been heard, and whether the connection still stands."""

    def __init__(self, command: Command[None]) -> None:
        self.channel: Channel
        self.heard: deque[Event] = deque()
        self._command = command
        self._news = asyncio.Event()
        self._again: asyncio.Task[None] | None = None

    def hear(self, line: Line) -> None:
        """Take an event. Raises ValueError."""
        self.heard.append(read_event(line))
        self._news.set()
        if len(self.heard) == _MANY:
            self.channel.read_on(reading=False)

    def lost(self) -> None:
        """Subscribe anew, over the next connection, unless that is under way."""
        if self._again is None:
            self._again = asyncio.ensure_future(self._subscribe())

    async def wait(self, silence_s: float) -> None:
        """Wait for news, and ask after a silence. Raises what a subscription can."""
        self._news.clear()
        try:
            async with asyncio.timeout(silence_s):
                await self._news.wait()
        except TimeoutError:
            with contextlib.suppress(ConnectionLost, RequestTimeout):
                await self.channel.request(ping())
        if self._again is not None and self._again.done():
            again, self._again = self._again, None
            again.result()
            self.heard.append(MISSED)

    async def _subscribe(self) -> None:
        try:
            await self.channel.request(self._command)
        finally:
            self._news.set()
