"""What befalls jobs other than by a plain verdict: retries, losses, deaths, wake-ups.

Each is decided here, recorded, and applied through `Store`.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat

from magicqueue_cores import records
from magicqueue_cores.array_core import outcomes
from magicqueue_cores.array_core.maturing import any_are_due, more_are_due
from magicqueue_cores.array_core.outcomes import judged_again
from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.sinks import Sinks
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.array_core.views import miss
from magicqueue_cores.contract import NEVER_MS, Failed, JobState, OnReady
from magicqueue_cores.dead_letters import DEATHS_SHOWN, OnDeath
from magicqueue_cores.kernels import layout as lo


class Fates:
    """Decides over the jobs of a store; `on_ready` as in the contract."""

    def __init__(
        self,
        store: Store,
        on_ready: OnReady | None,
        sinks: Sinks,
        on_death: OnDeath | None,
    ) -> None:
        self._store = store
        self._on_ready = on_ready
        self._sinks = sinks
        self._on_death = on_death

    def wake(self, queues: Iterable[Queue]) -> None:
        """Say that watched queues may have jobs now, if they have.

        Of ruled ones others may hand out held jobs.
        """
        words = self._store.memory.words
        watched, is_roomy = self._store.queues.watched, self._store.queues.is_roomy
        if self._on_ready is None or not watched:
            return
        for queue in queues:
            queued, paused = words[queue.at + lo.Q_QUEUED], queue.at + lo.Q_PAUSED
            if queue.name not in watched or words[paused]:
                continue
            if queued or (words[queue.at + lo.Q_HELD] and is_roomy(queue)):
                self._on_ready(queue.name)

    def wake_roomy(self, queues: Iterable[Queue]) -> None:
        """Say so of those, of these, that jobs left for which somebody waits."""
        if self._store.queues.ruled:
            self.wake(filter(self._store.queues.is_roomy, dict.fromkeys(queues)))

    def wake_noted(self) -> None:
        """Say so of those of which kernels noted that jobs left."""
        store = self._store
        if store.rooms:
            numbers, store.rooms = store.rooms, []
            store.memory.state[lo.S_WOKEN] = 0
            self.wake_roomy(map(store.queues.numbered, numbers))

    def queues_of_active(self, ids: Iterable[int]) -> list[Queue]:
        """The queues of jobs, if they may be ruled."""
        return self.queues_of(ids) if self._store.queues.ruled else []

    def _is_behind(self, job_id: int, now_ms: int) -> bool:
        """Whether jobs of its queue are due that did not mature yet."""
        store = self._store
        return more_are_due(store, store.queue_of(store.find(job_id)), now_ms)

    def wake_of(self, ids: Sequence[int]) -> None:
        """Say so of the queues of jobs that became ready."""
        if self._store.queues.watched:
            self.wake(self.queues_of(ids))

    def queues_of(self, ids: Iterable[int]) -> list[Queue]:
        """Return the queues of jobs that are here, each once."""
        store = self._store
        return list(dict.fromkeys(store.queue_of(store.find(job_id)) for job_id in ids))

    def judged(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        delays_ms: Sequence[int | None] | None,
        now_ms: int,
    ) -> list[int]:
        """When each would run again if it failed now, or DIES, or NOT_ACTIVE.

        Kernels say so by what they know of jobs. delays_ms: as in the contract.
        """
        store = self._store
        outcomes = store.judged(lo.V_JUDGE, ids, attempts, now_ms)
        if store.counts:
            outcomes = judged_again(store, ids, outcomes, now_ms)
        for row, delay_ms in enumerate(delays_ms or ()):
            if delay_ms is not None and outcomes[row] >= 0:
                outcomes[row] = lo.DIES if delay_ms == NEVER_MS else now_ms + delay_ms
        return outcomes

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        delays_ms: Sequence[int | None] | None,
        now_ms: int,
        reason: str,
    ) -> Failed:
        """Active jobs failed, where they are: each is retried, or dies for `reason`."""
        answer = Failed([], [], [])
        retried: dict[int, tuple[str | None, int]] = {}
        dying: dict[int, str | None] = {}
        given = zip(ids, attempts or repeat(0), errors, strict=False)
        outcomes = self.judged(ids, attempts, delays_ms, now_ms)
        lags = any_are_due(self._store, now_ms)
        for (job_id, attempt, error), run_at_ms in zip(given, outcomes, strict=True):
            if run_at_ms == lo.NOT_ACTIVE or job_id in retried or job_id in dying:
                miss(self._store, answer, job_id, attempt)
                answer.states.append(None)
            elif run_at_ms == lo.DIES:
                dying[job_id] = error
                answer.states.append(JobState.DEAD)
            else:
                at_once = run_at_ms == now_ms and lags
                behind = at_once and self._is_behind(job_id, now_ms)
                retried[job_id] = (error, run_at_ms + behind)
                later = run_at_ms + behind > now_ms
                answer.states.append(JobState.DELAYED if later else JobState.READY)
        if retried:
            self.retry(retried, now_ms)
        self.bury(list(dying), reason, list(dying.values()), now_ms)
        return answer

    def retry(self, retried: dict[int, tuple[str | None, int]], now_ms: int) -> None:
        """Active jobs failed: `retried` has the error and next run_at of each."""
        ids = list(retried)
        errors, run_ats_ms = zip(*retried.values(), strict=True)
        if self._sinks.record:
            self._sinks.record(records.Failed(ids, errors, run_ats_ms, now_ms))
        outcomes.retry(self._store, ids, errors, run_ats_ms, now_ms)
        self.wake_of(ids)

    def lose(self, ids: Sequence[int], now_ms: int) -> None:
        """The workers of active jobs are gone."""
        if not ids:
            return
        store = self._store
        dying = outcomes.lose(store, ids)
        kept = set(dying)
        back = [job_id for job_id in ids if job_id not in kept] if dying else ids
        if back:
            if self._sinks.record:
                self._sinks.record(records.Lost(back))
            self.wake_of(back)
        errors = [store.error(job_id) for job_id in dying]
        self.bury(dying, records.WORKER_LOST, errors, now_ms)

    def release(self, ids: Sequence[int], run_at_ms: int) -> None:
        """Active jobs are given back; 0 is to their old place."""
        if self._sinks.record:
            self._sinks.record(records.Released(ids, run_at_ms))
        outcomes.release(self._store, ids, run_at_ms)
        self.wake_of(ids)

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> None:
        """Live jobs die; the oldest dead letters go if there are too many."""
        if not ids:
            return
        if self._sinks.record:
            self._sinks.record(records.Died(ids, reason, errors, now_ms))
        store = self._store
        outcomes.bury(store, ids, reason, errors, now_ms)
        if self._on_death:
            shown = [store.view(store.find(job_id)) for job_id in ids[:DEATHS_SHOWN]]
            self._on_death(shown, len(ids))
        queues = self.queues_of(ids)
        self.wake_roomy(queues)
        for queue in queues:
            dropped = queue.dead.overflow()
            if dropped:
                if self._sinks.record:
                    self._sinks.record(records.Removed(dropped, "dropped"))
                outcomes.remove(store, dropped, "dropped")
