"""Finding the end of a JSON value, and refusing what is none.

Strict RFC 8259 and UTF-8, and what SPEC asks beyond: no lone surrogate escapes, nesting
of at most 512, numbers of at most 4,300 characters. A function gets the place where its
part begins and gives the place behind it, or -1. No bound is ever checked: text ends with
a line feed, which no part may contain, and is followed by memory that may be read.

Strings are looked at eight bytes at a time: a byte of x is zero exactly where, at or
below the lowest such place, (x - 0x01..) & ~x & 0x80.. has its bit set (Mycroft's trick),
and only the lowest is used.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: PLR1714 - what numba compiles best
# ruff: noqa: C901, PLR0911, PLR0912 - flat lists of cases

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, load8, lowest_byte, part

DEPTH_MAX: Final = 512
NUMBER_CHARS_MAX: Final = 4300
_OPEN_ARRAY: Final = 0
_OPEN_OBJECT: Final = 1

ONES: Final = np.uint64(0x0101010101010101)
HIGHS: Final = np.uint64(0x8080808080808080)
QUOTES: Final = np.uint64(0x2222222222222222)
_BACKSLASHES: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES: Final = np.uint64(0x2020202020202020)
ZEROS: Final = np.uint64(0x3030303030303030)
_TENS_OVER: Final = np.uint64(0x7676767676767676)
_TOP_BYTE: Final = np.uint64(1 << 63)
_LOW4: Final = np.uint64(0xFFFFFFFF)
_LOW5: Final = np.uint64(0xFFFFFFFFFF)
_TRUE: Final = np.uint64(int.from_bytes(b"true", "little"))
_FALSE: Final = np.uint64(int.from_bytes(b"false", "little"))
_NULL: Final = np.uint64(int.from_bytes(b"null", "little"))


@part
def _skip_spaces(b: Words, i: int) -> int:
    c = b[i]
    while c == 32 or c == 9 or c == 13:
        i += 1
        c = b[i]
    return i


@inlined
def skip_space(b: Words, i: int) -> int:
    """Behind spaces, tabs and carriage returns; a line feed ends the text."""
    if b[i] > 32:
        return i
    return _skip_spaces(b, i)


@part
def _hex4(b: Words, i: int) -> int:
    """The value of four hex digits, or -1."""
    value = 0
    for k in range(4):
        c = int(b[i + k])
        if 48 <= c <= 57:
            digit = c - 48
        elif 97 <= (c | 32) <= 102:
            digit = (c | 32) - 87
        else:
            return -1
        value = value * 16 + digit
    return value


@part
def _skip_escape(b: Words, i: int) -> int:
    """Behind an escape, `i` being its backslash."""
    c = b[i + 1]
    if c != 117:
        if (
            c == 34
            or c == 92
            or c == 47
            or c == 98
            or c == 102
            or c == 110
            or c == 114
            or c == 116
        ):
            return i + 2
        return -1
    first = _hex4(b, i + 2)
    if first < 0 or 0xDC00 <= first <= 0xDFFF:
        return -1
    if not 0xD800 <= first <= 0xDBFF:
        return i + 6
    if b[i + 6] != 92 or b[i + 7] != 117:
        return -1
    if not 0xDC00 <= _hex4(b, i + 8) <= 0xDFFF:
        return -1
    return i + 12


@part
def _skip_utf8(b: Words, i: int) -> int:
    """Behind one character of two to four bytes."""
    c = int(b[i])
    d = int(b[i + 1])
    if 0xC2 <= c <= 0xDF:
        return i + 2 if d & 0xC0 == 0x80 else -1
    if 0xE0 <= c <= 0xEF:
        low = 0xA0 if c == 0xE0 else 0x80
        high = 0x9F if c == 0xED else 0xBF
        if low <= d <= high and b[i + 2] & 0xC0 == 0x80:
            return i + 3
        return -1
    if 0xF0 <= c <= 0xF4:
        low = 0x90 if c == 0xF0 else 0x80
        high = 0x8F if c == 0xF4 else 0xBF
        if low <= d <= high and b[i + 2] & 0xC0 == 0x80 and b[i + 3] & 0xC0 == 0x80:
            return i + 4
    return -1


@inlined
def _string_stop(b: Words, i: int) -> int:
    """The next byte that is a quote, a backslash, a control or not ASCII."""
    while True:
        x = load8(b, i)
        q = x ^ QUOTES
        s = x ^ _BACKSLASHES
        stops = ((q - ONES) & ~q) | ((s - ONES) & ~s) | ((x - _SPACES) & ~x) | x
        stops &= HIGHS
        if stops != np.uint64(0):
            return i + lowest_byte(stops)
        i += 8


@part
def _skip_hard_string(b: Words, i: int) -> int:
    while True:
        i = _string_stop(b, i)
        c = b[i]
        if c == 34:
            return i + 1
        if c == 92:
            i = _skip_escape(b, i)
        elif c < 32:
            return -1
        else:
            i = _skip_utf8(b, i)
        if i < 0:
            return i


@inlined
def skip_string(b: Words, i: int) -> int:
    """Behind the closing quote, `i` being behind the opening one."""
    i = _string_stop(b, i)
    if b[i] == 34:
        return i + 1
    return _skip_hard_string(b, i)


@inlined
def _skip_digits(b: Words, i: int) -> int:
    c = b[i]
    while 48 <= c <= 57:
        i += 1
        c = b[i]
    return i


@inlined
def count_digits(x: np.uint64) -> int:
    """How many of a number's eight bytes are digits, from the first, if less than 8."""
    y = x ^ ZEROS
    return lowest_byte((((y & ~HIGHS) + _TENS_OVER) | y) & HIGHS | _TOP_BYTE)


