"""Draining a queue: its delayed jobs at once, its ready ones a step at a time."""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.delayed import sweep_delayed
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import queue_of, remove, sweep
from magicqueue_cores.kernels.ready import drop_all_levels, drop_ready, first_ready
from magicqueue_cores.kernels.tables import skew_add, skew_rest
from magicqueue_cores.kernels.timers import rebuild_delayed


@part
def _drain_delayed(w: Words, h: Words, queue: int) -> int:
    """Remove a queue's delayed jobs; ids in scratch, gives how many. O(all delayed)."""
    sweep_delayed(w, h)
    count = 0
    kept = 0
    for place in range(w[lo.S_DELAYED]):
        entry = lo.DELAY_HEAP_W + 2 * place
        slot = find_job(w, h, w[entry + 1])
        if queue_of(h, slot) == queue:
            w[lo.SCRATCH_W + count] = w[entry + 1]
            count += 1
            remove(w, h, slot)
            continue
        w[lo.DELAY_HEAP_W + 2 * kept] = w[entry]
        w[lo.DELAY_HEAP_W + 2 * kept + 1] = w[entry + 1]
        kept += 1
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED] = 0
    rebuild_delayed(w, kept)
    return count


@part
def drain(w: Words, h: Words, queue: int, upto: int, most: int) -> int:
    """Remove ready jobs with a sequence number of `upto` at most until there are `most`.

    upto: ALL_NOW also takes all delayed ones, first. Ids in scratch, gives how many. Where
    the first job of the first level came later, so did all of this level: it is set aside.
    """
    count = 0
    top = lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP
    if upto == lo.ALL_NOW:
        upto = w[lo.S_SEQUENCE]
        if w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED] != 0:
            count = _drain_delayed(w, h, queue)
    aside = 0
    while count < most:
        slot = first_ready(w, h, queue)
        if slot == 0:
            break
        if w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] > upto:
            w[lo.EVENTS_W + aside] = w[top]
            aside += 1
            w[top] = skew_rest(w, h, lo.LEVELS_W, w[top])
            continue
        w[lo.SCRATCH_W + count] = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
        count += 1
        drop_ready(w, h, queue, slot)
        remove(w, h, slot)
    if aside != 0 and first_ready(w, h, queue) == 0:
        drop_all_levels(w, h, queue)
    for k in range(aside):
        w[top] = skew_add(w, h, lo.LEVELS_W, w[top], w[lo.EVENTS_W + k])
    sweep(w, h, queue)
    return count
