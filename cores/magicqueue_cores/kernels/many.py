"""One verb on many jobs, whose ids are in scratch.

The records are looked up some ahead of being changed: so the processor waits for several
of them at once, where they lie scattered.
"""
# ruff: noqa: FBT003 - parts take no keywords

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.backoff import retry_at
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, part, prefetch
from magicqueue_cores.kernels.jobs import (
    dies_of_failure,
    find_for_verdict,
    lost_of,
    mature,
    payload_bytes_of,
    queue_of,
)
from magicqueue_cores.kernels.leaving import bury_any, promote, remove_any
from magicqueue_cores.kernels.returning import (
    fail_for_good,
    lose,
    release,
    retry,
    revive,
)

_LOOK_AHEAD: Final = 32


@part
def _change(w: Words, h: Words, verb: int, slot: int, now: int) -> None:
    if verb == lo.V_MATURE_MANY:
        mature(w, h, slot)
    elif verb == lo.V_FAIL_FOR_GOOD_MANY:
        fail_for_good(w, h, slot)
    elif verb == lo.V_LOSE_FOR_GOOD_MANY:
        lose(w, h, slot, True)
    elif verb == lo.V_REVIVE_MANY:
        revive(w, h, slot, now)
    elif verb == lo.V_BURY_MANY:
        bury_any(w, h, slot)
    elif verb == lo.V_PROMOTE_MANY:
        promote(w, h, slot, now)
    else:
        remove_any(w, h, slot)


@part
def change_many(w: Words, h: Words, verb: int, count: int, now: int) -> int:
    """Do the verb to each; ids become queue << BLOCK_BITS | bytes of payload."""
    for first in range(0, count, _LOOK_AHEAD):
        end = min(first + _LOOK_AHEAD, count)
        for k in range(first, end):
            slot = find_job(w, h, w[lo.SCRATCH_W + k])
            prefetch(w, lo.JOBS_W + slot * lo.JOB_WORDS)
            w[lo.SCRATCH_W + k] = slot
        for k in range(first, end):
            slot = w[lo.SCRATCH_W + k]
            account = queue_of(h, slot) << lo.BLOCK_BITS | payload_bytes_of(w, slot)
            _change(w, h, verb, slot, now)
            w[lo.SCRATCH_W + k] = account
    return 0


@part
def retry_many(w: Words, h: Words, count: int, now: int) -> int:
    """Active jobs failed: scratch has pairs of an id and when it is due again."""
    for k in range(count):
        pair = lo.SCRATCH_W + 2 * k
        retry(w, h, find_job(w, h, w[pair]), w[pair + 1], now)
    return 0


@part
def release_many(w: Words, h: Words, count: int, run_at: int) -> int:
    """Give back the active jobs whose ids are in scratch; 0 is to their old place."""
    for k in range(count):
        release(w, h, find_job(w, h, w[lo.SCRATCH_W + k]), run_at)
    return 0


@part
def judge(w: Words, h: Words, count: int, now: int) -> int:
    """Say what it would mean if the jobs of the scratch items failed now.

    I_ERROR of each becomes when the job runs again, or DIES, or NOT_ACTIVE.
    """
    for k in range(count):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        slot = find_for_verdict(w, h, w[item + lo.I_ID], w[item + lo.I_ATTEMPT], False)
        if slot == 0:
            w[item + lo.I_ERROR] = lo.NOT_ACTIVE
        elif dies_of_failure(w, h, slot):
            w[item + lo.I_ERROR] = lo.DIES
        else:
            w[item + lo.I_ERROR] = retry_at(w, h, slot, now)
    return 0


@part
def lose_many(w: Words, h: Words, count: int, lost_max: int) -> int:
    """Lose the jobs whose ids are in scratch, but for those already lost too often.

    Gives how many these are; their ids are then first in scratch.
    """
    dying = 0
    for k in range(count):
        job_id = w[lo.SCRATCH_W + k]
        slot = find_job(w, h, job_id)
        if 0 < lost_max <= lost_of(w, h, slot):
            w[lo.SCRATCH_W + dying] = job_id
            dying += 1
        else:
            lose(w, h, slot, False)
    return dying
