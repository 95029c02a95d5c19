"""Events: the lines that a subscriber is sent without asking for each.

A line that has `event` is none of the replies, which have `ok`. Fields that say nothing are
left out.
"""

from typing import Any, Final, get_args

import msgspec

from magicqueue.wire.values import EventKind

EVENT: Final = b'{"event":"'
"""How each event's line begins."""
KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
STATS: Final = "stats"
RARE: Final = tuple(kind for kind in KINDS if kind != STATS)
"""All kinds but counts, which come by time."""
EVERY_MS: Final = 1_000
"""How often counts are told, unless a subscription says otherwise."""
IDS_MAX: Final = 1_000
"""So many jobs one event names at most; of more there are several events."""


class EventLine(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """Any event, as it goes over the wire."""

    event: str
    queue: str | None = None
    ids: list[int] | None = None
    reason: str | None = None
    paused: bool | None = None
    name: str | None = None
    count: int | None = None
    counts: dict[str, Any] | None = None
    rates: dict[str, float] | None = None
    at: int | None = None


_encode: Final = msgspec.json.Encoder().encode


def event_line(event: EventLine) -> bytes:
    """Write an event as a line, its end included."""
    return _encode(event) + b"\n"
