"""Where payloads lie: blocks in segments of 1 MiB, filled from the start.

A segment whose last block goes is used again. Long-lived jobs would keep nearly empty
segments alive, so when the segments take more than four times what is in them (and 32
MiB), blocks of sparse segments are moved together, some thousand a call: no call is long,
and each byte is moved a few times at most before memory is four times larger again.

A block starts with a header (its job, sizes, what is rarely needed of the job), so a
segment can be walked; a block is dead when the job it names does not name it.
"""

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, copy16, inlined, part
from magicqueue_cores.kernels.tables import half

SPARE_BYTES: Final = 32 << 20
SPREAD_MAX: Final = 4
_LOOK_SEGMENTS_MAX: Final = 64
_MOVE_BLOCKS_MAX: Final = 1000


@inlined
def copy_bytes(b: Words, to: int, at: int, size: int) -> None:
    """Copy `size` bytes, and up to 15 more."""
    end = to + size
    while to < end:
        copy16(b, to, at)
        to += 16
        at += 16


@inlined
def block_bytes(size: int) -> int:
    """What a payload takes."""
    return lo.BLOCK_HEADER_BYTES + ((size + 7) & ~7)


@part
def _open_segment(w: Words) -> None:
    current = w[lo.S_SEGMENT]
    if current != 0:
        w[lo.SEGMENTS_W + current * lo.SEGMENT_WORDS + lo.A_FILL] = w[lo.S_FILL]
    segment = w[lo.S_SEGMENT_FREE]
    if segment != 0:
        w[lo.S_SEGMENT_FREE] = w[lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS + lo.A_NEXT]
        w[lo.S_SEGMENTS_FREE] -= 1
        bare = w[lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS + lo.A_FREE] - lo.FREE_AND_KEPT
        w[lo.S_SEGMENTS_BARE] -= bare
    else:
        segment = w[lo.S_SEGMENT_HIGH] + 1
        w[lo.S_SEGMENT_HIGH] = segment
    w[lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS + lo.A_FREE] = 0
    w[lo.S_SEGMENT] = segment
    w[lo.S_FILL] = 0
    w[lo.S_SEGMENTS_USED] += 1
    if (
        current != 0
        and w[lo.SEGMENTS_W + current * lo.SEGMENT_WORDS + lo.A_LIVE_BYTES] == 0
    ):
        _free_segment(w, current)


@part
def _free_segment(w: Words, segment: int) -> None:
    at = lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS
    w[at + lo.A_NEXT] = w[lo.S_SEGMENT_FREE]
    w[at + lo.A_FREE] = lo.FREE_AND_KEPT
    w[lo.S_SEGMENT_FREE] = segment
    w[lo.S_SEGMENTS_FREE] += 1
    w[lo.S_SEGMENTS_USED] -= 1
    if w[lo.S_VICTIM] == segment:
        w[lo.S_VICTIM] = 0


@inlined
def allocate_block(w: Words, size: int) -> int:
    """A block for `size` bytes of payload."""
    space = block_bytes(size)
    if w[lo.S_FILL] + space > lo.SEGMENT_FILL_MAX or w[lo.S_SEGMENT] == 0:
        _open_segment(w)
    segment = w[lo.S_SEGMENT]
    fill = w[lo.S_FILL]
    w[lo.S_FILL] = fill + space
    w[lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS + lo.A_LIVE_BYTES] += space
    w[lo.S_BLOCK_BYTES] += space
    return (segment << lo.SEGMENT_SHIFT) + (fill >> 3)


@inlined
def free_block(w: Words, block: int, size: int) -> None:
    """Give back a block of `size` bytes of payload."""
    space = block_bytes(size)
    segment = block >> lo.SEGMENT_SHIFT
    at = lo.SEGMENTS_W + segment * lo.SEGMENT_WORDS
    live = w[at + lo.A_LIVE_BYTES] - space
    w[at + lo.A_LIVE_BYTES] = live
    w[lo.S_BLOCK_BYTES] -= space
    if live == 0:
        if segment == w[lo.S_SEGMENT]:
            w[lo.S_FILL] = 0
        else:
            _free_segment(w, segment)


@inlined
def sprawls(w: Words) -> bool:
    """Whether segments take too much for what is in them."""
    used = w[lo.S_SEGMENTS_USED] * lo.SEGMENT_BYTES
    return used > SPREAD_MAX * w[lo.S_BLOCK_BYTES] + SPARE_BYTES


@part
def _choose_victim(w: Words) -> None:
    cursor = w[lo.S_CURSOR]
    for _ in range(_LOOK_SEGMENTS_MAX):
        cursor += 1
        if cursor > w[lo.S_SEGMENT_HIGH]:
            cursor = 1
        at = lo.SEGMENTS_W + cursor * lo.SEGMENT_WORDS
        sparse = 2 * w[at + lo.A_LIVE_BYTES] < lo.SEGMENT_BYTES
        if sparse and w[at + lo.A_FREE] == 0 and cursor != w[lo.S_SEGMENT]:
            w[lo.S_VICTIM] = cursor
            w[lo.S_VICTIM_FILL] = 0
            break
    w[lo.S_CURSOR] = cursor


@part
def compact(w: Words, h: Words, b: Words) -> None:
    """Do some of the work of moving blocks together."""
    if w[lo.S_VICTIM] == 0:
        _choose_victim(w)
    for _ in range(_MOVE_BLOCKS_MAX):
        victim = w[lo.S_VICTIM]
        if victim == 0:
            return
        fill = w[lo.S_VICTIM_FILL]
        if fill >= w[lo.SEGMENTS_W + victim * lo.SEGMENT_WORDS + lo.A_FILL]:
            w[lo.S_VICTIM] = 0
            return
        block = (victim << lo.SEGMENT_SHIFT) + (fill >> 3)
        size = half(h, lo.ARENA_H + 2 * block + lo.B_SIZES) & lo.B_BYTES_MASK
        w[lo.S_VICTIM_FILL] = fill + block_bytes(size)
        slot = half(h, lo.ARENA_H + 2 * block + lo.B_JOB)
        if w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] >> lo.BLOCK_BITS == block:
            moved = allocate_block(w, size)
            copy_bytes(b, lo.ARENA_B + 8 * moved, lo.ARENA_B + 8 * block, block_bytes(size))
            place = moved << lo.BLOCK_BITS | size
            w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_BLOCK] = place
            free_block(w, block, size)
