"""The contract: what every core does, and all that the server knows of one.

A *core* holds jobs and decides what happens to them. It is a deterministic state machine:
no clock, no randomness, no I/O. Whoever calls it brings the time (`now_ms`), keeps it
from running backwards, and calls from one thread.

In this order: the states (`transitions` has their table), the batches that go in and come
out, the errors, then `Core`, whose methods are the verbs. A new core implements `Core`, is
named in `magicqueue_cores.make_core`, and must pass `tests/conformance`.

Rules that hold for every verb:

- **Batches.** Jobs travel as columns (one sequence a field), not as one object a job.
  In `NewJobs` a column may be one value that holds for the whole batch.
- **Time first.** A verb that takes `now_ms` first lets all jobs mature that are due by
  then, as `advance` would, so an answer never depends on when a timer fired.
- **Steps.** If more than `CoreOptions.step_jobs` are due, each verb lets the first so many
  mature, by (run_at, id), and the next verb goes on. What is pushed meanwhile to a queue
  with delayed jobs comes behind those that are due, as it would if all had matured at once:
  it is delayed by a millisecond, and so is a retry that would be ready at once. `promote`,
  `revive` and `retry_dead` of one job let all mature first; `retry_dead` of a queue takes
  steps that do only that, with a count of 0, until all have. `end_leases` and
  `close_session` take leases until they have so many jobs, in an order of their own, the
  last one whole or a part, and say whether that was all; jobs that are lost in one step die
  in order of id.
- **Very many jobs.** `drain`, `retry_dead` and `purge_dead` do `CoreOptions.step_jobs` at
  most (the array core's `drain` first takes out all delayed ones) and give a `Step`: who
  called goes on with its `upto` until that is None. They are about what is there at the
  first call, for which `upto` stands: what is pushed or dies meanwhile stays. Delayed jobs
  mature no more from the first call on. A ready job is its worker's if it is pulled before
  its step comes, and what comes back to its old place meanwhile is drained, too. One such
  verb at a time on a queue: a second one would share what there is with the first.
- **Leases end when that is said.** A lease is over by `end_leases` and by nothing else, so
  that whoever keeps the time can first read what had arrived: a heartbeat counts even if
  it was read late. Until then the job is its worker's, whatever its lease says.
- **All or nothing, or what it can.** `push` stores its batch whole or raises. The verbs
  on ids do what they can and say which ids they could not do.
- **Records.** Each change is reported to the sink as a `records.Record`, in order, before
  the verb answers. Feeding these to `replay` of any other core gives the same state.
- **Marked jobs.** What part of the server stands above the core (`policies`) knows more of
  some jobs than the core does: it *marks* these, and `observe`s the records of what befalls
  them. A mark changes nothing in what the core does with a job.
- **Held jobs.** The core keeps them and orders them not: they neither mature nor are
  pulled, and come to nothing by themselves. A push may make such jobs, `hold` makes them of
  ready ones. They leave that state by name: `unhold` lets them enter the order anew, `take`
  hands them out where they are. One that was taken so, and comes back without a verdict, is
  held again.
- **Later answers.** A verb returns its answer, or a `pending.Pending` that will hold it: a
  core on a remote engine does the latter. Nothing outside this package may assume either.
- **Wake-ups.** For a queue that is being watched, the core calls `on_ready(queue)` inside
  the verb (a remote core: at any time) when a pull that found nothing may now find a job.
  The callback must not call the core back.
- **Ruled queues.** Of some queues, who pulls has rules that the core does not know: it says
  so (`rule`). The core keeps these known, runs no line by itself that pulls of them, and
  wakes those who wait for their jobs also when one at work is no more. Held ones are jobs
  that they may get.

Sizes: a payload is bytes, never looked into. Times are epoch milliseconds, spans are
milliseconds, both as int below 2**53. Costs are per job; n is the number of jobs.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from magicqueue_cores.counts import CoreStats as CoreStats  # noqa: PLC0414 - part of it
from magicqueue_cores.counts import QueueStats as QueueStats  # noqa: PLC0414
from magicqueue_cores.options import CoreOptions as CoreOptions  # noqa: PLC0414 - part of it
from magicqueue_cores.pending import Answer
from magicqueue_cores.records import Moved, Record

T = TypeVar("T")
Column: TypeAlias = T | Sequence[T]
"""One value a job, in order, or a single value that holds for every job."""

NEVER_MS: Final = 2**63 - 1
"""A deadline that does not come."""
TIME_MAX_MS: Final = 2**53 - 1
"""The last point in time: a lease or a retry that would end later ends then."""
COUNT_MAX: Final = 2**31 - 1
"""What a job's attempts, failures and losses stop at, and the most it may be allowed."""


class JobState(IntEnum):
    """Where a job is. A settled job is nowhere: it leaves no trace."""

    READY = 0
    DELAYED = 1
    ACTIVE = 2
    DEAD = 3
    HELD = 4


