"""Which ready job of a queue is next: priority first, then ready sequence.

The ready jobs of one priority are a *level*: a chain of jobs in the order they became
ready, where a newcomer always is the last, and a heap of those that came back to their
old place. A queue has a heap of its levels. So push and pull are O(1) in the usual case,
and O(log p) when one of p priorities appears or ends.

A job that came back and is settled by a late ACK stays where it is as a *ghost*, without
payload or id, and goes when it comes to the top. A queue without ready jobs has none.
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
    skew_rest,
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


@part
def find_level(w: Words, h: Words, queue: int, priority: int) -> int:
    """The level of a priority, made if there is none."""
    key = queue << 32 | priority + (1 << 31)
    level = chain_find(
        w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, key
    )
    if level == 0:
        level = w[lo.S_LEVEL_FREE]
        if level != 0:
            w[lo.S_LEVEL_FREE] = half(
                h, lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.CHAIN_NEXT
            )
        else:
            level = w[lo.S_LEVEL_HIGH] + 1
            w[lo.S_LEVEL_HIGH] = level
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_KEY] = key
        w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.HEAP_KEY] = -priority
        h[at + lo.L_PRIORITY] = priority
        h[at + lo.L_HEAD] = 0
        h[at + lo.L_TAIL] = 0
        h[at + lo.L_RETURNED] = 0
        w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST] = lo.NEVER_MS
        chain_insert(
            w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, level
        )
        top = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
        top = skew_add(w, h, lo.LEVELS_W, top, level)
        w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP] = top
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_LAST_LEVEL] = level
    return level


@inlined
def append_ready(w: Words, h: Words, queue: int, slot: int, priority: int) -> None:
    """A job becomes ready now: it gets the next ready sequence."""
    level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_LAST_LEVEL]
    if level == 0 or h[lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.L_PRIORITY] != priority:
        level = find_level(w, h, queue, priority)
    sequence = w[lo.S_SEQUENCE] + 1
    w[lo.S_SEQUENCE] = sequence
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] = sequence
    h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT] = 0
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    tail = half(h, at + lo.L_TAIL)
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
    level = find_level(w, h, queue, priority)
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    h[at + lo.L_RETURNED] = skew_add(w, h, lo.JOBS_W, half(h, at + lo.L_RETURNED), slot)
    may_be_oldest(w, h, queue, level, slot)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] += 1


@part
def _drop_returned(w: Words, h: Words, level: int) -> None:
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    h[at + lo.L_RETURNED] = skew_rest(w, h, lo.JOBS_W, half(h, at + lo.L_RETURNED))


@part
def _drop_level(w: Words, h: Words, queue: int, level: int) -> None:
    """Take the top level out."""
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_TOP] = skew_rest(w, h, lo.LEVELS_W, level)
    w[at + lo.Q_LAST_LEVEL] = 0
    forget_oldest(w, h, queue, level)
    chain_remove(
        w, h, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W, lo.LEVEL_WORDS, level
    )
    h[lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.CHAIN_NEXT] = w[lo.S_LEVEL_FREE]
    w[lo.S_LEVEL_FREE] = level


@part
def first_returned(w: Words, h: Words, level: int) -> int:
    """The first job that came back, or 0; ghosts before it go."""
    while True:
        slot = half(h, lo.LEVELS_H + level * lo.LEVEL_HALVES + lo.L_RETURNED)
        if slot == 0:
            return slot
        meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
        if meta & lo.META_STATE != lo.GHOST:
            return slot
        _drop_returned(w, h, level)
        free_slot(w, h, slot)


@inlined
def first_ready(w: Words, h: Words, queue: int) -> int:
    """The queue's next job, or 0. Levels without jobs go, but for the only one."""
    while True:
        level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
        if level == 0:
            return level
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        head = half(h, at + lo.L_HEAD)
        if h[at + lo.L_RETURNED] != 0:
            slot = first_returned(w, h, level)
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
        _drop_returned(w, h, level)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] -= 1


@part
def drop_all_levels(w: Words, h: Words, queue: int) -> None:
    """Take out the levels of a queue that has no ready jobs."""
    first_ready(w, h, queue)
    level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TOP]
    if level != 0:
        _drop_level(w, h, queue, level)
