"""The contract's verbs, as far as they touch many jobs: one entry point, `act`.

Each is what Python needs to decide and record a verb: batches come and go through the
scratch region. One entry point for all keeps the time to compile them short.
"""
# ruff: noqa: FBT003 - parts take no keywords
# ruff: noqa: C901, PLR0911, PLR0912 - flat lists of cases

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import compact, sprawls
from magicqueue_cores.kernels.bounds import has_room, taken_bytes
from magicqueue_cores.kernels.browsing import look
from magicqueue_cores.kernels.columns import turn
from magicqueue_cores.kernels.delayed import drop_stale, sweep_delayed, tidy_delayed
from magicqueue_cores.kernels.draining import drain
from magicqueue_cores.kernels.holding import act_on_held
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import (
    Memory,
    Words,
    bytes_of,
    halves_of,
    kernel,
    part,
    words_of,
)
from magicqueue_cores.kernels.jobs import (
    add_jobs,
    find_for_verdict,
    lend,
    lend_one,
    mature,
    queue_of,
    sweep,
)
from magicqueue_cores.kernels.leaving import choose_many, mark_many, replace
from magicqueue_cores.kernels.many import (
    change_many,
    judge,
    lose_many,
    release_many,
    retry_many,
)
from magicqueue_cores.kernels.names import hash_name
from magicqueue_cores.kernels.oldest import correct_oldest
from magicqueue_cores.kernels.oldest_queue import forget_bound, set_bound
from magicqueue_cores.kernels.ready import (
    drop_all_levels,
    first_ready,
)
from magicqueue_cores.kernels.replayed import (
    expect_many,
    lease_many,
    settle_many,
    take_delayed_many,
    take_waiting_many,
)
from magicqueue_cores.kernels.restore import find_many, restore_many
from magicqueue_cores.kernels.tables import (
    chain_insert,
    chain_remove,
    half,
)
from magicqueue_cores.kernels.timers import (
    drop_first_delayed,
    open_lease,
    postpone_leases,
    rebuild_delayed,
    set_deadline,
)
from magicqueue_cores.kernels.verdicts import extend_lease, settle


@part
def _push(w: Words, h: Words, b: Words, queue: int, count: int, now: int) -> int:
    """Store the scratch rows; gives the first id, or -1 if a bound forbids it."""
    total = 0
    for k in range(count):
        total += w[lo.SCRATCH_W + k * lo.ROW_WORDS + lo.X_DATA_BYTES]
    if not has_room(w, count, total):
        return -1
    return add_jobs(w, h, b, queue, lo.SCRATCH_W, count, now)


@part
def _pull(w: Words, h: Words, queue: int, count: int, session: int) -> int:
    """Lend jobs until A_UNTIL, of A_BYTES_MAX bytes at most; records in scratch."""
    if w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_QUEUED] == 0:
        return 0
    lease = open_lease(w, session, w[lo.A_UNTIL])
    return lend(w, h, queue, count, w[lo.A_BYTES_MAX], lease)


@part
def _outcome(w: Words, h: Words, item: int, slot: int) -> int:
    """What to say of a verdict for which `slot` was found."""
    if slot != 0:
        return lo.DONE
    job = find_job(w, h, w[item + lo.I_ID])
    attempt = w[item + lo.I_ATTEMPT]
    if job == 0 or attempt <= 0:
        return lo.MISSING
    last = half(h, lo.JOBS_H + job * lo.JOB_HALVES + lo.JH_ATTEMPTS)
    return lo.STALE if attempt < last else lo.MISSING


@part
def _ack(w: Words, h: Words, count: int) -> int:
    """Settle the scratch items; I_ERROR of each becomes its outcome."""
    for k in range(count):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        slot = find_for_verdict(w, h, w[item + lo.I_ID], w[item + lo.I_ATTEMPT], True)
        w[item + lo.I_ERROR] = _outcome(w, h, item, slot)
        if slot != 0:
            settle(w, h, slot)
    return 0


@part
def _heartbeat(w: Words, h: Words, count: int, until: int) -> int:
    """Extend the leases of the scratch items; I_ERROR of each becomes its outcome."""
    lease = 0
    for k in range(count):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        slot = find_for_verdict(w, h, w[item + lo.I_ID], w[item + lo.I_ATTEMPT], False)
        w[item + lo.I_ERROR] = _outcome(w, h, item, slot)
        if slot != 0:
            lease = extend_lease(w, h, slot, lease, until)
    return 0


@part
def _mature_due(w: Words, h: Words, now: int, most: int) -> int:
    """Let up to `most` due jobs become ready; ids and queues in scratch; how many."""
    count = 0
    while count < most and w[lo.S_DELAYED] != 0 and w[lo.DELAY_HEAP_W] <= now:
        job_id = w[lo.DELAY_HEAP_W + 1]
        drop_first_delayed(w)
        slot = find_job(w, h, job_id)
        mature(w, h, slot)
        w[lo.SCRATCH_W + 2 * count] = job_id
        w[lo.SCRATCH_W + 2 * count + 1] = queue_of(h, slot)
        count += 1
        if w[lo.S_STALE] != 0:
            drop_stale(w, h)
    return count


