"""How the array core goes through jobs by id, and through its orders from the front.

Kernels look through ids and through the heaps of times. The ready order is a tree of levels
and in each of them a chain, and a tree of those that came back: these are followed here.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, merge
from itertools import islice
from typing import Final

from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.browsing import (
    OTHERS_MAX,
    Scanned,
    has_any,
    jobs_page,
    too_far,
    turn_page,
)
from magicqueue_cores.contract import (
    TURN_JOBS_MAX,
    JobsPage,
    JobState,
    Place,
    Search,
    TurnPage,
)
from magicqueue_cores.kernels import layout as lo

_HEAP_WORDS: Final = 8


def browse(
    store: Store,
    search: Search,
    after_id: int,
    count: int,
    scan_max: int,
    payload_bytes_max: int,
) -> JobsPage:
    """Look through jobs behind `after_id`; see the contract."""
    number = 0
    if search.queue is not None:
        queue = store.queues.by_name.get(search.queue)
        if queue is None:
            return JobsPage([], None, 0, 0)
        held = store.memory.words[queue.at + lo.Q_HELD]
        if not has_any(store.queues.stats(queue, 0), held, search.states):
            return JobsPage([], None, 0, 0)
        number = queue.number
    state, contains = store.memory.state, search.contains
    wanted = number << 8 | sum(1 << each for each in search.states)
    found = store.act(lo.V_SCAN_IDS, after_id, scan_max, wanted)
    scanned = Scanned(
        state[lo.A_SCANNED], state[lo.A_SCAN_END], more=bool(state[lo.A_MORE])
    )
    listed = store.scratch_list(2 * found)
    return jobs_page(
        _fitting(store, listed[::2], listed[1::2]),
        scanned,
        (lambda slot: contains in store.payload(slot)) if contains else None,
        store.view,
        count,
        payload_bytes_max,
    )


def _fitting(
    store: Store, slots: Sequence[int], places: Sequence[int]
) -> Iterator[tuple[int, int, int, int]]:
    words, large = store.memory.words, store.large
    for slot, place in zip(slots, places, strict=True):
        at = lo.JOBS_W + slot * lo.JOB_WORDS
        job_id = words[at + lo.J_ID]
        size = words[at + lo.J_BLOCK] & lo.BLOCK_MASK
        if large and job_id in large:
            size = len(large[job_id][0])
        yield place, job_id, size, slot


def in_turn(
    store: Store,
    queue: str,
    state: JobState,
    after: Place | None,
    count: int,
    payload_bytes_max: int,
) -> TurnPage:
    """List the first jobs of a queue in the order they will come; see the contract."""
    known = store.queues.by_name.get(queue)
    if known is None or state is JobState.HELD:
        return TurnPage([], None)
    if state is JobState.DELAYED:
        entries = _delayed(store, known, after, count)
    elif state is JobState.ACTIVE:
        entries = _active(store, known, after, count)
    else:
        order = _ready(store, known) if state is JobState.READY else _dead(store, known)
        first = islice(order, TURN_JOBS_MAX)
        entries = (entry for entry in first if after is None or entry[0] > after)
    return turn_page(entries, store.view, count, payload_bytes_max)


def _delayed(
    store: Store, queue: Queue, after: Place | None, count: int
) -> Iterator[tuple[Place, int]]:
    slots = _front_of(store, lo.V_DELAYED_IN_TURN, queue, after, count)
    left = TURN_JOBS_MAX - store.memory.state[lo.A_PASSED]
    for slot in slots[: max(left, 0)]:
        yield (store.word(slot, lo.J_RUN_AT), store.word(slot, lo.J_ID)), slot


def _active(
    store: Store, queue: Queue, after: Place | None, count: int
) -> Iterator[tuple[Place, int]]:
    slots = _front_of(store, lo.V_ACTIVE_IN_TURN, queue, after, count)
    left = TURN_JOBS_MAX - store.memory.state[lo.A_PASSED]
    words = store.memory.words
    entries = []
    for slot in slots:
        lease = lo.LEASES_W + store.field(slot, lo.JH_LEASE) * lo.LEASE_WORDS
        place = words[lease + lo.G_UNTIL], store.word(slot, lo.J_ID)
        entries.append((place, slot))
    entries.sort()
    first = entries[: max(left, 0)]
    return (entry for entry in first if after is None or entry[0] > after)


def _front_of(
    store: Store, verb: int, queue: Queue, after: Place | None, count: int
) -> list[int]:
    """Have a kernel read a heap of times; raises `TooFar`."""
    state = store.memory.state
    state[lo.A_AFTER], state[lo.A_AFTER_ID] = (-1, 0) if after is None else after
    state[lo.A_OTHERS_MAX] = OTHERS_MAX
    most = min(count, TURN_JOBS_MAX) + 1
    found = store.act(verb, queue.number, most)
    if found < 0 and verb == lo.V_DELAYED_IN_TURN and state[lo.S_STALE]:
        store.act(lo.V_SWEEP_DELAYED)
        found = store.act(verb, queue.number, most)
    if found < 0:
        of = JobState.DELAYED if verb == lo.V_DELAYED_IN_TURN else JobState.ACTIVE
        raise too_far(queue.name, of)
    return store.scratch_list(found)


def _ready(store: Store, queue: Queue) -> Iterator[tuple[Place, int]]:
    words, halves = store.memory.words, store.memory.halves
    for key, level in _tree(store, lo.LEVELS_W, words[queue.at + lo.Q_TOP]):
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        chain = _chain(store, key, halves[at + lo.L_HEAD])
        returned = halves[at + lo.L_RETURNED]
        if returned:
            tree = _tree(store, lo.JOBS_W, returned)
            yield from merge(chain, (((key, number), slot) for number, slot in tree))
        else:
            yield from chain


def _chain(store: Store, key: int, slot: int) -> Iterator[tuple[Place, int]]:
    words, halves = store.memory.words, store.memory.halves
    while slot:
        yield (key, words[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE]), slot
        slot = halves[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT]


def _tree(store: Store, base: int, root: int) -> Iterator[tuple[int, int]]:
    """Yield the key and number of each record of a skew heap, in order."""
    words, halves = store.memory.words, store.memory.halves
    front = [(words[base + root * _HEAP_WORDS + lo.HEAP_KEY], root)] if root else []
    while front:
        key, record = heappop(front)
        yield key, record
        at = base + record * _HEAP_WORDS
        for link in (lo.HEAP_LEFT, lo.HEAP_RIGHT):
            if child := halves[2 * at + link]:
                heappush(front, (words[base + child * _HEAP_WORDS + lo.HEAP_KEY], child))


def _dead(store: Store, queue: Queue) -> Iterator[tuple[Place, int]]:
    for job_id in queue.dead.first(TURN_JOBS_MAX):
        slot = store.find(job_id)
        yield (store.word(slot, lo.J_SEQUENCE), 0), slot
