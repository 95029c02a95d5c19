"""What happens to jobs: pushed, pulled, settled, failed, lost. All state changes here.

A function gets record numbers of jobs that are in the state it needs; who calls it has
looked. Scratch rows and items are how batches come in: see `layout`.
"""
# ruff: noqa: FBT001 - parts take no keywords
# ruff: noqa: PLR0913, PLR0917 - there are no structs to pass

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import (
    allocate_block,
    copy_bytes,
    free_block,
)
from magicqueue_cores.kernels.index import find_job, index_job, unindex_job
from magicqueue_cores.kernels.jit import Words, inlined, part, prefetch
from magicqueue_cores.kernels.ready import (
    append_ready,
    drop_ready,
    first_ready,
    free_slot,
    take_ready,
)
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import add_delayed, hold, let_go


@inlined
def queue_of(h: Words, slot: int) -> int:
    """The job's queue."""
    return half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) >> lo.META_QUEUE_SHIFT


@inlined
def state_of(h: Words, slot: int) -> int:
    """The job's state."""
    return half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_STATE


@inlined
def set_state(h: Words, slot: int, state: int) -> None:
    """Put a state, and the flags that go with it, in the place of the old."""
    at = lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META
    h[at] = (half(h, at) & ~(lo.META_STATE | lo.META_RETURNED | lo.META_MOVED)) | state


@inlined
def block_of(w: Words, slot: int) -> int:
    """The job's block."""
    return w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] >> lo.BLOCK_BITS


@inlined
def payload_bytes_of(w: Words, slot: int) -> int:
    """The size of a payload in the arena."""
    return w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] & lo.BLOCK_MASK


@inlined
def lost_of(w: Words, h: Words, slot: int) -> int:
    """How often the job was lost."""
    return half(h, lo.ARENA_H + 2 * block_of(w, slot) + lo.B_SIZES) >> lo.B_LOST_SHIFT


@inlined
def max_attempts_of(w: Words, h: Words, slot: int) -> int:
    """How many failures the job may have; 0 is no limit."""
    return half(h, lo.ARENA_H + 2 * block_of(w, slot) + lo.B_MAX_ATTEMPTS)


@inlined
def dies_of_failure(w: Words, h: Words, slot: int) -> bool:
    """Whether one more failure of an active job is the last it may have."""
    most = max_attempts_of(w, h, slot)
    attempts = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_ATTEMPTS)
    return most > 0 and attempts - lost_of(w, h, slot) >= most


@inlined
def is_heavy(w: Words, h: Words, slot: int) -> bool:
    """Whether Python counts the job's failures and losses, or shall from now on."""
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    if half(h, job + lo.JH_META) & lo.META_COUNTED != 0:
        return True
    attempts = half(h, job + lo.JH_ATTEMPTS)
    return attempts >= lo.HEAVY_ATTEMPTS or lost_of(w, h, slot) == lo.LOST_MAX


@inlined
def note(w: Words, job_id: int, at: int, size: int) -> None:
    """Tell Python something about a job for which it keeps, or shall keep, something."""
    place = lo.NOTES_W + w[lo.S_NOTES] * lo.NOTE_WORDS
    w[place] = job_id
    w[place + 1] = at
    w[place + 2] = size
    w[lo.S_NOTES] += 1


@part
def note_if_heavy(w: Words, h: Words, slot: int, kind: int) -> None:
    """Tell Python of a failure or loss of a heavy job."""
    if is_heavy(w, h, slot):
        h[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= lo.META_NOTED
        note(w, w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID], kind, 0)


@inlined
def new_slot(w: Words, h: Words) -> int:
    """Take a job's record."""
    w[lo.S_SLOTS_USED] += 1
    slot = w[lo.S_SLOT_FREE]
    if slot != 0:
        w[lo.S_SLOT_FREE] = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT)
        return slot
    slot = w[lo.S_SLOT_HIGH] + 1
    w[lo.S_SLOT_HIGH] = slot
    return slot