@part
def _list_lease(w: Words, h: Words, lease: int, count: int) -> int:
    """Add the ids under a lease to those in scratch; gives how many there are then."""
    slot = w[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_HEAD]
    while slot != 0:
        w[lo.SCRATCH_W + count] = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
        count += 1
        slot = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT)
    return count


@part
def _due_leases(w: Words, h: Words, now: int, most: int) -> int:
    """List the jobs of leases that ended, looked for from the top of their heap.

    No lease is begun once there are `most` jobs.
    """
    count = 0
    stack = lo.EVENTS_W
    depth = 0
    if w[lo.S_LEASES] != 0 and w[lo.LEASE_HEAP_W] <= now:
        w[stack] = 0
        depth = 1
    while depth > 0 and count < most:
        depth -= 1
        place = w[stack + depth]
        count = _list_lease(w, h, w[lo.LEASE_HEAP_W + 2 * place + 1], count)
        for child in range(4 * place + 1, min(4 * place + 5, w[lo.S_LEASES])):
            if w[lo.LEASE_HEAP_W + 2 * child] <= now:
                w[stack + depth] = child
                depth += 1
    return count


@part
def _session_jobs(w: Words, h: Words, session: int, most: int) -> int:
    """List the jobs that a session holds; no lease is begun once there are `most`."""
    count = 0
    lease = w[lo.SESSIONS_W + session * lo.SESSION_WORDS + lo.N_LEASE]
    while lease != 0 and count < most:
        count = _list_lease(w, h, lease, count)
        lease = w[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_NEXT]
    return count


@part
def _level_oldest(w: Words, h: Words, level: int) -> int:
    """The earliest run_at in a level, or NEVER_MS. Returned jobs are in ready order."""
    oldest = lo.NEVER_MS
    at = lo.LEVELS_H + level * lo.LEVEL_HALVES
    head = half(h, at + lo.L_HEAD)
    if head != 0:
        oldest = w[lo.JOBS_W + head * lo.JOB_WORDS + lo.J_RUN_AT]
    returned = half(h, at + lo.L_RETURNED)
    if returned != 0:
        oldest = min(oldest, w[lo.JOBS_W + returned * lo.JOB_WORDS + lo.J_RUN_AT])
    return oldest


@part
def _oldest(w: Words, h: Words, queue: int) -> int:
    """The earliest run_at of a queue's ready jobs, or NEVER_MS. O(log p) amortised.

    It also counts in A_LEVELS how many levels it looked at.
    """
    w[lo.A_LEVELS] = 0
    while True:
        level = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_OLDEST]
        if level == 0:
            return lo.NEVER_MS
        w[lo.A_LEVELS] += 1
        run_at = _level_oldest(w, h, level)
        if run_at <= w[lo.LEVELS_W + level * lo.LEVEL_WORDS + lo.L_OLDEST]:
            return run_at
        correct_oldest(w, h, queue, level, run_at)


@part
def _oldest_of_all(w: Words, h: Words) -> int:
    """The earliest run_at of all ready jobs, or NEVER_MS. O(log q) amortised."""
    while True:
        queue = w[lo.S_OLDEST_QUEUE]
        if queue == 0:
            return lo.NEVER_MS
        at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
        run_at = lo.NEVER_MS
        if w[at + lo.Q_QUEUED] != 0:
            run_at = _oldest(w, h, queue)
        if run_at <= w[at + lo.Q_BOUND]:
            return run_at
        set_bound(w, queue, run_at)


@part
def _add_queue(w: Words, h: Words, b: Words, queue: int) -> int:
    """Make a queue, whose name is written, known to requests; without a name it is not.

    All queues without one would have the same number, and make one long chain.
    """
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_BOUND] = lo.NEVER_MS
    if w[at + lo.Q_NAME_BYTES] == 0:
        return 0
    name = lo.QUEUES_B + 8 * queue * lo.QUEUE_WORDS + lo.Q_NAME_AT
    w[at + lo.Q_HASH] = hash_name(w, b, name, w[at + lo.Q_NAME_BYTES])
    table, buckets = lo.S_QUEUE_HASH, lo.QUEUE_BUCKETS_H
    chain_insert(w, h, table, buckets, lo.QUEUES_W, lo.QUEUE_WORDS, queue)
    return 0


@part
def _drop_queue(w: Words, h: Words, queue: int) -> int:
    """Forget a queue that has no jobs."""
    drop_all_levels(w, h, queue)
    forget_bound(w, queue)
    table, buckets = lo.S_QUEUE_HASH, lo.QUEUE_BUCKETS_H
    if w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_NAME_BYTES] != 0:
        chain_remove(w, h, table, buckets, lo.QUEUES_W, lo.QUEUE_WORDS, queue)
    for k in range(lo.Q_NAME_AT // 8):
        w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + k] = 0
    if w[lo.R_QUEUE] == queue:
        w[lo.R_QUEUE] = 0
    return 0


