"""Reading the lists of batches: the jobs of a PUSHB, the verdicts of ACKB and FAILB.

As in `scan`, a function gets the place of its part and gives the place behind it, or -1.
What is found goes into the scratch region, a row a job or an item a verdict.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: PLR1714, SIM109 - what numba compiles best
# ruff: noqa: FBT001 - parts take no keywords
# ruff: noqa: C901, PLR0911, PLR0912 - flat lists of cases

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.fields import (
    BIT_BACKOFF,
    BIT_DATA,
    BIT_ERROR,
    BIT_ID,
    BIT_JITTER,
    BIT_MAX_ATTEMPTS,
    BIT_PRIORITY,
    KEY_DELAY,
    KEY_MAX_ATTEMPTS,
    KEY_PRIORITY,
    KEY_RETRY,
    LOW4,
    TRUE,
    clear_item,
    copy_options,
    decline,
    eight_digits,
    key_at,
    read_data,
    read_id,
    read_item_field,
    read_job_field,
    read_plain,
)
from magicqueue_cores.kernels.jit import Words, inlined, load8, part
from magicqueue_cores.kernels.scan import count_digits, skip_space

_DATA_ITEM: Final = np.uint64(int.from_bytes(b'{"data":', "little"))
_JITTER_COLON: Final = np.uint64(int.from_bytes(b'jitter":', "little"))
_BACKOFF_QUOTE: Final = np.uint64(int.from_bytes(b'backoff"', "little"))
_MPTS_COLON: Final = np.uint64(int.from_bytes(b'mpts":', "little"))
_QUOTE_COLON: Final = np.uint64(int.from_bytes(b'":', "little"))
_LOW2: Final = np.uint64(0xFFFF)
_LOW6: Final = np.uint64(0xFFFFFFFFFFFF)


@inlined
def behind_colon(b: Words, i: int) -> int:
    """From a key's opening quote to its value; keys with escapes or beyond ASCII: -1."""
    i += 1
    while b[i] != 34:
        if b[i] < 32 or b[i] == 92 or b[i] > 126:
            return -1
        i += 1
    i = skip_space(b, i + 1)
    if b[i] != 58:
        return -1
    return skip_space(b, i + 1)


@inlined
def more(b: Words, i: int) -> int:
    """From behind a member to the next one's key, or 0 if the object ends, at `i`."""
    if b[i] == 44:
        i = skip_space(b, i + 1)
        return i if b[i] == 34 else -1
    return 0 if b[i] == 125 else -1


@part
def read_usual_option(w: Words, b: Words, row: int, i: int) -> int:
    """An option as nearly all write it: no space, true or an integer of up to 7 digits.

    Its bit goes into R_BIT; 0 if it is another member, or written otherwise.
    """
    key = load8(b, i + 1)
    if key == _JITTER_COLON:
        if load8(b, i + 9) & LOW4 != TRUE:
            return 0
        w[lo.R_BIT] = BIT_JITTER
        w[row + lo.X_BACKOFF] |= 1 << lo.X_JITTER_BIT
        return i + 13
    if key == KEY_PRIORITY and load8(b, i + 9) & _LOW2 == _QUOTE_COLON:
        at = i + 11
    elif key == _BACKOFF_QUOTE and b[i + 9] == 58:
        at = i + 10
    elif key == KEY_MAX_ATTEMPTS and load8(b, i + 9) & _LOW6 == _MPTS_COLON:
        at = i + 15
    else:
        return 0
    x = load8(b, at)
    digits = count_digits(x)
    end = at + digits
    if digits == 0 or (b[end] != 44 and b[end] != 125) or (b[at] == 48 and digits > 1):
        return 0
    value = eight_digits(x, digits)
    if key == KEY_PRIORITY:
        w[lo.R_BIT] = BIT_PRIORITY
        w[row + lo.X_PRIORITY] = value
    elif key == KEY_MAX_ATTEMPTS:
        w[lo.R_BIT] = BIT_MAX_ATTEMPTS
        w[row + lo.X_MAX_ATTEMPTS] = value
    elif value > w[lo.S_BACKOFF_MAX]:
        return -1
    else:
        w[lo.R_BIT] = BIT_BACKOFF
        w[row + lo.X_BACKOFF] = w[row + lo.X_BACKOFF] & (1 << lo.X_JITTER_BIT) | value
    return end


@part
def _read_push_item(w: Words, b: Words, row: int, i: int, seen: int) -> int:
    """One object of a PUSHB's jobs from the key at `i` on; `seen`: bits of those before."""
    if b[i] != 34:
        return -1
    while True:
        end = read_usual_option(w, b, row, i)
        if end == 0:
            key = key_at(b, i)
            i = behind_colon(b, i)
            if i < 0:
                return i
            end = read_job_field(w, b, row, key, i)
        if end == 0:
            return decline(w, lo.D_FIELD)
        if end < 0 or seen & w[lo.R_BIT] != 0:
            return -1
        seen |= w[lo.R_BIT]
        i = skip_space(b, end)
        following = more(b, i)
        if following == 0:
            return i + 1 if seen & BIT_DATA != 0 else -1
        if following < 0:
            return following
        i = following


