"""Events as the client has them, and the command that asks to be told of them.

What a server tells without being asked for each is at most once, and without history: who
reads too slowly, or loses the connection, misses some, and is told so by an event of the
kind `dropped`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from magicqueue import commands, readers
from magicqueue.commands import queue_name, with_rid
from magicqueue.durations import Duration, duration_ms
from magicqueue.job import Count, Word, optional_datetime
from magicqueue.protocol import Command
from magicqueue.readers import decoder
from magicqueue.refusals import Line
from magicqueue.wire import requests
from magicqueue.wire.events import KINDS, STATS
from magicqueue.wire.events import RARE as RARE  # noqa: PLC0414 - part of it
from magicqueue.wire.limits import EVERY_MS_MIN
from magicqueue.wire.values import EventKind

EVENTS: Final = "events"
DROPPED: Final = "dropped"


class Event(msgspec.Struct, frozen=True):
    """Something that happened to jobs of one queue, or to the queue."""

    kind: Word = msgspec.field(name="event")
    """One that was asked for, or `dropped`: some were missed before this one."""
    queue: str | None = None
    """None: it is about the whole server."""
    ids: list[Count] = []
    """The jobs, 1,000 at most; of more there are several events."""
    reason: Word | None = None
    """What jobs died of, and why others were removed."""
    paused: bool | None = None
    """Of `paused`: whether it is now, or was and is not."""
    name: str | None = None
    """Of `cron`: which one."""
    count: Count | None = None
    """Of `dropped`: how many events were missed, None where nobody knows."""
    counts: dict[str, Any] | None = None
    """Of `stats`: what `stats` and `server_stats` count."""
    rates: dict[str, float] | None = None
    """Of `stats`: how many a second since the one before; None in the first."""
    at_ms: Count | None = msgspec.field(name="at", default=None)
    """When, in milliseconds since 1970."""

    @property
    def at(self) -> datetime | None:
        """When (UTC)."""
        return optional_datetime(self.at_ms)


MISSED: Final = Event(DROPPED)
"""The connection was lost, and is there again."""
_event: Final = decoder(Event)


def subscribe(
    kinds: Iterable[EventKind] | EventKind, queues: list[str] | None, every: Duration
) -> Command[None]:
    """Ask to be told of events of some queues, or of all of the server."""
    wanted = [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in wanted:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of event: there are {', '.join(KINDS)}")
    if not wanted:
        raise ValueError("kinds is empty: name what to be told of")
    return with_rid(
        requests.Subscribe(
            kinds=wanted,
            queues=None if queues is None else [queue_name(queue) for queue in queues],
            every=duration_ms(every, "every", least_ms=EVERY_MS_MIN)
            if STATS in wanted
            else None,
        ),
        readers.done,
        needs=(EVENTS,),
        repeat=True,
    )


def read_event(line: Line) -> Event:
    """Read an event's line. Raises ValueError for one that cannot be true."""
    return _event(line)


def ping() -> Command[None]:
    """Return a PING that is not sent again: over another connection nobody listens."""
    return msgspec.structs.replace(commands.ping(), repeat=False)
