"""One reservation of virtual memory, and how Python looks at it.

The reservation is far larger than any machine's memory, so that no table ever has to grow
or move: only pages that were written take space (MAP_NORESERVE). Where the system keeps
account of every reservation (vm.overcommit_memory=2, `ulimit -v`) there is none to have,
and the core cannot run.

A page costs about 1.2 µs when it is first written (some 30 ns a small job), and nothing
when it is used again. Two ways around that were measured and left. Huge pages: fewer
faults, but each as long as it takes to clear 2 MiB, and pauses while the system makes
some. MADV_POPULATE_WRITE in steps ahead of use: a tenth less a page, as clearing the
page is nearly all of it, and steps of up to 8 ms.

Python looks at it through memoryviews, which the standard library has and which are
quicker than arrays for single elements; so numpy is only needed where numba is.
"""

import gc
import mmap
from array import array
from collections.abc import Sequence
from typing import Final

from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import as_entry_takes_it

_MAP_NORESERVE: Final = 0x4000
_WINDOW_WORDS: Final = 1024
_SCRATCH_KEPT_BYTES: Final = 1 << 26
_LOADED_BYTES_MAX: Final = 1 << 20
_APART_BYTES: Final = 16
"""What kernels may read behind a line."""
_UINT32_MAX: Final = 2**32 - 1


class Memory:
    """The core's memory as words, halves and bytes; `state` is its first words.

    `flat` is the same as kernels take it. Raises MemoryError with a sentence that helps
    if the system reserves none.
    """

    __slots__ = (
        "_reserved",
        "bytes",
        "flat",
        "halves",
        "loaded",
        "loaded_start",
        "loaded_stop",
        "scratch",
        "state",
        "words",
    )

    def __init__(self) -> None:
        """Reserve it."""
        try:
            try:
                reserved = _reserve()
            except OSError:
                gc.collect()  # cores that are gone but for a circle with their observer
                reserved = _reserve()
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryError(
                f"the array core reserves {lo.MEMORY_BYTES >> 30} GiB of virtual memory "
                f"(not of RAM), which this system refuses ({error}): allow it "
                "(vm.overcommit_memory 0 or 1, no ulimit -v) or use the python core"
            ) from None
        self._reserved = reserved
        self.bytes = memoryview(reserved)
        self.words = self.bytes.cast("q")
        self.halves = self.bytes.cast("i")
        self.flat = as_entry_takes_it(self.words)
        self.state = self.bytes[: 8 * _WINDOW_WORDS].cast("q")
        scratch = 8 * lo.SCRATCH_W
        self.scratch = self.bytes[scratch : scratch + 8 * _WINDOW_WORDS].cast("q")
        self.loaded: bytes | None = None
        """The lines of which the part from `loaded_start` to `loaded_stop` is the input."""
        self.loaded_start = self.loaded_stop = 0

    def load_lines(self, lines: bytes, start: int, stop: int) -> None:
        """Make `lines[start:stop]` the input, to be known again unless they are long."""
        place = lo.INPUT_B
        self.bytes[place : place + stop - start] = memoryview(lines)[start:stop]
        self.loaded = lines if len(lines) <= _LOADED_BYTES_MAX else None
        self.loaded_start, self.loaded_stop = start, stop

    def holds(self, start: int, stop: int) -> bool:
        """Whether this part of the loaded lines is the input."""
        return self.loaded_start <= start and stop <= self.loaded_stop

    def load(self, payloads: bytes | memoryview) -> int:
        """Put payloads into the input; gives where they begin in it.

        That is behind lines that are known, so that these need not be copied again when
        one of them has been taken the common way; or in their place, if there is no room.
        """
        begin, size = 0, len(payloads)
        if self.loaded is not None:
            begin = self.loaded_stop - self.loaded_start + _APART_BYTES
            if begin + size > lo.INPUT_BYTES_MAX:
                self.loaded, begin = None, 0
        self.bytes[lo.INPUT_B + begin : lo.INPUT_B + begin + size] = payloads
        return begin

    def trim_scratch(self, words: int) -> None:
        """Give the system back what a verb on very many jobs took in scratch."""
        if 8 * words > _SCRATCH_KEPT_BYTES:
            self.give_back(8 * lo.SCRATCH_W, 8 * words)

    def give_back(self, start: int, size: int) -> None:
        """Let the system have the pages of a part of it, which then reads as zeros."""
        self._reserved.madvise(mmap.MADV_DONTNEED, start, size)

    def write_column(
        self, field: int, width: int, count: int, values: int | Sequence[int]
    ) -> None:
        """Set one field of each of `count` rows in scratch: to one value, or one each."""
        start = lo.SCRATCH_W + field
        column: array[int] | memoryview
        if isinstance(values, int):
            column = array("q", (values,)) * count
        elif isinstance(values, memoryview) and values.format == "q":
            column = values
        else:
            column = array("q", values)
        self.words[start : start + count * width : width] = column


def _reserve() -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    return mmap.mmap(-1, lo.MEMORY_BYTES, flags=flags)


def refuse_options(options: CoreOptions) -> None:
    """Raise ValueError for what the layout of the memory has no room for."""
    if options.lost_max >= lo.LOST_MAX:
        raise ValueError(f"lost_max is {options.lost_max}: the array core counts to 16,382")
    if not 0 <= options.backoff_ms_max < _UINT32_MAX:
        raise ValueError("backoff_ms_max: the array core keeps waits of 49 days at most")
