"""Events one after the other, over a connection of their own, each wait a blocking one.

See `event_streams`, which this is the same as. What was not taken waits at the server.
"""

from collections import deque
from collections.abc import Iterator

from magicqueue.errors import ConnectionLost, RequestTimeout
from magicqueue.events import MISSED, Event, ping, read_event
from magicqueue.protocol import Command
from magicqueue.sync_channel import SyncChannel


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
                    channel.request(ping())
            except (ConnectionLost, RequestTimeout):
                channel.request(command)
                heard.append(MISSED)
    finally:
        channel.close()