@inlined
def _is_repeated(b: Words, i: int, before: int, size: int) -> bool:
    """Whether the text at `i` is that of `size` bytes, not none, at `before`."""
    left = size - 8
    while left > 0:
        if load8(b, i) != load8(b, before):
            return False
        i += 8
        before += 8
        left -= 8
    unlike = load8(b, i) ^ load8(b, before)
    return bool(unlike << np.uint64(-8 * left) == np.uint64(0))


@part
def read_push_items(w: Words, b: Words, i: int) -> int:
    """The jobs of a PUSHB into scratch rows, `i` being the list's bracket.

    What a job does not say is as in R_ROW. Behind their data most jobs say the same as the
    one before, byte for byte, and then it means the same.
    """
    count = 0
    if b[i] != 91:
        return -1
    i = skip_space(b, i + 1)
    if b[i] == 93:
        return -1
    most = w[lo.S_PUSH_JOBS_MAX]
    options = lo.R_ROW
    tail = 0
    tail_bytes = 0
    while True:
        row = lo.SCRATCH_W + count * lo.ROW_WORDS
        if load8(b, i) == _DATA_ITEM:
            end = read_data(w, b, row, skip_space(b, i + 8))
            if end < 0:
                return end
            i = skip_space(b, end)
            if b[i] == 125:
                copy_options(w, row, lo.R_ROW)
                i += 1
            elif tail_bytes != 0 and _is_repeated(b, i, tail, tail_bytes):
                copy_options(w, row, options)
                i += tail_bytes
            elif b[i] == 44:
                copy_options(w, row, lo.R_ROW)
                tail, options = i, row
                i = _read_push_item(w, b, row, skip_space(b, i + 1), BIT_DATA)
                tail_bytes = i - tail
            else:
                return -1
        elif b[i] == 123:
            copy_options(w, row, lo.R_ROW)
            i = _read_push_item(w, b, row, skip_space(b, i + 1), 0)
        else:
            return -1
        count += 1
        if i < 0 or count > most:
            return -1
        i = skip_space(b, i)
        if b[i] != 44:
            break
        i = skip_space(b, i + 1)
    w[lo.R_ITEMS] = count
    return i + 1 if b[i] == 93 else -1


@part
def _read_verdict(w: Words, b: Words, item: int, i: int, plain: bool) -> int:
    """One object of a list of ids, or (not `plain`) of a FAILB's jobs; `i`: its brace."""
    i = skip_space(b, i + 1)
    seen = 0
    if b[i] != 34:
        return -1
    while True:
        key = key_at(b, i)
        i = behind_colon(b, i)
        if i < 0:
            return i
        end = read_item_field(w, b, item, key, i)
        if not plain and (key == KEY_RETRY or key == KEY_DELAY):
            return -1  # rare options of FAILB
        if end == 0 or (plain and w[lo.R_BIT] == BIT_ERROR):
            return decline(w, lo.D_FIELD)
        if end < 0 or seen & w[lo.R_BIT] != 0:
            return -1
        seen |= w[lo.R_BIT]
        i = skip_space(b, end)
        following = more(b, i)
        if following == 0:
            return i + 1 if seen & BIT_ID != 0 else -1
        if following < 0:
            return following
        i = following


@part
def read_items(w: Words, b: Words, i: int, plain: bool) -> int:
    """A list of verdicts into scratch items; `plain` says whether bare ids will do."""
    count = 0
    if b[i] != 91:
        return -1
    i = skip_space(b, i + 1)
    if b[i] == 93:
        w[lo.R_ITEMS] = 0
        return i + 1
    while True:
        item = lo.SCRATCH_W + count * lo.ITEM_WORDS
        clear_item(w, item)
        if b[i] == 123:
            i = _read_verdict(w, b, item, i, plain)
        elif plain and 48 <= b[i] <= 57:
            i = read_plain(w, b, i)
            w[item + lo.I_ID] = w[lo.R_INTEGER]
        elif plain:
            i = read_id(w, b, i)
            w[item + lo.I_ID] = w[lo.R_INTEGER]
        else:
            return -1
        count += 1
        if i < 0 or count > lo.ITEMS_MAX or w[item + lo.I_ID] > lo.TIME_MAX_MS:
            return -1
        i = skip_space(b, i)
        if b[i] != 44:
            break
        i = skip_space(b, i + 1)
    w[lo.R_ITEMS] = count
    return i + 1 if b[i] == 93 else -1
