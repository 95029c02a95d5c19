"""Bytes to records: the other side of `encode`, by the same `layouts`.

Long columns come as views of the data, without an object a job; short ones as lists.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from magicqueue_cores import records
from magicqueue_server.wal import layouts as lay

_HEAD_BYTES: Final = lay.RECORD_HEAD.size
_LIST_MAX: Final = 64
_PUSHED_AT: Final = _HEAD_BYTES + lay.PUSHED_FIXED.size
_PAIR_AT: Final = _HEAD_BYTES + lay.PAIR.size
_Decode = Callable[[memoryview, int, int, int], Any]


class BadRecord(Exception):
    """The bytes of a whole frame are no records: a bug, or a log of something else."""


def decode(body: memoryview) -> Iterator[records.Record]:
    """Read the records of a frame's body; raises BadRecord."""
    at, end = 0, len(body)
    while at < end:
        try:
            kind, flags, text_bytes, count, length = lay.RECORD_HEAD.unpack_from(body, at)
            if not _HEAD_BYTES <= length <= end - at or length & 7:
                raise BadRecord(f"a record says it has {length} bytes of {end - at}")
            record = _DECODERS[kind](body[at : at + length], flags, text_bytes, count)
        except (KeyError, IndexError, ValueError, TypeError, struct.error) as error:
            raise BadRecord(f"no record can be read at byte {at}: {error!r}") from None
        yield record
        at += length


class _Reader:
    """Takes columns off a record's bytes, one after another."""

    __slots__ = ("at", "data")

    def __init__(self, data: memoryview, at: int) -> None:
        self.data = data
        self.at = at

    def column(self, count: int, code: str = "q") -> Sequence[int]:
        """Take numbers of an array code."""
        start, size = self.at, _SIZES[code]
        self.at = end = start + count * size
        view = self.data[start:end]
        if len(view) != count * size:
            raise ValueError("a column is cut off")
        numbers: memoryview = view
        if code != "B":
            numbers = view.cast(code)  # type: ignore[call-overload]  # one of _SIZES
        return numbers.tolist() if count <= _LIST_MAX else numbers

    def take(self, length: int) -> memoryview:
        """Take bytes."""
        start = self.at
        self.at = start + length
        view = self.data[start : self.at]
        if len(view) != length:
            raise ValueError("a text is cut off")
        return view

    def text(self, length: int) -> str:
        """Take a text."""
        return str(self.take(length), "utf-8")

    def align(self) -> None:
        """Go on at a multiple of 8."""
        self.at += -self.at & 7

    def texts(self, count: int) -> list[str | None]:
        """Take a column of texts."""
        lengths = self.column(count, "i")
        self.align()
        blob = bytes(self.take(sum([length for length in lengths if length > 0])))
        self.align()
        found: list[str | None] = []
        at = 0
        for length in lengths:
            if length < 0:
                found.append(None)
            else:
                found.append(blob[at : at + length].decode())
                at += length
        return found

    def blobs(self, count: int) -> list[bytes]:
        """Take a column of strings of bytes."""
        lengths = self.column(count, "i")
        if count and min(lengths) < 0:
            raise ValueError("a string of bytes has no length")
        self.align()
        ends = list(accumulate(lengths, initial=0))
        blob = bytes(self.take(ends[-1]))
        self.align()
        return [blob[start:end] for start, end in pairwise(ends)]

    def end(self) -> None:
        """Nothing but padding may be left."""
        if self.at + (-self.at & 7) != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes of it are of no field")


_SIZES: Final = {"q": 8, "I": 4, "i": 4, "B": 1}


