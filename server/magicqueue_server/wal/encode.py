"""Records to bytes, as `layouts` has it.

Numbers cost no Python object a job where they come as arrays: they are copied as they are.
"""

import operator
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

from magicqueue_cores import records
from magicqueue_server.wal.layouts import (
    APART,
    BACKOFFS,
    HELD,
    JITTER,
    JITTERS,
    LAYOUTS,
    MAX_ATTEMPTS,
    MOVED,
    MOVED_BYTES,
    MOVED_NUMBERS,
    PADDING,
    PAIR,
    PRIORITIES,
    PUSHED,
    PUSHED_FIXED,
    RECORD_HEAD,
    RUN_ATS,
    SPAN,
    Layout,
)

_ONE_PUSHED: Final = struct.Struct("<BBHIQqqqqqqII")
_JOINED_PUSHED: Final = struct.Struct("<BBHIQqqqqqq")
_WITH_PAIR: Final = struct.Struct("<BBHIQqq")
_Encode = Callable[[Any, list[bytes]], int]


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
        and not record.held
    )


def _one_pushed(record: Any, parts: list[bytes]) -> int:
    """Write the usual single push in one go."""
    queue = record.queue.encode()
    payload = record.payloads[0]
    length = 72 + len(queue) + len(payload)
    padding = -length & 7
    head = _ONE_PUSHED.pack(
        PUSHED,
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
        PUSHED,
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
    flags = HELD if record.held else 0
    shared, columns = [record.first_id, record.created_at_ms], list[bytes]()
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
    return _finish(parts, PUSHED, flags, text, len(record.payloads), body)


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


def texts(values: Sequence[str | None]) -> bytes:
    """Make a column of texts, each of which may be None; a multiple of 8 bytes."""
    encoded = [None if text is None else text.encode() for text in values]
    sizes = [-1 if text is None else len(text) for text in encoded]
    return _strings(sizes, b"".join([text for text in encoded if text]))


def blobs(values: Sequence[bytes]) -> bytes:
    """Make a column of strings of bytes; a multiple of 8 bytes."""
    return _strings(list(map(len, values)), b"".join(values))


def _strings(sizes: list[int], blob: bytes) -> bytes:
    padded = b"\0\0\0\0" if len(sizes) & 1 else b""
    return b"%b%b%b%b" % (
        array("i", sizes).tobytes(),
        padded,
        blob,
        PADDING[-len(blob) & 7],
    )


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
    return _finish(parts, MOVED, 0, b"", count, body)


def _ids_alone(layout: Layout) -> _Encode:
    """Write ids behind two numbers in one go: what most commands come to."""
    kind, (one, two) = layout.kind, layout.fixed

    def encode_ids(record: Any, parts: list[bytes]) -> int:
        ids = numbers(record.ids)
        length = _WITH_PAIR.size + len(ids)
        first = getattr(record, one) if one else 0
        second = getattr(record, two) if two else 0
        head = _WITH_PAIR.pack(kind, 0, 0, len(ids) >> 3, length, first, second)
        parts += (head, ids)
        return length

    return encode_ids


def _by_layout(layout: Layout) -> _Encode:
    kind, fixed, columns, text_field, text_columns, blob_columns = layout
    pack_fixed = struct.Struct(f"<{len(fixed)}q").pack
    fixed_of = _getter(fixed)
    columns_of = _getter((*columns, *text_columns, *blob_columns))
    makers: list[Callable[[Any], bytes]] = [numbers] * len(columns) + [texts] * len(
        text_columns
    )
    makers += [blobs] * len(blob_columns)
    text_at = len(columns)
    aligned = len(makers) > text_at

    def encode_fields(record: Any, parts: list[bytes]) -> int:
        values = columns_of(record)
        body = [make(value) for make, value in zip(makers, values)]  # noqa: B905 - as many
        text = getattr(record, text_field).encode() if text_field else b""
        if text:
            body.insert(text_at, text + PADDING[-len(text) & 7] if aligned else text)
        count = len(values[0]) if values else 0
        head = pack_fixed(*fixed_of(record))
        return _finish(parts, kind, 0, text, count, [head, *body])

    return encode_fields


def _getter(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    """Make what gives the fields of a record in this order, 0 for one without a name."""
    if len(names) > 1 and all(names):
        return operator.attrgetter(*names)
    return lambda record: [getattr(record, name) if name else 0 for name in names]


_ENCODERS: Final[dict[type[Any], _Encode]] = {
    records.Moved: _moved,
    **{
        kind: (_ids_alone if layout.has_ids_alone else _by_layout)(layout)
        for kind, layout in LAYOUTS.items()
    },
}
