"""Which queue has the job that has been ready for longest: a heap of lower bounds.

It is to all queues what `oldest` is to the levels of one. A queue's bound is the earliest
run_at of its ready jobs or less, and NEVER_MS if it is out of the heap; it is lowered when
a job comes that is earlier, and whoever asks puts wrong bounds right from the top.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, part


@part
def _meld(w: Words, a: int, b: int) -> int:
    """Make one heap of two and give its root, whose parent the caller sets."""
    if a == 0:
        return b
    if b == 0:
        return a
    one = lo.QUEUES_W + a * lo.QUEUE_WORDS
    other = lo.QUEUES_W + b * lo.QUEUE_WORDS
    if w[other + lo.Q_BOUND] < w[one + lo.Q_BOUND]:
        a, b = b, a
    root = a
    while True:
        at = lo.QUEUES_W + a * lo.QUEUE_WORDS
        right = w[at + lo.Q_BOUND_RIGHT]
        w[at + lo.Q_BOUND_RIGHT] = w[at + lo.Q_BOUND_LEFT]
        if right != 0:
            one = lo.QUEUES_W + right * lo.QUEUE_WORDS
            other = lo.QUEUES_W + b * lo.QUEUE_WORDS
            if w[other + lo.Q_BOUND] < w[one + lo.Q_BOUND]:
                right, b = b, right
            w[at + lo.Q_BOUND_LEFT] = right
            w[lo.QUEUES_W + right * lo.QUEUE_WORDS + lo.Q_BOUND_PARENT] = a
            a = right
        else:
            w[at + lo.Q_BOUND_LEFT] = b
            w[lo.QUEUES_W + b * lo.QUEUE_WORDS + lo.Q_BOUND_PARENT] = a
            return root


@part
def forget_bound(w: Words, queue: int) -> None:
    """Take a queue out of the heap, if it is there."""
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    if w[at + lo.Q_BOUND] == lo.NEVER_MS:
        return
    w[at + lo.Q_BOUND] = lo.NEVER_MS
    parent = w[at + lo.Q_BOUND_PARENT]
    below = _meld(w, w[at + lo.Q_BOUND_LEFT], w[at + lo.Q_BOUND_RIGHT])
    if below != 0:
        w[lo.QUEUES_W + below * lo.QUEUE_WORDS + lo.Q_BOUND_PARENT] = parent
    above = lo.QUEUES_W + parent * lo.QUEUE_WORDS
    if parent == 0:
        w[lo.S_OLDEST_QUEUE] = below
    elif w[above + lo.Q_BOUND_LEFT] == queue:
        w[above + lo.Q_BOUND_LEFT] = below
    else:
        w[above + lo.Q_BOUND_RIGHT] = below


@part
def set_bound(w: Words, queue: int, run_at: int) -> None:
    """Give a queue another bound; NEVER_MS takes it out. O(log q) amortised."""
    forget_bound(w, queue)
    if run_at == lo.NEVER_MS:
        return
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_BOUND] = run_at
    w[at + lo.Q_BOUND_LEFT] = 0
    w[at + lo.Q_BOUND_RIGHT] = 0
    top = _meld(w, w[lo.S_OLDEST_QUEUE], queue)
    w[lo.S_OLDEST_QUEUE] = top
    w[lo.QUEUES_W + top * lo.QUEUE_WORDS + lo.Q_BOUND_PARENT] = 0
