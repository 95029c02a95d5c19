"""Reading one request line of a hot command, in any valid JSON form.

`read_line` leaves what it found in the request's words of the state and, for batches, in
the scratch region. It gives the place behind the line, or -1: then the line is not for
the kernels. Keys may come in any order; a key that is there twice, that is written with
escapes, or that the command does not have here, is left to the common way: the kernels
pass over nothing. If a batch comes before its `cmd`, it is skipped and read when the rest
is known; the jobs of a PUSHB are read again if what holds for all of them comes behind.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: PLR1714, SIM109 - what numba compiles best
# ruff: noqa: FBT001, FBT003 - parts take no keywords
# ruff: noqa: C901, PLR0911, PLR0912 - flat lists of cases

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.fields import (
    BIT_ATTEMPT,
    BIT_BACKOFF,
    BIT_DATA,
    BIT_ERROR,
    BIT_ID,
    BIT_JITTER,
    BIT_MAX_ATTEMPTS,
    BIT_PRIORITY,
    BIT_RUN_AT,
    KEY_RETRY,
    clear_item,
    clear_row,
    decline,
    key_at,
    read_integer,
    read_item_field,
    read_job_field,
    read_plain,
    read_queue,
)
from magicqueue_cores.kernels.items import (
    behind_colon,
    more,
    read_items,
    read_push_items,
    read_usual_option,
)
from magicqueue_cores.kernels.jit import Words, inlined, load8, part
from magicqueue_cores.kernels.scan import skip_space, skip_string, skip_value

_KEY_CMD: Final = np.uint64(int.from_bytes(b"cmd", "little"))
_KEY_QUEUE: Final = np.uint64(int.from_bytes(b"queue", "little"))
_KEY_JOBS: Final = np.uint64(int.from_bytes(b"jobs", "little"))
_KEY_IDS: Final = np.uint64(int.from_bytes(b"ids", "little"))
_KEY_RID: Final = np.uint64(int.from_bytes(b"rid", "little"))
_KEY_COUNT: Final = np.uint64(int.from_bytes(b"count", "little"))
_KEY_TIMEOUT: Final = np.uint64(int.from_bytes(b"timeout", "little"))
_KEY_LEASE: Final = np.uint64(int.from_bytes(b"lease", "little"))
_LOWER: Final = np.uint64(0x2020202020202020)
_PUSH: Final = np.uint64(int.from_bytes(b"push", "little"))
_PUSHB: Final = np.uint64(int.from_bytes(b"pushb", "little"))
_PULL: Final = np.uint64(int.from_bytes(b"pull", "little"))
_PULLB: Final = np.uint64(int.from_bytes(b"pullb", "little"))
_ACK: Final = np.uint64(int.from_bytes(b"ack", "little"))
_ACKB: Final = np.uint64(int.from_bytes(b"ackb", "little"))
_FAIL: Final = np.uint64(int.from_bytes(b"fail", "little"))
_FAILB: Final = np.uint64(int.from_bytes(b"failb", "little"))
_HEARTBEA: Final = np.uint64(int.from_bytes(b"heartbea", "little"))
_U1: Final = np.uint64(1)

BIT_CMD: Final = 1 << 10
BIT_QUEUE: Final = 1 << 11
BIT_JOBS: Final = 1 << 12
BIT_IDS: Final = 1 << 13
_BIT_RID: Final = 1 << 14
BIT_COUNT: Final = 1 << 15
_BIT_TIMEOUT: Final = 1 << 16
_BIT_LEASE: Final = 1 << 17
_ALL: Final = BIT_CMD | _BIT_RID
_OPTIONS: Final = BIT_PRIORITY | BIT_RUN_AT | BIT_MAX_ATTEMPTS | BIT_BACKOFF | BIT_JITTER


@part
def set_fields(w: Words) -> None:
    """Say which fields each command has. Any other is not for kernels to pass over."""
    lease = _ALL | BIT_QUEUE | _BIT_TIMEOUT | _BIT_LEASE
    verdict = _ALL | BIT_ID | BIT_ATTEMPT
    w[lo.S_FIELDS + lo.C_PUSH] = _ALL | BIT_QUEUE | BIT_DATA | _OPTIONS
    w[lo.S_FIELDS + lo.C_PUSHB] = _ALL | BIT_QUEUE | BIT_JOBS | _OPTIONS
    w[lo.S_FIELDS + lo.C_PULL] = lease
    w[lo.S_FIELDS + lo.C_PULLB] = lease | BIT_COUNT
    w[lo.S_FIELDS + lo.C_ACK] = verdict
    w[lo.S_FIELDS + lo.C_ACKB] = _ALL | BIT_IDS
    w[lo.S_FIELDS + lo.C_FAIL] = verdict | BIT_ERROR | BIT_RUN_AT
    w[lo.S_FIELDS + lo.C_FAILB] = _ALL | BIT_JOBS
    w[lo.S_FIELDS + lo.C_HEARTBEAT] = verdict | BIT_IDS | _BIT_LEASE


@part
def _read_command(w: Words, b: Words, i: int) -> int:
    end = i + 1
    while b[end] != 34:
        if b[end] < 65 or end > i + 9:
            return -1
        end += 1
    size = end - i - 1
    if b[i] != 34 or size == 0:
        return -1
    x = load8(b, i + 1) | _LOWER
    if size < 8:
        x &= (_U1 << np.uint64(8 * size)) - _U1
    command = 0
    if x == _PUSH:
        command = lo.C_PUSH
    elif x == _PUSHB:
        command = lo.C_PUSHB
    elif x == _PULL:
        command = lo.C_PULL
    elif x == _PULLB:
        command = lo.C_PULLB
    elif x == _ACK:
        command = lo.C_ACK
    elif x == _ACKB:
        command = lo.C_ACKB
    elif x == _FAIL:
        command = lo.C_FAIL
    elif x == _FAILB:
        command = lo.C_FAILB
    elif x == _HEARTBEA and size == 9 and b[i + 9] | 32 == 116:
        command = lo.C_HEARTBEAT
    if command == 0:
        return decline(w, lo.D_COMMAND)
    w[lo.R_COMMAND] = command
    return end + 1


@part
def _read_batch(w: Words, b: Words, i: int, jobs: bool) -> int:
    """The field `jobs` or `ids`, if it is the command's; else it is skipped."""
    command = w[lo.R_COMMAND]
    if jobs and command == lo.C_PUSHB:
        w[lo.R_JOBS_AT] = i
        return read_push_items(w, b, i)
    if jobs and command == lo.C_FAILB:
        return read_items(w, b, i, False)
    if not jobs and (command == lo.C_ACKB or command == lo.C_HEARTBEAT):
        return read_items(w, b, i, True)
    if command == 0:
        if w[lo.R_ITEMS_AT] != 0:
            return -1
        w[lo.R_ITEMS_AT] = i
        w[lo.R_ITEMS_FIELD] = 1 if jobs else 0
    return skip_value(b, i)


