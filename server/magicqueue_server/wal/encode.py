r"""Records to bytes.

Every record starts with 16 bytes and is padded with zeros to a multiple of 8:

    01 00 06 00   kind 1 (Pushed), flags, length of the text (6)
    01 00 00 00   1 job
    58 00 00 00 00 00 00 00   88 bytes in all

Then what the kind has, in this order: fixed numbers, columns of 8-byte numbers, columns
of 4-byte numbers, columns of bytes, the text, texts, payloads. `Pushed` goes on, for the
job 7 of queue "emails" with data {"to":1}:

    07 00 00 00 00 00 00 00   first id
    00 68 e5 cf 8b 01 00 00   created
    00 68 e5 cf 8b 01 00 00   run_at of all jobs (0 if flag 1 says that a column follows)
    00 00 00 00 00 00 00 00   priority (flag 2)
    19 00 00 00 00 00 00 00   max_attempts (flag 4)
    00 00 00 00 00 00 00 00   backoff (flag 8); jitter is flag 16, or flag 32 for a column
    00 00 00 00 08 00 00 00   where payloads start and end: 0, 8 (one more than jobs)
    "emails"                  the text, here the queue's name
    {"to":1}                  the payloads, end to end
    00 00                     padding

With flag 64 payloads lie apart, as in a request line: the fixed numbers end with how many
bytes there are, and there are two columns, starts and ends, in place of one.

The other kinds have two fixed numbers, then ids: `Leased` session and until, `Extended`
0 and until, `Failed`, `Died` and `Revived` the time and 0, `Released` 0 and run_at,
`Postponed` the span and the time (and no ids), `Paused` whether and 0 (its text is the
queue's name); `Died` and `Removed` have their reason as text. Texts are a column of lengths
(4 bytes, -1 for none), padded, then all texts, padded. `Moved` has many columns: see
`MOVED_NUMBERS`.

Numbers cost no Python object a job where they come as arrays: they are copied as they are.
"""

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

from magicqueue_cores import records

RECORD_HEAD: Final = struct.Struct("<BBHIQ")
PUSHED_FIXED: Final = struct.Struct("<qqqqqq")
PAIR: Final = struct.Struct("<qq")
SPAN: Final = struct.Struct("<Q")
_ONE_PUSHED: Final = struct.Struct("<BBHIQqqqqqqII")
_JOINED_PUSHED: Final = struct.Struct("<BBHIQqqqqqq")
PADDING: Final = tuple(bytes(n) for n in range(8))

KINDS: Final[dict[type[records.Record], int]] = {
    records.Pushed: 1,
    records.Matured: 2,
    records.Leased: 3,
    records.Extended: 4,
    records.Acked: 5,
    records.Failed: 6,
    records.Lost: 7,
    records.Died: 8,
    records.Removed: 9,
    records.Revived: 10,
    records.Paused: 11,
    records.Moved: 12,
    records.Released: 13,
    records.Postponed: 14,
}
RUN_ATS: Final = 1
PRIORITIES: Final = 2
MAX_ATTEMPTS: Final = 4
BACKOFFS: Final = 8
JITTER: Final = 16
JITTERS: Final = 32
APART: Final = 64

MOVED_NUMBERS: Final = (
    "ids",
    "priorities",
    "created_ats_ms",
    "run_ats_ms",
    "max_attempts",
    "backoffs_ms",
    "sequences",
    "attempts",
    "failures",
    "losses",
    "sessions",
    "untils_ms",
    "died_ats_ms",
)
MOVED_BYTES: Final = ("jitters", "states", "returned")


def encode(record: records.Record, parts: list[bytes]) -> int:
    """Append a record to `parts`; gives how many bytes. It keeps no view of anything."""
    if type(record) is records.Pushed:
        if _is_plain(record):
            if len(record.payloads) == 1:
                return _one_pushed(record, parts)
            offsets = getattr(record.payloads, "offsets", None)
            if offsets is not None:
                return _joined_pushed(record, offsets, parts)
        return _pushed(record, parts)
    return _ENCODERS[type(record)](record, parts)


