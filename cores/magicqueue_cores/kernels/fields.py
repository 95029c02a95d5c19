"""Reading what a request's fields hold: integers, ids, names, the fields of jobs.

As in `scan`, a function gets the place of its part and gives the place behind it, or -1
for whatever is wrong or rare: the line then takes the common way, which decides.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: PLR1714, SIM109, SIM110 - what numba compiles best

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, inlined, load8, lowest_byte, part
from magicqueue_cores.kernels.names import hash_name
from magicqueue_cores.kernels.scan import (
    HIGHS,
    ONES,
    QUOTES,
    ZEROS,
    skip_string,
    skip_value,
)
from magicqueue_cores.kernels.tables import chain_find

LOW4: Final = np.uint64(0xFFFFFFFF)
_NULL: Final = np.uint64(int.from_bytes(b"null", "little"))
TRUE: Final = np.uint64(int.from_bytes(b"true", "little"))
_LOW5: Final = np.uint64(0xFFFFFFFFFF)
_FALSE: Final = np.uint64(int.from_bytes(b"false", "little"))
_TENS_OVER: Final = np.uint64(0x7676767676767676)
_NIBBLES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS: Final = np.uint64(0x00FF00FF00FF00FF)
_FOURS: Final = np.uint64(0x0000FFFF0000FFFF)
_TO_PAIRS: Final = np.uint64(2561)
_TO_FOURS: Final = np.uint64(6553601)
_TO_EIGHT: Final = np.uint64(42949672960001)
_U8: Final = np.uint64(8)
_U16: Final = np.uint64(16)
_U32: Final = np.uint64(32)
_DIGITS_MAX: Final = 16

KEY_DATA: Final = np.uint64(int.from_bytes(b"data", "little"))
KEY_PRIORITY: Final = np.uint64(int.from_bytes(b"priority", "little"))
KEY_DELAY: Final = np.uint64(int.from_bytes(b"delay", "little"))
_KEY_RUN_AT: Final = np.uint64(int.from_bytes(b"run_at", "little"))
_KEY_BACKOFF: Final = np.uint64(int.from_bytes(b"backoff", "little"))
_KEY_JITTER: Final = np.uint64(int.from_bytes(b"jitter", "little"))
KEY_MAX_ATTEMPTS: Final = np.uint64(int.from_bytes(b"max_atte", "little"))
_MPTS: Final = np.uint64(int.from_bytes(b'mpts"', "little"))
_KEY_ID: Final = np.uint64(int.from_bytes(b"id", "little"))
_KEY_ATTEMPT: Final = np.uint64(int.from_bytes(b"attempt", "little"))
KEY_RETRY: Final = np.uint64(int.from_bytes(b"retry", "little"))
_KEY_ERROR: Final = np.uint64(int.from_bytes(b"error", "little"))
_UNKNOWN: Final = np.uint64(0)

BIT_DATA: Final = 1
BIT_PRIORITY: Final = 2
BIT_RUN_AT: Final = 4
BIT_MAX_ATTEMPTS: Final = 8
BIT_BACKOFF: Final = 16
BIT_JITTER: Final = 32
BIT_ID: Final = 64
BIT_ATTEMPT: Final = 128
BIT_ERROR: Final = 256


@inlined
def decline(w: Words, why: int) -> int:
    """Say why a line is not for kernels; gives -1."""
    w[lo.S_WHY] = why
    return -1


@inlined
def key_at(b: Words, i: int) -> np.uint64:
    """A key of at most 8 bytes as a number, `i` being its opening quote; else 0.

    max_attempts, which is longer, is its first 8 bytes. An unknown key may give a number
    too, but none of a known key.
    """
    x = load8(b, i + 1)
    q = x ^ QUOTES
    ends = (q - ONES) & ~q & HIGHS
    if ends != _UNKNOWN:
        size = lowest_byte(ends)
        return x & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))
    if x == KEY_PRIORITY and b[i + 9] == 34:
        return x
    if x == KEY_MAX_ATTEMPTS and load8(b, i + 9) & _LOW5 == _MPTS:
        return x
    return _UNKNOWN


@inlined
def eight_digits(x: np.uint64, count: int) -> int:
    """The number that the first `count` bytes write, 1 to 8 (after Lemire)."""
    x = (x << np.uint64(64 - 8 * count)) & _NIBBLES
    x = ((x * _TO_PAIRS) >> _U8) & _PAIRS
    x = ((x * _TO_FOURS) >> _U16) & _FOURS
    return int((x * _TO_EIGHT) >> _U32)


@inlined
def read_digits(w: Words, b: Words, i: int) -> int:
    """A row of 1 to 16 digits into R_INTEGER."""
    x = load8(b, i)
    y = x ^ ZEROS
    stops = (((y & ~HIGHS) + _TENS_OVER) | y) & HIGHS
    if stops != np.uint64(0):
        count = lowest_byte(stops)
        if count == 0:
            return -1
        w[lo.R_INTEGER] = eight_digits(x, count)
        return i + count
    value = eight_digits(x, 8)
    end = i + _DIGITS_MAX
    i += 8
    c = int(b[i])
    while 48 <= c <= 57:
        if i == end:
            return -1
        value = value * 10 + c - 48
        i += 1
        c = int(b[i])
    w[lo.R_INTEGER] = value
    return i


@inlined
def read_plain(w: Words, b: Words, i: int) -> int:
    """A JSON integer without a sign into R_INTEGER; what follows it is not looked at."""
    end = read_digits(w, b, i)
    if b[i] == 48 and end != i + 1:
        return -1
    return end


@part
def read_integer(w: Words, b: Words, i: int, least: int, most: int) -> int:
    """An integer in bounds into R_INTEGER, or null (then it is ABSENT)."""
    if load8(b, i) & LOW4 == _NULL:
        w[lo.R_INTEGER] = lo.ABSENT
        return i + 4
    minus = b[i] == 45
    if minus:
        i += 1
    i = read_plain(w, b, i)
    if i < 0:
        return i
    if minus:
        w[lo.R_INTEGER] = -w[lo.R_INTEGER]
    c = b[i]
    if c == 46 or c == 101 or c == 69 or not least <= w[lo.R_INTEGER] <= most:
        return -1
    return i


@part
def read_id(w: Words, b: Words, i: int) -> int:
    """An id, also as a string of digits, into R_INTEGER."""
    if b[i] != 34:
        i = read_plain(w, b, i)
        if i < 0:
            return i
        c = b[i]
        if c == 46 or c == 101 or c == 69:
            return -1
    else:
        i = read_digits(w, b, i + 1)
        if i < 0 or b[i] != 34:
            return -1
        i += 1
    return i if w[lo.R_INTEGER] <= lo.TIME_MAX_MS else -1


@part
def same_name(w: Words, b: Words, queue: int, start: int, size: int) -> bool:
    """Whether a queue is called so."""
    if w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_NAME_BYTES] != size:
        return False
    name = lo.QUEUES_B + 8 * queue * lo.QUEUE_WORDS + lo.Q_NAME_AT
    for k in range(size):
        if b[name + k] != b[start + k]:
            return False
    return True


@part
def read_queue(w: Words, h: Words, b: Words, i: int, last: int) -> int:
    """A known queue's name into R_QUEUE; `last` is a queue to try first, or 0."""
    if b[i] != 34:
        return -1
    start = i + 1
    end = skip_string(b, start)
    size = end - 1 - start
    if end < 0 or size < 1 or size > lo.Q_TEXT_AT - lo.Q_NAME_AT - 1:
        return -1
    if last != 0 and same_name(w, b, last, start, size):
        w[lo.R_QUEUE] = last
        return end
    queue = chain_find(
        w,
        h,
        lo.S_QUEUE_HASH,
        lo.QUEUE_BUCKETS_H,
        lo.QUEUES_W,
        lo.QUEUE_WORDS,
        hash_name(w, b, start, size),
    )
    if queue == 0 or not same_name(w, b, queue, start, size):
        return decline(w, lo.D_QUEUE)
    w[lo.R_QUEUE] = queue
    return end


