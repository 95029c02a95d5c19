"""A core that answers later, made of one that answers at once.

It stands for a core on a remote engine: every verb gives a `Pending`, the verbs are carried
out in the order they were asked, and each is answered some time after that, in the same
order. How far carrying out runs ahead of answering is chosen at random, so `on_ready` is
called at all the odd moments that the contract allows.

`step` does one thing, carrying out or answering; `on_work` is called when there is
something to do, so that an event loop can be told to.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from magicqueue_cores.contract import (
    Capabilities,
    Core,
    CoreStats,
    DeadPage,
    Delivery,
    Failed,
    JobsPage,
    JobState,
    JobView,
    NewJobs,
    Place,
    QueueStats,
    RecordSink,
    Search,
    Settled,
    Step,
    TurnPage,
)
from magicqueue_cores.pending import Answer, Pending
from magicqueue_cores.records import Moved, Record
from magicqueue_cores.turns import TurnSink

T = TypeVar("T")


class LaterCore:
    """`contract.Core` over `inner`; the same seed gives the same order of things."""

    name = "later"

    def __init__(
        self, inner: Core, seed: int, on_work: Callable[[], None] = lambda: None
    ) -> None:
        self.inner = inner
        self.capabilities: Capabilities = inner.capabilities
        self.pending_count_max = 0
        self._rng = random.Random(seed)
        self._on_work = on_work
        self._asked: deque[tuple[Callable[[], Any], Pending[Any]]] = deque()
        self._carried_out: deque[tuple[Pending[Any], Any, Exception | None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self._asked or self._carried_out)

    def step(self) -> None:
        """Carry out the oldest verb that was asked, or give the oldest answer."""
        if self._asked and (not self._carried_out or self._rng.random() < 0.5):
            verb, pending = self._asked.popleft()
            try:
                self._carried_out.append((pending, verb(), None))
            except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
                self._carried_out.append((pending, None, error))
            return
        pending, value, refusal = self._carried_out.popleft()
        if refusal is None:
            pending.resolve(value)
        else:
            pending.reject(refusal)

    def _ask(self, verb: Callable[[], Answer[T]]) -> Pending[T]:
        pending: Pending[T] = Pending()
        self._asked.append((verb, pending))
        count = len(self._asked) + len(self._carried_out)
        self.pending_count_max = max(self.pending_count_max, count)
        self._on_work()
        return pending

    @property
    def next_deadline_ms(self) -> int:
        return self.inner.next_deadline_ms

    def advance(self, now_ms: int) -> None:
        self.inner.advance(now_ms)

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        return self.inner.end_leases(until_ms, now_ms)

    def postpone_leases(self, by_ms: int, now_ms: int) -> None:
        self.inner.postpone_leases(by_ms, now_ms)

    def watch(self, queue: str, *, watching: bool) -> None:
        self._ask(lambda: self.inner.watch(queue, watching=watching))

    def push(self, queue: str, jobs: NewJobs, now_ms: int) -> Answer[int]:
        return self._ask(lambda: self.inner.push(queue, jobs, now_ms))

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Answer[Delivery]:
        return self._ask(
            lambda: self.inner.pull(
                queue, count, payload_bytes_max, lease_ms, session, now_ms
            )
        )

    def ack(
        self, ids: Sequence[int], attempts: Sequence[int] | None, now_ms: int
    ) -> Answer[Settled]:
        return self._ask(lambda: self.inner.ack(ids, attempts, now_ms))

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None = None,
        reason: str = "failed",
    ) -> Answer[Failed]:
        return self._ask(
            lambda: self.inner.fail(ids, attempts, errors, now_ms, delays_ms, reason)
        )

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Answer[Settled]:
        return self._ask(lambda: self.inner.release(ids, attempts, delay_ms, now_ms))

    def heartbeat(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        lease_ms: int,
        now_ms: int,
    ) -> Answer[Settled]:
        return self._ask(lambda: self.inner.heartbeat(ids, attempts, lease_ms, now_ms))

    def close_session(self, session: int, now_ms: int) -> Answer[bool]:
        return self._ask(lambda: self.inner.close_session(session, now_ms))

    def pause(self, queue: str, *, paused: bool, now_ms: int) -> Answer[None]:
        return self._ask(lambda: self.inner.pause(queue, paused=paused, now_ms=now_ms))

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Answer[Step]:
        return self._ask(lambda: self.inner.drain(queue, now_ms, upto))

    def dead(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        after_id: int | None,
        now_ms: int,
    ) -> Answer[DeadPage]:
        return self._ask(
            lambda: self.inner.dead(queue, count, payload_bytes_max, after_id, now_ms)
        )

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Answer[Step]:
        return self._ask(lambda: self.inner.retry_dead(queue, job_id, now_ms, upto))

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Answer[Step]:
        return self._ask(lambda: self.inner.purge_dead(queue, job_id, now_ms, upto))

    def remove(
        self, ids: Sequence[int], states: frozenset[JobState], cause: str, now_ms: int
    ) -> Answer[Settled]:
        return self._ask(lambda: self.inner.remove(ids, states, cause, now_ms))

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> Answer[Settled]:
        return self._ask(lambda: self.inner.bury(ids, reason, errors, now_ms))

    def promote(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        return self._ask(lambda: self.inner.promote(ids, now_ms))

    def replace(
        self, job_id: int, payload: bytes, priority: int, run_at_ms: int, now_ms: int
    ) -> Answer[bool]:
        return self._ask(
            lambda: self.inner.replace(job_id, payload, priority, run_at_ms, now_ms)
        )

    def refuse_more(self, more_bytes: int) -> None:
        self.inner.refuse_more(more_bytes)

    def hold(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        return self._ask(lambda: self.inner.hold(ids, now_ms))

    def unhold(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        return self._ask(lambda: self.inner.unhold(ids, now_ms))

    def take(
        self,
        queue: str,
        ids: Sequence[int],
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Answer[Delivery]:
        return self._ask(
            lambda: self.inner.take(
                queue, ids, payload_bytes_max, lease_ms, session, now_ms
            )
        )

    def held(self, queue: str | None) -> int:
        return self.inner.held(queue)

    def admit(self, queues: Sequence[str], jobs: int, payload_bytes: int) -> None:
        self.inner.admit(queues, jobs, payload_bytes)

    @property
    def last_id(self) -> int:
        return self.inner.last_id

    def revive(self, ids: Sequence[int], now_ms: int) -> Answer[Settled]:
        return self._ask(lambda: self.inner.revive(ids, now_ms))

    def mark(self, ids: Sequence[int], *, marked: bool) -> None:
        self._ask(lambda: self.inner.mark(ids, marked=marked))

    def observe(self, sink: RecordSink | None) -> None:
        self._ask(lambda: self.inner.observe(sink))

    def listen(self, sink: TurnSink | None) -> None:
        self._ask(lambda: self.inner.listen(sink))

    def rule(self, queue: str, *, ruled: bool) -> None:
        self.inner.rule(queue, ruled=ruled)

    def refuse_queue(self, queue: str) -> None:
        self.inner.refuse_queue(queue)

    def processing(self, queue: str) -> int:
        return self.inner.processing(queue)

    def count_duplicates(self, queue: str, count: int) -> None:
        self._ask(lambda: self.inner.count_duplicates(queue, count))

    @property
    def outside_bytes(self) -> int:
        return self.inner.outside_bytes

    @outside_bytes.setter
    def outside_bytes(self, size: int) -> None:
        self.inner.outside_bytes = size

    def job(self, job_id: int, now_ms: int) -> Answer[JobView | None]:
        return self._ask(lambda: self.inner.job(job_id, now_ms))

    def browse(
        self,
        search: Search,
        after_id: int,
        count: int,
        scan_max: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> Answer[JobsPage]:
        return self._ask(
            lambda: self.inner.browse(
                search, after_id, count, scan_max, payload_bytes_max, now_ms
            )
        )

    def in_turn(
        self,
        queue: str,
        state: JobState,
        after: Place | None,
        count: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> Answer[TurnPage]:
        return self._ask(
            lambda: self.inner.in_turn(
                queue, state, after, count, payload_bytes_max, now_ms
            )
        )

    def stats(self, now_ms: int) -> Answer[CoreStats]:
        return self._ask(lambda: self.inner.stats(now_ms))

    def queue_stats(self, queue: str, now_ms: int) -> Answer[QueueStats]:
        return self._ask(lambda: self.inner.queue_stats(queue, now_ms))

    def queues(
        self,
        now_ms: int,
        count: int | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> Answer[list[QueueStats]]:
        return self._ask(lambda: self.inner.queues(now_ms, count, after, prefix))

    @property
    def spare_bytes(self) -> int:
        return self.inner.spare_bytes

    def trim(self) -> bool:
        return self.inner.trim()

    def export(self, ids: Sequence[int]) -> Moved:
        return self.inner.export(ids)

    def replay(self, record: Record) -> None:
        self.inner.replay(record)

    def check(self) -> None:
        self.inner.check()
