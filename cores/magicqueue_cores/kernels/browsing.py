"""Looking through jobs: by id, page of ids by page, and the front of the heaps of times.

The pages of ids are asked for one after another. Where a long gap shows that hardly any are
in use, all are gone through for the lowest one behind: a sweep of 16 bytes a page.

A heap of times is read in order from its root without taking anything out. The next entry
is always among the children of those that were told: these places are the *front*, a small
heap of its own.
"""

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.delayed import is_true
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.jobs import queue_of
from magicqueue_cores.kernels.tables import chain_find, half
from magicqueue_cores.kernels.timers import before

_GAP: Final = 1024
_SPENT_MAX: Final = 1 << 18
_FRONT_W: Final = lo.EVENTS_W


@part
def _next_page(w: Words, h: Words, key: int) -> int:
    """The lowest key of a page behind `key`, or -1. O(pages)."""
    best = -1
    for page in range(1, w[lo.S_PAGE_HIGH] + 1):
        if h[lo.PAGES_H + page * lo.PAGE_HALVES + lo.P_COUNT] != 0:
            mine = w[lo.PAGES_W + page * lo.PAGE_WORDS]
            if mine > key and (best < 0 or mine < best):
                best = mine
    return best


@inlined
def _fits(h: Words, slot: int, queue: int, states: int) -> bool:
    """Whether a job is of a queue (0: any) and in one of the states."""
    meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
    if queue != 0 and meta >> lo.META_QUEUE_SHIFT != queue:
        return False
    return states >> (meta & lo.META_STATE) & 1 != 0


@part
def scan_ids(w: Words, h: Words, after: int, most: int, wanted: int) -> int:
    """Look at `most` jobs behind an id; of those that fit, record and place in scratch.

    wanted: queue << 8 | states as bits. Gives how many fit. A_SCANNED and A_SCAN_END say
    how many were looked at and up to which id; A_MORE, whether there are more.
    """
    queue, states = wanted >> 8, wanted & 255
    fitting, scanned, spent, gap = 0, 0, 0, 0
    job_id, end, last = after + 1, after, w[lo.S_NEXT_ID] - 1
    w[lo.A_MORE] = 0
    while job_id <= last and w[lo.A_MORE] == 0:
        key = job_id >> lo.PAGE_BITS
        page = chain_find(
            w, h, lo.S_PAGE_HASH, lo.PAGE_BUCKETS_H, lo.PAGES_W, lo.PAGE_WORDS, key
        )
        first = lo.PAGE_SLOTS_H + (page << lo.PAGE_BITS)
        if page != 0:
            gap = 0
            for k in range(job_id & lo.PAGE_MASK, lo.PAGE_MASK + 1):
                slot = half(h, first + k)
                if slot == 0:
                    continue
                if scanned == most:
                    w[lo.A_MORE] = 1
                    break
                scanned += 1
                end = (key << lo.PAGE_BITS) + k
                if _fits(h, slot, queue, states):
                    w[lo.SCRATCH_W + 2 * fitting] = slot
                    w[lo.SCRATCH_W + 2 * fitting + 1] = scanned
                    fitting += 1
            job_id = (key + 1) << lo.PAGE_BITS
            continue
        gap += 1
        spent += 1
        following = key + 1
        if gap == _GAP:
            gap = 0
            spent += w[lo.S_PAGE_HIGH] >> 3
            following = _next_page(w, h, key)
            if following < 0:
                break
        job_id = following << lo.PAGE_BITS
        if spent > _SPENT_MAX and job_id <= last:
            end = job_id - 1
            w[lo.A_MORE] = 1
    w[lo.A_SCANNED] = scanned
    w[lo.A_SCAN_END] = end
    return fitting


@inlined
def _sooner(w: Words, base: int, one: int, other: int) -> bool:
    """Whether the entry at one place of a heap comes before that at another."""
    return before(w, base, one, w[base + 2 * other], w[base + 2 * other + 1])


@part
def _add_to_front(w: Words, base: int, size: int, place: int) -> None:
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if _sooner(w, base, w[_FRONT_W + parent], place):
            break
        w[_FRONT_W + at] = w[_FRONT_W + parent]
        at = parent
    w[_FRONT_W + at] = place


