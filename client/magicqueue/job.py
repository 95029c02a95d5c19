"""Jobs, as a client sees them.

Replies are decoded straight into these: one object a job, its data still JSON bytes until
somebody looks at it, since a worker that forwards or skips jobs should not pay for that.
Then it is decoded once and kept, so what a handler changes in `job.data` stays changed.
`Job` compares by identity, so the same job pulled twice (after its lease was lost) is two
of them. The structs are left out of garbage collection: they hold bytes, numbers and data
without cycles, and what could make one, the way back to a worker, is not owned by the
worker's side.
"""

import json
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from magicqueue.durations import Duration, Moment, datetime_of
from magicqueue.errors import MagicQueueError
from magicqueue.plain_text import plain

_Id: TypeAlias = Annotated[int, Meta(ge=1)]
_Count: TypeAlias = Annotated[int, Meta(ge=0)]
_Word: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\Z")]

_SHOWN_BYTES: Final = 200
"""So much of a job's data is in its repr."""


class StoredJob(msgspec.Struct, gc=False, eq=False):
    """What every job has."""

    id: _Id
    """Given by the server; rising, never used twice."""
    queue: str
    """The queue it is in."""
    _data: Raw = msgspec.field(name="data")
    priority: int
    """Higher runs first."""
    created_at_ms: _Count = msgspec.field(name="created_at")
    """When it was pushed, in milliseconds since 1970."""
    run_at_ms: _Count = msgspec.field(name="run_at")
    """When it was due, in milliseconds since 1970."""
    attempts: _Count
    """How often it was handed out, this time included."""
    if TYPE_CHECKING:
        _decoded: Any = UNSET
    else:
        _decoded: UnsetType = UNSET  # a type that no reply can give it

    @property
    def data(self) -> Any:
        """The job's data, decoded at the first look and kept.

        Integers of any size are exact, fractions are Python's floats.
        """
        if self._decoded is UNSET:
            self._decoded = _decode(self._data)
        return self._decoded

    @property
    def raw(self) -> bytes:
        """The job's data as the JSON bytes that were pushed."""
        return bytes(self._data)

    @property
    def created_at(self) -> datetime:
        """When it was pushed (UTC); see `created_at_ms` for times beyond year 9999."""
        return datetime_of(self.created_at_ms)

    @property
    def run_at(self) -> datetime:
        """When it was due (UTC); see `run_at_ms` for times beyond year 9999."""
        return datetime_of(self.run_at_ms)

    def __repr__(self) -> str:
        shown = bytes(memoryview(self._data)[: _SHOWN_BYTES + 1])
        data = plain(shown[:_SHOWN_BYTES].decode(errors="replace"))
        more = "…" if len(shown) > _SHOWN_BYTES else ""
        return (
            f"{type(self).__name__}(id={self.id}, queue={self.queue!r},"
            f" attempts={self.attempts}, data={data}{more})"
        )


AnyJob: TypeAlias = StoredJob | int
"""A job, or its id; a job names the attempt too, an id means whichever."""


class Job(StoredJob, gc=False, eq=False):
    """A job that was handed out: yours until its lease ends."""

    attempts: _Id
    """How often it was handed out, this time included."""
    lost: bool = msgspec.field(name="lost to the client", default=False)
    """The lease is known to be over: the job may be running elsewhere by now."""
    if TYPE_CHECKING:
        _beat: Callable[[], None] | None = None
        _labels: dict[str, Any] | None = None
    else:
        _beat: None = None  # a type that gives a reply no say in it
        _labels: None = None  # what logs say of it besides
    _started_at: float = msgspec.field(name="begun by the client", default=0.0)
    """When a worker began it, on its monotonic clock; 0 until then."""
    _took_s: float = msgspec.field(name="run by the client", default=-1.0)
    """How long its handler ran; below 0 until it has ended."""

    def heartbeat(self) -> None:
        """Have the worker extend the lease now; it returns at once, from any thread.

        A worker does so by itself in time, so this is for a handler that is about to hold
        the interpreter. Raises MagicQueueError for a job that no worker runs: use
        `queue.heartbeat(job)` for one.
        """
        beat = self._beat
        if beat is None:
            raise MagicQueueError(
                f"job {self.id} was not pulled by a worker: use queue.heartbeat(job)"
            )
        beat()


class JobDetails(StoredJob, gc=False, eq=False, kw_only=True):
    """A job looked up, or a dead letter, with all that the server knows of it."""

    state: _Word
    """`ready`, `delayed`, `active` or `dead`."""
    failures: _Count
    """Attempts that failed."""
    lost: _Count
    """Attempts whose lease ended or whose worker went away."""
    max_attempts: _Count
    """Failures after which it is dead; 0 is no limit."""
    error: str | None
    """The last failure's message."""
    lease_until_ms: _Count | None = msgspec.field(name="lease_until")
    """When its lease ends, in milliseconds since 1970, if it is active."""
    reason: _Word | None = None
    """Why it is dead: `failed` or `worker_lost`."""
    died_at_ms: _Count | None = msgspec.field(name="died_at", default=None)
    """When it died, in milliseconds since 1970, if it is dead."""

    @property
    def lease_until(self) -> datetime | None:
        """When its lease ends (UTC), if it is active."""
        return _datetime_of(self.lease_until_ms)

    @property
    def died_at(self) -> datetime | None:
        """When it died (UTC), if it is dead."""
        return _datetime_of(self.died_at_ms)


def _datetime_of(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime_of(epoch_ms)


def _decode(raw: Raw) -> Any:
    """Decode any JSON exactly; the quickest way is msgspec's, with two gaps."""
    try:
        return msgspec.json.decode(raw)
    except RecursionError:  # it counts nesting together with the caller's own
        return orjson.loads(memoryview(raw))
    except msgspec.ValidationError:  # a number beyond what a float can hold
        return json.loads(bytes(raw))


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
