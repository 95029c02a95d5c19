"""Which ready job of a queue is next: priority first, then ready sequence.

The ready jobs of one priority are a *level*: a chain of jobs in the order they became
ready, where a newcomer always is the last, and a heap of those that came back to their
old place. A queue has a heap of its levels. So push and pull are O(1) in the usual case,
and O(log p) when one of p priorities appears or ends. A job may also leave from anywhere:
the chain is linked both ways, and records of heaps know their parents. (What is before the
first of a chain is not up to date: a pull does not touch the job that comes next.)

A level without jobs goes, unless it is the top, which may stay until it is not.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.oldest import forget_oldest, may_be_oldest
from magicqueue_cores.kernels.tables import (
    chain_find,
    chain_insert,
    chain_remove,
    half,
    skew_add,
    skew_drop,
)


@inlined
def free_slot(w: Words, h: Words, slot: int) -> None:
    """Give back a job's record. When all are back, they are given out in order again."""
    used = w[lo.S_SLOTS_USED] - 1
    w[lo.S_SLOTS_USED] = used
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID] = 0
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] = 0
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT] = w[lo.S_SLOT_FREE]
    w[lo.S_SLOT_FREE] = slot
    if used == 0:
        w[lo.S_SLOT_FREE] = 0
        w[lo.S_SLOTS_LEFT] = max(w[lo.S_SLOTS_LEFT], w[lo.S_SLOT_HIGH])
        w[lo.S_SLOT_HIGH] = 0


@inlined
def _is_empty(h: Words, level: int) -> bool:
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    return h[at + lo.L_HEAD] == 0 and h[at + lo.L_RETURNED] == 0


@inlined
def _key_of(queue: int, priority: int) -> int:
    """A level's key."""
    return queue << 32 | priority + (1 << 31)


@part
def _drop_level(w: Words, h: Words, queue: int, level: int) -> None:
    """Take a level out that has no jobs."""
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_TOP] = skew_drop(w, h, lo.LEVELS_W, w[at + lo.Q_TOP], level)
    w[at + lo.Q_LAST_LEVEL] = 0
    forget_oldest(w, h, queue, level)
    chain_remove(
        w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, level
    )
    h[lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.CHAIN_NEXT] = w[lo.S_LEVEL_FREE]
    w[lo.S_LEVEL_FREE] = level


@part
def _add_level(w: Words, h: Words, queue: int, key: int) -> int:
    """Make a level; the top goes if it has no jobs, as it may not be the top any more."""
    top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    if top != 0 and _is_empty(h, top):
        _drop_level(w, h, queue, top)
        top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    level = w[lo.S_LEVEL_FREE]
    if level != 0:
        w[lo.S_LEVEL_FREE] = half(h, lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.CHAIN_NEXT)
    else:
        level = w[lo.S_LEVEL_HIGH] + 1
        w[lo.S_LEVEL_HIGH] = level
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_KEY] = key
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.HEAP_KEY] = (queue << 32) + (1 << 31) - key
    h[at + lo.L_HEAD] = 0
    h[at + lo.L_TAIL] = 0
    h[at + lo.L_RETURNED] = 0
    w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST] = lo.NEVER_MS
    chain_insert(
        w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, level
    )
    top = skew_add(w, h, lo.LEVELS_W, top, level)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP] = top
    return level


@part
def _find_level(w: Words, h: Words, queue: int, key: int) -> int:
    """The level that has a key, made if there is none."""
    level = chain_find(
        w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, key
    )
    if level == 0:
        level = _add_level(w, h, queue, key)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_LAST_LEVEL] = level
    return level


@inlined
def level_of(w: Words, h: Words, queue: int, priority: int) -> int:
    """The level of a priority, made if there is none; mostly the one used last."""
    key = _key_of(queue, priority)
    level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_LAST_LEVEL]
    if w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_KEY] != key:
        level = _find_level(w, h, queue, key)
    return level


