"""Memory that is kept for later use, and how the system gets it back.

Whatever was written once stays: free segments of the arena, records of jobs that are gone,
what a verb on very many jobs left behind. Pages of it can go at any time, as nothing reads
them before it writes them, or zeros will do. Records go when there is no job at all: until
then the free ones are chained through all of them. Giving back takes some 60 ns a page, and
writing it again 1.2 µs, so who calls this has seen that it is not needed for a while.
"""

from typing import Final

from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.kernels import layout as lo

STEP_BYTES: Final = 32 << 20
_PAGE_BYTES: Final = 4096
_SHORT_LIVED: Final = ("EVENTS", "NOTES", "SCRATCH")
"""Regions that hold nothing between two calls."""


def spare_bytes(memory: Memory) -> int:
    """What `trim` would give back: segments and records. O(1)."""
    state = memory.state
    segments = state[lo.S_SEGMENTS_FREE] - state[lo.S_SEGMENTS_BARE]
    return segments * lo.SEGMENT_BYTES + _unused_slots(memory) * 8 * lo.JOB_WORDS


def trim(memory: Memory) -> bool:
    """Give back up to `STEP_BYTES` of them; if that was all, then the rest, too."""
    given = _trim_segments(memory)
    if given < STEP_BYTES:
        given += _trim_slots(memory, STEP_BYTES - given)
    if given < STEP_BYTES:
        for name in _SHORT_LIVED:
            memory.give_back(lo.REGIONS[name], lo.SIZES[name])
        if not memory.state[lo.S_DELAYED]:
            memory.give_back(lo.REGIONS["DELAY_HEAP"], lo.SIZES["DELAY_HEAP"])
    return given < STEP_BYTES


def _trim_segments(memory: Memory) -> int:
    state, words = memory.state, memory.words
    if state[lo.S_SEGMENTS_FREE] == state[lo.S_SEGMENTS_BARE]:
        return 0
    begin = lo.SEGMENTS_W + lo.A_FREE
    end = begin + (state[lo.S_SEGMENT_HIGH] + 1) * lo.SEGMENT_WORDS
    marks = words[begin : end : lo.SEGMENT_WORDS].tolist()
    free = [segment for segment, mark in enumerate(marks) if mark == lo.FREE_AND_KEPT]
    for segment in free[: STEP_BYTES // lo.SEGMENT_BYTES]:
        memory.give_back(lo.ARENA_B + segment * lo.SEGMENT_BYTES, lo.SEGMENT_BYTES)
        words[begin + segment * lo.SEGMENT_WORDS] = lo.FREE_AND_BARE
        state[lo.S_SEGMENTS_BARE] += 1
    return min(len(free) * lo.SEGMENT_BYTES, STEP_BYTES)


def _unused_slots(memory: Memory) -> int:
    """How many records were used, where none is now."""
    state = memory.state
    return 0 if state[lo.S_SLOTS_USED] else state[lo.S_SLOTS_LEFT]


def _trim_slots(memory: Memory, most_bytes: int) -> int:
    """Give back records from the last one down, whole pages."""
    last = _unused_slots(memory)
    size = (last + 1) * 8 * lo.JOB_WORDS
    keep = max(0, size - most_bytes) // _PAGE_BYTES * _PAGE_BYTES
    if last:
        memory.give_back(lo.REGIONS["JOBS"] + keep, size - keep)
        memory.state[lo.S_SLOTS_LEFT] = max(0, keep // (8 * lo.JOB_WORDS) - 1)
    return size - keep if last else 0
