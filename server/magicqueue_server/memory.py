"""Keeping the C heap from being given back and taken again all the time.

A busy server frees and allocates megabytes a second, and glibc's default is to hand the
top of its heap back to the kernel whenever enough is free: page faults then cost as much
as the work. Large blocks likewise are mapped and unmapped singly unless told otherwise.
When very much is free and stays so, `trim_heap` gives it back (see `trimming`).
"""

import ctypes
import gc
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_TRIM_BYTES: Final = 2**30
_TOP_PAD_BYTES: Final = 16 * 2**20
_MMAP_BYTES: Final = 32 * 2**20


def tune_heap() -> bool:
    """Set glibc's malloc up for a long-running server; False where it is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = (
        (_M_TRIM_THRESHOLD, _TRIM_BYTES),
        (_M_TOP_PAD, _TOP_PAD_BYTES),
        (_M_MMAP_THRESHOLD, _MMAP_BYTES),
    )
    results = [mallopt(option, value) for option, value in settings]
    return all(results)


def trim_heap() -> bool:
    """Give back what is free of glibc's heap, but for some; False where it is not glibc."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    malloc_trim(_TOP_PAD_BYTES)
    return True


def tune_collector() -> None:
    """Keep what is there out of the cycle collector, and let it look less often.

    Jobs are not tracked by it; what it could find are rare cycles in error paths.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