@part
def clear_row(w: Words, row: int) -> None:
    """Give a job to push its defaults."""
    w[row + lo.X_PRIORITY] = 0
    w[row + lo.X_RUN_AT] = w[lo.R_NOW]
    w[row + lo.X_MAX_ATTEMPTS] = w[lo.S_MAX_ATTEMPTS]
    w[row + lo.X_BACKOFF] = w[lo.S_BACKOFF]


@inlined
def copy_options(w: Words, row: int, options: int) -> None:
    """Give a job to push all but the data of another."""
    for k in range(lo.X_PRIORITY, lo.ROW_WORDS):
        w[row + k] = w[options + k]


@inlined
def read_data(w: Words, b: Words, row: int, i: int) -> int:
    """A job's data."""
    end = skip_value(b, i)
    size = end - i
    w[row + lo.X_DATA] = i
    w[row + lo.X_DATA_BYTES] = size
    if size > w[lo.S_JOB_BYTES_MAX] or size > lo.PAYLOAD_BYTES_MAX:
        return decline(w, lo.D_LARGE)
    return end


@part
def _read_jitter(w: Words, b: Words, row: int, i: int) -> int:
    x = load8(b, i)
    if x & LOW4 == TRUE:
        w[row + lo.X_BACKOFF] |= 1 << lo.X_JITTER_BIT
        return i + 4
    if x & _LOW5 == _FALSE:
        w[row + lo.X_BACKOFF] &= ~(1 << lo.X_JITTER_BIT)
        return i + 5
    return i + 4 if x & LOW4 == _NULL else -1


