"""Between columns and rows: what Python would do job by job for batches of jobs.

Python reads and writes columns of numbers as wholes; kernels work on rows and records.
"""
# ruff: noqa: FBT001 - parts take no keywords

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, part


@part
def _fill_row(w: Words, row: int, start: int, size: int) -> None:
    w[row + lo.X_DATA] = lo.INPUT_B + start
    w[row + lo.X_DATA_BYTES] = size
    for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
        w[row + field] = w[lo.SCRATCH_W + field]


@part
def _fill_rows(w: Words, h: Words, count: int, apart: bool) -> int:
    """Make rows in scratch of one row and what is behind the rows; gives the largest size.

    That is the sizes of payloads that lie end to end; or, if they lie apart, where they
    start and then where they end, as halves. The first row has the other fields of all.
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
        _fill_row(w, lo.SCRATCH_W + k * lo.ROW_WORDS, start, size)
        start += size
        largest = max(largest, size)
    return largest


@part
def _tell_jobs(w: Words, h: Words, count: int) -> int:
    """Write columns of the jobs whose records are in scratch, behind these."""
    for k in range(count):
        at = lo.SCRATCH_W + k
        slot = w[at]
        job = lo.JOBS_W + slot * lo.JOB_WORDS
        place = w[job + lo.J_BLOCK]
        start = lo.ARENA_B + 8 * (place >> lo.BLOCK_BITS) + lo.BLOCK_HEADER_BYTES
        w[at + count * lo.D_ID] = w[job + lo.J_ID]
        w[at + count * lo.D_START] = start
        w[at + count * lo.D_END] = start + (place & lo.BLOCK_MASK)
        w[at + count * lo.D_PRIORITY] = h[2 * job + lo.JH_PRIORITY]
        w[at + count * lo.D_CREATED] = w[job + lo.J_CREATED]
        w[at + count * lo.D_RUN_AT] = w[job + lo.J_RUN_AT]
        w[at + count * lo.D_ATTEMPTS] = h[2 * job + lo.JH_ATTEMPTS]
    return 0


@part
def turn(w: Words, h: Words, verb: int, one: int, two: int) -> int:
    """Do what `layout` calls by this number."""
    if verb == lo.V_FILL_ROWS:
        return _fill_rows(w, h, one, two != 0)
    return _tell_jobs(w, h, one)
