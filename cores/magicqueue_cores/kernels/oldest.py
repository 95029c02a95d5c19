"""How long the oldest ready job of a queue has waited: a heap of lower bounds.

Within a level the first job is the earliest due, so the queue's oldest is the earliest
first job of all levels. Each level with jobs is in its queue's heap with a *bound*, which
is its earliest run_at or less; whoever asks puts wrong bounds right from the top until
the top is exact. A level begins with the bound 0, at the top, and pushes and pulls touch
none: what asking costs is O(log p) for each level that began or whose first job changed
since it came to the top, and nothing while nothing changes.

The heap is a skew heap whose records know their parents, so a level that ends leaves it
from wherever it is. A level that was found without jobs is out of it: its bound is
NEVER_MS.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.oldest_queue import set_bound
from magicqueue_cores.kernels.tables import half


@inlined
def _bound(w: Words, level: int) -> int:
    return w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST]


@part
def _meld(w: Words, h: Words, a: int, b: int) -> int:
    """Make one heap of two and give its root, whose parent the caller sets."""
    if a == 0:
        return b
    if b == 0:
        return a
    if _bound(w, b) < _bound(w, a):
        a, b = b, a
    root = a
    while True:
        at = lo.LEVELS_H + a * lo.LEVEL_HALVES
        right = half(h, at + lo.L_OLDEST_RIGHT)
        h[at + lo.L_OLDEST_RIGHT] = h[at + lo.L_OLDEST_LEFT]
        if right == 0:
            h[at + lo.L_OLDEST_LEFT] = b
            h[lo.LEVELS_H + b * lo.LEVEL_HALVES + lo.L_OLDEST_PARENT] = a
            return root
        if _bound(w, b) < _bound(w, right):
            right, b = b, right
        h[at + lo.L_OLDEST_LEFT] = right
        h[lo.LEVELS_H + right * lo.LEVEL_HALVES + lo.L_OLDEST_PARENT] = a
        a = right


@inlined
def _set_root(w: Words, h: Words, queue: int, level: int) -> None:
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_OLDEST] = level
    if level != 0:
        h[lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.L_OLDEST_PARENT] = 0


@part
def forget_oldest(w: Words, h: Words, queue: int, level: int) -> None:
    """Take a level out of the heap, if it is there."""
    if _bound(w, level) == lo.NEVER_MS:
        return
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST] = lo.NEVER_MS
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    parent = half(h, at + lo.L_OLDEST_PARENT)
    below = _meld(w, h, half(h, at + lo.L_OLDEST_LEFT), half(h, at + lo.L_OLDEST_RIGHT))
    if parent == 0:
        _set_root(w, h, queue, below)
        return
    above = lo.LEVELS_H + parent * lo.LEVEL_HALVES
    if h[above + lo.L_OLDEST_LEFT] == level:
        h[above + lo.L_OLDEST_LEFT] = below
    else:
        h[above + lo.L_OLDEST_RIGHT] = below
    if below != 0:
        h[lo.LEVELS_H + below * lo.LEVEL_HALVES + lo.L_OLDEST_PARENT] = parent


@part
def _put_first(w: Words, h: Words, queue: int, level: int) -> None:
    """Put a level at the top, where a bound of 0 belongs. O(log p) if it was elsewhere."""
    forget_oldest(w, h, queue, level)
    top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_OLDEST]
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST] = 0
    h[at + lo.L_OLDEST_LEFT] = top
    h[at + lo.L_OLDEST_RIGHT] = 0
    if top != 0:
        h[lo.LEVELS_H + top * lo.LEVEL_HALVES + lo.L_OLDEST_PARENT] = level
    _set_root(w, h, queue, level)


@inlined
def may_be_oldest(w: Words, h: Words, queue: int, level: int, slot: int) -> None:
    """A job is first in a level that was empty, or came back to one."""
    run_at = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT]
    if run_at < _bound(w, level):
        _put_first(w, h, queue, level)
    if run_at < w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_BOUND]:
        set_bound(w, queue, run_at)


@part
def correct_oldest(w: Words, h: Words, queue: int, level: int, run_at: int) -> None:
    """Give the top level its true bound; NEVER_MS takes it out."""
    forget_oldest(w, h, queue, level)
    if run_at == lo.NEVER_MS:
        return
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST] = run_at
    h[at + lo.L_OLDEST_LEFT] = 0
    h[at + lo.L_OLDEST_RIGHT] = 0
    top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_OLDEST]
    _set_root(w, h, queue, _meld(w, h, top, level))
