"""Taking a job out of an order where it need not be first, as replay may ask for.

In a log of a core that works as this one does it always is first, and that is quick; a
record may come from elsewhere, though.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import mature, queue_of
from magicqueue_cores.kernels.tables import half, skew_add, skew_rest
from magicqueue_cores.kernels.timers import drop_first_delayed, rebuild_delayed


@part
def _take_returned(w: Words, h: Words, at: int, slot: int) -> None:
    """Take a job out of the heap of a level's returned jobs, wherever it is."""
    count = 0
    root = half(h, at + lo.L_RETURNED)
    while root != slot:
        w[lo.EVENTS_W + count] = root
        count += 1
        root = skew_rest(w, h, lo.JOBS_W, root)
    root = skew_rest(w, h, lo.JOBS_W, root)
    for k in range(count):
        root = skew_add(w, h, lo.JOBS_W, root, w[lo.EVENTS_W + k])
    h[at + lo.L_RETURNED] = root


@part
def take_ready(w: Words, h: Words, level: int, slot: int) -> int:
    """Take a job out of its level: O(1) if it is first, else O(n)."""
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    w[lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS + lo.Q_QUEUED] -= 1
    meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
    if meta & (lo.META_RETURNED | lo.META_MOVED) != 0:
        _take_returned(w, h, at, slot)
        return 0
    before = 0
    job = half(h, at + lo.L_HEAD)
    while job != slot:
        before = job
        job = half(h, lo.JOBS_H + job * lo.JOB_HALVES + lo.JH_NEXT)
    following = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT)
    if before == 0:
        h[at + lo.L_HEAD] = following
    else:
        h[lo.JOBS_H + before * lo.JOB_HALVES + lo.JH_NEXT] = following
    if following == 0:
        h[at + lo.L_TAIL] = before
    return 0


@part
def take_delayed(w: Words, h: Words, slot: int) -> int:
    """A delayed job becomes ready before others perhaps: O(log n) if it is first."""
    job_id = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
    if w[lo.DELAY_HEAP_W + 1] == job_id:
        drop_first_delayed(w)
    else:
        place = 0
        while w[lo.DELAY_HEAP_W + 2 * place + 1] != job_id:
            place += 1
        last = w[lo.S_DELAYED] - 1
        w[lo.DELAY_HEAP_W + 2 * place] = w[lo.DELAY_HEAP_W + 2 * last]
        w[lo.DELAY_HEAP_W + 2 * place + 1] = w[lo.DELAY_HEAP_W + 2 * last + 1]
        rebuild_delayed(w, last)
    mature(w, h, slot)
    return 0


@part
def forget_delayed(w: Words, h: Words) -> int:
    """Take the entries of jobs that are gone out of the heap of delayed ones. O(n)."""
    kept = 0
    for place in range(w[lo.S_DELAYED]):
        entry = lo.DELAY_HEAP_W + 2 * place
        if find_job(w, h, w[entry + 1]) != 0:
            w[lo.DELAY_HEAP_W + 2 * kept] = w[entry]
            w[lo.DELAY_HEAP_W + 2 * kept + 1] = w[entry + 1]
            kept += 1
    rebuild_delayed(w, kept)
    return 0
