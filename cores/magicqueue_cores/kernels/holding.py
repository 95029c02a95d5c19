"""Jobs that are held: here, with a record and a payload, but in no order.

A held job has no sequence number, and has none while it is handed out: so it is known, when
it comes back, as one that is to be held again.
"""
# ruff: noqa: PLR0913, PLR0917 - there are no structs to pass

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.bounds import has_room
from magicqueue_cores.kernels.index import find_job, index_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import (
    lend_one,
    new_slot,
    queue_of,
    set_state,
    state_of,
    store_row,
    sweep,
)
from magicqueue_cores.kernels.ready import append_ready, take_ready
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import add_delayed, open_lease


@part
def hold(w: Words, h: Words, slot: int, flags: int) -> None:
    """A job that is in no order is held."""
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] = 0
    set_state(h, slot, lo.HELD | flags)
    w[lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS + lo.Q_HELD] += 1
    w[lo.S_HELD] += 1


@part
def unhold(w: Words, h: Words, slot: int) -> None:
    """A held job is in no order, and not held either."""
    w[lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS + lo.Q_HELD] -= 1
    w[lo.S_HELD] -= 1


@part
def push_held(w: Words, h: Words, b: Words, queue: int, count: int, now: int) -> int:
    """Store the scratch rows as held jobs; gives the first id, or -1 without room."""
    total = 0
    for k in range(count):
        total += w[lo.SCRATCH_W + k * lo.ROW_WORDS + lo.X_DATA_BYTES]
    if not has_room(w, count, total):
        return -1
    first_id = w[lo.S_NEXT_ID]
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    for k in range(count):
        row = lo.SCRATCH_W + k * lo.ROW_WORDS
        slot = new_slot(w, h)
        size = store_row(w, h, b, row, slot, queue)
        w[at + lo.Q_PAYLOAD_MAX] = max(w[at + lo.Q_PAYLOAD_MAX], size)
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID] = first_id + k
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_CREATED] = now
        index_job(w, h, first_id + k, slot)
        hold(w, h, slot, 0)
    w[at + lo.Q_PUSHED] += count
    w[lo.S_PUSHED] += count
    w[lo.S_NEXT_ID] = first_id + count
    w[lo.S_LIVE] += count
    w[lo.S_PAYLOAD_BYTES] += total
    return first_id


@part
def hold_many(w: Words, h: Words, count: int) -> int:
    """Hold the ready jobs whose ids are in scratch."""
    for k in range(count):
        slot = find_job(w, h, w[lo.SCRATCH_W + k])
        meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
        queue = queue_of(h, slot)
        take_ready(w, h, queue, slot)
        hold(w, h, slot, meta & lo.META_RETURNED)
        sweep(w, h, queue)
    return 0


@part
def unhold_many(w: Words, h: Words, count: int, now: int) -> int:
    """Let held jobs enter the order: pairs of an id and a run_at are in scratch."""
    for k in range(count):
        job_id = w[lo.SCRATCH_W + 2 * k]
        run_at = w[lo.SCRATCH_W + 2 * k + 1]
        slot = find_job(w, h, job_id)
        queue = queue_of(h, slot)
        unhold(w, h, slot)
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = run_at
        if run_at <= now:
            set_state(h, slot, lo.READY)
            priority = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PRIORITY)
            append_ready(w, h, queue, slot, priority)
        else:
            set_state(h, slot, lo.DELAYED)
            add_delayed(w, run_at, job_id)
            w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED] += 1
    return 0


@part
def take_held(w: Words, h: Words, queue: int, count: int, session: int) -> int:
    """Lease held jobs until A_UNTIL, of A_BYTES_MAX bytes at most.

    The ids in scratch are looked at in turn; those of jobs that are no held ones of the
    queue are passed over. Gives how many were taken, their records in scratch.
    """
    taken = 0
    bytes_max = w[lo.A_BYTES_MAX]
    lease = 0
    for k in range(count):
        slot = find_job(w, h, w[lo.SCRATCH_W + k])
        if slot == 0 or state_of(h, slot) != lo.HELD or queue_of(h, slot) != queue:
            continue
        bytes_max -= w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] & lo.BLOCK_MASK
        if bytes_max < 0 and taken > 0:
            break
        if lease == 0:
            lease = open_lease(w, session, w[lo.A_UNTIL])
        unhold(w, h, slot)
        lend_one(w, h, slot, lease)
        w[lo.SCRATCH_W + taken] = slot
        taken += 1
    return taken


@part
def act_on_held(
    w: Words, h: Words, b: Words, verb: int, one: int, two: int, three: int
) -> int:
    """Verbs on jobs that are held, or shall be."""
    if verb == lo.V_PUSH_HELD:
        return push_held(w, h, b, one, two, three)
    if verb == lo.V_HOLD_MANY:
        return hold_many(w, h, one)
    if verb == lo.V_UNHOLD_MANY:
        return unhold_many(w, h, one, two)
    return take_held(w, h, one, two, three)
