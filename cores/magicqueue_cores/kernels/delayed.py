"""Delayed jobs that stop waiting before their time, and what stays of them for a while.

The heap of times finds only its first entry. A job that leaves from elsewhere (removed,
promoted, replaced, dead) leaves its entry behind, which is *stale*: its job is gone, or
not delayed until then. Stale entries are counted; one that comes to the top goes at once,
so the top is always true, and all go when they are more than half. So the heap stays
O(delayed jobs), and to leave costs O(log n) amortised.

Of one job there may be two entries of the same time, when it was replaced there and back:
either may be taken for the true one, as long as one of them is.
"""

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, inlined, part, prefetch
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import drop_first_delayed, rebuild_delayed

_LOOK_AHEAD: Final = 32


@inlined
def is_true(w: Words, h: Words, entry: int, slot: int) -> bool:
    """Whether the job that an entry names, or 0, is delayed until the entry's time."""
    meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
    if slot == 0 or meta & lo.META_STATE != lo.DELAYED:
        return False
    return bool(w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] == w[entry])


@part
def _first_is_true(w: Words, h: Words) -> bool:
    entry = lo.DELAY_HEAP_W
    return is_true(w, h, entry, find_job(w, h, w[entry + 1]))


@part
def forget_delayed(w: Words, slot: int) -> None:
    """A job that is still delayed will not be: take out its entry, or count it as stale.

    The caller changes the job, and then calls `tidy_delayed`, once for any number.
    """
    job = lo.JOBS_W + slot * lo.JOB_WORDS
    first = lo.DELAY_HEAP_W
    if w[first + 1] == w[job + lo.J_ID] and w[first] == w[job + lo.J_RUN_AT]:
        drop_first_delayed(w)
    else:
        w[lo.S_STALE] += 1


@part
def drop_stale(w: Words, h: Words) -> None:
    """Let stale entries go that are first, and all if they are more than half."""
    while w[lo.S_STALE] != 0 and not _first_is_true(w, h):
        drop_first_delayed(w)
        w[lo.S_STALE] -= 1
    if 2 * w[lo.S_STALE] > w[lo.S_DELAYED]:
        sweep_delayed(w, h)


@inlined
def tidy_delayed(w: Words, h: Words) -> None:
    """Let the first entry be a true one, and half of all at least."""
    if w[lo.S_STALE] != 0:
        drop_stale(w, h)


@part
def sweep_delayed(w: Words, h: Words) -> int:
    """Let all stale entries go. O(n)."""
    if w[lo.S_STALE] == 0:
        return 0
    kept = 0
    count = w[lo.S_DELAYED]
    for first in range(0, count, _LOOK_AHEAD):
        end = min(first + _LOOK_AHEAD, count)
        for place in range(first, end):
            slot = find_job(w, h, w[lo.DELAY_HEAP_W + 2 * place + 1])
            prefetch(w, lo.JOBS_W + slot * lo.JOB_WORDS)
            w[lo.EVENTS_W + place] = slot
        for place in range(first, end):
            entry = lo.DELAY_HEAP_W + 2 * place
            slot = w[lo.EVENTS_W + place]
            if is_true(w, h, entry, slot):
                # in no state for now, so that a second entry of it is stale
                h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= lo.META_STATE
                w[lo.EVENTS_W + kept] = slot
                w[lo.DELAY_HEAP_W + 2 * kept] = w[entry]
                w[lo.DELAY_HEAP_W + 2 * kept + 1] = w[entry + 1]
                kept += 1
    for k in range(kept):
        at = lo.JOBS_H + w[lo.EVENTS_W + k] * lo.JOB_HALVES + lo.JH_META
        h[at] = (half(h, at) & ~lo.META_STATE) | lo.DELAYED
    w[lo.S_STALE] = 0
    rebuild_delayed(w, kept)
    return 0
