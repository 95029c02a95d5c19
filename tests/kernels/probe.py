"""Entry points of the tests' own, into parts that no entry point shows alone."""

from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.fields import read_id, read_integer
from magicqueue_cores.kernels.jit import Memory as Flat
from magicqueue_cores.kernels.jit import as_array, bytes_of, halves_of, kernel, words_of
from magicqueue_cores.kernels.reply import write_ids, write_integer
from magicqueue_cores.kernels.scan import skip_value
from magicqueue_cores.kernels.tables import (
    chain_find,
    chain_insert,
    chain_remove,
    skew_add,
    skew_rest,
)

SKIP, INTEGER, ID, WRITE, WRITE_IDS, FIND, INSERT, REMOVE, ADD, REST = range(10)
TABLE, BUCKETS, RECORDS = lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_W


@kernel("int64(int64[::1], int64, int64, int64)")
def probe(  # noqa: C901, PLR0911 - one case a part
    memory: Flat, what: int, one: int, two: int
) -> int:
    """Run one part."""
    w, h, b = words_of(memory), halves_of(memory), bytes_of(memory)
    at = lo.INPUT_B
    out = lo.OUTPUT_B
    if what == SKIP:
        return skip_value(b, at)
    if what == INTEGER:
        return read_integer(w, b, at, one, two)
    if what == ID:
        return read_id(w, b, at)
    if what == WRITE:
        return write_integer(b, out, one) - out
    if what == WRITE_IDS:
        return write_ids(b, out, one, two) - out
    if what == FIND:
        return chain_find(w, h, TABLE, BUCKETS, RECORDS, lo.LEVEL_WORDS, one)
    if what == INSERT:
        chain_insert(w, h, TABLE, BUCKETS, RECORDS, lo.LEVEL_WORDS, one)
    elif what == REMOVE:
        chain_remove(w, h, TABLE, BUCKETS, RECORDS, lo.LEVEL_WORDS, one)
    elif what == ADD:
        return skew_add(w, h, RECORDS, one, two)
    elif what == REST:
        return skew_rest(w, h, RECORDS, one)
    return 0


class Probe:
    """A memory, and the parts run on it."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.flat = as_array(self.memory.words)

    def run(self, what: int, one: int = 0, two: int = 0) -> int:
        return int(probe(self.flat, what, one, two))

    def read(self, what: int, text: bytes, one: int = 0, two: int = 0) -> int | None:
        """Read a part of a text; gives how many bytes it is, None if it is wrong."""
        padded = text + b"\n" * 16
        self.memory.bytes[lo.INPUT_B : lo.INPUT_B + len(padded)] = padded
        end = self.run(what, one, two)
        return None if end < 0 else end - lo.INPUT_B

    def written(self, size: int) -> bytes:
        return bytes(self.memory.bytes[lo.OUTPUT_B : lo.OUTPUT_B + size])
