"""What happened: the changes a core reports, in the form that a log stores.

A record says what was decided (ids, times, attempts), never what was asked, so replay
needs no re-decision: no backoff is computed twice, no clock is read, and a log written
under one core opens under any other. Columns hold one value a job; a single value stands
for all jobs of the batch. Times are epoch milliseconds.

Order of jobs among equals follows from the order of records. A core counts one *sequence*
from 1: `Pushed` (ready ones), `Matured`, `Failed` (ready ones), `Revived` and `Died` give
each job named the next number, in the order they are named (`sequence_span` counts along),
and so do `Promoted`, `Replaced` and `Unheld` (ready ones; for `Replaced`, also those that
are due and held); `Lost` and `Released` keep the old one. Ready jobs of a priority go by
it, and so do dead letters.

A log does not keep the past of settled jobs. `Origin` stands for what was left out before
its first record, and `Moved` brings the whole state of jobs whose own records were left
out; both carry sequence numbers, so the order is the same as if nothing had been left out.

Cores report all but the last three kinds. `Marked`, `Kept` and `Gone` are of the policies
above them, which know what the texts in them mean: the last record of a job, or of a key,
is the one that holds, and a mark ends with its job.

A column is any sequence of numbers: a list, a range, or whatever has the buffer protocol.
A sink that keeps a record copies what is no `bytes`: the memory may be used again.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, overload

import msgspec


class PayloadBlob(Sequence[bytes]):
    """Payloads as one buffer and two columns: where each starts and ends in it.

    So a batch of any size is a handful of objects. It indexes and iterates like a list of
    bytes, each made when asked for. The columns are sequences of int, also memoryviews
    and arrays; the buffer may hold more than the payloads, such as a whole request line.
    offsets: if they lie end to end, one column: all starts, then the last end; else None.
    """

    __slots__ = ("buffer", "ends", "offsets", "starts")

    def __init__(
        self, buffer: bytes | memoryview, starts: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Keep references to all three."""
        self.buffer = buffer
        self.starts = starts
        self.ends = ends
        self.offsets: Sequence[int] | None = None

    @classmethod
    def joined(cls, buffer: bytes | memoryview, offsets: Sequence[int]) -> "PayloadBlob":
        """Make one of payloads that lie end to end, the first at the buffer's start."""
        blob = cls(buffer, offsets[:-1], offsets[1:])
        blob.offsets = offsets
        return blob

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "PayloadBlob": ...
    def __getitem__(self, index: int | slice) -> "bytes | PayloadBlob":
        if isinstance(index, slice):
            return PayloadBlob(self.buffer, self.starts[index], self.ends[index])
        return bytes(self.buffer[self.starts[index] : self.ends[index]])

    def __iter__(self) -> Iterator[bytes]:
        buffer = self.buffer
        if not isinstance(buffer, bytes):
            buffer = bytes(buffer)
        return (
            buffer[start:end] for start, end in zip(self.starts, self.ends, strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it may be a view of memory that changes


class Pushed(msgspec.Struct, tag="pushed", frozen=True):
    """Jobs `first_id`, `first_id + 1`, … came in; one with a later run_at is delayed.

    held: all of them are held instead.
    """

    queue: str
    first_id: int
    created_at_ms: int
    payloads: Sequence[bytes]
    run_ats_ms: int | Sequence[int]
    priorities: int | Sequence[int]
    max_attempts: int | Sequence[int]
    backoffs_ms: int | Sequence[int]
    jitters: bool | Sequence[bool]
    held: bool = False


class Matured(msgspec.Struct, tag="matured", frozen=True):
    """Delayed jobs became ready."""

    ids: Sequence[int]


class Leased(msgspec.Struct, tag="leased", frozen=True):
    """Ready or held jobs were handed out: one more attempt each."""

    ids: Sequence[int]
    session: int
    until_ms: int


class Extended(msgspec.Struct, tag="extended", frozen=True):
    """Leases now end at `until_ms`."""

    ids: Sequence[int]
    until_ms: int


class Postponed(msgspec.Struct, tag="postponed", frozen=True):
    """All leases end `by_ms` later: time had passed that did not count."""

    by_ms: int
    at_ms: int


class Acked(msgspec.Struct, tag="acked", frozen=True):
    """Jobs are done."""

    ids: Sequence[int]


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """Attempts failed; each job is due again at its run_at (ready if that is now)."""

    ids: Sequence[int]
    errors: Sequence[str | None]
    run_ats_ms: Sequence[int]
    at_ms: int


class Lost(msgspec.Struct, tag="lost", frozen=True):
    """Leases ended or sessions closed: the jobs are ready again at their old place.

    Those that were held when they were handed out are held again; so it is with `Released`.
    """

    ids: Sequence[int]


class Released(msgspec.Struct, tag="released", frozen=True):
    """Active jobs were given back, which is no fault of theirs and counts as nothing.

    run_at_ms: 0, they are ready again at their old place; else they are delayed until then.
    """

    ids: Sequence[int]
    run_at_ms: int


FAILURES: Final = frozenset(("failed", "timeout"))
"""What an active job dies of that counts as its failure."""
WORKER_LOST: Final = "worker_lost"
"""What it dies of that counts as a loss."""


class Died(msgspec.Struct, tag="died", frozen=True):
    """Live jobs became dead letters, for `reason`.

    `FAILURES` count as one, and `WORKER_LOST` as a loss, of active jobs;
    others (`expired`) count as neither, and the jobs may be ready or delayed.
    """

    ids: Sequence[int]
    reason: str
    errors: Sequence[str | None]
    at_ms: int


class Removed(msgspec.Struct, tag="removed", frozen=True):
    """Jobs are gone; `cause` says why, and which states they may have been in.

    `drained`: those that wait, in the order in which they are taken out. `dropped`:
    the oldest of too many dead letters. `purged`, `cancelled`, `expired`: any.
    """

    ids: Sequence[int]
    cause: str


class Revived(msgspec.Struct, tag="revived", frozen=True):
    """Dead jobs are ready anew, as if pushed at `at_ms`; the id and age stay."""

    ids: Sequence[int]
    at_ms: int


class Promoted(msgspec.Struct, tag="promoted", frozen=True):
    """Delayed jobs are ready before their time; their run_at is `at_ms` from now on."""

    ids: Sequence[int]
    at_ms: int


class Replaced(msgspec.Struct, tag="replaced", frozen=True):
    """Ready or delayed jobs are others now, and enter the order anew, as if pushed."""

    ids: Sequence[int]
    payloads: Sequence[bytes]
    priorities: Sequence[int]
    run_ats_ms: Sequence[int]
    at_ms: int


class Held(msgspec.Struct, tag="held", frozen=True):
    """Ready jobs are held: they are in no order."""

    ids: Sequence[int]


class Unheld(msgspec.Struct, tag="unheld", frozen=True):
    """Held jobs enter the order anew; each is due at its run_at (ready if that is now)."""

    ids: Sequence[int]
    run_ats_ms: Sequence[int]
    at_ms: int


class Paused(msgspec.Struct, tag="paused", frozen=True):
    """A queue was paused (or resumed)."""

    queue: str
    paused: bool


class Moved(msgspec.Struct, tag="moved", frozen=True):
    """The whole state of some jobs, which replaces every earlier record of them.

    states: `JobState` numbers. returned: ready at its old place, or held again, after a
    loss. sequences: its place among ready jobs (also of an active job, for when it is lost)
    or among dead letters; 0 for delayed and held jobs, and active ones that were held.
    Sessions and lease ends are 0 where there is no lease.
    """

    ids: Sequence[int]
    queues: Sequence[str]
    payloads: Sequence[bytes]
    priorities: Sequence[int]
    created_ats_ms: Sequence[int]
    run_ats_ms: Sequence[int]
    max_attempts: Sequence[int]
    backoffs_ms: Sequence[int]
    jitters: Sequence[bool]
    states: Sequence[int]
    returned: Sequence[bool]
    sequences: Sequence[int]
    attempts: Sequence[int]
    failures: Sequence[int]
    losses: Sequence[int]
    sessions: Sequence[int]
    untils_ms: Sequence[int]
    died_ats_ms: Sequence[int]
    errors: Sequence[str | None]
    reasons: Sequence[str | None]


class Origin(msgspec.Struct, tag="origin", frozen=True):
    """Left out before this: ids up to `last_id` and numbers up to `sequence` were given."""

    last_id: int
    sequence: int


class Restarted(msgspec.Struct, tag="restarted", frozen=True):
    """A server began anew with the state so far: totals count from here."""


class Marked(msgspec.Struct, tag="marked", frozen=True):
    """What policies know of jobs of a queue; an empty text is nothing any more."""

    queue: str
    ids: Sequence[int]
    texts: Sequence[bytes]


class Kept(msgspec.Struct, tag="kept", frozen=True):
    """Small facts that outlive a job, or are of none; each replaces the key's last one."""

    space: str
    keys: Sequence[bytes]
    values: Sequence[bytes]


class Gone(msgspec.Struct, tag="gone", frozen=True):
    """Facts that hold no more."""

    space: str
    keys: Sequence[bytes]


Record: TypeAlias = (
    Pushed
    | Matured
    | Leased
    | Extended
    | Postponed
    | Acked
    | Failed
    | Lost
    | Released
    | Died
    | Removed
    | Revived
    | Promoted
    | Replaced
    | Held
    | Unheld
    | Paused
    | Moved
    | Origin
    | Restarted
    | Marked
    | Kept
    | Gone
)

_ONE_EACH: Final = (Matured, Revived, Died, Promoted)


def sequence_span(record: Record) -> int:
    """How many sequence numbers a record gives out. O(1) but for mixed batches."""
    if isinstance(record, Pushed):
        run_ats_ms, created_at_ms = record.run_ats_ms, record.created_at_ms
        if record.held:
            return 0
        if isinstance(run_ats_ms, int):
            return len(record.payloads) if run_ats_ms <= created_at_ms else 0
        return sum(run_at_ms <= created_at_ms for run_at_ms in run_ats_ms)
    if isinstance(record, _ONE_EACH):
        return len(record.ids)
    if isinstance(record, Failed | Replaced | Unheld):
        return sum(run_at_ms <= record.at_ms for run_at_ms in record.run_ats_ms)
    return 0
