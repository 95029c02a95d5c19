"""Jobs, as a client sees them.

Replies are decoded straight into these: one object a job, its data still JSON bytes until
somebody looks at it, since a worker that forwards or skips jobs should not pay for that.
`Job` compares by identity, so the same job pulled twice (after its lease was lost) is two
of them. The structs are left out of garbage collection: they hold bytes and numbers, and
what could make a cycle, the way back to a worker, is not owned by the worker's side.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import orjson
from msgspec import Raw

from magicqueue.durations import Duration, Moment, datetime_of
from magicqueue.errors import MagicQueueError


class StoredJob(msgspec.Struct, gc=False, eq=False):
    """What every job has."""

    id: int
    """Given by the server; rising, never used twice."""
    queue: str
    """The queue it is in."""
    _data: Raw = msgspec.field(name="data")
    priority: int
    """Higher runs first."""
    _created_at: int = msgspec.field(name="created_at")
    _run_at: int = msgspec.field(name="run_at")
    attempts: int
    """How often it was handed out, this time included."""

    @property
    def data(self) -> Any:
        """The job's data, decoded anew at each look."""
        return orjson.loads(memoryview(self._data))

    @property
    def raw(self) -> bytes:
        """The job's data as the JSON bytes that were pushed."""
        return bytes(self._data)

    @property
    def created_at(self) -> datetime:
        """When it was pushed (UTC)."""
        return datetime_of(self._created_at)

    @property
    def run_at(self) -> datetime:
        """When it was due (UTC)."""
        return datetime_of(self._run_at)


AnyJob: TypeAlias = StoredJob | int
"""A job, or its id; a job names the attempt too, an id means whichever."""


class Job(StoredJob, gc=False, eq=False):
    """A job that was handed out: yours until its lease ends."""

    lost: bool = False
    """The lease is known to be over: the job may be running elsewhere by now."""
    _beat: Any = None
    _started_at: float = 0.0
    """When a worker began it, on its monotonic clock; 0 until then."""
    _took_s: float = -1.0
    """How long its handler ran; below 0 until it has ended."""

    def heartbeat(self) -> None:
        """Have the worker extend the lease now; it returns at once, from any thread.

        A worker does so by itself in time, so this is for a handler that is about to hold
        the interpreter. Raises MagicQueueError for a job that no worker runs: use
        `queue.heartbeat(job)` for one.
        """
        beat: Callable[[], None] | None = self._beat
        if beat is None:
            raise MagicQueueError(
                f"job {self.id} was not pulled by a worker: use queue.heartbeat(job)"
            )
        beat()


class JobDetails(StoredJob, gc=False, eq=False):
    """A job looked up, or a dead letter, with all that the server knows of it."""

    state: str
    """`ready`, `delayed`, `active` or `dead`."""
    failures: int
    """Attempts that failed."""
    lost: int
    """Attempts whose lease ended or whose worker went away."""
    max_attempts: int
    """Failures after which it is dead; 0 is no limit."""
    error: str | None
    """The last failure's message."""
    _lease_until: int | None = msgspec.field(name="lease_until")
    reason: str | None = None
    """Why it is dead: `failed` or `worker_lost`."""
    _died_at: int | None = msgspec.field(name="died_at", default=None)

    @property
    def lease_until(self) -> datetime | None:
        """When its lease ends (UTC), if it is active."""
        return None if self._lease_until is None else datetime_of(self._lease_until)

    @property
    def died_at(self) -> datetime | None:
        """When it died (UTC), if it is dead."""
        return None if self._died_at is None else datetime_of(self._died_at)


class DeadPage(msgspec.Struct, frozen=True):
    """Some dead letters, oldest death first; `next` is the `after` of the next page."""

    jobs: list[JobDetails]
    next: int | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to push with options of its own, which `Queue.push` explains."""

    data: Any
    _: KW_ONLY
    priority: int = 0
    delay: Duration | None = None
    run_at: Moment | None = None
    max_attempts: int | None = None
    backoff: Duration = 1.0
    jitter: bool = True
