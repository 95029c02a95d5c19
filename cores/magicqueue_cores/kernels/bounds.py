"""What lives in the tables, and whether the bounds on it allow for more."""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part


@part
def taken_bytes(w: Words) -> int:
    """What all that lives in the tables takes, buckets of hash tables included."""
    taken = w[lo.S_BLOCK_BYTES] + w[lo.S_SLOTS_USED] * 8 * lo.JOB_WORDS
    taken += w[lo.S_PAGE_HASH + 2] * lo.PAGE_BYTES
    taken += w[lo.S_LEVEL_HASH + 2] * (8 * lo.LEVEL_WORDS + 4)
    taken += w[lo.S_LEASES] * (8 * lo.LEASE_WORDS + lo.HEAP_ENTRY_BYTES)
    return taken + w[lo.S_DELAYED] * lo.HEAP_ENTRY_BYTES


@inlined
def has_room(w: Words, count: int, payload_bytes: int) -> bool:
    """Whether the bounds on jobs and memory allow for a batch."""
    live = w[lo.S_LIVE] + count
    if w[lo.S_JOBS_MAX] > 0 and live > w[lo.S_JOBS_MAX]:
        return False
    if w[lo.S_SLOTS_USED] + count > lo.JOBS_MAX:
        return False
    segments = w[lo.S_SEGMENTS_USED] + (payload_bytes + count * 24 >> 19) + 1
    if segments > lo.SEGMENTS_MAX:
        return False
    if w[lo.S_MEMORY_BYTES_MAX] <= 0:
        return True
    needed = payload_bytes + count * w[lo.S_OVERHEAD_BYTES]
    return taken_bytes(w) + w[lo.S_KEPT_BYTES] + needed <= w[lo.S_MEMORY_BYTES_MAX]