@inlined
def store_row(w: Words, h: Words, b: Words, row: int, slot: int, queue: int) -> int:
    """Fill a record and its block from a scratch row; gives the payload's size."""
    size = w[row + lo.X_DATA_BYTES]
    block = allocate_block(w, size)
    header = lo.ARENA_H + 2 * block
    retry = w[row + lo.X_BACKOFF]
    h[header + lo.B_JOB] = slot
    h[header + lo.B_SIZES] = size
    h[header + lo.B_MAX_ATTEMPTS] = w[row + lo.X_MAX_ATTEMPTS]
    h[header + lo.B_BACKOFF] = (retry & 0xFFFFFFFF) - ((retry & 0x80000000) << 1)
    copy_bytes(b, lo.ARENA_B + 8 * block + lo.BLOCK_HEADER_BYTES, w[row + lo.X_DATA], size)
    at = lo.JOBS_W + slot * lo.JOB_WORDS
    w[at + lo.J_BLOCK] = block << lo.BLOCK_BITS | size
    w[at + lo.J_RUN_AT] = w[row + lo.X_RUN_AT]
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    h[job + lo.JH_PRIORITY] = w[row + lo.X_PRIORITY]
    h[job + lo.JH_ATTEMPTS] = 0
    jitter = lo.META_JITTER if retry >> lo.X_JITTER_BIT != 0 else 0
    h[job + lo.JH_META] = queue << lo.META_QUEUE_SHIFT | jitter
    return size


@inlined
def add_jobs(
    w: Words, h: Words, b: Words, queue: int, rows: int, count: int, now: int
) -> int:
    """Store rows as new jobs; gives the first id."""
    first_id = w[lo.S_NEXT_ID]
    total = 0
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    largest = w[at + lo.Q_PAYLOAD_MAX]
    for k in range(count):
        row = rows + k * lo.ROW_WORDS
        slot = new_slot(w, h)
        size = store_row(w, h, b, row, slot, queue)
        total += size
        largest = max(largest, size)
        job_id = first_id + k
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID] = job_id
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_CREATED] = now
        index_job(w, h, job_id, slot)
        if w[row + lo.X_RUN_AT] <= now:
            append_ready(w, h, queue, slot, w[row + lo.X_PRIORITY])
        else:
            set_state(h, slot, lo.DELAYED)
            add_delayed(w, w[row + lo.X_RUN_AT], job_id)
            w[at + lo.Q_DELAYED] += 1
    w[at + lo.Q_PAYLOAD_MAX] = largest
    w[at + lo.Q_PUSHED] += count
    w[lo.S_PUSHED] += count
    w[lo.S_NEXT_ID] = first_id + count
    w[lo.S_LIVE] += count
    w[lo.S_PAYLOAD_BYTES] += total
    return first_id


@inlined
def lend_one(w: Words, h: Words, slot: int, lease: int) -> None:
    """A ready job, taken out of its order, is put under a lease."""
    hold(w, h, lease, slot)
    at = lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_ATTEMPTS
    h[at] = min(half(h, at), lo.COUNT_MAX - 1) + 1
    set_state(h, slot, lo.ACTIVE)
    w[lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS + lo.Q_PROCESSING] += 1
    w[lo.S_PROCESSING] += 1


@inlined
def lend(w: Words, h: Words, queue: int, count: int, bytes_max: int, lease: int) -> int:
    """Put up to `count` jobs under a lease; gives how many, their records in scratch.

    S_LENT_FLAGS gets all their flags.
    """
    taken = 0
    flags = 0
    while taken < count:
        slot = first_ready(w, h, queue)
        if slot == 0:
            break
        place = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK]
        bytes_max -= place & lo.BLOCK_MASK
        if bytes_max < 0 and taken > 0:
            break
        drop_ready(w, h, queue, slot)
        following = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_NEXT)
        prefetch(w, lo.JOBS_W + following * lo.JOB_WORDS)
        block = lo.ARENA_W + (place >> lo.BLOCK_BITS)
        prefetch(w, block)
        prefetch(w, block + 8)
        lend_one(w, h, slot, lease)
        flags |= half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
        w[lo.SCRATCH_W + taken] = slot
        taken += 1
    w[lo.S_LENT_FLAGS] = flags
    sweep(w, h, queue)
    return taken