def numbers(column: Any, code: str = "q") -> bytes:
    """Make 8-byte numbers (or of another array code) of a column."""
    if not isinstance(column, list | tuple | range):
        try:
            view = memoryview(column)
        except TypeError:
            pass
        else:
            if view.itemsize == _ITEM_BYTES[code] and view.format in _SAME[code]:
                return view.tobytes()
    return array(code, column).tobytes()


_SAME: Final = {"q": "qlQLn", "I": "IiLl", "B": "Bb?"}
_ITEM_BYTES: Final = {code: array(code).itemsize for code in _SAME}


def _is_plain(record: records.Pushed) -> bool:
    return (
        type(record.run_ats_ms) is int
        and type(record.priorities) is int
        and type(record.max_attempts) is int
        and type(record.backoffs_ms) is int
        and type(record.jitters) is bool
    )


def _one_pushed(record: Any, parts: list[bytes]) -> int:
    """Write the usual single push in one go."""
    queue = record.queue.encode()
    payload = record.payloads[0]
    length = 72 + len(queue) + len(payload)
    padding = -length & 7
    head = _ONE_PUSHED.pack(
        1,
        JITTER if record.jitters else 0,
        len(queue),
        1,
        length + padding,
        record.first_id,
        record.created_at_ms,
        record.run_ats_ms,
        record.priorities,
        record.max_attempts,
        record.backoffs_ms,
        0,
        len(payload),
    )
    parts.append(b"%b%b%b%b" % (head, queue, payload, PADDING[padding]))
    return length + padding


def _joined_pushed(record: Any, offsets: Sequence[int], parts: list[bytes]) -> int:
    """Write the usual batch in one go."""
    queue = record.queue.encode()
    places, size = numbers(offsets, "I"), offsets[-1]
    length = _JOINED_PUSHED.size + len(places) + len(queue) + size
    padding = -length & 7
    head = _JOINED_PUSHED.pack(
        1,
        JITTER if record.jitters else 0,
        len(queue),
        len(offsets) - 1,
        length + padding,
        record.first_id,
        record.created_at_ms,
        record.run_ats_ms,
        record.priorities,
        record.max_attempts,
        record.backoffs_ms,
    )
    parts += head, places, queue, bytes(record.payloads.buffer[:size]), PADDING[padding]
    return length + padding


def _pushed(record: records.Pushed, parts: list[bytes]) -> int:
    flags, shared, columns = 0, [record.first_id, record.created_at_ms], []
    for flag, column in (
        (RUN_ATS, record.run_ats_ms),
        (PRIORITIES, record.priorities),
        (MAX_ATTEMPTS, record.max_attempts),
        (BACKOFFS, record.backoffs_ms),
    ):
        if isinstance(column, int):
            shared.append(column)
        else:
            shared.append(0)
            columns.append(numbers(column))
            flags |= flag
    fixed = PUSHED_FIXED.pack(*shared)
    payload_parts, span = _payloads(record.payloads)
    if span:
        flags |= APART
        fixed += span
    columns += payload_parts[:-1]
    if isinstance(record.jitters, bool):
        flags |= JITTER if record.jitters else 0
    else:
        flags |= JITTERS
        columns.append(numbers(record.jitters, "B"))
    text = record.queue.encode()
    body = [fixed, *columns, text, payload_parts[-1]]
    return _finish(parts, KINDS[records.Pushed], flags, text, len(record.payloads), body)