@inlined
def skip_number(b: Words, start: int) -> int:
    """Behind a number, `start` being its minus sign or first digit."""
    i = start
    if b[i] == 45:
        i += 1
    digits = count_digits(load8(b, i))
    c = b[i + digits]
    plain = c != 46 and c | 32 != 101 and digits != 0 and digits != 7
    if plain and (b[i] != 48 or digits == 1):
        return i + digits
    return _skip_hard_number(b, start)


@part
def _skip_hard_number(b: Words, start: int) -> int:
    i = start
    if b[i] == 45:
        i += 1
    c = b[i]
    if c == 48:
        i += 1
    elif 49 <= c <= 57:
        i = _skip_digits(b, i + 1)
    else:
        return -1
    if b[i] == 46:
        digits = i + 1
        i = _skip_digits(b, digits)
        if i == digits:
            return -1
    if b[i] | 32 == 101:
        i += 1
        c = b[i]
        if c == 43 or c == 45:
            i += 1
        digits = i
        i = _skip_digits(b, digits)
        if i == digits:
            return -1
    if i - start > NUMBER_CHARS_MAX:
        return -1
    return i


@part
def _skip_word(b: Words, i: int) -> int:
    x = load8(b, i)
    if x & _LOW4 == _TRUE or x & _LOW4 == _NULL:
        return i + 4
    if x & _LOW5 == _FALSE:
        return i + 5
    return -1


@inlined
def _skip_key(b: Words, i: int) -> int:
    """From a key's opening quote to the value behind its colon."""
    if b[i] != 34:
        return -1
    i = skip_string(b, i + 1)
    if i < 0:
        return i
    if b[i] != 58:
        i = skip_space(b, i)
        if b[i] != 58:
            return -1
    return skip_space(b, i + 1)


@inlined
def _skip_scalar(b: Words, i: int) -> int:
    c = b[i]
    if c == 34:
        return skip_string(b, i + 1)
    if c == 45 or 48 <= c <= 57:
        return skip_number(b, i)
    return _skip_word(b, i)


@part
def _skip_nested(b: Words, i: int) -> int:
    """Behind an array or object, `i` being its bracket."""
    depth = 0
    while True:
        c = b[i]
        if c == 123 or c == 91:
            depth += 1
            if depth > DEPTH_MAX:
                return -1
            b[lo.STACK_B + depth] = _OPEN_OBJECT if c == 123 else _OPEN_ARRAY
            i = skip_space(b, i + 1)
            if b[i] != c + 2:
                if c == 123:
                    i = _skip_key(b, i)
                    if i < 0:
                        return i
                continue
        else:
            i = _skip_scalar(b, i)
            if i < 0:
                return i
            i = skip_space(b, i)
        while True:
            c = b[i]
            kind = b[lo.STACK_B + depth]
            i += 1
            if c == 44:
                i = skip_space(b, i)
                if kind == _OPEN_OBJECT:
                    i = _skip_key(b, i)
                    if i < 0:
                        return i
                break
            if c != (125 if kind == _OPEN_OBJECT else 93):
                return -1
            depth -= 1
            if depth == 0:
                return i
            i = skip_space(b, i)


@part
def skip_value(b: Words, i: int) -> int:
    """Behind any value, `i` being its first byte."""
    c = b[i]
    if c == 123 or c == 91:
        return _skip_nested(b, i)
    return _skip_scalar(b, i)
