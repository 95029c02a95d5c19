"""One job and one queue of the python core.

A job is one small struct without a garbage-collector header. What most jobs never have
(failures, losses, an error) lives in a `History` made at first need; what is the same for
a whole batch (times, retry policy) is one shared object. Its state is not stored but
follows from where it is.

Sequence numbers order the ready jobs of a priority, and dead letters. The jobs of a batch
that is ready at its push have numbers in step with their ids, so what they share is the
difference, kept with the retry policy: a plain job needs no number of its own. No struct
here refers to what refers to it: a core that is dropped is freed by its reference counts
alone.
"""

from typing import Final

import msgspec

from magicqueue_cores.contract import COUNT_MAX, TIME_MAX_MS, CoreOptions, JobState
from magicqueue_cores.dead_letters import DeadLetters
from magicqueue_cores.leases import Lease
from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.oldest_ready import OldestReady
from magicqueue_cores.ready_order import ReadyOrder
from magicqueue_cores.retry import retry_delay_ms

PLAIN: Final = 0
"""The `place` of a job that was ready when pushed: its id says its sequence number."""
WAITING: Final = -1
"""The `place` of a delayed job: it has no sequence number yet."""
HELD: Final = -2
"""The `place` of a job that is held, or was when it was handed out."""
HELD_AGAIN: Final = -3
"""The `place` of a held job that was handed out and came back."""

RetryPolicy = tuple[int, int, bool, int]
"""(max_attempts, backoff_ms, jitter, sequence number of a plain job minus its id)"""


class History(msgspec.Struct, gc=False):
    """What went wrong with a job so far; `reason` is set once it is dead."""

    failures: int = 0
    lost: int = 0
    text: bytes | None = None
    """The last error in UTF-8: a quarter, often, of what a str would take."""
    reason: str | None = None
    died_at_ms: int | None = None

    @property
    def error(self) -> str | None:
        """The last error."""
        return None if self.text is None else self.text.decode(errors="surrogatepass")


UNWORKED: Final = ("expired", "cancelled", "dropped")
"""What is counted of jobs that leave without a verdict of a worker, by its cause."""
COUNTS: Final = (
    "pushed",
    "completed",
    "failed",
    "lost",
    "released",
    *UNWORKED,
    "duplicates",
)


class Queue:
    """One queue: its ready order, its dead letters, and its counts."""

    __slots__ = (
        "active",
        "cancelled",
        "completed",
        "dead",
        "dropped",
        "duplicates",
        "expired",
        "failed",
        "held",
        "lost",
        "name",
        "paused",
        "pushed",
        "ready",
        "released",
    )

    def __init__(
        self, name: str, options: CoreOptions, tally: Tally, oldest: OldestReady
    ) -> None:
        """Start empty."""
        self.name = name
        self.paused = False
        self.ready = ReadyOrder(name, tally, oldest)
        self.dead = DeadLetters(name, options.dead_jobs_max, options.dead_bytes_max)
        self.active = 0
        self.held = 0
        self.count_from_here()

    def count_from_here(self) -> None:
        """Set all totals to zero."""
        self.pushed = self.completed = self.failed = self.lost = self.released = 0
        self.expired = self.cancelled = self.duplicates = self.dropped = 0

    @property
    def is_unused(self) -> bool:
        """Whether nothing was counted of it but pushes.

        Duplicates are as good as nothing: no record has them, so a replay would not know.
        """
        worked_on = self.completed or self.failed or self.lost or self.released
        return not (worked_on or self.expired or self.cancelled or self.dropped)


class Job(msgspec.Struct, gc=False):
    """One job that is not settled. `place` is one of the above, or a sequence number."""

    payload: bytes
    priority: int
    created_at_ms: int
    run_at_ms: int
    policy: RetryPolicy
    queue: Queue
    attempts: int = 0
    lease: Lease | None = None
    history: History | None = None
    place: int = PLAIN

    @property
    def is_delayed(self) -> bool:
        """Whether it waits for its time, if it is neither active nor dead."""
        return self.place == WAITING

    @property
    def is_held(self) -> bool:
        """Whether it is held, if it is neither active nor dead."""
        return self.place < WAITING

    @property
    def state(self) -> JobState:
        """Where the job is."""
        if self.lease is not None:
            return JobState.ACTIVE
        if self.history is not None and self.history.reason is not None:
            return JobState.DEAD
        if self.place >= PLAIN:
            return JobState.READY
        return JobState.DELAYED if self.is_delayed else JobState.HELD

    def ready_key(self, job_id: int) -> int:
        """Its place among jobs of equal priority; lower is earlier."""
        return self.place or job_id + self.policy[3]

    def lost_too_often(self, lost_max: int) -> bool:
        """Whether a loss now is one too many; 0 is no bound."""
        return bool(lost_max) and self.history is not None and self.history.lost >= lost_max

    @property
    def content_bytes(self) -> int:
        """Its payload and its last error."""
        history = self.history
        text = None if history is None else history.text
        return len(self.payload) + len(text or b"")

    def count_failure(self) -> None:
        """Count a failure of a job that has a history."""
        assert self.history is not None, "whoever counts has made a history"
        self.history.failures = min(self.history.failures + 1, COUNT_MAX)

    def count_loss(self) -> None:
        """Count a lease that ended without a verdict, of a job that has a history."""
        assert self.history is not None, "whoever counts has made a history"
        self.history.lost = min(self.history.lost + 1, COUNT_MAX)

    def retry_at_ms(self, job_id: int, now_ms: int, backoff_ms_max: int) -> int | None:
        """When to retry if it fails now; None if that failure is its last."""
        failures_max, backoff_ms, jitter, _ = self.policy
        failures = 1 if self.history is None else self.history.failures + 1
        if failures_max and failures >= failures_max:
            return None
        delay_ms = retry_delay_ms(
            job_id=job_id,
            failures=failures,
            backoff_ms=backoff_ms,
            jitter=jitter,
            backoff_ms_max=backoff_ms_max,
        )
        return min(now_ms + delay_ms, TIME_MAX_MS)
