"""Delayed jobs that are due: one after the other from the heap, or very many at once.

A heap gives its entries in order at the price of some cache misses each. Where thousands
are due in one tick, and they are a fair part of all, they are cut out of the heap and
sorted instead, and what stays is made a heap again. That takes numpy; where it is missing
they go one after the other.
"""

from typing import Any, Final

from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.kernels import layout as lo

np: Any
try:
    import numpy as np
except ImportError:
    np = None

ONE_BY_ONE_MAX: Final = 4096
SHARE_MIN: Final = 16
"""Sorting is for when at least one in so many delayed jobs is due."""
_KEY_BITS: Final = 63


def mature_due(store: Store, now_ms: int) -> tuple[list[int], list[int]]:
    """Let due jobs become ready; gives their ids in order, and the numbers of queues.

    O(log n) a job, O(1) but for sorting where very many are due.
    """
    if store.options.step_jobs:
        return _one_by_one(store, now_ms, store.step_jobs)
    ids, queues = _one_by_one(store, now_ms, ONE_BY_ONE_MAX)
    if len(ids) < ONE_BY_ONE_MAX:
        return ids, queues
    more_ids, more_queues = _mature_more(store, now_ms)
    return ids + more_ids, queues + more_queues


def more_are_due(store: Store, queue: Queue, now_ms: int) -> bool:
    """Whether jobs are due that the last step left, and the queue may have some of them."""
    words = store.memory.words
    return words[queue.at + lo.Q_DELAYED] != 0 and words[lo.DELAY_HEAP_W] <= now_ms


def any_are_due(store: Store, now_ms: int) -> bool:
    """Whether jobs are due that the last step left."""
    return store.delayed != 0 and store.memory.words[lo.DELAY_HEAP_W] <= now_ms


def _one_by_one(store: Store, now_ms: int, most: int) -> tuple[list[int], list[int]]:
    moved = store.scratch_list(2 * store.act(lo.V_MATURE_DUE, now_ms, most))
    return moved[::2], moved[1::2]


def _mature_more(store: Store, now_ms: int) -> tuple[list[int], list[int]]:
    store.act(lo.V_SWEEP_DELAYED)
    memory, count = store.memory, store.delayed
    if np is None:
        return _one_by_one(store, now_ms, count)
    words = np.frombuffer(memory.words, np.int64)
    heap = words[lo.DELAY_HEAP_W : lo.DELAY_HEAP_W + 2 * count].reshape(count, 2)
    is_due = heap[:, 0] <= now_ms
    due_count = int(np.count_nonzero(is_due))
    if due_count * SHARE_MIN < count:
        return _one_by_one(store, now_ms, due_count)
    ids = _in_order(heap[is_due])
    heap[: count - due_count] = heap[~is_due]
    store.act(lo.V_REBUILD_DELAYED, count - due_count)
    words[lo.SCRATCH_W : lo.SCRATCH_W + due_count] = ids
    store.act(lo.V_MATURE_MANY, due_count)
    accounts = words[lo.SCRATCH_W : lo.SCRATCH_W + due_count]
    queues = np.unique(accounts >> lo.BLOCK_BITS).tolist()
    memory.trim_scratch(due_count)
    return ids.tolist(), queues


def _in_order(entries: Any) -> Any:
    """The ids of entries by (run_at, id): both in one number, if it has room for them."""
    run_ats_ms, ids = entries[:, 0], entries[:, 1]
    if not len(ids):
        return ids
    first_ms, first_id = run_ats_ms.min(), ids.min()
    id_bits = int(ids.max() - first_id).bit_length()
    if id_bits + int(run_ats_ms.max() - first_ms).bit_length() > _KEY_BITS:
        return ids[np.lexsort((ids, run_ats_ms))]
    keys = (run_ats_ms - first_ms) << id_bits | (ids - first_id)
    keys.sort()
    return (keys & ((1 << id_bits) - 1)) + first_id
