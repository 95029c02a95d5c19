"""Events one after the other, over a connection of their own.

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
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final

import msgspec

from magicqueue import commands
from magicqueue.channel import Channel
from magicqueue.errors import ConnectionLost, RequestTimeout
from magicqueue.events import MISSED, Event, read_event
from magicqueue.protocol import Command
from magicqueue.refusals import Line
from magicqueue.sync_channel import SyncChannel

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
                await self.channel.request(_ping())
        if self._again is not None and self._again.done():
            again, self._again = self._again, None
            again.result()
            self.heard.append(MISSED)

    async def _subscribe(self) -> None:
        try:
            await self.channel.request(self._command)
        finally:
            self._news.set()


def sync_events_over(
    channel: SyncChannel, command: Command[None], silence_s: float
) -> Iterator[Event]:
    """Subscribe, and give events until that is ended."""
    heard: deque[Event] = deque()
    channel.on_event = lambda line: heard.append(read_event(line))
    try:
        channel.request(command)
        while True:
            while heard:
                yield heard.popleft()
            try:
                if not channel.listen(silence_s):
                    channel.request(_ping())
            except (ConnectionLost, RequestTimeout):
                channel.request(command)
                heard.append(MISSED)
    finally:
        channel.close()


def _ping() -> Command[None]:
    """Make a PING that is not sent again: over another connection nobody is subscribed."""
    return msgspec.structs.replace(commands.ping(), repeat=False)
