"""Rare turns of jobs and queues, as those are told of them who listen to a core.

Every change is a record, so the one table here says of each kind of record, and of each
cause of removals, what it is told as, or that it is not: what happens to each and every job
(it comes, is handed out, done) is counted and not told. A record whose kind is not in the
table is told to nobody, and fails the tests.

A turn names the queue that its jobs are of, which records do not; so cores tell it in the
moment of the record, while the jobs are still here.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from magicqueue_cores import records

KIND_OF: Final[dict[type[records.Record], str | None]] = {
    records.Failed: "failed",
    records.Lost: "lost",
    records.Died: "dead",
    records.Removed: "removed",
    records.Revived: "revived",
    records.Paused: "paused",
    records.Pushed: None,
    records.Matured: None,
    records.Leased: None,
    records.Extended: None,
    records.Postponed: None,
    records.Acked: None,
    records.Released: None,
    records.Promoted: None,
    records.Replaced: None,
    records.Held: None,
    records.Unheld: None,
    records.Moved: None,
    records.Origin: None,
    records.Restarted: None,
    records.Marked: None,
    records.Kept: None,
    records.Gone: None,
}
"""What a record is told as; None: not at all."""
KIND_OF_CAUSE: Final = {
    "cancelled": "cancelled",
    "expired": "expired",
    "drained": "removed",
    "purged": "removed",
    "dropped": "removed",
}
"""What a removal is told as, by its cause."""
KINDS: Final = frozenset(
    {kind for kind in KIND_OF.values() if kind} | set(KIND_OF_CAUSE.values())
)


class Turn(msgspec.Struct, frozen=True):
    """What became of jobs of one queue, or of the queue itself.

    reason: what dead jobs died of, and why others were removed. paused: of a queue. name:
    of the schedule that a job is of.
    """

    kind: str
    queue: str
    ids: Sequence[int] = ()
    reason: str | None = None
    paused: bool | None = None
    name: str | None = None


TurnSink: TypeAlias = Callable[[Turn], None]


class Ears:
    """Makes turns of records for `sink`, while there is one.

    queue_of: gives the queue of a job that is here, None of others.
    """

    __slots__ = ("_queue_of", "sink")

    def __init__(self, queue_of: Callable[[int], str | None]) -> None:
        self._queue_of = queue_of
        self.sink: TurnSink | None = None

    def hear(self, record: records.Record) -> None:
        """Tell of a record before, or after, it is applied: jobs that are here."""
        kind = KIND_OF.get(type(record))
        if kind is None or self.sink is None:
            return
        if isinstance(record, records.Paused):
            self.sink(Turn(kind, record.queue, paused=record.paused))
        elif isinstance(record, records.Removed):
            self.tell(KIND_OF_CAUSE.get(record.cause), record.ids, _why(record))
        elif isinstance(
            record, records.Failed | records.Lost | records.Died | records.Revived
        ):
            self.tell(kind, record.ids, getattr(record, "reason", None))

    def hear_of(self, queue: str, record: records.Removed) -> None:
        """Tell of a record of jobs that are gone already, all of one queue."""
        kind = KIND_OF_CAUSE.get(record.cause)
        if kind is not None:
            self.tell_of(kind, queue, list(map(int, record.ids)), _why(record))

    def tell_of(
        self, kind: str, queue: str, ids: Sequence[int], reason: str | None
    ) -> None:
        """Tell what became of jobs of one queue."""
        if self.sink is not None:
            self.sink(Turn(kind, queue, ids, reason))

    def tell(self, kind: str | None, ids: Sequence[int], reason: str | None) -> None:
        """Tell what became of jobs, by queue."""
        if kind is None or self.sink is None:
            return
        by_queue: dict[str, list[int]] = {}
        for job_id in map(int, ids):
            queue = self._queue_of(job_id)
            if queue is not None:
                by_queue.setdefault(queue, []).append(job_id)
        for queue, mine in by_queue.items():
            self.sink(Turn(kind, queue, mine, reason))


def _why(record: records.Removed) -> str | None:
    """Return why jobs were removed, where their kind does not say it."""
    cause = record.cause
    return None if KIND_OF_CAUSE.get(cause) == cause else cause