@part
def read_retry_field(w: Words, b: Words, row: int, key: np.uint64, i: int) -> int:
    """A field that says how a job is retried; 0 if it is none."""
    if key == _KEY_JITTER:
        w[lo.R_BIT] = BIT_JITTER
        return _read_jitter(w, b, row, i)
    if key == KEY_MAX_ATTEMPTS:
        w[lo.R_BIT] = BIT_MAX_ATTEMPTS
        i = read_integer(w, b, i, 0, (1 << 31) - 1)
        if w[lo.R_INTEGER] != lo.ABSENT:
            w[row + lo.X_MAX_ATTEMPTS] = w[lo.R_INTEGER]
        return i
    if key == _KEY_BACKOFF:
        w[lo.R_BIT] = BIT_BACKOFF
        i = read_integer(w, b, i, 0, w[lo.S_BACKOFF_MAX])
        if w[lo.R_INTEGER] != lo.ABSENT:
            jitter = w[row + lo.X_BACKOFF] & (1 << lo.X_JITTER_BIT)
            w[row + lo.X_BACKOFF] = jitter | w[lo.R_INTEGER]
        return i
    return 0


@part
def read_job_field(w: Words, b: Words, row: int, key: np.uint64, i: int) -> int:
    """A field of a job to push, its bit into R_BIT; 0 if it is no such field."""
    if key == KEY_DATA:
        w[lo.R_BIT] = BIT_DATA
        return read_data(w, b, row, i)
    if key == KEY_PRIORITY:
        w[lo.R_BIT] = BIT_PRIORITY
        i = read_integer(w, b, i, -(1 << 31), (1 << 31) - 1)
        if w[lo.R_INTEGER] != lo.ABSENT:
            w[row + lo.X_PRIORITY] = w[lo.R_INTEGER]
        return i
    if key == KEY_DELAY or key == _KEY_RUN_AT:
        w[lo.R_BIT] = BIT_RUN_AT
        i = read_integer(w, b, i, 0, lo.TIME_MAX_MS)
        if w[lo.R_INTEGER] != lo.ABSENT:
            since = w[lo.R_NOW] if key == KEY_DELAY else w[lo.S_CLOCK_AHEAD]
            asked = min(since + w[lo.R_INTEGER], lo.TIME_MAX_MS)
            w[row + lo.X_RUN_AT] = max(asked, w[lo.R_NOW])
        return i
    return read_retry_field(w, b, row, key, i)


@part
def clear_item(w: Words, item: int) -> None:
    """Give a verdict its defaults."""
    w[item + lo.I_ID] = lo.ABSENT
    w[item + lo.I_ATTEMPT] = 0
    w[item + lo.I_ERROR] = lo.NOTE_NO_ERROR


@part
def read_item_field(w: Words, b: Words, item: int, key: np.uint64, i: int) -> int:
    """A field of a verdict, its bit into R_BIT; 0 if it is no such field."""
    if key == _KEY_ID:
        w[lo.R_BIT] = BIT_ID
        i = read_id(w, b, i)
        w[item + lo.I_ID] = w[lo.R_INTEGER]
        return i
    if key == _KEY_ATTEMPT:
        w[lo.R_BIT] = BIT_ATTEMPT
        i = read_integer(w, b, i, 1, lo.TIME_MAX_MS)
        if w[lo.R_INTEGER] != lo.ABSENT:
            w[item + lo.I_ATTEMPT] = w[lo.R_INTEGER]
        return i
    if key == _KEY_ERROR:
        w[lo.R_BIT] = BIT_ERROR
        if load8(b, i) & LOW4 == _NULL:
            return i + 4
        if b[i] != 34:
            return -1
        end = skip_string(b, i + 1)
        w[item + lo.I_ERROR] = i
        w[item + lo.I_ERROR_BYTES] = end - i
        return end
    return 0
