"""What happened: the changes a core reports, in the form that a log stores.

A record says what was decided (ids, times, attempts), never what was asked, so replay
needs no re-decision: no backoff is computed twice, no clock is read, and a log written
under one core opens under any other. Columns hold one value a job; a single value stands
for all jobs of the batch. Times are epoch milliseconds.

Order of jobs among equals follows from the order of records: `Pushed` (ready ones),
`Matured`, `Failed` (ready ones) and `Revived` give each job named the next ready sequence,
in the order they are named; `Lost` keeps the old one.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec


class Pushed(msgspec.Struct, tag="pushed", frozen=True):
    """Jobs `first_id`, `first_id + 1`, … came in; one with a later run_at is delayed."""

    queue: str
    first_id: int
    created_at_ms: int
    payloads: Sequence[bytes]
    run_ats_ms: int | Sequence[int]
    priorities: int | Sequence[int]
    max_attempts: int | Sequence[int]
    backoffs_ms: int | Sequence[int]
    jitters: bool | Sequence[bool]


class Matured(msgspec.Struct, tag="matured", frozen=True):
    """Delayed jobs became ready."""

    ids: Sequence[int]


class Leased(msgspec.Struct, tag="leased", frozen=True):
    """Ready jobs were handed out: one more attempt each."""

    ids: Sequence[int]
    session: int
    until_ms: int


class Extended(msgspec.Struct, tag="extended", frozen=True):
    """Leases now end at `until_ms`."""

    ids: Sequence[int]
    until_ms: int


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
    """Leases ended or sessions closed: the jobs are ready again at their old place."""

    ids: Sequence[int]


class Died(msgspec.Struct, tag="died", frozen=True):
    """Active jobs became dead letters, for `reason`: `failed` or `worker_lost`.

    It counts as the failure, or the loss, that made them so.
    """

    ids: Sequence[int]
    reason: str
    errors: Sequence[str | None]
    at_ms: int


class Removed(msgspec.Struct, tag="removed", frozen=True):
    """Jobs were drained, purged, or dropped from the dead letters (`cause`)."""

    ids: Sequence[int]
    cause: str


class Revived(msgspec.Struct, tag="revived", frozen=True):
    """Dead jobs are ready anew, as if pushed at `at_ms`; the id and age stay."""

    ids: Sequence[int]
    at_ms: int


class Paused(msgspec.Struct, tag="paused", frozen=True):
    """A queue was paused (or resumed)."""

    queue: str
    paused: bool


Record: TypeAlias = (
    Pushed
    | Matured
    | Leased
    | Extended
    | Acked
    | Failed
    | Lost
    | Died
    | Removed
    | Revived
    | Paused
)
