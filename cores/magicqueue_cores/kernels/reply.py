"""Writing replies: compact JSON, byte for byte what `magicqueue.wire.replies` writes.

A function gets the place to write to and gives the place behind. Fixed text is written
eight bytes at a time, the last ones perhaps beyond its end. In a batch of jobs the text
behind the payload (priority, times, attempts) is often that of the job before: it is
copied then, not written anew.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: FBT001 - parts take no keywords

from typing import Final

import numpy as np

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import copy_bytes
from magicqueue_cores.kernels.jit import Words, inlined, part, store8
from magicqueue_cores.kernels.tables import half


def _text(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_OK_TRUE: Final = _text(b'{"ok":tr')
_UE: Final = _text(b"ue")
_UE_ID: Final = _text(b'ue,"id":')
_UE_IDS: Final = _text(b'ue,"ids"')
_LIST: Final = _text(b":[")
_JOB: Final = _text(b',"job":')
_JOBS: Final = _text(b',"jobs":')
_NULL: Final = _text(b"null")
_ACKED: Final = _text(b',"acked"')
_FAILED: Final = _text(b',"failed')
_EXTENDE: Final = _text(b',"extend')
_ED_END: Final = _text(b'ed":')
_QUOTE_END: Final = _text(b'":')
_MISSING: Final = _text(b',"missin')
_G_LIST: Final = _text(b'g":[')
_STATE: Final = _text(b',"state"')
_READY: Final = _text(b'"ready"')
_DELAYED: Final = _text(b'"delayed')
_RID: Final = _text(b',"rid":')
_ID: Final = _text(b'{"id":')
_PRIORIT: Final = _text(b',"priori')
_TY: Final = _text(b'ty":')
_CREATED: Final = _text(b',"create')
_AT: Final = _text(b'd_at":')
_RUN_AT_1: Final = _text(b',"run_at')
_RUN_AT_2: Final = _text(b'":')
_ATTEMPT: Final = _text(b',"attemp')
_TS: Final = _text(b'ts":')
_TENS_OF_DIGITS: Final = 100_000_000
_ZEROS: Final = np.uint64(0x3030303030303030)
_LAST_DIGIT: Final = np.uint64(1 << 56)
_U32: Final = np.uint64(32)
_U16: Final = np.uint64(16)
_U8: Final = np.uint64(8)


@inlined
def _eight_text(value: int) -> np.uint64:
    """The eight digits of a number below 10^8, as bytes in a number."""
    high = value // 10_000
    x = high | (value - high * 10_000) << 32
    tens = ((x * 10486) >> 20) & 0x7F0000007F
    x = tens | (x - tens * 100) << 16
    tens = ((x * 103) >> 10) & 0xF000F000F000F
    x = tens | (x - tens * 10) << 8
    return np.uint64(x) | _ZEROS


@inlined
def _digit_count(value: int) -> int:
    """How many digits a number below 10^8 has."""
    count = 1
    if value >= 10_000:
        count = 5
        value //= 10_000
    if value >= 100:
        count += 2
        value //= 100
    return count + 1 if value >= 10 else count


@part
def write_integer(b: Words, o: int, value: int) -> int:
    """An integer of at most 16 digits."""
    if value < 0:
        b[o] = 45
        o += 1
        value = -value
    if value >= _TENS_OF_DIGITS:
        high = value // _TENS_OF_DIGITS
        value -= high * _TENS_OF_DIGITS
        count = _digit_count(high)
        store8(b, o, _eight_text(high) >> np.uint64(8 * (8 - count)))
        store8(b, o + count, _eight_text(value))
        return o + count + 8
    count = _digit_count(value)
    store8(b, o, _eight_text(value) >> np.uint64(8 * (8 - count)))
    return o + count


@part
def write_ids(b: Words, o: int, first_id: int, count: int) -> int:
    """Consecutive integers between commas: mostly the last digit is counted up."""
    job_id = first_id
    end = first_id + count
    while job_id < end:
        until = min(end, job_id - job_id % 10 + 10)
        start = o
        o = write_integer(b, o, job_id)
        b[o] = 44
        size = o + 1 - start
        last = b[o - 1]
        o += 1
        for k in range(1, until - job_id):
            copy_bytes(b, o, start, size)
            b[o + size - 2] = last + k
            o += size
        job_id = until
    return o - 1


@inlined
def write_ok(b: Words, o: int) -> int:
    """The beginning of every reply."""
    store8(b, o, _OK_TRUE)
    store8(b, o + 8, _UE)
    return o + 10


@inlined
def begin_jobs(b: Words, o: int, single: bool) -> int:
    """The beginning of a reply with jobs."""
    store8(b, o, _OK_TRUE)
    store8(b, o + 8, _UE)
    store8(b, o + 10, _JOB if single else _JOBS)
    b[o + 18] = 91
    return o + 17 if single else o + 19


@inlined
def write_null(b: Words, o: int) -> int:
    """No job."""
    store8(b, o, _NULL)
    return o + 4


@part
def end_reply(w: Words, b: Words, o: int) -> int:
    """The end of every reply, with the rid if there was one."""
    size = w[lo.R_RID_BYTES]
    if size > 0:
        store8(b, o, _RID)
        copy_bytes(b, o + 7, w[lo.R_RID], size)
        o += 7 + size
    b[o] = 125
    b[o + 1] = 10
    return o + 2


@part
def write_pushed(w: Words, b: Words, o: int, first_id: int) -> int:
    """The id of a PUSH."""
    store8(b, o, _OK_TRUE)
    store8(b, o + 8, _UE_ID)
    return end_reply(w, b, write_integer(b, o + 16, first_id))


@part
def write_pushed_batch(w: Words, b: Words, o: int, first_id: int, count: int) -> int:
    """The ids of a PUSHB."""
    store8(b, o, _OK_TRUE)
    store8(b, o + 8, _UE_IDS)
    store8(b, o + 16, _LIST)
    o = write_ids(b, o + 18, first_id, count)
    b[o] = 93
    return end_reply(w, b, o + 1)


@inlined
def _write_rest(w: Words, h: Words, b: Words, o: int, slot: int) -> int:
    """What a job's object has behind its data."""
    store8(b, o, _PRIORIT)
    store8(b, o + 8, _TY)
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    o = write_integer(b, o + 12, half(h, job + lo.JH_PRIORITY))
    store8(b, o, _CREATED)
    store8(b, o + 8, _AT)
    ahead = w[lo.S_CLOCK_AHEAD]
    created = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_CREATED]
    o = write_integer(b, o + 14, created - ahead)
    store8(b, o, _RUN_AT_1)
    store8(b, o + 8, _RUN_AT_2)
    run_at = w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT]
    o = write_integer(b, o + 10, run_at - ahead)
    store8(b, o, _ATTEMPT)
    store8(b, o + 8, _TS)
    o = write_integer(b, o + 12, half(h, job + lo.JH_ATTEMPTS))
    b[o] = 125
    return o + 1