WAITING: Final = frozenset((JobState.READY, JobState.DELAYED, JobState.HELD))
"""The states of jobs that nobody works on and that may still run."""
LIVE: Final = WAITING | {JobState.ACTIVE}
"""Those of jobs that are not dead."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What sets this core apart from others."""

    durable: bool = False
    """It keeps jobs safe by itself: the server writes no log for it."""
    executes_lines: bool = False
    """It also is a `LineCore`."""
    takes_feeds: bool = False
    """It also is a `FeedCore`."""
    job_overhead_bytes: int = 0
    """Memory a queued job costs beside its payload: what `push` reckons with."""


class NewJobs(msgspec.Struct, kw_only=True):
    """A batch to push. `payloads` gives the length; other sequences have the same.

    run_ats_ms: when each job may run, at least the push's `now_ms`.
    max_attempts: failures after which a job is dead, up to COUNT_MAX; 0 is no limit.
    backoffs_ms: see `retry.retry_delay_ms`. jitters: spread those waits at random.
    held: they are to be held, all of them, whatever their run_at. admitted: whether there
    is room for them has been asked, by `admit`, and is not asked again.
    """

    payloads: Sequence[bytes]
    run_ats_ms: Column[int]
    priorities: Column[int] = 0
    max_attempts: Column[int] = 25
    backoffs_ms: Column[int] = 0
    jitters: Column[bool] = False
    held: bool = False
    admitted: bool = False


class Delivery(msgspec.Struct):
    """Jobs handed out by one pull, as columns of equal length, in order."""

    ids: list[int]
    payloads: list[bytes]
    priorities: list[int]
    created_ats_ms: list[int]
    run_ats_ms: list[int]
    attempts: list[int]


class Settled(msgspec.Struct):
    """What a verb on ids could not do: `missing` in the order asked, `stale` a subset.

    A job is *stale* when the attempt given is older than its latest delivery, and
    *missing* also when it is not in a state the verb applies to.
    """

    missing: list[int]
    stale: list[int]


class Failed(Settled):
    """As `Settled`, with each job's new state (None where it is missing), as asked."""

    states: list[JobState | None]


class Step(msgspec.Struct, frozen=True):
    """What one call of a verb on very many jobs did, and what to go on with."""

    count: int
    """Jobs that it did."""
    upto: int | None = None
    """To be given to the next call: says what was there at the first one."""


class JobView(msgspec.Struct):
    """All that can be said of one job."""

    id: int
    queue: str
    payload: bytes
    priority: int
    created_at_ms: int
    run_at_ms: int
    attempts: int
    state: JobState
    failures: int
    lost: int
    max_attempts: int
    error: str | None
    lease_until_ms: int | None
    reason: str | None
    died_at_ms: int | None


