"""Between columns and rows: what Python would do job by job for batches of jobs.

Python reads and writes columns of numbers as wholes; kernels work on rows and records.
"""
# ruff: noqa: FBT001 - parts take no keywords

from magicqueue_cores.kernels import job_columns as jc
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, part


@part
def _fill_row(w: Words, row: int, start: int, size: int) -> None:
    w[row + lo.X_DATA] = lo.INPUT_B + start
    w[row + lo.X_DATA_BYTES] = size
    for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
        w[row + field] = w[lo.SCRATCH_W + field]


@part
def _fill_rows(w: Words, h: Words, count: int, apart: bool, begin: int) -> int:
    """Make rows in scratch of one row and what is behind the rows; gives the largest size.

    That is the sizes of payloads that lie end to end; or, if they lie apart, where they
    start and then where they end, as halves. The first row has the other fields of all.
    begin: where in the input the payloads begin.
    """
    behind = lo.SCRATCH_W + count * lo.ROW_WORDS
    largest = 0
    start = 0
    for k in range(count):
        if apart:
            start = h[2 * behind + k]
            size = h[2 * behind + count + k] - start
        else:
            size = w[behind + k]
        _fill_row(w, lo.SCRATCH_W + k * lo.ROW_WORDS, begin + start, size)
        start += size
        largest = max(largest, size)
    return largest


@part
def _tell_delivery(w: Words, h: Words, at: int, count: int) -> None:
    """Write what a delivery says of the job whose record is at a place of scratch."""
    slot = w[at]
    job = lo.JOBS_W + slot * lo.JOB_WORDS
    place = w[job + lo.J_BLOCK]
    start = lo.ARENA_B + 8 * (place >> lo.BLOCK_BITS) + lo.BLOCK_HEADER_BYTES
    w[at + count * jc.ID] = w[job + lo.J_ID]
    w[at + count * jc.START] = start
    w[at + count * jc.END] = start + (place & lo.BLOCK_MASK)
    w[at + count * jc.PRIORITY] = h[2 * job + lo.JH_PRIORITY]
    w[at + count * jc.CREATED] = w[job + lo.J_CREATED]
    w[at + count * jc.RUN_AT] = w[job + lo.J_RUN_AT]
    w[at + count * jc.ATTEMPTS] = h[2 * job + lo.JH_ATTEMPTS]


@part
def _tell_rest(w: Words, h: Words, at: int, count: int) -> None:
    """Write all else that is in the memory of a job; lease and place are 0 if none."""
    slot = w[at]
    job = lo.JOBS_W + slot * lo.JOB_WORDS
    block = lo.ARENA_H + 2 * (w[job + lo.J_BLOCK] >> lo.BLOCK_BITS)
    meta = h[2 * job + lo.JH_META]
    state = meta & lo.META_STATE
    active = 1 if state == lo.ACTIVE else 0
    lost = h[block + lo.B_SIZES] >> lo.B_LOST_SHIFT
    w[at + count * jc.QUEUE] = meta >> lo.META_QUEUE_SHIFT
    w[at + count * jc.STATE] = state
    w[at + count * jc.RETURNED] = 1 if meta & lo.META_RETURNED != 0 else 0
    w[at + count * jc.SEQUENCE] = 0 if state == lo.DELAYED else w[job + lo.J_SEQUENCE]
    w[at + count * jc.LOST] = lost
    w[at + count * jc.FAILURES] = h[2 * job + lo.JH_ATTEMPTS] - lost - active
    w[at + count * jc.MAX_ATTEMPTS] = h[block + lo.B_MAX_ATTEMPTS]
    backoff = h[block + lo.B_BACKOFF]
    w[at + count * jc.BACKOFF] = backoff + (1 << 32) if backoff < 0 else backoff
    w[at + count * jc.JITTER] = 1 if meta & lo.META_JITTER != 0 else 0
    w[at + count * jc.SESSION] = 0
    w[at + count * jc.UNTIL] = 0
    if active != 0:
        lease = lo.LEASES_W + h[2 * job + lo.JH_LEASE] * lo.LEASE_WORDS
        session = lo.SESSIONS_W + w[lease + lo.G_SESSION] * lo.SESSION_WORDS
        w[at + count * jc.SESSION] = w[session + lo.N_NUMBER]
        w[at + count * jc.UNTIL] = w[lease + lo.G_UNTIL]


@part
def _tell_jobs(w: Words, h: Words, count: int, whole: bool) -> int:
    """Write columns of the jobs whose records are in scratch, behind these."""
    for k in range(count):
        _tell_delivery(w, h, lo.SCRATCH_W + k, count)
        if whole:
            _tell_rest(w, h, lo.SCRATCH_W + k, count)
    return 0


@part
def turn(w: Words, h: Words, verb: int, one: int, two: int, three: int) -> int:
    """Do what `layout` calls by this number."""
    if verb == lo.V_FILL_ROWS:
        return _fill_rows(w, h, one, two != 0, three)
    return _tell_jobs(w, h, one, two != 0)