@inlined
def sweep(w: Words, h: Words, queue: int) -> None:
    """Let a queue without ready jobs lose its levels and its memory of sizes."""
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    if w[at + lo.Q_QUEUED] == 0:
        first_ready(w, h, queue)
        if w[at + lo.Q_PROCESSING] + w[at + lo.Q_DELAYED] + w[at + lo.Q_HELD] == 0:
            w[at + lo.Q_PAYLOAD_MAX] = 0


@inlined
def _empty(w: Words, h: Words, slot: int) -> None:
    """A job is gone: id, payload, what Python keeps, and its mark; not its record."""
    job_id = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID]
    size = payload_bytes_of(w, slot)
    free_block(w, block_of(w, slot), size)
    unindex_job(w, h, job_id)
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] = 0
    w[lo.S_PAYLOAD_BYTES] -= size
    meta = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META)
    if meta & (lo.META_NOTED | lo.META_MARKED) != 0:
        if meta & lo.META_MARKED != 0:
            w[lo.S_MARKED] -= 1
        if meta & lo.META_NOTED != 0:
            note(w, job_id, lo.NOTE_SETTLED, 0)


@inlined
def finish(w: Words, h: Words, slot: int) -> None:
    """An active job is done."""
    at = lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS
    let_go(w, h, slot)
    w[at + lo.Q_PROCESSING] -= 1
    w[lo.S_PROCESSING] -= 1
    w[at + lo.Q_COMPLETED] += 1
    w[lo.S_COMPLETED] += 1
    w[lo.S_LIVE] -= 1
    _empty(w, h, slot)
    free_slot(w, h, slot)


@part
def finish_returned(w: Words, h: Words, slot: int) -> None:
    """A job that came back and was not handed out again is done. O(log n) amortised."""
    queue = queue_of(h, slot)
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    w[at + lo.Q_COMPLETED] += 1
    w[lo.S_COMPLETED] += 1
    w[lo.S_LIVE] -= 1
    if state_of(h, slot) == lo.HELD:
        w[at + lo.Q_HELD] -= 1
        w[lo.S_HELD] -= 1
    else:
        take_ready(w, h, queue, slot)
    _empty(w, h, slot)
    free_slot(w, h, slot)
    sweep(w, h, queue)


@part
def remove(w: Words, h: Words, slot: int) -> None:
    """A job that is in no order (dead, or taken out of its order) is gone."""
    if state_of(h, slot) == lo.DEAD:
        w[lo.S_DEAD] -= 1
    else:
        w[lo.S_LIVE] -= 1
    _empty(w, h, slot)
    free_slot(w, h, slot)


@inlined
def find_for_verdict(w: Words, h: Words, job_id: int, attempt: int, returned: bool) -> int:
    """The job that a verdict is about, or 0 if it is missing.

    returned: whether a job that came back will do, if the attempt is its last.
    """
    slot = find_job(w, h, job_id)
    if slot == 0:
        return slot
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    if attempt != 0 and attempt != half(h, job + lo.JH_ATTEMPTS):
        return 0
    meta = half(h, job + lo.JH_META)
    if meta & lo.META_STATE == lo.ACTIVE:
        return slot
    if returned and attempt != 0 and meta & lo.META_RETURNED != 0:
        return slot
    return 0


@part
def mature(w: Words, h: Words, slot: int) -> None:
    """A delayed job, taken out of its order, becomes ready."""
    queue = queue_of(h, slot)
    w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_DELAYED] -= 1
    set_state(h, slot, lo.READY)
    append_ready(
        w, h, queue, slot, half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PRIORITY)
    )
