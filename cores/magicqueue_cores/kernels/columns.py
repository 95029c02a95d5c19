"""A batch of jobs as columns, for the record of a push: what Python would do job by job."""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, part


@part
def write_places(w: Words, h: Words, rows: int, count: int) -> int:
    """Write where the payloads of `count` rows start, then where they end, to scratch.

    They are halves, counted from the first payload. Gives a bit for each field of a row
    that is not the same in all of them.
    """
    first = w[rows + lo.X_DATA]
    at = 2 * lo.SCRATCH_W
    mixed = 0
    for k in range(count):
        row = rows + k * lo.ROW_WORDS
        start = w[row + lo.X_DATA] - first
        h[at + k] = start
        h[at + count + k] = start + w[row + lo.X_DATA_BYTES]
        for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
            if w[row + field] != w[rows + field]:
                mixed |= 1 << field
    return mixed
