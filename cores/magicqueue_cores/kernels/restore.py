"""Jobs as a log moves them: found to be told of, and put back whole.

A job that is put back finds its place by the sequence number that it had, beside those
that came back after a loss.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.index import find_job, index_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import (
    has_room,
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
def restore(w: Words, h: Words, b: Words, queue: int, state: int, sequence: int) -> int:
    """Put the job of a scratch row back; gives its record, or -1 if there is no room.

    Behind the row are its id, when it was created, its attempts and how often it was
    lost. An active job is left in no order, for a lease to take it.
    """
    row = lo.SCRATCH_W
    more = row + lo.ROW_WORDS
    if not has_room(w, 1, w[row + lo.X_DATA_BYTES]):
        return -1
    slot = new_slot(w, h)
    size = store_row(w, h, b, row, slot, queue)
    job_id = w[more]
    job = lo.JOBS_W + slot * lo.JOB_WORDS
    w[job + lo.J_ID] = job_id
    w[job + lo.J_CREATED] = w[more + 1]
    w[job + lo.J_SEQUENCE] = sequence
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_ATTEMPTS] = w[more + 2]
    block = w[job + lo.J_BLOCK] >> lo.BLOCK_BITS
    h[lo.ARENA_H + 2 * block + lo.B_SIZES] += w[more + 3] << lo.B_LOST_SHIFT
    index_job(w, h, job_id, slot)
    set_state(h, slot, state)
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
    elif kind == lo.READY:
        give_back(w, h, queue, slot)
    return slot
