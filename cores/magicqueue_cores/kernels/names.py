"""A number for a queue's name that nobody can foresee: SipHash-1-3 (Aumasson, Bernstein).

It is what Python hashes its own strings with. Whoever does not know the secret cannot
choose names of one number; a plain multiplicative hash with a secret start would not do,
since differences between names can be made to cancel whatever the start was.
"""

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, load8, part

_START_0: Final = np.uint64(0x736F6D6570736575)
_START_1: Final = np.uint64(0x646F72616E646F6D)
_START_2: Final = np.uint64(0x6C7967656E657261)
_START_3: Final = np.uint64(0x7465646279746573)
_SECOND_KEY: Final = np.uint64(0x9E3779B97F4A7C15)
"""The secret has 64 bits; the other half of the key is made of it."""
_LAST: Final = np.uint64(0xFF)
_ONE: Final = np.uint64(1)
_ALL: Final = np.uint64(64)
_U13: Final = np.uint64(13)
_U16: Final = np.uint64(16)
_U17: Final = np.uint64(17)
_U21: Final = np.uint64(21)
_U32: Final = np.uint64(32)


@inlined
def _turned(x: np.uint64, bits: np.uint64) -> np.uint64:
    return (x << bits) | (x >> (_ALL - bits))


@inlined
def _part_of_name(b: Words, start: int, size: int, at: int) -> np.uint64:
    """The 8 bytes from `at` on, or what is left of the name and its size above."""
    rest = size - at
    x = load8(b, start + at)
    if rest >= 8:  # noqa: PLR2004 - bytes in a word
        return x
    x &= (_ONE << np.uint64(8 * rest)) - _ONE
    return x | np.uint64(size) << np.uint64(56)


@part
def hash_name(w: Words, b: Words, start: int, size: int) -> int:
    """The number of a name; what lies behind the name may be anything."""
    first = np.uint64(np.int64(w[lo.S_HASH_SEED]))
    second = first * _SECOND_KEY + _ONE
    v0 = first ^ _START_0
    v1 = second ^ _START_1
    v2 = first ^ _START_2
    v3 = second ^ _START_3
    parts = (size >> 3) + 1
    for k in range(parts + 3):
        x = np.uint64(0)
        if k < parts:
            x = _part_of_name(b, start, size, 8 * k)
        elif k == parts:
            v2 ^= _LAST
        v3 ^= x
        v0 += v1
        v1 = _turned(v1, _U13) ^ v0
        v0 = _turned(v0, _U32)
        v2 += v3
        v3 = _turned(v3, _U16) ^ v2
        v0 += v3
        v3 = _turned(v3, _U21) ^ v0
        v2 += v1
        v1 = _turned(v1, _U17) ^ v2
        v2 = _turned(v2, _U32)
        v0 ^= x
    return int(np.int64(v0 ^ v1 ^ v2 ^ v3))