def _pushed(data: memoryview, flags: int, text_bytes: int, count: int) -> records.Pushed:
    first_id, created, run_at, priority, attempts, backoff = lay.PUSHED_FIXED.unpack_from(
        data, _HEAD_BYTES
    )
    if count == 1 and not flags & ~lay.JITTER:
        name_at = _PUSHED_AT + 8
        payload_at = name_at + text_bytes
        size = int.from_bytes(data[_PUSHED_AT + 4 : name_at], "little")
        payload = bytes(data[payload_at : payload_at + size])
        queue = str(data[name_at:payload_at], "utf-8")
        jitter = bool(flags & lay.JITTER)
        return records.Pushed(
            queue,
            first_id,
            created,
            (payload,),
            run_at,
            priority,
            attempts,
            backoff,
            jitter,
        )
    reader = _Reader(data, _PUSHED_AT)
    span = 0
    if flags & lay.APART:
        (span,) = lay.SPAN.unpack(reader.take(lay.SPAN.size))
    run_ats = reader.column(count) if flags & lay.RUN_ATS else run_at
    priorities = reader.column(count) if flags & lay.PRIORITIES else priority
    max_attempts = reader.column(count) if flags & lay.MAX_ATTEMPTS else attempts
    backoffs = reader.column(count) if flags & lay.BACKOFFS else backoff
    columns = [reader.column(count, "I") for _ in range(2)] if flags & lay.APART else []
    offsets = [] if columns else reader.column(count + 1, "I")
    jitters: bool | Sequence[bool] = bool(flags & lay.JITTER)
    if flags & lay.JITTERS:
        jitters = [bool(jitter) for jitter in reader.column(count, "B")]
    queue = reader.text(text_bytes)
    if columns:
        payloads = records.PayloadBlob(reader.take(span), *columns)
    else:
        payloads = records.PayloadBlob.joined(reader.take(offsets[-1]), offsets)
    return records.Pushed(
        queue,
        first_id,
        created,
        payloads,
        run_ats,
        priorities,
        max_attempts,
        backoffs,
        jitters,
        bool(flags & lay.HELD),
    )


def _moved(data: memoryview, _flags: int, _text: int, count: int) -> records.Moved:
    name_count, blob_bytes = lay.PAIR.unpack_from(data, _HEAD_BYTES)
    reader = _Reader(data, _PAIR_AT)
    columns: dict[str, Any] = {name: reader.column(count) for name in lay.MOVED_NUMBERS}
    name_numbers = reader.column(count, "I")
    offsets = reader.column(count + 1, "I")
    reader.align()
    columns |= {name: reader.column(count, "B") for name in lay.MOVED_BYTES}
    for name in ("jitters", "returned"):
        columns[name] = [bool(value) for value in columns[name]]
    reader.align()
    names = reader.texts(name_count)
    columns["errors"], columns["reasons"] = reader.texts(count), reader.texts(count)
    blob = reader.take(blob_bytes)
    payloads = records.PayloadBlob(blob, offsets[:-1], offsets[1:])
    columns["queues"] = [names[number] for number in name_numbers]
    return records.Moved(payloads=payloads, **columns)


def _ids_alone(make: type[Any], layout: lay.Layout) -> _Decode:
    """Read ids behind two numbers: the record has those that it has in this order."""
    one, two = layout.fixed

    def decode_ids(data: memoryview, _flags: int, text: int, count: int) -> Any:
        first, second = lay.PAIR.unpack_from(data, _HEAD_BYTES)
        column = data[_PAIR_AT:].cast("q")
        if len(column) != count or text:
            raise ValueError(f"it has {len(column)} ids of {count}")
        ids = column.tolist() if count <= _LIST_MAX else column
        if one and two:
            return make(ids, first, second)
        return make(ids, first if one else second) if one or two else make(ids)

    return decode_ids


def _by_layout(make: type[Any], layout: lay.Layout) -> _Decode:
    _, fixed, columns, text_field, text_columns, blob_columns = layout
    fixed_numbers = struct.Struct(f"<{len(fixed)}q")
    columns_at = _HEAD_BYTES + fixed_numbers.size
    named = [(at, name, name in lay.TRUTHS) for at, name in enumerate(fixed) if name]
    aligned = bool(text_columns or blob_columns)

    def decode_fields(data: memoryview, _flags: int, text: int, count: int) -> Any:
        values = fixed_numbers.unpack_from(data, _HEAD_BYTES)
        fields: dict[str, Any] = {}
        for at, name, is_truth in named:
            fields[name] = bool(values[at]) if is_truth else values[at]
        reader = _Reader(data, columns_at)
        for name in columns:
            fields[name] = reader.column(count)
        if text_field:
            fields[text_field] = reader.text(text)
        if aligned:
            reader.align()
        for name in text_columns:
            fields[name] = reader.texts(count)
        for name in blob_columns:
            fields[name] = reader.blobs(count)
        reader.end()
        return make(**fields)

    return decode_fields


_DECODERS: Final[dict[int, _Decode]] = {
    lay.PUSHED: _pushed,
    lay.MOVED: _moved,
    **{
        layout.kind: (_ids_alone if layout.has_ids_alone else _by_layout)(kind, layout)
        for kind, layout in lay.LAYOUTS.items()
    },
}
