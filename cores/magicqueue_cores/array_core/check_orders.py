"""Checks of what orders jobs: levels, leases and delays. Each adds what it finds."""

from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.kernels import layout as lo


def check_levels(store: Store, found: dict[int, int]) -> None:
    """Verify the ready order of every queue."""
    levels = 0
    for queue in store.queues.by_name.values():
        top = int(store.memory.words[queue.at + lo.Q_TOP])
        for level in _heap(store, lo.LEVELS_W, top):
            levels += 1
            _check_level(store, queue, level, found)
            if level != top:
                at = lo.LEVELS_H + level * lo.LEVEL_HALVES
                first = store.memory.halves[at + lo.L_HEAD : at + lo.L_RETURNED + 1]
                assert any(first), f"level {level} has no jobs and is not the top"
        _check_oldest(store, queue, top)
        if not store.memory.words[queue.at + lo.Q_QUEUED]:
            members = list(_heap(store, lo.LEVELS_W, top))
            assert len(members) <= 1, f"queue {queue.name!r} is empty and keeps levels"
    assert levels == store.memory.state[lo.S_LEVEL_HASH + 2], "levels miscounted"
    _check_bounds(store, found)


def _check_bounds(store: Store, found: dict[int, int]) -> None:
    """Verify the bounds on run_at of whole queues, and the heap that they are in."""
    words, bounds = store.memory.words, dict[int, int]()
    stack = [(int(store.memory.state[lo.S_OLDEST_QUEUE]), 0)]
    while stack:
        number, parent = stack.pop()
        if number:
            at = store.queues.numbered(number).at
            bounds[number] = int(words[at + lo.Q_BOUND])
            assert words[at + lo.Q_BOUND_PARENT] == parent, f"queue {number}: its parent"
            assert bounds.get(parent, 0) <= bounds[number], f"queue {number}: heap order"
            stack += [(int(words[at + lo.Q_BOUND_LEFT]), number)]
            stack += [(int(words[at + lo.Q_BOUND_RIGHT]), number)]
    for queue in store.queues.by_name.values():
        bound = int(words[queue.at + lo.Q_BOUND])
        assert bound == bounds.get(queue.number, NEVER_MS), f"queue {queue.name!r}: out"
    for slot, state in found.items():
        if state == lo.READY:
            bound = bounds.get(store.queue_of(slot).number, NEVER_MS)
            assert bound <= store.word(slot, lo.J_RUN_AT), f"record {slot}: bound too late"


def _check_level(store: Store, queue: Queue, level: int, found: dict[int, int]) -> None:
    halves, words = store.memory.halves, store.memory.words
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    key = int(words[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_KEY])
    priority = (key & 0xFFFFFFFF) - 2**31
    assert key >> 32 == queue.number, f"level {level}: another queue's key"
    turn = int(words[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.HEAP_KEY])
    assert turn == -priority, f"level {level}: its place among others"
    slot, last, sequence = int(halves[at + lo.L_HEAD]), 0, 0
    while slot:
        _check_ready(store, queue, priority, slot)
        assert store.word(slot, lo.J_SEQUENCE) > sequence, f"record {slot}: out of order"
        sequence = store.word(slot, lo.J_SEQUENCE)
        assert slot not in found, f"record {slot} is in two places"
        found[slot] = lo.READY
        before = store.field(slot, lo.JH_PREVIOUS)
        assert last in {0, before}, f"record {slot}: broken links"
        last, slot = slot, store.field(slot, lo.JH_NEXT)
    assert halves[at + lo.L_TAIL] == last, f"level {level} has a wrong end"
    for slot in _heap(store, lo.JOBS_W, int(halves[at + lo.L_RETURNED])):
        _check_ready(store, queue, priority, slot)
        marks = lo.META_RETURNED | lo.META_MOVED
        assert store.field(slot, lo.JH_META) & marks, f"record {slot}: no mark"
        assert slot not in found, f"record {slot} is in two places"
        found[slot] = lo.READY


def _check_oldest(store: Store, queue: Queue, top: int) -> None:
    """Verify the bounds on run_at: each level with jobs has one that is low enough."""
    words, halves = store.memory.words, store.memory.halves
    bounds: dict[int, int] = {}
    stack = [(int(words[queue.at + lo.Q_OLDEST]), 0)]
    while stack:
        level, parent = stack.pop()
        if not level:
            continue
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        bounds[level] = int(words[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST])
        assert halves[at + lo.L_OLDEST_PARENT] == parent, f"level {level}: its parent"
        assert bounds.get(parent, 0) <= bounds[level], f"level {level}: oldest heap order"
        stack += [(int(halves[at + lo.L_OLDEST_LEFT]), level)]
        stack += [(int(halves[at + lo.L_OLDEST_RIGHT]), level)]
    levels = _heap(store, lo.LEVELS_W, top)
    assert bounds.keys() <= set(levels), "a level that ended has a bound"
    for level in levels:
        at = lo.LEVELS_H + level * lo.LEVEL_HALVES
        bound = int(words[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST])
        assert (bound != NEVER_MS) is (level in bounds), f"level {level}: out, or not"
        slot, run_ats_ms = int(halves[at + lo.L_HEAD]), [NEVER_MS]
        run_ats_ms += [store.word(slot, lo.J_RUN_AT)] if slot else []
        for member in _heap(store, lo.JOBS_W, int(halves[at + lo.L_RETURNED])):
            run_ats_ms.append(store.word(member, lo.J_RUN_AT))
        assert bound <= min(run_ats_ms), f"level {level}: its bound is too late"


