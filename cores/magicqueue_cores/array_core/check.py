"""Every invariant of the array core's memory, each with a name for the day it breaks.

It walks the structures as kernels do, but in Python and without trusting any count.
"""

from magicqueue_cores.array_core.check_orders import (
    check_delays,
    check_leases,
    check_levels,
)
from magicqueue_cores.array_core.queues import COUNTED
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.kernels import layout as lo

_COUNTS = {
    lo.READY: lo.Q_QUEUED,
    lo.ACTIVE: lo.Q_PROCESSING,
    lo.DELAYED: lo.Q_DELAYED,
    lo.HELD: lo.Q_HELD,
}
"""Where a queue's jobs of a state are counted."""


def check_store(store: Store) -> None:
    """Verify everything: AssertionError names the first that is broken. O(n)."""
    jobs = _indexed(store)
    found: dict[int, int] = {}
    check_levels(store, found)
    check_leases(store, found)
    check_delays(store, found)
    _check_dead(store, found)
    for slot in jobs.values():
        if store.field(slot, lo.JH_META) & lo.META_STATE == lo.HELD:
            assert slot not in found, f"held record {slot} is in an order"
            assert not store.word(slot, lo.J_SEQUENCE), f"held record {slot} has a number"
            found[slot] = lo.HELD
    assert found.keys() == set(jobs.values()), "a job is nowhere, or something is no job"
    for job_id, slot in jobs.items():
        kind = store.field(slot, lo.JH_META) & lo.META_STATE
        assert kind == found[slot], f"job {job_id} is not where its state says"
    _check_counts(store, jobs)
    _check_slots(store, len(jobs))
    marks = [store.field(slot, lo.JH_META) & lo.META_MARKED for slot in jobs.values()]
    marked = len(marks) - marks.count(0)
    assert store.memory.state[lo.S_MARKED] == marked, f"{marked} marked jobs, miscounted"
    _check_arena(store, jobs)
    _check_kept(store, jobs)
    state = store.memory.state
    deadlines = [NEVER_MS]
    if state[lo.S_LEASES]:
        deadlines.append(int(store.memory.words[lo.LEASE_HEAP_W]))
    if state[lo.S_DELAYED]:
        deadlines.append(int(store.memory.words[lo.DELAY_HEAP_W]))
    assert state[lo.S_DEADLINE] == min(deadlines), "the deadline is not the next event"


def _indexed(store: Store) -> dict[int, int]:
    """All jobs, by what the pages of the index say."""
    state, halves, words = store.memory.state, store.memory.halves, store.memory.words
    jobs: dict[int, int] = {}
    pages = 0
    for bucket in range(state[lo.S_PAGE_HASH]):
        page = int(halves[lo.PAGE_BUCKETS_H + bucket])
        while page:
            pages += 1
            key = int(words[lo.PAGES_W + page * lo.PAGE_WORDS])
            start = lo.PAGE_SLOTS_H + (page << lo.PAGE_BITS)
            slots: list[int] = halves[start : start + lo.PAGE_MASK + 1].tolist()
            held = {(key << lo.PAGE_BITS) + k: s for k, s in enumerate(slots) if s}
            count = halves[lo.PAGES_H + page * lo.PAGE_HALVES + lo.P_COUNT]
            assert len(held) == count > 0, f"page {page} of the index is miscounted"
            jobs.update(held)
            page = int(halves[lo.PAGES_H + page * lo.PAGE_HALVES + lo.CHAIN_NEXT])
    assert pages == state[lo.S_PAGE_HASH + 2], "pages of the index miscounted"
    for job_id, slot in jobs.items():
        assert store.word(slot, lo.J_ID) == job_id, f"job {job_id} has another's record"
        assert store.find(job_id) == slot, f"job {job_id} is not found"
        assert 0 < job_id < state[lo.S_NEXT_ID], f"job {job_id}: an id never given"
    return jobs


def _check_dead(store: Store, found: dict[int, int]) -> None:
    for name, queue in store.queues.by_name.items():
        assert queue.name == name, f"queue {queue.name!r} is filed under {name!r}"
        queue.dead.check()
        for job_id in queue.dead:
            slot = store.find(job_id)
            assert slot not in found, f"dead job {job_id} is in two places"
            assert store.queue_of(slot) is queue, f"job {job_id} is dead elsewhere"
            found[slot] = lo.DEAD
    dead = {store.word(slot, lo.J_ID) for slot, kind in found.items() if kind == lo.DEAD}
    assert dead == store.deaths.keys(), "a death is forgotten, or without its job"
    assert store.memory.state[lo.S_DEAD] == len(dead), "dead jobs miscounted"


def _content_bytes(store: Store, job_id: int) -> int:
    view = store.view(store.find(job_id))
    return len(view.payload) + len((view.error or "").encode(errors="surrogatepass"))


def _check_counts(store: Store, jobs: dict[int, int]) -> None:
    state, words = store.memory.state, store.memory.words
    live = len(jobs) - state[lo.S_DEAD]
    assert state[lo.S_LIVE] == live, f"{live} live jobs, counted {state[lo.S_LIVE]}"
    counts = dict.fromkeys(
        (queue.number, kind) for queue in store.queues.by_name.values() for kind in _COUNTS
    )
    tally: dict[tuple[int, int], int] = dict.fromkeys(counts, 0)
    for slot in jobs.values():
        kind = store.field(slot, lo.JH_META) & lo.META_STATE
        if kind != lo.DEAD:
            tally[store.queue_of(slot).number, kind] += 1
    for (number, kind), count in tally.items():
        queue = store.queues.numbered(number)
        counted = words[queue.at + _COUNTS[kind]]
        assert counted == count, f"queue {queue.name!r}: {count} in state {kind}, {counted}"
    active = sum(count for (_, kind), count in tally.items() if kind == lo.ACTIVE)
    assert state[lo.S_PROCESSING] == active, "active jobs miscounted in all"
    held = sum(count for (_, kind), count in tally.items() if kind == lo.HELD)
    assert state[lo.S_HELD] == held, "held jobs miscounted in all"
    _check_totals(store)


