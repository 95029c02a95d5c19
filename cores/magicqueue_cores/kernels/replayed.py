"""What the records of a log say of many jobs: checked as a whole, then done.

The ids of a record are in scratch; checking makes their records of them, on which the
others work. While a check goes on, the jobs it has seen are in a state that none else has:
so a job that is named twice is found out without a table of names.
"""

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.holding import unhold
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, part, prefetch
from magicqueue_cores.kernels.jobs import (
    lend_one,
    queue_of,
    state_of,
    sweep,
)
from magicqueue_cores.kernels.leaving import mature_any, remove_any
from magicqueue_cores.kernels.ready import take_ready
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import open_lease
from magicqueue_cores.kernels.verdicts import settle

_LOOK_AHEAD: Final = 16
_SEEN: Final = lo.META_STATE
_STATE_SHIFT: Final = 40
_SLOT_MASK: Final = (1 << _STATE_SHIFT) - 1


@part
def _see(w: Words, h: Words, k: int, states: int) -> bool:
    """Note that a record in scratch was seen, if its job is in one of the states."""
    slot = w[lo.SCRATCH_W + k]
    if slot == 0:
        return False
    state = state_of(h, slot)
    if states >> state & 1 == 0:
        return False
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= _SEEN
    w[lo.SCRATCH_W + k] = slot | state << _STATE_SHIFT
    return True


@part
def expect_many(w: Words, h: Words, count: int, states: int) -> int:
    """Make records of the ids in scratch, if each names another job in a fit state.

    states: a bit for each state that is fit. Gives 0, or the place of the first id that
    is not as it should be, counted from 1; then scratch is of no use.
    """
    seen = 0
    found = 0
    while seen < count:
        while found < min(seen + _LOOK_AHEAD, count):
            slot = find_job(w, h, w[lo.SCRATCH_W + found])
            prefetch(w, lo.JOBS_W + slot * lo.JOB_WORDS)
            w[lo.SCRATCH_W + found] = slot
            found += 1
        if not _see(w, h, seen, states):
            break
        seen += 1
    for k in range(seen):
        slot = w[lo.SCRATCH_W + k] & _SLOT_MASK
        state = w[lo.SCRATCH_W + k] >> _STATE_SHIFT
        meta = lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META
        h[meta] = (half(h, meta) & ~lo.META_STATE) | state
        w[lo.SCRATCH_W + k] = slot
    return seen + 1 if seen < count else 0


@part
def lease_many(w: Words, h: Words, count: int, session: int, until: int) -> int:
    """Put the jobs whose records are in scratch, ready or held, under one lease.

    Gives 0; or 1, and nothing has changed, if they are not all of one queue; 2, if not all
    in one state.
    """
    queue, state = 0, 0
    for k in range(count):
        slot = w[lo.SCRATCH_W + k]
        if k > 0 and queue_of(h, slot) != queue:
            return 1
        if k > 0 and state_of(h, slot) != state:
            return 2
        queue, state = queue_of(h, slot), state_of(h, slot)
    lease = open_lease(w, session, until)
    for k in range(count):
        slot = w[lo.SCRATCH_W + k]
        if state == lo.HELD:
            unhold(w, h, slot)
        else:
            take_ready(w, h, queue, slot)
        lend_one(w, h, slot, lease)
    sweep(w, h, queue)
    return 0


@part
def settle_many(w: Words, h: Words, count: int) -> int:
    """Let the jobs whose records are in scratch, active or back from it, be done.

    Gives 0; or the place of the first that nobody can have done, counted from 1, and
    nothing has changed: it is ready and did not come back from anybody.
    """
    for k in range(count):
        slot = w[lo.SCRATCH_W + k]
        meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
        if meta & lo.META_STATE != lo.ACTIVE and meta & lo.META_RETURNED == 0:
            return k + 1
    for k in range(count):
        settle(w, h, w[lo.SCRATCH_W + k])
    return 0


@part
def take_delayed_many(w: Words, h: Words, count: int) -> int:
    """Let the delayed jobs whose records are in scratch become ready, in this order."""
    for k in range(count):
        mature_any(w, h, w[lo.SCRATCH_W + k])
    return 0


@part
def take_waiting_many(w: Words, h: Words, count: int) -> int:
    """Remove the jobs whose records are in scratch, which wait."""
    for k in range(count):
        remove_any(w, h, w[lo.SCRATCH_W + k])
    return 0
