"""Jobs as a log moves them: found to be told of, and put back whole.

A job that is put back finds its place by the sequence number that it had, beside those
that came back after a loss.
"""

from magicqueue_cores.kernels import job_columns as jc
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.bounds import has_room
from magicqueue_cores.kernels.index import find_job, index_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import (
    new_slot,
    set_state,
    state_of,
    store_row,
)
from magicqueue_cores.kernels.ready import give_back
from magicqueue_cores.kernels.timers import add_delayed


@part
def find_many(w: Words, h: Words, count: int) -> int:
    """Replace the ids in scratch by the records of those that are here; how many."""
    found = 0
    for k in range(count):
        slot = find_job(w, h, w[lo.SCRATCH_W + k])
        if slot != 0:
            w[lo.SCRATCH_W + found] = slot
            found += 1
    return found


@part
def _restore(w: Words, h: Words, b: Words, k: int, count: int) -> int:
    """Put the job of a scratch row back; gives its record."""
    row = lo.SCRATCH_W + k * lo.ROW_WORDS
    more = lo.SCRATCH_W + count * lo.ROW_WORDS + k
    queue = w[more + count * jc.BACK_QUEUE]
    slot = new_slot(w, h)
    size = store_row(w, h, b, row, slot, queue)
    job_id = w[more + count * jc.BACK_ID]
    job = lo.JOBS_W + slot * lo.JOB_WORDS
    w[job + lo.J_ID] = job_id
    w[job + lo.J_CREATED] = w[more + count * jc.BACK_CREATED]
    w[job + lo.J_SEQUENCE] = w[more + count * jc.BACK_SEQUENCE]
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_ATTEMPTS] = w[
        more + count * jc.BACK_ATTEMPTS
    ]
    block = w[job + lo.J_BLOCK] >> lo.BLOCK_BITS
    lost = w[more + count * jc.BACK_LOST]
    h[lo.ARENA_H + 2 * block + lo.B_SIZES] += lost << lo.B_LOST_SHIFT
    index_job(w, h, job_id, slot)
    set_state(h, slot, w[more + count * jc.BACK_FLAGS])
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_PAYLOAD_MAX] = max(w[at + lo.Q_PAYLOAD_MAX], size)
    w[lo.S_PAYLOAD_BYTES] += size
    kind = state_of(h, slot)
    if kind == lo.DEAD:
        w[lo.S_DEAD] += 1
        return slot
    w[lo.S_LIVE] += 1
    if kind == lo.DELAYED:
        add_delayed(w, w[row + lo.X_RUN_AT], job_id)
        w[at + lo.Q_DELAYED] += 1
    elif kind == lo.HELD:
        w[at + lo.Q_HELD] += 1
        w[lo.S_HELD] += 1
    elif kind == lo.READY:
        give_back(w, h, queue, slot)
    return slot


@part
def restore_many(w: Words, h: Words, b: Words, count: int) -> int:
    """Put the jobs of scratch rows back; their ids become their records.

    What else they have is in columns behind the rows: see `job_columns`. An active job is
    left in no order, for a lease to take it. Gives 0; or -1, and nothing has changed, if
    there is no room; or the place, counted from 1, of the first job that cannot be
    missing: those before it are back.
    """
    ids = lo.SCRATCH_W + count * (lo.ROW_WORDS + jc.BACK_ID)
    total = 0
    for k in range(count):
        total += w[lo.SCRATCH_W + k * lo.ROW_WORDS + lo.X_DATA_BYTES]
    if not has_room(w, count, total):
        return -1
    for k in range(count):
        job_id = w[ids + k]
        if not 0 < job_id < w[lo.S_NEXT_ID] or find_job(w, h, job_id) != 0:
            return k + 1
        w[ids + k] = _restore(w, h, b, k, count)
    return 0