def _payloads(payloads: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """Give the columns and bytes of payloads, and the fixed number if they lie apart."""
    if isinstance(payloads, records.PayloadBlob):
        if payloads.offsets is not None:
            size = payloads.offsets[-1]
            return [numbers(payloads.offsets, "I"), bytes(payloads.buffer[:size])], b""
        starts, ends = numbers(payloads.starts, "I"), numbers(payloads.ends, "I")
        blob = bytes(payloads.buffer)
        return [starts, ends, blob], SPAN.pack(len(blob))
    offsets = array("I", accumulate(map(len, payloads), initial=0)).tobytes()
    return [offsets, b"".join(payloads)], b""


def _finish(
    parts: list[bytes],
    kind: int,
    flags: int,
    text: bytes,
    count: int,
    body: Iterable[bytes],
) -> int:
    """Append a head, the body, and padding."""
    at = len(parts)
    parts.append(b"")
    parts += body
    length = RECORD_HEAD.size + sum(map(len, parts[at:]))
    padding = -length & 7
    if padding:
        parts.append(PADDING[padding])
    parts[at] = RECORD_HEAD.pack(kind, flags, len(text), count, length + padding)
    return length + padding


def _of_ids(
    record: Any, parts: list[bytes], pair: tuple[int, int], text: str, *more: bytes
) -> int:
    ids = record.ids
    name = text.encode()
    body = (PAIR.pack(*pair), numbers(ids), *more[:1], name, *more[1:])
    return _finish(parts, KINDS[type(record)], 0, name, len(ids), body)


def texts(values: Sequence[str | None]) -> bytes:
    """Make a column of texts, each of which may be None; a multiple of 8 bytes."""
    encoded = [None if text is None else text.encode() for text in values]
    lengths = array("i", (-1 if text is None else len(text) for text in encoded)).tobytes()
    blob = b"".join(text for text in encoded if text)
    return lengths + PADDING[-len(lengths) & 7] + blob + PADDING[-len(blob) & 7]


def _leased(record: records.Leased, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (record.session, record.until_ms), "")


def _extended(record: records.Extended, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (0, record.until_ms), "")


def _released(record: records.Released, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (0, record.run_at_ms), "")


def _postponed(record: records.Postponed, parts: list[bytes]) -> int:
    pair = PAIR.pack(record.by_ms, record.at_ms)
    return _finish(parts, KINDS[records.Postponed], 0, b"", 0, (pair,))


def _failed(record: records.Failed, parts: list[bytes]) -> int:
    return _of_ids(
        record,
        parts,
        (record.at_ms, 0),
        "",
        numbers(record.run_ats_ms),
        _padded(record, ""),
    )


def _died(record: records.Died, parts: list[bytes]) -> int:
    reason = record.reason
    return _of_ids(record, parts, (record.at_ms, 0), reason, b"", _padded(record, reason))


def _padded(record: records.Failed | records.Died, text: str) -> bytes:
    """Make the errors, which begin at a multiple of 8 behind the text."""
    return PADDING[-len(text.encode()) & 7] + texts(record.errors)


def _removed(record: records.Removed, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (0, 0), record.cause)


def _revived(record: records.Revived, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (record.at_ms, 0), "")


def _plain_ids(record: Any, parts: list[bytes]) -> int:
    return _of_ids(record, parts, (0, 0), "")


def _paused(record: records.Paused, parts: list[bytes]) -> int:
    name = record.queue.encode()
    body = (PAIR.pack(record.paused, 0), name)
    return _finish(parts, KINDS[records.Paused], 0, name, 0, body)


def _moved(record: records.Moved, parts: list[bytes]) -> int:
    names = {name: index for index, name in enumerate(dict.fromkeys(record.queues))}
    count = len(record.ids)
    blob = b"".join(record.payloads)
    offsets = array("I", accumulate(map(len, record.payloads), initial=0))
    halves = array("I", [names[name] for name in record.queues]) + offsets
    small = b"".join(numbers(getattr(record, name), "B") for name in MOVED_BYTES)
    body = [PAIR.pack(len(names), len(blob))]
    body += [numbers(getattr(record, name)) for name in MOVED_NUMBERS]
    body += [halves.tobytes(), PADDING[-4 * len(halves) & 7]]
    body += [small, PADDING[-len(small) & 7]]
    body += [texts(list(names)), texts(record.errors), texts(record.reasons), blob]
    return _finish(parts, KINDS[records.Moved], 0, b"", count, body)


_ENCODERS: Final[dict[type[Any], Callable[[Any, list[bytes]], int]]] = {
    records.Matured: _plain_ids,
    records.Leased: _leased,
    records.Extended: _extended,
    records.Postponed: _postponed,
    records.Acked: _plain_ids,
    records.Failed: _failed,
    records.Lost: _plain_ids,
    records.Released: _released,
    records.Died: _died,
    records.Removed: _removed,
    records.Revived: _revived,
    records.Paused: _paused,
    records.Moved: _moved,
}