@part
def _lend(w: Words, h: Words, slot: int, lease: int) -> int:
    """Put a job that is in no order under a lease."""
    lend_one(w, h, slot, lease)
    sweep(w, h, queue_of(h, slot))
    return 0


@part
def _act_on_many(w: Words, h: Words, verb: int, count: int, two: int, three: int) -> int:
    """Verbs on what is in scratch."""
    if verb == lo.V_LOSE_MANY:
        return lose_many(w, h, count, two)
    if verb == lo.V_FIND_MANY:
        return find_many(w, h, count)
    if verb == lo.V_RETRY_MANY:
        return retry_many(w, h, count, two)
    if verb == lo.V_RELEASE_MANY:
        return release_many(w, h, count, two)
    if verb == lo.V_EXPECT_MANY:
        return expect_many(w, h, count, two)
    if verb == lo.V_LEASE_MANY:
        return lease_many(w, h, count, two, three)
    if verb == lo.V_SETTLE_MANY:
        return settle_many(w, h, count)
    return take_delayed_many(w, h, count)


@part
def _act_on_queue(w: Words, h: Words, b: Words, verb: int, queue: int) -> int:
    """Verbs on one queue."""
    if verb == lo.V_OLDEST:
        return _oldest(w, h, queue)
    if verb == lo.V_ADD_QUEUE:
        return _add_queue(w, h, b, queue)
    if verb == lo.V_DROP_QUEUE:
        return _drop_queue(w, h, queue)
    return first_ready(w, h, queue)


@part
def _act_by_id(w: Words, h: Words, b: Words, verb: int, one: int, two: int) -> int:
    """Verbs on jobs wherever they are."""
    if verb == lo.V_TAKE_WAITING_MANY:
        return take_waiting_many(w, h, one)
    if verb == lo.V_CHOOSE_MANY:
        return choose_many(w, h, one, two)
    if verb == lo.V_MARK_MANY:
        return mark_many(w, h, one, two)
    if verb == lo.V_REPLACE:
        return replace(w, h, b, one, two)
    return sweep_delayed(w, h)


@kernel("int64(int64[::1], int64, int64, int64, int64)")
def act(memory: Memory, verb: int, one: int, two: int, three: int) -> int:
    """Do the part of a verb that `layout` calls by this number."""
    w, h, b = words_of(memory), halves_of(memory), bytes_of(memory)
    if verb <= lo.V_FILL_ROWS:
        return turn(w, h, verb, one, two, three)
    w[lo.S_NOTES] = 0
    if verb == lo.V_FIND:
        return find_job(w, h, one)
    if verb == lo.V_JUDGE:
        return judge(w, h, one, two)
    if verb == lo.V_MEMORY_BYTES:
        return taken_bytes(w)
    if verb == lo.V_OLDEST_OF_ALL:
        return _oldest_of_all(w, h)
    if verb >= lo.V_SCAN_IDS:
        return look(w, h, verb, one, two, three)
    if verb >= lo.V_PUSH_HELD:
        result = act_on_held(w, h, b, verb, one, two, three)
    elif verb >= lo.V_TAKE_WAITING_MANY:
        result = _act_by_id(w, h, b, verb, one, two)
    elif verb == lo.V_DRAIN:
        result = drain(w, h, one, two, three)
    elif verb > lo.V_DRAIN:
        result = _act_on_queue(w, h, b, verb, one)
    elif verb >= lo.V_MATURE_MANY:
        result = change_many(w, h, verb, one, two)
    elif verb == lo.V_LEND:
        result = _lend(w, h, one, two)
    elif verb == lo.V_REBUILD_DELAYED:
        result = rebuild_delayed(w, one)
    elif verb == lo.V_POSTPONE:
        result = postpone_leases(w, one)
    elif verb == lo.V_RESTORE:
        result = restore_many(w, h, b, one)
    elif verb >= lo.V_LOSE_MANY:
        result = _act_on_many(w, h, verb, one, two, three)
    elif verb == lo.V_PUSH:
        result = _push(w, h, b, one, two, three)
    elif verb == lo.V_PULL:
        result = _pull(w, h, one, two, three)
    elif verb == lo.V_ACK:
        result = _ack(w, h, one)
    elif verb == lo.V_HEARTBEAT:
        result = _heartbeat(w, h, one, two)
    elif verb == lo.V_MATURE_DUE:
        result = _mature_due(w, h, one, two)
    elif verb == lo.V_DUE_LEASES:
        result = _due_leases(w, h, one, two)
    elif verb == lo.V_SESSION_JOBS:
        result = _session_jobs(w, h, one, two)
    else:
        result = open_lease(w, one, two)
    tidy_delayed(w, h)
    set_deadline(w)
    if sprawls(w):
        compact(w, h, b)
    return result
