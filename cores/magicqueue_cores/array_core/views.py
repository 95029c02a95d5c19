"""What the array core tells: deliveries, dead letters, totals, the record of a push."""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.array_core.queues import COUNTED
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import (
    CoreStats,
    DeadPage,
    Delivery,
    JobView,
    NewJobs,
    NotFound,
    Settled,
)
from magicqueue_cores.dead_letters import no_such_cursor
from magicqueue_cores.kernels import job_columns as jc
from magicqueue_cores.kernels import layout as lo


def delivery(store: Store, slots: list[int]) -> Delivery:
    """Jobs that were just lent, as columns."""
    if len(slots) == 1:
        return _delivery_of_one(store, slots[0])
    count = len(slots)
    store.write_ids(slots)
    store.act(lo.V_TELL_JOBS, count)
    told = store.scratch_list(jc.DELIVERY_COLUMNS * count)

    def column(number: int) -> list[int]:
        return told[number * count : (number + 1) * count]

    if store.large:
        payloads = [store.payload(slot) for slot in slots]
    else:
        spans = zip(column(jc.START), column(jc.END), strict=True)
        view = store.memory.bytes
        payloads = [view[start:end].tobytes() for start, end in spans]
    return Delivery(
        column(jc.ID),
        payloads,
        column(jc.PRIORITY),
        column(jc.CREATED),
        column(jc.RUN_AT),
        column(jc.ATTEMPTS),
    )


def _delivery_of_one(store: Store, slot: int) -> Delivery:
    return Delivery(
        [store.word(slot, lo.J_ID)],
        [store.payload(slot)],
        [store.field(slot, lo.JH_PRIORITY)],
        [store.word(slot, lo.J_CREATED)],
        [store.word(slot, lo.J_RUN_AT)],
        [store.field(slot, lo.JH_ATTEMPTS)],
    )


def dead_page(
    store: Store, queue: str, count: int, payload_bytes_max: int, after_id: int | None
) -> DeadPage:
    """Dead letters behind `after_id`, one at least; raises `NotFound` for a lost cursor."""
    known = store.queues.by_name.get(queue)
    if known is None:
        if after_id is not None:
            raise NotFound(no_such_cursor(queue, after_id))
        return DeadPage([], None)
    page: list[JobView] = []
    for job_id in known.dead.after(after_id):
        view = store.view(store.find(job_id))
        payload_bytes_max -= len(view.payload) + len(store.errors.get(job_id, b""))
        if page and (len(page) >= count or payload_bytes_max < 0):
            return DeadPage(page, page[-1].id)
        page.append(view)
    return DeadPage(page, None)


def memory_bytes(store: Store) -> int:
    """What jobs and queues take, by the measure of `memory_bytes_max`. O(1)."""
    return store.act(lo.V_MEMORY_BYTES) + store.kept_bytes()


def core_stats(store: Store, now_ms: int) -> CoreStats:
    """Totals over all queues, with what the forgotten ones had counted. O(1) amortised."""
    queues, state = store.queues, store.memory.state
    processing, delayed = state[lo.S_PROCESSING], store.delayed
    held, oldest_ms = state[lo.S_HELD], now_ms
    queued = state[lo.S_LIVE] - processing - delayed - held
    if queued:
        oldest_ms = store.act(lo.V_OLDEST_OF_ALL)
    return CoreStats(
        queued=queued,
        processing=processing,
        delayed=delayed,
        dead=state[lo.S_DEAD],
        paused=queues.paused,
        pushed=state[lo.S_PUSHED],
        completed=state[lo.S_COMPLETED],
        failed=state[lo.S_FAILED],
        lost=state[lo.S_LOST],
        **{what: queues.counts[what] for what in COUNTED},
        oldest_ready_ms=now_ms - oldest_ms,
        queues=len(queues.by_name),
        content_bytes=state[lo.S_PAYLOAD_BYTES] + store.text_bytes,
        memory_bytes=memory_bytes(store),
    )


def pushed_record(queue: str, first_id: int, jobs: NewJobs, now_ms: int) -> records.Pushed:
    """What a push reports."""
    return records.Pushed(
        queue,
        first_id,
        now_ms,
        jobs.payloads,
        jobs.run_ats_ms,
        jobs.priorities,
        jobs.max_attempts,
        jobs.backoffs_ms,
        jobs.jitters,
        jobs.held,
    )


def miss(store: Store, answer: Settled, job_id: int, attempt: int) -> None:
    """Say that a verdict was on a job that is not there, or on an older delivery of it."""
    answer.missing.append(job_id)
    slot = store.find(job_id)
    if slot and 0 < attempt < store.field(slot, lo.JH_ATTEMPTS):
        answer.stale.append(job_id)


def sorted_out(ids: Sequence[int], outcomes: Sequence[int]) -> tuple[Settled, list[int]]:
    """What could not be done, and what could."""
    if not any(outcomes):
        return Settled([], []), list(ids)
    verdicts = list(zip(ids, outcomes, strict=True))
    answer = Settled(
        [job_id for job_id, outcome in verdicts if outcome != lo.DONE],
        [job_id for job_id, outcome in verdicts if outcome == lo.STALE],
    )
    return answer, [job_id for job_id, outcome in verdicts if outcome == lo.DONE]
