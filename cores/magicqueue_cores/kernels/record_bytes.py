"""Records as bytes: what lines did, as a log has it, without a Python object a command.

When the lines of a call have run, `write_records` goes through their events and writes the
same bytes as `wal.encode` in the server would of the records that `array_core.lines` makes
of them; single pushes in a row become one record there and here. They are written where
scratch is, which no line needs any more, and may tell of the memory that lines are in.

What is rare is left to Python: an error text that is not plain, ids named twice in a
HEARTBEAT. Then nothing of the call counts as written.
"""
# ruff: noqa: PLR0913, PLR0917 - parts take numbers, no objects
# ruff: noqa: SIM110 - parts have no generators

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels import record_layout as rec
from magicqueue_cores.kernels.arena import copy_bytes
from magicqueue_cores.kernels.jit import Words, inlined, part

_KIND: Final = 0
_COUNT: Final = 1
_ONE: Final = 2
_TWO: Final = 3
_NOW: Final = 4
_PUSHED_WIDTH: Final = lo.E_HEADER_WORDS + lo.ROW_WORDS
_ACKED_WIDTH: Final = lo.E_HEADER_WORDS + 1
"""Words from one single event to the next."""
_FIXED_AT: Final = 2
"""Behind the head of a record, in words."""
_PUSHED_FIXED: Final = 6
_IDS_AT: Final = 4
_BACKSLASH: Final = 92


@inlined
def _head(w: Words, at: int, kind: int, count: int, behind: int) -> None:
    """Write the head of a record that ends before the word `behind`."""
    w[at] = kind | count << 32
    w[at + 1] = 8 * (behind - at)


@inlined
def _zeros(b: Words, at: int) -> int:
    """Pad to whole words; gives the word behind."""
    while at & 7 != 0:
        b[at] = 0
        at += 1
    return at >> 3


@part
def _write_ids(
    w: Words, at: int, kind: int, count: int, one: int, two: int, ids: int, width: int
) -> int:
    """Write a record of ids behind two numbers; gives the word behind it.

    ids: where the first is; each is `width` words behind the one before.
    """
    behind = at + _IDS_AT + count
    _head(w, at, kind, count, behind)
    w[at + 2] = one
    w[at + 3] = two
    for k in range(count):
        w[at + _IDS_AT + k] = w[ids + k * width]
    return behind


@part
def _are_distinct(w: Words, at: int, count: int) -> bool:
    """Whether ids rise, as they do where none is named twice by who got them in order."""
    for k in range(1, count):
        if w[at + k] <= w[at + k - 1]:
            return False
    return True


@part
def _column(
    w: Words, at: int, rows: int, width: int, count: int, field: int, mask: int
) -> int:
    """Write one field of each row as a column of words; gives the word behind."""
    for k in range(count):
        w[at + k] = w[rows + k * width + field] & mask
    return at + count


@part
def _shared(w: Words, at: int, event: int, row: int, mixed: int) -> int:
    """Write what all pushed jobs have, 0 where they differ; gives the flags."""
    w[at] = w[event + _TWO]
    w[at + 1] = w[event + _NOW]
    flags = 0
    fields = (lo.X_RUN_AT, lo.X_PRIORITY, lo.X_MAX_ATTEMPTS)
    marks = (rec.RUN_ATS, rec.PRIORITIES, rec.MAX_ATTEMPTS)
    for k in range(3):
        apart = mixed >> fields[k] & 1 != 0
        w[at + 2 + k] = 0 if apart else w[row + fields[k]]
        flags |= marks[k] if apart else 0
    retry = w[row + lo.X_BACKOFF]
    if mixed >> lo.X_BACKOFF & 1 != 0:
        w[at + 5] = 0
        return flags | rec.BACKOFFS | rec.JITTERS
    w[at + 5] = retry & 0xFFFFFFFF
    return flags | (rec.JITTER if retry >> lo.X_JITTER_BIT & 1 != 0 else 0)


@part
def _columns(w: Words, at: int, flags: int, rows: int, width: int, count: int) -> int:
    """Write the columns of pushed jobs that differ; gives the word behind."""
    if flags & rec.RUN_ATS != 0:
        at = _column(w, at, rows, width, count, lo.X_RUN_AT, -1)
    if flags & rec.PRIORITIES != 0:
        at = _column(w, at, rows, width, count, lo.X_PRIORITY, -1)
    if flags & rec.MAX_ATTEMPTS != 0:
        at = _column(w, at, rows, width, count, lo.X_MAX_ATTEMPTS, -1)
    if flags & rec.BACKOFFS != 0:
        at = _column(w, at, rows, width, count, lo.X_BACKOFF, 0xFFFFFFFF)
    return at