@part
def _read_rid(w: Words, b: Words, i: int) -> int:
    """A rid that is a plain integer or a string."""
    if b[i] == 34:
        end = skip_string(b, i + 1)
    else:
        end = read_plain(w, b, i)
        c = b[end] if end > 0 else b[i]
        if c == 46 or c == 101 or c == 69:
            return -1
    w[lo.R_RID] = i
    w[lo.R_RID_BYTES] = end - i
    return end if end - i <= lo.RID_BYTES_MAX else -1


@part
def _read_pull_field(w: Words, b: Words, key: np.uint64, i: int) -> int:
    """A field of a pull or heartbeat, its bit into R_BIT; 0 if it is no such field."""
    if key == _KEY_COUNT:
        w[lo.R_BIT] = BIT_COUNT
        i = read_integer(w, b, i, 1, lo.TIME_MAX_MS)
        w[lo.R_COUNT] = w[lo.R_INTEGER]
        return i
    if key == _KEY_TIMEOUT:
        w[lo.R_BIT] = _BIT_TIMEOUT
        i = read_integer(w, b, i, 0, lo.TIME_MAX_MS)
        w[lo.R_TIMEOUT] = w[lo.R_INTEGER]
        return i
    if key == _KEY_LEASE:
        w[lo.R_BIT] = _BIT_LEASE
        i = read_integer(w, b, i, 1, lo.TIME_MAX_MS)
        if w[lo.R_INTEGER] != lo.ABSENT:
            w[lo.R_LEASE_MS] = w[lo.R_INTEGER]
        return i
    return 0