def _check_ready(store: Store, queue: Queue, priority: int, slot: int) -> None:
    assert store.queue_of(slot) is queue, f"record {slot} is ready elsewhere"
    assert store.field(slot, lo.JH_PRIORITY) == priority, f"record {slot}: wrong level"


def _heap(store: Store, base_w: int, root: int) -> list[int]:
    """The members of a skew heap, whose order is verified."""
    words, halves = store.memory.words, store.memory.halves
    members: list[int] = []
    stack = [(root, 0)] if root else []
    while stack:
        record, parent = stack.pop()
        members.append(record)
        at = base_w + record * 8
        assert halves[2 * at + lo.HEAP_PARENT] == parent, f"record {record}: its parent"
        for link in (lo.HEAP_LEFT, lo.HEAP_RIGHT):
            child = int(halves[2 * at + link])
            if child:
                below = words[base_w + child * 8 + lo.HEAP_KEY]
                assert words[at + lo.HEAP_KEY] <= below, f"record {child}: heap order"
                stack.append((child, record))
    return members


def check_leases(store: Store, found: dict[int, int]) -> None:
    """Verify leases, their heap, and the sessions that hold them."""
    words, count = store.memory.words, store.memory.state[lo.S_LEASES]
    listed = set()
    for number, index in store.sessions.items():
        lease, before = int(words[lo.SESSIONS_W + index * lo.SESSION_WORDS]), 0
        while lease:
            at = lo.LEASES_W + lease * lo.LEASE_WORDS
            assert words[at + lo.G_SESSION] == index, f"session {number}: another's lease"
            assert words[at + lo.G_PREVIOUS] == before, f"lease {lease}: broken links"
            listed.add(lease)
            before, lease = lease, int(words[at + lo.G_NEXT])
    assert len(listed) == count, f"{len(listed)} leases in sessions, counted {count}"
    for place in range(count):
        entry = lo.LEASE_HEAP_W + 2 * place
        until, lease = int(words[entry]), int(words[entry + 1])
        assert lease in listed, f"lease {lease} has no session"
        at = lo.LEASES_W + lease * lo.LEASE_WORDS
        assert words[at + lo.G_UNTIL] == until, f"lease {lease}: another time in the heap"
        assert words[at + lo.G_PLACE] == place, f"lease {lease}: wrong place"
        if place:
            above = lo.LEASE_HEAP_W + 2 * ((place - 1) // 4)
            assert words[above] <= until, f"lease {lease}: heap order"
        _check_held(store, lease, found)


def _check_held(store: Store, lease: int, found: dict[int, int]) -> None:
    at = lo.LEASES_W + lease * lo.LEASE_WORDS
    slot, before, held = int(store.memory.words[at + lo.G_HEAD]), 0, 0
    while slot:
        assert store.field(slot, lo.JH_LEASE) == lease, f"record {slot}: another lease"
        assert store.field(slot, lo.JH_PREVIOUS) == before, f"record {slot}: broken links"
        assert slot not in found, f"record {slot} is in two places"
        found[slot] = lo.ACTIVE
        held += 1
        before, slot = slot, store.field(slot, lo.JH_NEXT)
    assert store.memory.words[at + lo.G_COUNT] == held > 0, f"lease {lease} is miscounted"


def check_delays(store: Store, found: dict[int, int]) -> None:
    """Verify the heap of delayed jobs, and that its first entry is a true one."""
    words, stale = store.memory.words, 0
    count = store.memory.state[lo.S_DELAYED]
    for place in range(count):
        entry = lo.DELAY_HEAP_W + 2 * place
        run_at, job_id = int(words[entry]), int(words[entry + 1])
        slot = store.find(job_id)
        state = store.field(slot, lo.JH_META) & lo.META_STATE if slot else None
        if state != lo.DELAYED or store.word(slot, lo.J_RUN_AT) != run_at or slot in found:
            stale += 1
            assert place, f"job {job_id} is first among delays and waits no more"
        else:
            found[slot] = lo.DELAYED
        if place:
            above = lo.DELAY_HEAP_W + 2 * ((place - 1) // 4)
            first = (int(words[above]), int(words[above + 1]))
            assert first <= (run_at, job_id), f"job {job_id}: heap order"
    counted = store.memory.state[lo.S_STALE]
    assert counted == stale, f"{stale} stale entries among delays, counted {counted}"
    assert 2 * stale <= count, f"{stale} of {count} delays are stale"
