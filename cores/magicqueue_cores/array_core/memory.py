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
"""

import mmap
from typing import Final

import numpy as np
from numpy.typing import NDArray

from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.kernels import layout as lo

_MAP_NORESERVE: Final = 0x4000
_WINDOW_WORDS: Final = 1024
_SCRATCH_KEPT_BYTES: Final = 1 << 26


class Memory:
    """The core's memory as words, halves and bytes; `state` is its first words.

    `word` and `half` are views that are quicker for single elements than the arrays.

    Raises MemoryError with a sentence that helps if the system reserves none.
    """

    __slots__ = (
        "_reserved",
        "bytes",
        "half",
        "halves",
        "scratch",
        "state",
        "word",
        "words",
    )

    def __init__(self) -> None:
        """Reserve it."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        try:
            reserved = mmap.mmap(-1, lo.MEMORY_BYTES, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryError(
                f"the array core reserves {lo.MEMORY_BYTES >> 30} GiB of virtual memory "
                f"(not of RAM), which this system refuses ({error}): allow it "
                "(vm.overcommit_memory 0 or 1, no ulimit -v) or use the python core"
            ) from None
        self._reserved = reserved
        self.bytes = memoryview(reserved)
        self.words: NDArray[np.int64] = np.frombuffer(reserved, np.int64)
        self.halves: NDArray[np.int32] = np.frombuffer(reserved, np.int32)
        self.word = self.bytes.cast("q")
        self.half = self.bytes.cast("i")
        self.state = self.bytes[: 8 * _WINDOW_WORDS].cast("q")
        scratch = 8 * lo.SCRATCH_W
        self.scratch = self.bytes[scratch : scratch + 8 * _WINDOW_WORDS].cast("q")

    def trim_scratch(self, words: int) -> None:
        """Give the system back what a verb on very many jobs took in scratch."""
        if 8 * words > _SCRATCH_KEPT_BYTES:
            self._reserved.madvise(mmap.MADV_DONTNEED, 8 * lo.SCRATCH_W, 8 * words)


def refuse_options(options: CoreOptions) -> None:
    """Raise ValueError for what the layout of the memory has no room for."""
    if options.lost_max >= lo.LOST_MAX:
        raise ValueError(f"lost_max is {options.lost_max}: the array core counts to 16,382")
    if not 0 <= options.backoff_ms_max < np.iinfo(np.uint32).max:
        raise ValueError("backoff_ms_max: the array core keeps waits of 49 days at most")