@part
def _take_from_front(w: Words, base: int, size: int) -> int:
    """Take out the first place of a front of so many; gives it."""
    first = w[_FRONT_W]
    last = w[_FRONT_W + size - 1]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size - 1:
            break
        if child + 1 < size - 1 and _sooner(
            w, base, w[_FRONT_W + child + 1], w[_FRONT_W + child]
        ):
            child += 1
        if _sooner(w, base, last, w[_FRONT_W + child]):
            break
        w[_FRONT_W + at] = w[_FRONT_W + child]
        at = child
    w[_FRONT_W + at] = last
    return first


@part
def _next_entry(w: Words, base: int, count: int, size: int) -> int:
    """Take the next place from the front, and add what follows from it; gives the size."""
    place = _take_from_front(w, base, size)
    w[lo.A_TURN_ENTRY] = base + 2 * place
    size -= 1
    for child in range(4 * place + 1, min(4 * place + 5, count)):
        _add_to_front(w, base, size, child)
        size += 1
    return size


@part
def delayed_in_turn(w: Words, h: Words, queue: int, most: int) -> int:
    """Put the first delayed jobs of a queue behind A_AFTER and A_AFTER_ID into scratch.

    `most` at most; gives how many, or -1 where A_OTHERS_MAX others are met before.
    A_PASSED says how many are not behind.
    """
    told, passed, others = 0, 0, 0
    size = 1 if w[lo.S_DELAYED] != 0 else 0
    w[_FRONT_W] = 0
    left = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED]
    last_id = 0
    while size != 0 and told < most and told + passed < left:
        size = _next_entry(w, lo.DELAY_HEAP_W, w[lo.S_DELAYED], size)
        entry = w[lo.A_TURN_ENTRY]
        slot = find_job(w, h, w[entry + 1])
        if w[entry + 1] == last_id:
            continue
        if not is_true(w, h, entry, slot) or queue_of(h, slot) != queue:
            others += 1
            if others > w[lo.A_OTHERS_MAX]:
                return -1
            continue
        last_id = w[entry + 1]
        if w[entry] > w[lo.A_AFTER] or (
            w[entry] == w[lo.A_AFTER] and last_id > w[lo.A_AFTER_ID]
        ):
            w[lo.SCRATCH_W + told] = slot
            told += 1
        else:
            passed += 1
    w[lo.A_PASSED] = passed
    return told


@part
def active_in_turn(w: Words, h: Words, queue: int, most: int) -> int:
    """Put active jobs of a queue whose lease ends at A_AFTER or later into scratch.

    Lease after lease, until `most` of them are behind A_AFTER and A_AFTER_ID, and no
    further lease ends at the same moment; else as `delayed_in_turn`.
    """
    told, behind, passed, others = 0, 0, 0, 0
    size = 1 if w[lo.S_LEASES] != 0 else 0
    w[_FRONT_W] = 0
    left = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_PROCESSING]
    until = 0
    while size != 0 and told + passed < left:
        size = _next_entry(w, lo.LEASE_HEAP_W, w[lo.S_LEASES], size)
        entry = w[lo.A_TURN_ENTRY]
        if behind >= most and w[entry] != until:
            break
        until = w[entry]
        slot = w[lo.LEASES_W + w[entry + 1] * lo.LEASE_WORDS + lo.G_HEAD]
        while slot != 0:
            if queue_of(h, slot) != queue:
                others += 1
            elif until >= w[lo.A_AFTER]:
                w[lo.SCRATCH_W + told] = slot
                told += 1
                job_id = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
                if until > w[lo.A_AFTER] or job_id > w[lo.A_AFTER_ID]:
                    behind += 1
            else:
                passed += 1
            slot = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT)
        if others > w[lo.A_OTHERS_MAX]:
            return -1
    w[lo.A_PASSED] = passed
    return told


@part
def look(w: Words, h: Words, verb: int, one: int, two: int, three: int) -> int:
    """Do what `layout` calls by this number."""
    if verb == lo.V_SCAN_IDS:
        return scan_ids(w, h, one, two, three)
    if verb == lo.V_DELAYED_IN_TURN:
        return delayed_in_turn(w, h, one, two)
    return active_in_turn(w, h, one, two)
