"""Jobs that fail, are lost, die, live again: in batches, by kernels, and what Python keeps.

Each function applies what was decided elsewhere; its jobs are in the state it needs.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Counts, Death, Store
from magicqueue_cores.contract import LIVE, TIME_MAX_MS, JobState
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.records import FAILURES, WORKER_LOST
from magicqueue_cores.retry import retry_delay_ms

COUNTED_CAUSES: Final = frozenset(("dropped", "cancelled", "expired"))
"""The causes of removals that queues count, each by its own name."""
VERB_OF_REASON: Final = dict.fromkeys(FAILURES, lo.V_FAIL_FOR_GOOD_MANY) | {
    WORKER_LOST: lo.V_LOSE_FOR_GOOD_MANY
}
"""How a job dies of what counts as a failure or a loss of it, while it is active."""


def judged_again(
    store: Store, ids: Sequence[int], outcomes: Sequence[int], now_ms: int
) -> list[int]:
    """Give the outcomes of V_JUDGE, those of heavy jobs by the failures counted here."""
    return [
        _judge_heavy(store, job_id, counts, now_ms)
        if outcome != lo.NOT_ACTIVE and (counts := store.counts.get(job_id)) is not None
        else outcome
        for job_id, outcome in zip(ids, outcomes, strict=True)
    ]


def _judge_heavy(store: Store, job_id: int, counts: Counts, now_ms: int) -> int:
    slot, failures = store.find(job_id), counts.failures + 1
    most = store.header(slot, lo.B_MAX_ATTEMPTS)
    if most and failures >= most:
        return lo.DIES
    delay_ms = retry_delay_ms(
        job_id=job_id,
        failures=failures,
        backoff_ms=store.header(slot, lo.B_BACKOFF) & 0xFFFFFFFF,
        jitter=bool(store.field(slot, lo.JH_META) & lo.META_JITTER),
        backoff_ms_max=store.options.backoff_ms_max,
    )
    return min(now_ms + delay_ms, TIME_MAX_MS)


def retry(
    store: Store,
    ids: Sequence[int],
    errors: Sequence[str | None],
    run_ats_ms: Sequence[int],
    at_ms: int,
) -> None:
    """Active jobs failed; each is due at its run_at, ready if that is now."""
    store.memory.write_column(0, 2, len(ids), ids)
    store.memory.write_column(1, 2, len(ids), run_ats_ms)
    store.act(lo.V_RETRY_MANY, len(ids), at_ms)
    for job_id, error in zip(ids, errors, strict=True):
        if error is None:
            store.keep_error(job_id, None)
        else:
            store.set_error(job_id, store.find(job_id), error)


def lose(store: Store, ids: Sequence[int], lost_max: int | None = None) -> list[int]:
    """Active jobs are back at their old place; gives those lost too often for that.

    These are left as they are. lost_max: 0 is no bound; None is that of the options.
    """
    store.write_ids(ids)
    bound = store.options.lost_max if lost_max is None else lost_max
    return store.scratch_list(store.act(lo.V_LOSE_MANY, len(ids), bound))


def release(store: Store, ids: Sequence[int], run_at_ms: int) -> None:
    """Active jobs are back at their old place, or (if not 0) delayed until `run_at_ms`."""
    for job_id in ids:
        store.count_from_now(job_id)
        store.queues.count("released", store.queue_of(store.find(job_id)))
    store.write_ids(ids)
    store.act(lo.V_RELEASE_MANY, len(ids), run_at_ms)


def bury(
    store: Store,
    ids: Sequence[int],
    reason: str,
    errors: Sequence[str | None],
    at_ms: int,
) -> None:
    """Live jobs are dead; those of some reasons were active, and it counts."""
    verb = VERB_OF_REASON.get(reason)
    if verb is None:
        verb = lo.V_BURY_MANY
        for job_id, state in zip(ids, store.states_of(ids, LIVE), strict=True):
            if state == JobState.ACTIVE:
                store.count_from_now(job_id)
    death = Death(reason, at_ms)
    changed = _changed(store, verb, ids)
    for (job_id, queue, size), error in zip(changed, errors, strict=True):
        store.keep_error(job_id, error)
        store.deaths[job_id] = death
        queue.dead.add(job_id, size + len(store.errors.get(job_id, b"")))


def revive(store: Store, ids: Sequence[int], at_ms: int) -> None:
    """Dead jobs are ready anew, in this order."""
    for job_id, queue, _ in _changed(store, lo.V_REVIVE_MANY, ids, at_ms):
        queue.dead.remove(job_id)
        del store.deaths[job_id]
        store.keep_error(job_id, None)
        store.forget_counts(job_id)


def promote(store: Store, ids: Sequence[int], at_ms: int) -> None:
    """Delayed jobs are ready, in this order."""
    store.write_ids(ids)
    store.act(lo.V_PROMOTE_MANY, len(ids), at_ms)


def hold(store: Store, ids: Sequence[int]) -> None:
    """Ready jobs are held."""
    store.write_ids(ids)
    store.act(lo.V_HOLD_MANY, len(ids))


def unhold(store: Store, ids: Sequence[int], run_ats_ms: Sequence[int], at_ms: int) -> None:
    """Held jobs are ready, or delayed, in this order."""
    store.memory.write_column(0, 2, len(ids), ids)
    store.memory.write_column(1, 2, len(ids), run_ats_ms)
    store.act(lo.V_UNHOLD_MANY, len(ids), at_ms)


def remove(store: Store, ids: Sequence[int], cause: str) -> None:
    """Jobs in any state are gone."""
    dead = store.deaths.keys() & set(ids)
    counted = cause if cause in COUNTED_CAUSES else None
    for job_id, queue, _ in _changed(store, lo.V_REMOVE_MANY, ids):
        if job_id in dead:
            queue.dead.remove(job_id)
        if counted:
            store.queues.count(counted, queue)


def _changed(
    store: Store, verb: int, ids: Sequence[int], now_ms: int = 0
) -> Iterator[tuple[int, Queue, int]]:
    """Do a verb to all; then gives each, its queue, and its payload's bytes."""
    sizes = {i: len(store.large[i][0]) for i in ids if i in store.large}
    store.write_ids(ids)
    store.act(verb, len(ids), now_ms)
    queues = store.queues.by_number
    for job_id, account in zip(ids, store.scratch_list(len(ids)), strict=True):
        queue = queues[account >> lo.BLOCK_BITS]
        assert queue is not None, f"job {job_id} is in no queue"
        yield job_id, queue, sizes.get(job_id, account & lo.BLOCK_MASK)