class DeadPage(msgspec.Struct):
    """A page of dead letters, oldest death first; `next_id` continues it, None ends."""

    jobs: list[JobView]
    next_id: int | None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs `browse` is to tell of: those that fit all that is given."""

    queue: str | None = None
    states: frozenset[JobState] = frozenset(JobState)
    contains: bytes = b""
    """A part of the payload, byte for byte."""


class JobsPage(msgspec.Struct):
    """Jobs by id. Up to `next_id` all were looked at; None if that was all there is."""

    jobs: list[JobView]
    next_id: int | None
    scanned: int
    """Jobs that were looked at, of whatever queue and state."""
    scanned_bytes: int
    """The payloads of those of them that fit by queue and state."""


Place: TypeAlias = tuple[int, int]
"""Where a job stands in an order: a ready one by (-priority, ready sequence), a delayed one
by (run_at_ms, id), an active one by (end of lease, id), a dead one by (its death's sequence
number, 0)."""
TURN_JOBS_MAX: Final = 10_000
"""So many jobs of an order are told."""


class TurnPage(msgspec.Struct):
    """Jobs in the order they will come; `next_place` continues it, None ends."""

    jobs: list[JobView]
    next_place: Place | None


class CoreError(Exception):
    """A verb that refused; nothing has changed. The text is a sentence for people."""


class Full(CoreError):
    """A bound of `CoreOptions` would be exceeded."""


class TooFar(CoreError):
    """Too many other jobs would have to be looked at."""


class NotFound(CoreError):
    """The job or cursor that was asked for is not there."""


OnReady: TypeAlias = Callable[[str], None]
RecordSink: TypeAlias = Callable[[Record], None]


class Core(Protocol):
    """The verbs. `session` is a number of the caller's choosing, 0 for nobody."""

    name: str
    capabilities: Capabilities

    @property
    def next_deadline_ms(self) -> int:
        """Nothing happens by itself before this (a lower bound), or NEVER_MS. O(1)."""
        ...

    def advance(self, now_ms: int) -> None:
        """Let time pass: delayed jobs that are due mature. O(log n) a job that moves."""
        ...

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """Let all leases that end by `until_ms` be over: their jobs are lost, at `now_ms`.

        until_ms: a moment, not after `now_ms`, up to which all that workers sent has been
        read. False: there are more, so call it again. O(log n) a job that moves.
        """
        ...

    def postpone_leases(self, by_ms: int, now_ms: int) -> None:
        """Let every lease end that much later: time passed that does not count. O(n)."""
        ...

    def watch(self, queue: str, *, watching: bool) -> None:
        """Say whether somebody waits for jobs of `queue`, so that `on_ready` is called.

        It is called at once if a pull would find a job when the watching starts.
        """
        ...

    def push(self, queue: str, jobs: NewJobs, now_ms: int) -> Answer[int]:
        """Store a batch; gives the first of its ids, which are consecutive.

        O(log p) with p distinct priorities ready in the queue; delayed jobs O(log n).
        Raises `Full`. Ids start at 1, rise, and are never used again.
        """
        ...

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Answer[Delivery]:
        """Lease up to `count` ready jobs to `session`; none if empty or paused.

        Strict order: higher priority first, then ready sequence. It ends before the
        payloads exceed `payload_bytes_max`, but gives one job at least. O(log n).
        """
        ...

    def ack(
        self, ids: Sequence[int], attempts: Sequence[int] | None, now_ms: int
    ) -> Answer[Settled]:
        """Settle active jobs as done. O(1).

        attempts: the delivery each verdict is about, 0 for "whichever"; None is all 0.
        """
        ...

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None = None,
        reason: str = "failed",
    ) -> Answer[Failed]:
        """Settle active jobs as failed: each is retried after its backoff, or dead.

        delays_ms: how long each waits for its retry instead, None for its backoff, NEVER_MS
        for none: it is dead. A failure that was a job's last is its death all the same.
        reason: what those die of for which it was the last.
        """
        ...

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Answer[Settled]:
        """Give active jobs back unharmed: neither lost nor failed. O(log n) a job.

        They are ready at their old place, or delayed for `delay_ms` if that is not 0. The
        attempt stays used: its number is not given again.
        """
        ...

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Answer[Settled]:
        """Let the leases of active jobs end `lease_ms` from now. O(log n)."""
        ...

    def close_session(self, session: int, now_ms: int) -> Answer[bool]:
        """The session is gone: its jobs are lost and come back. O(log n) a job of it.

        False: it holds more, so call it again.
        """
        ...

    def pause(self, queue: str, *, paused: bool, now_ms: int) -> Answer[None]:
        """Stop or resume handing out jobs of a queue. O(1)."""
        ...

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Answer[Step]:
        """Remove the ready and delayed jobs of a queue, a step of them.

        Held ones stay: `remove` takes them for the cause `drained`, too.
        """
        ...

    def dead(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        after_id: int | None,
        now_ms: int,
    ) -> Answer[DeadPage]:
        """List dead letters behind `after_id`; raises `NotFound` for a lost cursor."""
        ...

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Answer[Step]:
        """Make one dead job, or a step of a queue's, ready anew: attempts start over.

        Raises `NotFound` when `job_id` is given and is no dead letter (of `queue`).
        """
        ...

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Answer[Step]:
        """Remove one dead job, or a step of a queue's; raises as `retry_dead`."""
        ...

    def remove(
        self, ids: Sequence[int], states: frozenset[JobState], cause: str, now_ms: int
    ) -> Answer[Settled]:
        """Remove those of the jobs that are in one of `states`, wherever they stand.

        cause: `cancelled` or `expired`, which are counted, or `purged`, or `drained` (of
        jobs that wait). An active job's lease is over with it. O(log n) amortised a job.
        """
        ...

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> Answer[Settled]:
        """Make live jobs dead, which counts as no failure and no loss.

        errors: the last error of each, None to keep the one it has. O(log n) amortised.
        """
        ...

    def promote(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        """Make delayed jobs ready, behind those that are, in the order given.

        Their `run_at_ms` is `now_ms` from then on. O(log n) amortised a job.
        """
        ...

    def replace(
        self, job_id: int, payload: bytes, priority: int, run_at_ms: int, now_ms: int
    ) -> Answer[bool]:
        """Give a job that waits another payload, priority and time to run.

        It enters its order anew, as if pushed now, and its attempts stay; a held one stays
        held. False: it is in no such state. Whether there is room for it is asked before,
        by `refuse_more`, so that several are replaced or none.
        """
        ...

    def hold(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        """Take ready jobs out of their order and keep them held. O(log n) amortised."""
        ...

    def unhold(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        """Let held jobs enter the order anew, as given: ready, or delayed by their run_at.

        The run_at of one that is ready is `now_ms` at least. O(log n) a job.
        """
        ...

    def take(
        self,
        queue: str,
        ids: Sequence[int],
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Answer[Delivery]:
        """Lease those of the jobs of a queue that are held, in the order given.

        It ends before the payloads exceed `payload_bytes_max`, as `pull`, and gives none of
        a paused queue. O(log n).
        """
        ...

    def held(self, queue: str | None) -> int:
        """Count the held jobs of a queue, or all. O(1)."""
        ...

    def admit(self, queues: Sequence[str], jobs: int, payload_bytes: int) -> None:
        """Raise `Full` if so many jobs more may not be pushed, to queues of these names."""
        ...

    @property
    def last_id(self) -> int:
        """The last id that was given, 0 at first. O(1)."""
        ...

    def refuse_more(self, more_bytes: int) -> None:
        """Raise `Full` if jobs may not take so many bytes more, if it is more at all."""
        ...

    def revive(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        """Make dead jobs ready anew, as `retry_dead` does, in the order given."""
        ...

    def mark(self, ids: Sequence[int], *, marked: bool) -> None:
        """Say of which jobs (of `ids`, those that are here) `observe` tells, or no more.

        No record is made of it, and `Moved` has nothing of it: who marks has to see to it.
        """
        ...

    def observe(self, sink: RecordSink | None) -> None:
        """Have every record that names a marked job told to `sink` too, None to end that.

        It is told in order, before the verb answers, and perhaps of other records as well;
        of jobs that are not marked it may be told less than all. What lines did is told
        with the marked jobs alone. The sink must not call the core, nor keep a column.
        """
        ...

    def rule(self, queue: str, *, ruled: bool) -> None:
        """Say whether jobs of a queue are pulled under rules that the core does not know.

        It makes the queue known, and keeps it so. No record is made of it. O(1).
        """
        ...

    def refuse_queue(self, queue: str) -> None:
        """Raise `Full` if a queue of this name would be one too many."""
        ...

    def processing(self, queue: str) -> int:
        """Count the active jobs of a queue. O(1)."""
        ...

    def count_duplicates(self, queue: str, count: int) -> None:
        """Count pushes to a queue that made no job, in its statistics and the totals."""
        ...

    outside_bytes: int
    """What is kept for jobs outside of the core: it counts as memory that they take."""

    def job(self, job_id: int, now_ms: int) -> Answer[JobView | None]:
        """Look one job up. O(1)."""
        ...

    def browse(
        self,
        search: Search,
        after_id: int,
        count: int,
        scan_max: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> Answer[JobsPage]:
        """Look through jobs behind `after_id`, by id, and tell up to `count` that fit.

        It ends behind the last that is told, behind `scan_max` jobs looked at, or before
        the payloads of those that fit by queue and state exceed `payload_bytes_max` (one
        is looked at whatever its size), whichever comes first. Where hardly any ids are
        in use it may end earlier, with a `next_id`. Of a queue that has no job in these
        states nothing is looked at. O(scanned).
        """
        ...

    def in_turn(
        self,
        queue: str,
        state: JobState,
        after: Place | None,
        count: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> Answer[TurnPage]:
        """List the first jobs of a queue in the order they will come, behind `after`.

        Of the first TURN_JOBS_MAX, `count` at most, before their payloads exceed
        `payload_bytes_max`; one at least. Nothing is sorted that is not told. Held jobs
        are in no order: none of them is told. Raises
        `TooFar` where an order of all queues together has too many others in front.
        """
        ...

    def stats(self, now_ms: int) -> Answer[CoreStats]:
        """Totals over all queues. O(1) amortised over queues that changed."""
        ...

    def queue_stats(self, queue: str, now_ms: int) -> Answer[QueueStats]:
        """Counts of one queue, zeros if it is unknown. O(1) amortised."""
        ...

    def queues(
        self,
        now_ms: int,
        count: int | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> Answer[list[QueueStats]]:
        """Counts of known queues, by name, whose name begins with `prefix`.

        All, or the first `count`, of those whose name comes behind `after`, which need not
        be one. O(log q + count).
        """
        ...

    @property
    def spare_bytes(self) -> int:
        """What of the memory kept for later use `trim` would give back, roughly. O(1)."""
        ...

    def trim(self) -> bool:
        """Give back to the system a part of the memory that is kept for later use.

        Nothing that is here changes. False: there is more, so call it again.
        """
        ...

    def export(self, ids: Sequence[int]) -> Moved:
        """Tell the whole state of those of `ids` that are here, in order. O(1) a job.

        For a log that leaves old records out: `ids` may be a long range of which few are
        still here. A core that is durable by itself is never asked.
        """
        ...

    def replay(self, record: Record) -> None:
        """Apply what happened once before. Raises CoreError if it cannot have."""
        ...

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        ...
