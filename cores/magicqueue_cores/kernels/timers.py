"""What happens by itself: delayed jobs mature, leases end. Two 4-ary heaps.

A delayed job is an entry (run_at, id), which leaves at the top, or when its queue is
drained; `delayed` says what becomes of it if its job leaves otherwise. A lease stands for
all jobs of one pull or heartbeat; its entry is (until, lease), and it knows its place in
the heap, so it goes with its last job and nothing stale ever stays. Since most leases are
of equal length, a new one belongs at the end and the one to go is near the top: both are
cheap.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.tables import half


@inlined
def set_deadline(w: Words) -> None:
    """Note when the next thing happens by itself."""
    deadline = lo.NEVER_MS
    if w[lo.S_LEASES] != 0:
        deadline = w[lo.LEASE_HEAP_W]
    if w[lo.S_DELAYED] != 0:
        deadline = min(deadline, w[lo.DELAY_HEAP_W])
    w[lo.S_DEADLINE] = deadline


@inlined
def before(w: Words, base: int, place: int, key: int, item: int) -> bool:
    """Whether the entry at `place` comes before (key, item)."""
    mine = w[base + 2 * place]
    return mine < key or (mine == key and w[base + 2 * place + 1] < item)


@inlined
def _put_lease(w: Words, place: int, until: int, lease: int) -> None:
    w[lo.LEASE_HEAP_W + 2 * place] = until
    w[lo.LEASE_HEAP_W + 2 * place + 1] = lease
    w[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_PLACE] = place


@inlined
def _least_child(w: Words, base: int, place: int, count: int) -> int:
    """The first of an entry's children, or -1."""
    least = 4 * place + 1
    if least >= count:
        return -1
    for child in range(4 * place + 2, min(4 * place + 5, count)):
        if before(w, base, child, w[base + 2 * least], w[base + 2 * least + 1]):
            least = child
    return least


@part
def _rise_lease(w: Words, place: int, until: int, lease: int) -> None:
    while place > 0:
        parent = (place - 1) >> 2
        if before(w, lo.LEASE_HEAP_W, parent, until, lease):
            break
        at = lo.LEASE_HEAP_W + 2 * parent
        _put_lease(w, place, w[at], w[at + 1])
        place = parent
    _put_lease(w, place, until, lease)


@part
def _sink_lease(w: Words, place: int, until: int, lease: int) -> None:
    count = w[lo.S_LEASES]
    while True:
        child = _least_child(w, lo.LEASE_HEAP_W, place, count)
        if child < 0 or not before(w, lo.LEASE_HEAP_W, child, until, lease):
            break
        at = lo.LEASE_HEAP_W + 2 * child
        _put_lease(w, place, w[at], w[at + 1])
        place = child
    _put_lease(w, place, until, lease)


@part
def open_lease(w: Words, session: int, until: int) -> int:
    """Make a lease that holds nothing yet."""
    lease = w[lo.S_LEASE_FREE]
    if lease != 0:
        w[lo.S_LEASE_FREE] = w[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_NEXT]
    else:
        lease = w[lo.S_LEASE_HIGH] + 1
        w[lo.S_LEASE_HIGH] = lease
    at = lo.LEASES_W + lease * lo.LEASE_WORDS
    w[at + lo.G_UNTIL] = until
    w[at + lo.G_SESSION] = session
    w[at + lo.G_HEAD] = 0
    w[at + lo.G_COUNT] = 0
    following = w[lo.SESSIONS_W + session * lo.SESSION_WORDS + lo.N_LEASE]
    w[at + lo.G_NEXT] = following
    w[at + lo.G_PREVIOUS] = 0
    if following != 0:
        w[lo.LEASES_W + following * lo.LEASE_WORDS + lo.G_PREVIOUS] = lease
    w[lo.SESSIONS_W + session * lo.SESSION_WORDS + lo.N_LEASE] = lease
    place = w[lo.S_LEASES]
    w[lo.S_LEASES] = place + 1
    _rise_lease(w, place, until, lease)
    return lease


