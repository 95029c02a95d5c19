"""Jobs that leave their place before their turn: removed, buried, promoted, replaced.

A job in any state is found by its id and taken out of whatever holds it: O(1) where that
is a chain or a lease, O(log n) amortised else.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import allocate_block, copy_bytes, free_block
from magicqueue_cores.kernels.delayed import forget_delayed
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import (
    block_of,
    lost_of,
    mature,
    payload_bytes_of,
    queue_of,
    remove,
    set_state,
    state_of,
    sweep,
)
from magicqueue_cores.kernels.ready import append_ready, take_ready
from magicqueue_cores.kernels.returning import bury
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import add_delayed, let_go


@part
def _take_out(w: Words, h: Words, slot: int) -> None:
    """Take a job out of its order, or its lease; a dead one is in none."""
    state, queue = state_of(h, slot), queue_of(h, slot)
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    if state == lo.READY:
        take_ready(w, h, queue, slot)
    elif state == lo.DELAYED:
        forget_delayed(w, slot)
        w[at + lo.Q_DELAYED] -= 1
    elif state == lo.ACTIVE:
        let_go(w, h, slot)
        w[at + lo.Q_PROCESSING] -= 1
        w[lo.S_PROCESSING] -= 1
    elif state == lo.HELD:
        w[at + lo.Q_HELD] -= 1
        w[lo.S_HELD] -= 1


@part
def remove_any(w: Words, h: Words, slot: int) -> None:
    """A job in any state is gone."""
    queue = queue_of(h, slot)
    _take_out(w, h, slot)
    remove(w, h, slot)
    sweep(w, h, queue)


@part
def bury_any(w: Words, h: Words, slot: int) -> None:
    """A live job is dead, without a failure or a loss."""
    _take_out(w, h, slot)
    bury(w, h, slot)
    sweep(w, h, queue_of(h, slot))


@part
def mature_any(w: Words, h: Words, slot: int) -> None:
    """A delayed job becomes ready, wherever it is in the order of times."""
    forget_delayed(w, slot)
    mature(w, h, slot)


@part
def promote(w: Words, h: Words, slot: int, now: int) -> None:
    """A delayed job becomes ready before its time."""
    forget_delayed(w, slot)
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = now
    mature(w, h, slot)


@part
def _replace_payload(w: Words, h: Words, b: Words, slot: int, row: int) -> None:
    """Give a job the payload of a scratch row, in a new block with the old one's header."""
    size, old_size = w[row + lo.X_DATA_BYTES], payload_bytes_of(w, slot)
    old, lost = block_of(w, slot), lost_of(w, h, slot)
    block = allocate_block(w, size)
    header, old_header = lo.ARENA_H + 2 * block, lo.ARENA_H + 2 * old
    h[header + lo.B_JOB] = slot
    h[header + lo.B_SIZES] = size | lost << lo.B_LOST_SHIFT
    h[header + lo.B_MAX_ATTEMPTS] = h[old_header + lo.B_MAX_ATTEMPTS]
    h[header + lo.B_BACKOFF] = h[old_header + lo.B_BACKOFF]
    copy_bytes(b, lo.ARENA_B + 8 * block + lo.BLOCK_HEADER_BYTES, w[row + lo.X_DATA], size)
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] = block << lo.BLOCK_BITS | size
    free_block(w, old, old_size)
    at = lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS
    w[at + lo.Q_PAYLOAD_MAX] = max(w[at + lo.Q_PAYLOAD_MAX], size)
    w[lo.S_PAYLOAD_BYTES] += size - old_size


@part
def replace(w: Words, h: Words, b: Words, slot: int, now: int) -> int:
    """Give a job that waits what the first scratch row says, as if pushed now."""
    row, queue, state = lo.SCRATCH_W, queue_of(h, slot), state_of(h, slot)
    _take_out(w, h, slot)
    _replace_payload(w, h, b, slot, row)
    priority, run_at = w[row + lo.X_PRIORITY], w[row + lo.X_RUN_AT]
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PRIORITY] = priority
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = run_at
    if state == lo.HELD:
        w[lo.S_SEQUENCE] += 1 if run_at <= now else 0
        set_state(h, slot, lo.HELD)
        w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_HELD] += 1
        w[lo.S_HELD] += 1
    elif run_at <= now:
        set_state(h, slot, lo.READY)
        append_ready(w, h, queue, slot, priority)
    else:
        set_state(h, slot, lo.DELAYED)
        add_delayed(w, run_at, w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID])
        w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED] += 1
        sweep(w, h, queue)
    return 0


@part
def choose_many(w: Words, h: Words, count: int, states: int) -> int:
    """Replace the ids in scratch by the states of their jobs, or by MISSING_STATE.

    states: a bit for each state that is meant. It is MISSING_STATE for a job in another
    one, for an id that is not here, and for one that came before.
    """
    for k in range(count):
        slot = find_job(w, h, w[lo.SCRATCH_W + k])
        state = state_of(h, slot)
        if slot == 0 or states >> state & 1 == 0:
            w[lo.SCRATCH_W + k] = lo.MISSING_STATE
            continue
        h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= lo.META_STATE
        w[lo.SCRATCH_W + k] = state
        w[lo.EVENTS_W + k] = slot
    for k in range(count):
        state = w[lo.SCRATCH_W + k]
        if state != lo.MISSING_STATE:
            at = lo.JOBS_H + w[lo.EVENTS_W + k] * lo.JOB_HALVES + lo.JH_META
            h[at] = (half(h, at) & ~lo.META_STATE) | state
    return 0


@part
def mark_many(w: Words, h: Words, count: int, mark: int) -> int:
    """Set the mark (META_MARKED, or 0) of the jobs that are here of the ids in scratch."""
    for k in range(count):
        slot = find_job(w, h, w[lo.SCRATCH_W + k])
        at = lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META
        if slot != 0 and half(h, at) & lo.META_MARKED != mark:
            h[at] = half(h, at) ^ lo.META_MARKED
            w[lo.S_MARKED] += 1 if mark != 0 else -1
    return 0
