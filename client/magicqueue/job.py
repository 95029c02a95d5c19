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
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from magicqueue.durations import Duration, Moment, datetime_of
from magicqueue.errors import Cancelled, MagicQueueError
from magicqueue.plain_text import plain
from magicqueue.wire.limits import NOTE_BYTES_MAX
from magicqueue.wire.replies import CronTick

Id: TypeAlias = Annotated[int, Meta(ge=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Word: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\Z")]

NULL: Final = Raw(b"null")

_SHOWN_BYTES: Final = 200
"""So much of a job's data is in its repr."""


class StoredJob(msgspec.Struct, gc=False, eq=False):
    """What every job has."""

    id: Id
    """Given by the server; rising, never used twice."""
    queue: str
    """The queue it is in."""
    _data: Raw = msgspec.field(name="data")
    priority: int
    """Higher runs first."""
    created_at_ms: Count = msgspec.field(name="created_at")
    """When it was pushed, in milliseconds since 1970."""
    run_at_ms: Count = msgspec.field(name="run_at")
    """When it was due, in milliseconds since 1970."""
    attempts: Count
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
            self._decoded = decode(self._data)
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


class WorkerSide(Protocol):
    """The way from a job back to the worker that runs it; called from any thread."""

    def beat_now(self) -> None:
        """Extend the leases of the jobs held, soon."""

    def progress(self, job: "Job", percent: int | None, note: str | None) -> None:
        """Tell the server how far a job is, soon."""

    def parent_results(self, job: "Job") -> dict[int, Any]:
        """Ask the server what came of the jobs that a job depended on."""
        ...


class Job(StoredJob, gc=False, eq=False):
    """A job that was handed out: yours until its lease ends."""

    attempts: Id
    """How often it was handed out, this time included."""
    parents: tuple[Id, ...] = ()
    """The jobs that it depended on, by id."""
    group: str | None = None
    """The group that it takes turns with, if it has one."""
    lost: bool = msgspec.field(name="lost to the client", default=False)
    """The lease is known to be over: the job may be running elsewhere by now."""
    cancelled: bool = msgspec.field(name="cancelled at the client", default=False)
    """Nobody wants it to be done any more: it was cancelled, or its lease is over."""
    if TYPE_CHECKING:
        _worker: WorkerSide | None = None
        _labels: dict[str, Any] | None = None
    else:
        _worker: None = None  # a type that gives a reply no say in it
        _labels: None = None  # what logs say of it besides
    _started_at: float = msgspec.field(name="begun by the client", default=0.0)
    """When a worker began it, on its monotonic clock; 0 until then."""
    _took_s: float = msgspec.field(name="run by the client", default=-1.0)
    """How long its handler ran; below 0 until it has ended."""
    cron: CronTick | None = None
    """The cron whose job it is, and the tick for which it came."""

    def heartbeat(self) -> None:
        """Have the worker extend the lease now; it returns at once, from any thread.

        A worker does so by itself in time, so this is for a handler that is about to hold
        the interpreter. Raises MagicQueueError for a job that no worker runs: use
        `queue.heartbeat(job)` for one.
        """
        self._side("heartbeat(job)").beat_now()

    def progress(self, percent: int | None = None, note: str | None = None) -> None:
        """Have the worker tell the server how far the job is; it returns at once.

        percent: 0 to 100. note: up to 1 KiB. `queue.job(id)` shows it until the job is
        settled. It may be said as often as you like, from any thread: the last is sent, a
        few times a second. Raises ValueError, TypeError, and MagicQueueError for a job that
        no worker runs: use `queue.progress(job, …)` for one.
        """
        percent, note = checked_progress(percent, note)
        self._side("progress(job, …)").progress(self, percent, note)

    def parent_results(self) -> dict[int, Any]:
        """Give what came of the jobs that this one depended on, by their ids.

        Of those that are done and whose results are kept still: see Flow. It asks the
        server, and blocks until that answers; in an async handler use
        `await queue.parent_results(job)`. Raises MagicQueueError for a job that no worker
        runs, and what a Queue's calls do.
        """
        if not self.parents:
            return {}
        return self._side("parent_results(job)").parent_results(self)

    def check(self) -> None:
        """Raise Cancelled if the job was cancelled, or its lease is over.

        For a plain handler, to be called now and then: an async one is cancelled by itself.
        """
        if self.cancelled:
            raise Cancelled(
                f"job {self.id} is not this worker's any more"
                if self.lost
                else f"job {self.id} was cancelled"
            )

    def _side(self, instead: str) -> WorkerSide:
        if self._worker is None:
            raise MagicQueueError(
                f"job {self.id} was not pulled by a worker: use queue.{instead}"
            )
        return self._worker


def checked_progress(percent: Any, note: Any) -> tuple[int | None, str | None]:
    """Give what a PROGRESS can say, plain. Raises TypeError or ValueError for the rest.

    A worker sends it later, from a thread in which nothing may be wrong with it.
    """
    if percent is not None:
        if not isinstance(percent, int) or isinstance(percent, bool):
            raise TypeError(f"percent must be an integer, not {type(percent).__name__}")
        if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
            raise ValueError(f"percent is {percent}: it must be 0 to 100")
        percent = int(percent)
    if note is not None:
        if not isinstance(note, str):
            raise TypeError(f"note must be a string, not {type(note).__name__}")
        try:
            encoded = note.encode()
        except UnicodeEncodeError:
            raise ValueError("note has a lone surrogate: leave it out") from None
        if len(encoded) > NOTE_BYTES_MAX:
            raise ValueError(f"note is {len(encoded)} bytes: the limit is {NOTE_BYTES_MAX}")
        note = encoded.decode()  # a subclass has no form in JSON
    return percent, note


class Progress(msgspec.Struct, frozen=True):
    """How far an active job is, as its worker has told last."""

    percent: int | None = None
    note: str | None = None


class JobDetails(StoredJob, gc=False, eq=False, kw_only=True):
    """A job looked up, or a dead letter, with all that the server knows of it.

    Of one that has ended, and whose end was kept, there is its id, queue, state, attempts,
    `result` and `finished_at`; its data is None then, and its other times are 1970.
    """

    state: Word
    """`ready`, `delayed`, `active`, `blocked` or `dead`; of kept ends `done`, `cancelled`,
    `expired`."""
    failures: Count
    """Attempts that failed."""
    lost: Count
    """Attempts whose lease ended or whose worker went away."""
    max_attempts: Count
    """Failures after which it is dead; 0 is no limit."""
    error: str | None
    """The last failure's message."""
    lease_until_ms: Count | None = msgspec.field(name="lease_until")
    """When its lease ends, in milliseconds since 1970, if it is active."""
    reason: Word | None = None
    """Why it is dead: `failed`, `worker_lost`, `expired`, `timeout`, `parent_failed`."""
    died_at_ms: Count | None = msgspec.field(name="died_at", default=None)
    """When it died, in milliseconds since 1970, if it is dead."""
    unique_key: str | None = None
    """The key that it holds."""
    group: str | None = None
    """The group that it takes turns with."""
    expires_at_ms: Count | None = msgspec.field(name="expires_at", default=None)
    """When its time to live is over, in milliseconds since 1970."""
    timeout_ms: Count | None = msgspec.field(name="timeout", default=None)
    """How long an attempt may run, in milliseconds."""
    attempt_until_ms: Count | None = msgspec.field(name="attempt_until", default=None)
    """When its attempt times out, in milliseconds since 1970, if it is active."""
    keep_result_ms: Count = msgspec.field(name="keep_result", default=0)
    """How long its end will be kept, in milliseconds."""
    parents: tuple[Id, ...] = ()
    """The jobs that it depends on, or depended on, by id."""
    on_parent_failure: Word | None = None
    """What becomes of it if one of these dies: `wait`, `fail` or `run`."""
    waits_for: Count = 0
    """So many of them it waits for still."""
    children: tuple[Id, ...] = ()
    """The first 100 jobs that wait for it, by id."""
    cancelled: bool = False
    """It is active, and was cancelled: it will not run again."""
    progress: Progress | None = None
    """How far its worker said that it is."""
    cron: CronTick | None = None
    """The cron whose job it is, and the tick for which it came."""
    _result: Raw = msgspec.field(name="result", default=NULL)
    finished_at_ms: Count | None = msgspec.field(name="finished_at", default=None)
    """When it ended, in milliseconds since 1970, if its end was kept."""

    @property
    def lease_until(self) -> datetime | None:
        """When its lease ends (UTC), if it is active."""
        return optional_datetime(self.lease_until_ms)

    @property
    def expires_at(self) -> datetime | None:
        """When its time to live is over (UTC)."""
        return optional_datetime(self.expires_at_ms)

    @property
    def finished_at(self) -> datetime | None:
        """When it ended (UTC), if its end was kept."""
        return optional_datetime(self.finished_at_ms)

    @property
    def result(self) -> Any:
        """What its handler returned, if it is done and that was kept; else None."""
        return decode(self._result)

    @property
    def died_at(self) -> datetime | None:
        """When it died (UTC), if it is dead."""
        return optional_datetime(self.died_at_ms)


def optional_datetime(epoch_ms: int | None) -> datetime | None:
    """Convert epoch milliseconds, if there are any, as `datetime_of`."""
    return None if epoch_ms is None else datetime_of(epoch_ms)


def decode(raw: Raw) -> Any:
    """Decode any JSON exactly: integers of any size too, which orjson makes floats of."""
    try:
        return _decode(raw)
    except RecursionError:  # nesting counts together with the caller's own depth
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow, and rare

        with ThreadPoolExecutor(1) as apart:
            return apart.submit(_decode, raw).result()


def _decode(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
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
    unique_key: str | None = None
    unique: Literal["done", "start"] | None = None
    unique_for: Duration | None = None
    on_conflict: Literal["return", "reject", "replace"] | None = None
    ttl: Duration | None = None
    on_expire: Literal["remove", "dead"] | None = None
    timeout: Duration | None = None
    keep_result: Duration | None = None
    depends_on: "Iterable[AnyJob] | AnyJob | None" = None
    on_parent_failure: Literal["wait", "fail", "run"] | None = None
    group: str | None = None