@part
def _close_lease(w: Words, lease: int) -> None:
    at = lo.LEASES_W + lease * lo.LEASE_WORDS
    following, previous = w[at + lo.G_NEXT], w[at + lo.G_PREVIOUS]
    if previous != 0:
        w[lo.LEASES_W + previous * lo.LEASE_WORDS + lo.G_NEXT] = following
    else:
        w[lo.SESSIONS_W + w[at + lo.G_SESSION] * lo.SESSION_WORDS + lo.N_LEASE] = following
    if following != 0:
        w[lo.LEASES_W + following * lo.LEASE_WORDS + lo.G_PREVIOUS] = previous
    place = w[at + lo.G_PLACE]
    last = w[lo.S_LEASES] - 1
    w[lo.S_LEASES] = last
    if place != last:
        until = w[lo.LEASE_HEAP_W + 2 * last]
        moved = w[lo.LEASE_HEAP_W + 2 * last + 1]
        if place > 0 and not before(w, lo.LEASE_HEAP_W, (place - 1) >> 2, until, moved):
            _rise_lease(w, place, until, moved)
        else:
            _sink_lease(w, place, until, moved)
    w[at + lo.G_NEXT] = w[lo.S_LEASE_FREE]
    w[lo.S_LEASE_FREE] = lease


@inlined
def hold(w: Words, h: Words, lease: int, slot: int) -> None:
    """Put a job under a lease."""
    at = lo.LEASES_W + lease * lo.LEASE_WORDS
    following = w[at + lo.G_HEAD]
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    h[job + lo.JH_LEASE] = lease
    h[job + lo.JH_NEXT] = following
    h[job + lo.JH_PREVIOUS] = 0
    if following != 0:
        h[lo.JOBS_H + following * lo.JOB_HALVES + lo.JH_PREVIOUS] = slot
    w[at + lo.G_HEAD] = slot
    w[at + lo.G_COUNT] += 1


@inlined
def let_go(w: Words, h: Words, slot: int) -> None:
    """Take a job from its lease, which goes with its last job."""
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    lease = half(h, job + lo.JH_LEASE)
    following, previous = half(h, job + lo.JH_NEXT), half(h, job + lo.JH_PREVIOUS)
    at = lo.LEASES_W + lease * lo.LEASE_WORDS
    if previous != 0:
        h[lo.JOBS_H + previous * lo.JOB_HALVES + lo.JH_NEXT] = following
    else:
        w[at + lo.G_HEAD] = following
    if following != 0:
        h[lo.JOBS_H + following * lo.JOB_HALVES + lo.JH_PREVIOUS] = previous
    count = w[at + lo.G_COUNT] - 1
    w[at + lo.G_COUNT] = count
    if count == 0:
        _close_lease(w, lease)


@part
def postpone_leases(w: Words, by: int) -> int:
    """Let all leases end that much later; their order stays."""
    for place in range(w[lo.S_LEASES]):
        entry = lo.LEASE_HEAP_W + 2 * place
        w[entry] += by
        w[lo.LEASES_W + w[entry + 1] * lo.LEASE_WORDS + lo.G_UNTIL] = w[entry]
    return 0


@part
def add_delayed(w: Words, run_at: int, job_id: int) -> None:
    """Let a job wait for its time."""
    place = w[lo.S_DELAYED]
    w[lo.S_DELAYED] = place + 1
    base = lo.DELAY_HEAP_W
    while place > 0:
        parent = (place - 1) >> 2
        if before(w, base, parent, run_at, job_id):
            break
        w[base + 2 * place] = w[base + 2 * parent]
        w[base + 2 * place + 1] = w[base + 2 * parent + 1]
        place = parent
    w[base + 2 * place] = run_at
    w[base + 2 * place + 1] = job_id


@part
def _sink_delayed(w: Words, place: int, run_at: int, job_id: int) -> None:
    base = lo.DELAY_HEAP_W
    count = w[lo.S_DELAYED]
    while True:
        child = _least_child(w, base, place, count)
        if child < 0 or not before(w, base, child, run_at, job_id):
            break
        w[base + 2 * place] = w[base + 2 * child]
        w[base + 2 * place + 1] = w[base + 2 * child + 1]
        place = child
    w[base + 2 * place] = run_at
    w[base + 2 * place + 1] = job_id


@part
def drop_first_delayed(w: Words) -> None:
    """Take out the first of the delayed jobs."""
    last = w[lo.S_DELAYED] - 1
    w[lo.S_DELAYED] = last
    if last > 0:
        base = lo.DELAY_HEAP_W + 2 * last
        _sink_delayed(w, 0, w[base], w[base + 1])


@part
def rebuild_delayed(w: Words, count: int) -> int:
    """Make a heap of the first `count` entries, which lie in any order."""
    w[lo.S_DELAYED] = count
    for k in range((count + 2) >> 2):
        place = ((count + 2) >> 2) - 1 - k
        base = lo.DELAY_HEAP_W + 2 * place
        _sink_delayed(w, place, w[base], w[base + 1])
    return 0