@inlined
def _same_rest(w: Words, h: Words, slot: int, other: int) -> bool:
    one, two = lo.JOBS_W + slot * lo.JOB_WORDS, lo.JOBS_W + other * lo.JOB_WORDS
    same = w[one + lo.J_CREATED] == w[two + lo.J_CREATED]
    same &= w[one + lo.J_RUN_AT] == w[two + lo.J_RUN_AT]
    one, two = 2 * one, 2 * two
    same &= h[one + lo.JH_PRIORITY] == h[two + lo.JH_PRIORITY]
    same &= h[one + lo.JH_ATTEMPTS] == h[two + lo.JH_ATTEMPTS]
    return same


@part
def write_jobs(w: Words, h: Words, b: Words, o: int, queue: int, count: int) -> int:
    """The objects of the jobs whose records are in scratch, between commas."""
    text = lo.QUEUES_B + 8 * queue * lo.QUEUE_WORDS + lo.Q_TEXT_AT
    text_bytes = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_TEXT_BYTES]
    before = 0
    rest = 0
    rest_bytes = 0
    for k in range(count):
        slot = w[lo.SCRATCH_W + k]
        job = lo.JOBS_W + slot * lo.JOB_WORDS
        if k > 0:
            b[o] = 44
            o += 1
        store8(b, o, _ID)
        o = write_integer(b, o + 6, w[job + lo.J_ID])
        copy_bytes(b, o, text, text_bytes)
        o += text_bytes
        place = w[job + lo.J_BLOCK]
        size = place & lo.BLOCK_MASK
        payload = lo.ARENA_B + 8 * (place >> lo.BLOCK_BITS) + lo.BLOCK_HEADER_BYTES
        copy_bytes(b, o, payload, size)
        o += size
        if before != 0 and _same_rest(w, h, slot, before):
            copy_bytes(b, o, rest, rest_bytes)
            rest = o
            o += rest_bytes
        else:
            rest = o
            o = _write_rest(w, h, b, o, slot)
            rest_bytes = o - rest
        before = slot
    return o


@part
def _write_missing(w: Words, b: Words, o: int, at: int, count: int) -> int:
    """The ids that could not be done, which lie at `at`."""
    store8(b, o, _MISSING)
    store8(b, o + 8, _G_LIST)
    o += 12
    for k in range(count):
        if k > 0:
            b[o] = 44
            o += 1
        o = write_integer(b, o, w[at + k])
    b[o] = 93
    return o + 1


@part
def write_acked(w: Words, b: Words, o: int, done: int, at: int, missing: int) -> int:
    """What became of an ACKB."""
    store8(b, o, _OK_TRUE)
    store8(b, o + 8, _UE_IDS)
    store8(b, o + 16, _LIST)
    o = write_integer(b, o + 18, done)
    b[o] = 93
    store8(b, o + 1, _ACKED)
    b[o + 9] = 58
    o = write_integer(b, o + 10, done)
    return _write_missing(w, b, o, at, missing)


@part
def write_counted(w: Words, b: Words, o: int, done: int, at: int, missing: int) -> int:
    """What became of a FAILB or HEARTBEAT."""
    o = write_ok(b, o)
    if w[lo.R_COMMAND] == lo.C_FAILB:
        store8(b, o, _FAILED)
        store8(b, o + 8, _QUOTE_END)
        o += 10
    else:
        store8(b, o, _EXTENDE)
        store8(b, o + 8, _ED_END)
        o += 12
    o = write_integer(b, o, done)
    return _write_missing(w, b, o, at, missing)


@inlined
def write_state(b: Words, o: int, ready: bool) -> int:
    """What a FAIL made of the job."""
    o = write_ok(b, o)
    store8(b, o, _STATE)
    b[o + 8] = 58
    store8(b, o + 9, _READY if ready else _DELAYED)
    b[o + 17] = 34
    return o + 16 if ready else o + 18