@inlined
def _begin_texts(
    w: Words, b: Words, at: int, flags: int, rows: int, width: int, count: int
) -> int:
    """Write jitters, if they differ; gives the byte behind, where the name goes."""
    if flags & rec.JITTERS != 0:
        for k in range(count):
            b[at + k] = w[rows + k * width + lo.X_BACKOFF] >> lo.X_JITTER_BIT & 1
        at += count
    return at


@inlined
def _write_name(w: Words, b: Words, at: int, queue: int) -> int:
    """Write a queue's name; gives the byte behind."""
    size = w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_NAME_BYTES]
    name = lo.QUEUES_B + 8 * queue * lo.QUEUE_WORDS + lo.Q_NAME_AT
    copy_bytes(b, at, name, size)
    return at + size


@inlined
def _end_pushed(
    w: Words, b: Words, at: int, event: int, flags: int, count: int, end: int
) -> int:
    """Write the padding and the head of a record of pushes; gives the word behind."""
    behind = _zeros(b, end)
    name = lo.QUEUES_W + w[event + _ONE] * lo.QUEUE_WORDS + lo.Q_NAME_BYTES
    _head(w, at, rec.PUSHED | flags << 8 | w[name] << 16, count, behind)
    return behind


@inlined
def _count_pushed(w: Words, event: int, at: int, flags: int, count: int) -> None:
    """Count what a record of pushes gave out: ids, and the sequence of those ready."""
    now = w[event + _NOW]
    w[lo.S_RECORDS_LAST_ID] = w[event + _TWO] + count - 1
    fixed = at + _FIXED_AT
    if flags & rec.RUN_ATS == 0:
        if w[fixed + 2] <= now:
            w[lo.S_RECORDS_SPAN] += count
        return
    for k in range(count):
        if w[fixed + _PUSHED_FIXED + k] <= now:
            w[lo.S_RECORDS_SPAN] += 1


@part
def _write_singles(w: Words, h: Words, b: Words, at: int, event: int, count: int) -> int:
    """Write single pushes to one queue in a row as one record; gives the word behind."""
    rows = event + lo.E_HEADER_WORDS
    mixed = 0
    for k in range(1, count):
        row = rows + k * _PUSHED_WIDTH
        for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
            if w[row + field] != w[rows + field]:
                mixed |= 1 << field
    flags = _shared(w, at + _FIXED_AT, event, rows, mixed)
    places = 2 * _columns(
        w, at + _FIXED_AT + _PUSHED_FIXED, flags, rows, _PUSHED_WIDTH, count
    )
    total = 0
    for k in range(count):
        h[places + k] = total
        total += w[rows + k * _PUSHED_WIDTH + lo.X_DATA_BYTES]
    h[places + count] = total
    data = 4 * (places + count + 1)
    data = _begin_texts(w, b, data, flags, rows, _PUSHED_WIDTH, count)
    data = _write_name(w, b, data, w[event + _ONE])
    for k in range(count):
        row = rows + k * _PUSHED_WIDTH
        copy_bytes(b, data, w[row + lo.X_DATA], w[row + lo.X_DATA_BYTES])
        data += w[row + lo.X_DATA_BYTES]
    _count_pushed(w, event, at, flags, count)
    return _end_pushed(w, b, at, event, flags, count, data)


@part
def _batch_end(w: Words, event: int) -> int:
    """Where the list of a batch ends."""
    count, items = w[event + _COUNT], event + lo.E_HEADER_WORDS
    end = items + lo.P_PLACES + count // 2 + 1 + (w[items + lo.P_BYTES] + 7 >> 3)
    return end + count * lo.ROW_WORDS if w[items + lo.P_MIXED] != 0 else end


