"""Groups: the records that become one frame, and what is noted of them on the way."""

from typing import Any, Final

import msgspec

from magicqueue_cores import records

NOTED: Final[frozenset[type[records.Record]]] = frozenset(
    (
        records.Matured,
        records.Failed,
        records.Revived,
        records.Died,
        records.Promoted,
        records.Replaced,
        records.Unheld,
        records.Moved,
        records.Paused,
        records.Kept,
        records.Gone,
    )
)
"""Kinds, beside pushes, that give out sequence numbers or that reclaiming asks about."""


class Group(msgspec.Struct):
    """What becomes one frame: records, and what was given out before them.

    segment: where it was written, 0 as long as it is not. moved: ids in `Moved` records.
    facts: space and keys of each `Kept` (True) and `Gone`. again_bytes: what records take
    that were only written again. paused: queues that were paused or resumed. number: which
    group of the log this is.
    """

    number: int
    last_id: int
    sequence: int
    parts: list[bytes] = msgspec.field(default_factory=list)
    body_bytes: int = 0
    moved: list[int] = msgspec.field(default_factory=list)
    facts: list[tuple[str, list[bytes], bool]] = msgspec.field(default_factory=list)
    again_bytes: int = 0
    paused: dict[str, bool] = msgspec.field(default_factory=dict)
    segment: int = 0

    def note(self, record: Any) -> None:
        """Note what reclaiming asks about."""
        kind = type(record)
        if kind is records.Moved:
            self.moved.extend(record.ids)
        elif kind is records.Paused:
            self.paused[record.queue] = record.paused
        elif kind is records.Kept or kind is records.Gone:
            # a list of its own: whoever recorded it may use the keys' list again
            self.facts.append((record.space, list(record.keys), kind is records.Kept))