def _check_totals(store: Store) -> None:
    """Verify what all queues have together; what forgotten ones had is not here."""
    state, words, queues = store.memory.state, store.memory.words, store.queues
    queues.names.check(set(queues.by_name))
    known = queues.by_name.values()
    paused = sum(int(words[queue.at + lo.Q_PAUSED]) for queue in known)
    assert queues.paused == paused, "paused queues miscounted"
    for what in COUNTED:
        parts = sum(getattr(queue, what) for queue in known)
        assert queues.counts[what] >= parts, f"total {what} is less than its parts, {parts}"
    for total, field in (
        (lo.S_PUSHED, lo.Q_PUSHED),
        (lo.S_COMPLETED, lo.Q_COMPLETED),
        (lo.S_FAILED, lo.Q_FAILED),
        (lo.S_LOST, lo.Q_LOST),
    ):
        count = sum(int(words[queue.at + field]) for queue in known)
        assert state[total] >= count, f"total {total} is less than its parts, {count}"


def _check_slots(store: Store, used: int) -> None:
    state = store.memory.state
    assert state[lo.S_SLOTS_USED] == used, f"{used} records, {state[lo.S_SLOTS_USED]} used"
    free, slot = 0, state[lo.S_SLOT_FREE]
    while slot:
        assert store.word(slot, lo.J_ID) == 0, f"record {slot} is free and has a job"
        free += 1
        slot = store.field(slot, lo.JH_NEXT)
    assert free + used == state[lo.S_SLOT_HIGH], "records were lost"


def _check_arena(store: Store, jobs: dict[int, int]) -> None:
    state, words = store.memory.state, store.memory.words
    places: list[tuple[int, int]] = []
    payload_bytes = sum(len(payload) for payload, _ in store.large.values())
    for job_id, slot in jobs.items():
        place = store.word(slot, lo.J_BLOCK)
        size = place & lo.BLOCK_MASK
        space = lo.BLOCK_HEADER_BYTES + -(-size // 8) * 8
        places.append((8 * (place >> lo.BLOCK_BITS), space))
        payload_bytes += size
        assert store.header(slot, lo.B_JOB) == slot, f"job {job_id}: another's block"
        held = store.header(slot, lo.B_SIZES) & lo.B_BYTES_MASK
        assert held == size, f"job {job_id}: sizes differ"
    assert state[lo.S_PAYLOAD_BYTES] == payload_bytes, "payload bytes miscounted"
    places.sort()
    end = 0
    live = dict.fromkeys(range(1, state[lo.S_SEGMENT_HIGH] + 1), 0)
    for start, space in places:
        assert start >= end, "blocks overlap"
        end = start + space
        segment = start // lo.SEGMENT_BYTES
        fill = int(words[lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS + lo.A_FILL])
        if segment == state[lo.S_SEGMENT]:
            fill = state[lo.S_FILL]
        assert end - segment * lo.SEGMENT_BYTES <= fill, "a block is beyond its segment"
        live[segment] += space
    free = 0
    for segment, space in live.items():
        at = lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS
        assert words[at + lo.A_LIVE_BYTES] == space, f"segment {segment} is miscounted"
        is_free = bool(words[at + lo.A_FREE])
        free += is_free
        empty = space == 0 and segment != state[lo.S_SEGMENT]
        assert is_free is empty, f"segment {segment} is kept empty, or free and used"
    assert state[lo.S_BLOCK_BYTES] == sum(live.values()), "bytes of blocks miscounted"
    assert state[lo.S_SEGMENTS_FREE] == free, "free segments miscounted"
    mark_at = lo.SEGMENTS_W + lo.A_FREE
    marks = [int(words[mark_at + each * lo.SEGMENT_WORDS]) for each in live]
    bare = marks.count(lo.FREE_AND_BARE)
    assert state[lo.S_SEGMENTS_BARE] == bare, "segments that were given back miscounted"
    assert state[lo.S_SEGMENTS_USED] == len(live) - free, "used segments miscounted"


def _check_kept(store: Store, jobs: dict[int, int]) -> None:
    texts = sum(map(len, store.errors.values()))
    assert store.text_bytes == texts, "bytes of error texts miscounted"
    large = sum(len(payload) for payload, _ in store.large.values())
    assert store.large_bytes == large, "bytes of large payloads miscounted"
    names = [name.encode(errors="surrogatepass") for name in store.queues.by_name]
    assert store.queues.name_bytes == sum(map(len, names)), "bytes of names miscounted"
    for queue in store.queues.by_name.values():
        size = sum(_content_bytes(store, job_id) for job_id in queue.dead)
        assert queue.dead.content_bytes == size, f"queue {queue.name!r}: dead bytes"
    keeping = store.errors, store.large, store.deaths, store.counts
    for kept in keeping:
        for job_id in kept:
            assert job_id in jobs, f"something is kept for job {job_id}, which is gone"
            meta = store.field(jobs[job_id], lo.JH_META)
            assert meta & lo.META_NOTED, f"job {job_id} is not marked"
    for queue in store.queues.by_name.values():
        count = sum(owner is queue for _, owner in store.large.values())
        held = store.memory.words[queue.at + lo.Q_LARGE]
        assert held == count, f"queue {queue.name!r}: {count} large jobs, counted {held}"