@inlined
def append_ready(w: Words, h: Words, queue: int, slot: int, priority: int) -> None:
    """A job becomes ready now: it gets the next ready sequence."""
    level = level_of(w, h, queue, priority)
    sequence = w[lo.S_SEQUENCE] + 1
    w[lo.S_SEQUENCE] = sequence
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] = sequence
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    tail = half(h, at + lo.L_TAIL)
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT] = 0
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PREVIOUS] = tail
    h[at + lo.L_TAIL] = slot
    if tail == 0:
        h[at + lo.L_HEAD] = slot
        may_be_oldest(w, h, queue, level, slot)
    else:
        h[lo.JOBS_H + tail * lo.JOB_HALVES + lo.JH_NEXT] = slot
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] += 1


@part
def give_back(w: Words, h: Words, queue: int, slot: int) -> None:
    """A job is ready again at its old place."""
    priority = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PRIORITY)
    level = level_of(w, h, queue, priority)
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    h[at + lo.L_RETURNED] = skew_add(w, h, lo.JOBS_W, half(h, at + lo.L_RETURNED), slot)
    may_be_oldest(w, h, queue, level, slot)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] += 1


@inlined
def first_ready(w: Words, h: Words, queue: int) -> int:
    """The queue's next job, or 0. Levels without jobs go, but for the only one."""
    while True:
        level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
        if level == 0:
            return level
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        head = half(h, at + lo.L_HEAD)
        slot = half(h, at + lo.L_RETURNED)
        if slot != 0:
            if head == 0:
                return slot
            mine = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE]
            if mine < w[lo.JOBS_W + head * lo.JOB_WORDS + lo.J_SEQUENCE]:
                return slot
        if head != 0:
            return head
        if h[at + lo.HEAP_LEFT] == 0 and h[at + lo.HEAP_RIGHT] == 0:
            return 0
        _drop_level(w, h, queue, level)


@part
def _take_returned(w: Words, h: Words, level: int, slot: int) -> None:
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    root = half(h, at + lo.L_RETURNED)
    h[at + lo.L_RETURNED] = skew_drop(w, h, lo.JOBS_W, root, slot)


@inlined
def drop_ready(w: Words, h: Words, queue: int, slot: int) -> None:
    """Take out the job that `first_ready` gave."""
    level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    if h[at + lo.L_HEAD] == slot:
        following = h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT]
        h[at + lo.L_HEAD] = following
        if following == 0:
            h[at + lo.L_TAIL] = 0
    else:
        _take_returned(w, h, level, slot)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] -= 1


@part
def _unlink(h: Words, level: int, slot: int) -> None:
    """Take a job out of its level's chain."""
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    following, before = half(h, job + lo.JH_NEXT), half(h, job + lo.JH_PREVIOUS)
    if half(h, at + lo.L_HEAD) == slot:
        before = 0
        h[at + lo.L_HEAD] = following
    else:
        h[lo.JOBS_H + before * lo.JOB_HALVES + lo.JH_NEXT] = following
    if following != 0:
        h[lo.JOBS_H + following * lo.JOB_HALVES + lo.JH_PREVIOUS] = before
    else:
        h[at + lo.L_TAIL] = before


@part
def take_ready(w: Words, h: Words, queue: int, slot: int) -> None:
    """Take a job out of the ready order, wherever it is. O(1), O(log n) if it came back."""
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    level = level_of(w, h, queue, half(h, job + lo.JH_PRIORITY))
    if half(h, job + lo.JH_META) & (lo.META_RETURNED | lo.META_MOVED) != 0:
        _take_returned(w, h, level, slot)
    else:
        _unlink(h, level, slot)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] -= 1
    top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    if level != top and _is_empty(h, level):
        _drop_level(w, h, queue, level)


@part
def drop_all_levels(w: Words, h: Words, queue: int) -> None:
    """Take out the levels of a queue that has no ready jobs."""
    first_ready(w, h, queue)
    level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    if level != 0:
        _drop_level(w, h, queue, level)