@part
def _write_batch(w: Words, b: Words, at: int, event: int) -> int:
    """Write a batch, whose payloads lie end to end; gives the word behind."""
    count, items = w[event + _COUNT], event + lo.E_HEADER_WORDS
    total, row = w[items + lo.P_BYTES], items + lo.P_ROW
    rows = _batch_end(w, event) - count * lo.ROW_WORDS
    flags = _shared(w, at + _FIXED_AT, event, row, w[items + lo.P_MIXED])
    places = _columns(w, at + _FIXED_AT + _PUSHED_FIXED, flags, rows, lo.ROW_WORDS, count)
    copy_bytes(b, 8 * places, 8 * (items + lo.P_PLACES), 4 * (count + 1))
    data = 8 * places + 4 * (count + 1)
    data = _begin_texts(w, b, data, flags, rows, lo.ROW_WORDS, count)
    data = _write_name(w, b, data, w[event + _ONE])
    copy_bytes(b, data, 8 * (items + lo.P_PLACES + count // 2 + 1), total)
    _count_pushed(w, event, at, flags, count)
    return _end_pushed(w, b, at, event, flags, count, data + total)


@part
def _is_plain_error(w: Words, b: Words, error: int, size: int) -> bool:
    """Whether an error text, in quotes, is told by the very bytes that it came in."""
    if size - 2 > w[lo.S_ERROR_CHARS_MAX]:
        return False
    for k in range(1, size - 1):
        if b[error + k] == _BACKSLASH:
            return False
    return True


@part
def _write_failed(w: Words, h: Words, b: Words, at: int, event: int) -> int:
    """Write failures; gives the word behind, or 0 if an error text is not plain."""
    count, items = w[event + _COUNT], event + lo.E_HEADER_WORDS
    w[at + 2] = w[event + _NOW]
    w[at + 3] = 0
    ids, run_ats = at + _IDS_AT, at + _IDS_AT + count
    sizes = 2 * (run_ats + count)
    text = 4 * (sizes + (count + 1 & ~1))
    if count & 1 != 0:
        h[sizes + count] = 0
    for k in range(count):
        item = items + lo.E_FAILED_WORDS * k
        w[ids + k] = w[item]
        w[run_ats + k] = w[item + 1]
        if w[item + 1] <= w[event + _NOW]:
            w[lo.S_RECORDS_SPAN] += 1
        error, size = w[item + 2], w[item + 3]
        if error <= 0:
            h[sizes + k] = -1
            continue
        if not _is_plain_error(w, b, error, size):
            return 0
        h[sizes + k] = size - 2
        copy_bytes(b, text, error + 1, size - 2)
        text += size - 2
    behind = _zeros(b, text)
    _head(w, at, rec.FAILED, count, behind)
    return behind


@part
def _alike(w: Words, event: int, end: int, width: int) -> int:
    """Count the events from one on that make one record: single pushes, single ACKs."""
    count = 0
    at = event
    while (
        at < end
        and w[at] == w[event]
        and w[at + _COUNT] == 1
        and w[at + _ONE] == w[event + _ONE]
    ):
        count += 1
        at += width
    return count


@part
def _write_leases(w: Words, at: int, event: int) -> int:
    """Write leases, new or longer; gives the word behind, or 0 if it is for Python."""
    count, items = w[event + _COUNT], event + lo.E_HEADER_WORDS
    one, two = w[event + _ONE], w[event + _TWO]
    if w[event] == lo.E_LEASED:
        return _write_ids(w, at, rec.LEASED, count, one, two, items, 1)
    if _are_distinct(w, items, count):
        return _write_ids(w, at, rec.EXTENDED, count, 0, one, items, 1)
    return 0


@part
def write_records(w: Words, h: Words, b: Words) -> None:
    """Write the records of all events; S_RECORDS_BYTES stays 0 if that is for Python."""
    event, end = lo.EVENTS_W, lo.EVENTS_W + w[lo.S_EVENTS]
    at = lo.SCRATCH_W
    told = 0
    w[lo.S_RECORDS_PROMISED] = 0
    w[lo.S_RECORDS_SPAN] = 0
    w[lo.S_RECORDS_LAST_ID] = 0
    while event < end:
        kind, count = w[event], w[event + _COUNT]
        items = event + lo.E_HEADER_WORDS
        if kind == lo.E_PUSHED and count == 1:
            count = _alike(w, event, end, _PUSHED_WIDTH)
            following = event + count * _PUSHED_WIDTH
            at = _write_singles(w, h, b, at, event, count)
        elif kind == lo.E_PUSHED:
            following = _batch_end(w, event)
            at = _write_batch(w, b, at, event)
        elif kind == lo.E_ACKED and count == 1:
            count = _alike(w, event, end, _ACKED_WIDTH)
            following = event + count * _ACKED_WIDTH
            at = _write_ids(w, at, rec.ACKED, count, 0, 0, items, _ACKED_WIDTH)
        elif kind == lo.E_ACKED:
            following = items + count
            at = _write_ids(w, at, rec.ACKED, count, 0, 0, items, 1)
        elif kind == lo.E_FAILED:
            following = items + lo.E_FAILED_WORDS * count
            at = _write_failed(w, h, b, at, event)
        else:
            following = items + count
            at = _write_leases(w, at, event)
            w[lo.S_RECORDS_PROMISED] -= 1
        if at == 0:
            return
        told += 1
        w[lo.S_RECORDS_PROMISED] += 1
        event = following
    w[lo.S_RECORDS] = told
    w[lo.S_RECORDS_BYTES] = 8 * (at - lo.SCRATCH_W)
