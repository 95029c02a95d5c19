"""Drives one core by hand: a clock to turn, short verbs, and what the core reported."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
import pytest

from magicqueue_cores import CORE_NAMES, make_core
from magicqueue_cores.contract import (
    Core,
    CoreOptions,
    CoreStats,
    DeadPage,
    Delivery,
    Failed,
    JobState,
    JobView,
    NewJobs,
    QueueStats,
    Settled,
    Step,
)
from magicqueue_cores.pending import Answer, Pending
from magicqueue_cores.records import Record

CORES = tuple(name for name in CORE_NAMES if name != "auto")
BYTES_MAX = 2**30
START_MS = 1_700_000_000_000

T = TypeVar("T")


def require_core(name: str) -> str:
    """Skip the test, saying why, where a core cannot run."""
    try:
        made = make_core(name, CoreOptions()).name
    except ImportError as error:
        pytest.skip(f"the {name} core cannot run here: {error}")
    if made != name:
        pytest.skip(f"make_core({name!r}) gives the {made} core here")
    return name


def answered(answer: Answer[T]) -> T:
    """The answer of a core that answers at once."""
    assert not isinstance(answer, Pending)
    return answer


class Driver:
    """A core, its clock `now`, its `records`, and the queues it called `on_ready` for."""

    def __init__(self, name: str, **options: int) -> None:
        self.name = name
        self.records: list[Record] = []
        self.woken: list[str] = []
        self.now = START_MS
        self.core: Core = make_core(
            name,
            CoreOptions(**options),
            on_ready=self.woken.append,
            record=self.records.append,
        )

    def tick(self, span_ms: int) -> None:
        """Turn the clock forward: what is due comes, and leases end."""
        self.now += span_ms
        self.core.advance(self.now)
        while not self.core.end_leases(self.now, self.now):
            pass
        self.core.check()

    def push(
        self,
        *payloads: bytes,
        queue: str = "q",
        priority: int | Sequence[int] = 0,
        delay_ms: int = 0,
        max_attempts: int = 25,
        backoff_ms: int = 0,
        jitter: bool = False,
    ) -> list[int]:
        """Push payloads (one of b"{}" if none are given); gives the ids."""
        payloads = payloads or (b"{}",)
        batch = NewJobs(
            payloads=list(payloads),
            run_ats_ms=self.now + delay_ms,
            priorities=priority,
            max_attempts=max_attempts,
            backoffs_ms=backoff_ms,
            jitters=jitter,
        )
        return self.push_batch(batch, queue)

    def push_many(self, count: int, queue: str = "q", **options: int) -> list[int]:
        """Push `count` small jobs in one batch."""
        payloads = [b"%d" % n for n in range(count)]
        return self.push(*payloads, queue=queue, **options)  # type: ignore[arg-type]  # ints

    def push_batch(self, batch: NewJobs, queue: str = "q") -> list[int]:
        """Push a batch as it is; gives the ids."""
        first = answered(self.core.push(queue, batch, self.now))
        self.core.check()
        return list(range(first, first + len(batch.payloads)))

    def deliver(
        self,
        count: int = 1,
        queue: str = "q",
        *,
        lease_ms: int = 1000,
        session: int = 1,
        bytes_max: int = BYTES_MAX,
    ) -> Delivery:
        """Pull; gives the delivery."""
        delivery = self.core.pull(queue, count, bytes_max, lease_ms, session, self.now)
        self.core.check()
        return answered(delivery)

    def pull(self, count: int = 1, queue: str = "q", **options: int) -> list[int]:
        """Pull; gives the ids."""
        return self.deliver(count, queue, **options).ids

    def ack(self, *ids: int, attempts: Sequence[int] | None = None) -> Settled:
        """Settle jobs as done."""
        settled = answered(self.core.ack(ids, attempts, self.now))
        self.core.check()
        return settled

    def fail(
        self,
        *ids: int,
        attempts: Sequence[int] | None = None,
        error: str | None = "broken",
        delays_ms: Sequence[int | None] | None = None,
        reason: str = "failed",
    ) -> Failed:
        """Settle jobs as failed, all with one error."""
        errors = [error] * len(ids)
        failed = answered(
            self.core.fail(ids, attempts, errors, self.now, delays_ms, reason)
        )
        self.core.check()
        return failed

    def release(
        self, *ids: int, attempts: Sequence[int] | None = None, delay_ms: int = 0
    ) -> Settled:
        """Give jobs back."""
        settled = answered(self.core.release(ids, attempts, delay_ms, self.now))
        self.core.check()
        return settled

    def heartbeat(
        self, *ids: int, lease_ms: int, attempts: Sequence[int] | None = None
    ) -> Settled:
        """Extend leases."""
        settled = answered(self.core.heartbeat(ids, attempts, lease_ms, self.now))
        self.core.check()
        return settled

    def close_session(self, session: int) -> None:
        """End a session."""
        while not answered(self.core.close_session(session, self.now)):
            self.core.check()
        self.core.check()

    def pause(self, queue: str = "q", *, paused: bool = True) -> None:
        """Pause or resume a queue."""
        answered(self.core.pause(queue, paused=paused, now_ms=self.now))
        self.core.check()

    def drain(self, queue: str = "q") -> int:
        """Drain a queue."""
        return self.all_steps(lambda upto: self.core.drain(queue, self.now, upto))

    def dead(
        self,
        count: int = 100,
        after: int | None = None,
        queue: str = "q",
        bytes_max: int = BYTES_MAX,
    ) -> DeadPage:
        """List dead letters."""
        return answered(self.core.dead(queue, count, bytes_max, after, self.now))

    def retry_dead(self, job_id: int | None = None, queue: str | None = "q") -> int:
        """Revive dead letters."""
        return self.all_steps(
            lambda upto: self.core.retry_dead(queue, job_id, self.now, upto)
        )

    def purge_dead(self, job_id: int | None = None, queue: str | None = "q") -> int:
        """Remove dead letters."""
        return self.all_steps(
            lambda upto: self.core.purge_dead(queue, job_id, self.now, upto)
        )

    def remove(
        self, *ids: int, states: Iterable[JobState] = JobState, cause: str = "cancelled"
    ) -> Settled:
        """Remove jobs, of any state if none are given."""
        settled = self.core.remove(ids, frozenset(states), cause, self.now)
        self.core.check()
        return answered(settled)

    def bury(self, *ids: int, reason: str = "expired", error: str | None = None) -> Settled:
        """Let jobs die, all with one error."""
        settled = self.core.bury(ids, reason, [error] * len(ids), self.now)
        self.core.check()
        return answered(settled)

    def promote(self, *ids: int) -> Settled:
        """Let delayed jobs be ready."""
        settled = self.core.promote(ids, self.now)
        self.core.check()
        return answered(settled)

    def replace(
        self, job_id: int, payload: bytes = b"new", priority: int = 0, delay_ms: int = 0
    ) -> bool:
        """Give a job another payload, priority and time."""
        run_at_ms = self.now + delay_ms
        replaced = self.core.replace(job_id, payload, priority, run_at_ms, self.now)
        self.core.check()
        return answered(replaced)

    def push_held(self, *payloads: bytes, queue: str = "q", delay_ms: int = 0) -> list[int]:
        """Push held jobs; gives the ids."""
        payloads = payloads or (b"{}",)
        batch = NewJobs(
            payloads=payloads, run_ats_ms=self.now + delay_ms, held=True, max_attempts=3
        )
        return self.push_batch(batch, queue)

    def hold(self, *ids: int) -> Settled:
        """Hold ready jobs."""
        settled = self.core.hold(ids, self.now)
        self.core.check()
        return answered(settled)

    def unhold(self, *ids: int) -> Settled:
        """Let held jobs enter the order."""
        settled = self.core.unhold(ids, self.now)
        self.core.check()
        return answered(settled)

    def take(
        self, *ids: int, queue: str = "q", session: int = 1, bytes_max: int = BYTES_MAX
    ) -> list[int]:
        """Hand out held jobs; gives their ids."""
        taken = self.core.take(queue, ids, bytes_max, 1000, session, self.now)
        self.core.check()
        return answered(taken).ids

    def revive(self, *ids: int) -> Settled:
        """Revive dead letters that are named."""
        settled = self.core.revive(ids, self.now)
        self.core.check()
        return answered(settled)

    def all_steps(self, step: Callable[[int | None], Answer[Step]]) -> int:
        """Go on with a verb until it is done; gives how many jobs it was about."""
        done = answered(step(None))
        count = done.count
        while done.upto is not None:
            self.core.check()
            done = answered(step(done.upto))
            count += done.count
        self.core.check()
        return count

    def job(self, job_id: int) -> JobView:
        """A job that must be there."""
        view = answered(self.core.job(job_id, self.now))
        assert view is not None, f"job {job_id} is not here"
        return view

    def state(self, job_id: int) -> JobState | None:
        """A job's state, None if it is gone."""
        view = answered(self.core.job(job_id, self.now))
        return None if view is None else view.state

    def stats(self) -> CoreStats:
        """The totals."""
        return answered(self.core.stats(self.now))

    def queue_stats(self, queue: str = "q") -> QueueStats:
        """The counts of one queue."""
        return answered(self.core.queue_stats(queue, self.now))

    def queues(self) -> list[QueueStats]:
        """The counts of all queues."""
        return answered(self.core.queues(self.now))

    def replayed(self, name: str, **options: int) -> "Driver":
        """A new core that was fed all records of this one, at the same time of day."""
        other = Driver(name, **options)
        other.now = self.now
        for record in self.records:
            other.core.replay(record)
        other.core.check()
        return other


def pull_order(driver: Driver, queues: Sequence[str]) -> dict[str, list[int]]:
    """In which order the ready jobs of each queue are handed out. It takes them."""
    order: dict[str, list[int]] = {}
    for queue in queues:
        driver.pause(queue, paused=False)
        taken = order[queue] = []
        while ids := driver.pull(1, queue, lease_ms=10**9, session=10**6):
            taken += ids
    return order


def without_memory(stats: CoreStats) -> CoreStats:
    """The totals without what they take: that is another sum for each core."""
    return msgspec.structs.replace(stats, memory_bytes=0)


def assert_same(one: Driver, other: Driver, ids: Sequence[int]) -> None:
    """Two cores show the same: totals, counts, every job, and the order of pulls."""
    for job_id in ids:
        views = [answered(each.core.job(job_id, each.now)) for each in (one, other)]
        assert views[0] == views[1]
    assert without_memory(one.stats()) == without_memory(other.stats())
    assert one.queues() == other.queues()
    queues = [queue.name for queue in one.queues()]
    for queue in queues:
        assert one.dead(queue=queue) == other.dead(queue=queue)
    assert pull_order(one, queues) == pull_order(other, queues)