@part
def _read_field(
    w: Words, h: Words, b: Words, key: np.uint64, i: int, last_queue: int
) -> int:
    """Any field of a request, its bit into R_BIT."""
    if key == _KEY_CMD:
        w[lo.R_BIT] = BIT_CMD
        return _read_command(w, b, i)
    if key == _KEY_QUEUE:
        w[lo.R_BIT] = BIT_QUEUE
        return read_queue(w, h, b, i, last_queue)
    if key == _KEY_JOBS or key == _KEY_IDS:
        end = _read_batch(w, b, i, key == _KEY_JOBS)
        w[lo.R_BIT] = BIT_JOBS if key == _KEY_JOBS else BIT_IDS
        return end
    if key == _KEY_RID:
        w[lo.R_BIT] = _BIT_RID
        return _read_rid(w, b, i)
    end = read_job_field(w, b, lo.R_ROW, key, i)
    if end > 0 and w[lo.R_JOBS_AT] != 0:
        w[lo.R_ITEMS_AT] = w[lo.R_JOBS_AT]
        w[lo.R_ITEMS_FIELD] = 1
    if end == 0:
        end = read_item_field(w, b, lo.R_ITEM, key, i)
    if end == 0:
        end = _read_pull_field(w, b, key, i)
    if end == 0:
        return -1 if key == KEY_RETRY else decline(w, lo.D_FIELD)
    return end


@inlined
def _clear_request(w: Words) -> None:
    clear_row(w, lo.R_ROW)
    clear_item(w, lo.R_ITEM)
    w[lo.R_COMMAND] = 0
    w[lo.R_COUNT] = lo.ABSENT
    w[lo.R_TIMEOUT] = lo.ABSENT
    w[lo.R_LEASE_MS] = w[lo.S_LEASE]
    w[lo.R_RID_BYTES] = 0
    w[lo.R_ITEMS_AT] = 0
    w[lo.R_JOBS_AT] = 0


@inlined
def read_line(w: Words, h: Words, b: Words, i: int) -> int:
    """One line, `i` being its first byte that is no space."""
    last_queue = w[lo.R_QUEUE]
    _clear_request(w)
    seen = 0
    if b[i] != 123:
        return -1
    i = skip_space(b, i + 1)
    if b[i] != 34:
        return -1
    while True:
        end = 0
        if seen & BIT_DATA != 0 and w[lo.R_JOBS_AT] == 0:
            end = read_usual_option(w, b, lo.R_ROW, i)
        if end == 0:
            key = key_at(b, i)
            i = behind_colon(b, i)
            if i < 0:
                return i
            end = _read_field(w, h, b, key, i, last_queue)
        i = end
        if i < 0 or seen & w[lo.R_BIT] != 0:
            return -1
        seen |= w[lo.R_BIT]
        i = skip_space(b, i)
        following = more(b, i)
        if following == 0:
            break
        if following < 0:
            return following
        i = following
    i = skip_space(b, i + 1)
    if b[i] != 10:
        return -1
    if seen & ~w[lo.S_FIELDS + w[lo.R_COMMAND]] != 0:
        return decline(w, lo.D_FIELD if w[lo.R_COMMAND] != 0 else lo.D_ERROR)
    if (
        w[lo.R_ITEMS_AT] != 0
        and _read_batch(w, b, w[lo.R_ITEMS_AT], w[lo.R_ITEMS_FIELD] != 0) < 0
    ):
        return -1
    w[lo.R_SEEN] = seen
    return i + 1
