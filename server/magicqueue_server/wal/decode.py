"""Bytes to records: the other side of `encode`, which shows the layout.

Long columns come as views of the data, without an object a job; short ones as lists.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from magicqueue_cores import records
from magicqueue_server.wal import encode as enc

_HEAD_BYTES: Final = enc.RECORD_HEAD.size
_LIST_MAX: Final = 64
_PUSHED_AT: Final = _HEAD_BYTES + enc.PUSHED_FIXED.size
_PAIR_AT: Final = _HEAD_BYTES + enc.PAIR.size


class BadRecord(Exception):
    """The bytes of a whole frame are no records: a bug, or a log of something else."""


def decode(body: memoryview) -> Iterator[records.Record]:
    """Read the records of a frame's body; raises BadRecord."""
    at, end = 0, len(body)
    while at < end:
        try:
            kind, flags, text_bytes, count, length = enc.RECORD_HEAD.unpack_from(body, at)
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
        blob = bytes(self.take(sum(length for length in lengths if length > 0)))
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


_SIZES: Final = {"q": 8, "I": 4, "i": 4, "B": 1}


def _pushed(data: memoryview, flags: int, text_bytes: int, count: int) -> records.Pushed:
    first_id, created, run_at, priority, attempts, backoff = enc.PUSHED_FIXED.unpack_from(
        data, _HEAD_BYTES
    )
    if count == 1 and not flags & ~enc.JITTER:
        name_at = _PUSHED_AT + 8
        payload_at = name_at + text_bytes
        size = int.from_bytes(data[_PUSHED_AT + 4 : name_at], "little")
        payload = bytes(data[payload_at : payload_at + size])
        queue = str(data[name_at:payload_at], "utf-8")
        jitter = bool(flags & enc.JITTER)
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
    if flags & enc.APART:
        (span,) = enc.SPAN.unpack(reader.take(enc.SPAN.size))
    run_ats = reader.column(count) if flags & enc.RUN_ATS else run_at
    priorities = reader.column(count) if flags & enc.PRIORITIES else priority
    max_attempts = reader.column(count) if flags & enc.MAX_ATTEMPTS else attempts
    backoffs = reader.column(count) if flags & enc.BACKOFFS else backoff
    columns = [reader.column(count, "I") for _ in range(2)] if flags & enc.APART else []
    offsets = [] if columns else reader.column(count + 1, "I")
    jitters: bool | Sequence[bool] = bool(flags & enc.JITTER)
    if flags & enc.JITTERS:
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
    )


def _start(data: memoryview, count: int) -> tuple[int, int, Sequence[int], _Reader]:
    one, two = enc.PAIR.unpack_from(data, _HEAD_BYTES)
    reader = _Reader(data, _PAIR_AT)
    return one, two, reader.column(count), reader


def _leased(data: memoryview, _flags: int, _text: int, count: int) -> records.Leased:
    session, until_ms, ids, _ = _start(data, count)
    return records.Leased(ids, session, until_ms)


def _extended(data: memoryview, _flags: int, _text: int, count: int) -> records.Extended:
    _, until_ms, ids, _ = _start(data, count)
    return records.Extended(ids, until_ms)


def _failed(data: memoryview, _flags: int, _text: int, count: int) -> records.Failed:
    at_ms, _, ids, reader = _start(data, count)
    run_ats_ms = reader.column(count)
    return records.Failed(ids, reader.texts(count), run_ats_ms, at_ms)


def _died(data: memoryview, _flags: int, text_bytes: int, count: int) -> records.Died:
    at_ms, _, ids, reader = _start(data, count)
    reason = reader.text(text_bytes)
    reader.align()
    return records.Died(ids, reason, reader.texts(count), at_ms)


def _removed(data: memoryview, _flags: int, text_bytes: int, count: int) -> records.Removed:
    _, _, ids, reader = _start(data, count)
    return records.Removed(ids, reader.text(text_bytes))


def _revived(data: memoryview, _flags: int, _text: int, count: int) -> records.Revived:
    at_ms, _, ids, _ = _start(data, count)
    return records.Revived(ids, at_ms)


def _paused(data: memoryview, _flags: int, text_bytes: int, _count: int) -> records.Paused:
    paused, _, _, reader = _start(data, 0)
    return records.Paused(reader.text(text_bytes), bool(paused))


def _matured(data: memoryview, _flags: int, _text: int, count: int) -> records.Matured:
    return records.Matured(_start(data, count)[2])


def _acked(data: memoryview, _flags: int, _text: int, count: int) -> records.Acked:
    return records.Acked(_start(data, count)[2])


def _lost(data: memoryview, _flags: int, _text: int, count: int) -> records.Lost:
    return records.Lost(_start(data, count)[2])


def _released(data: memoryview, _flags: int, _text: int, count: int) -> records.Released:
    _, run_at_ms, ids, _ = _start(data, count)
    return records.Released(ids, run_at_ms)


def _postponed(data: memoryview, _flags: int, _text: int, _count: int) -> Any:
    by_ms, at_ms, _, _ = _start(data, 0)
    return records.Postponed(by_ms, at_ms)


def _moved(data: memoryview, _flags: int, _text: int, count: int) -> records.Moved:
    name_count, blob_bytes = enc.PAIR.unpack_from(data, _HEAD_BYTES)
    reader = _Reader(data, _PAIR_AT)
    columns: dict[str, Any] = {name: reader.column(count) for name in enc.MOVED_NUMBERS}
    name_numbers = reader.column(count, "I")
    offsets = reader.column(count + 1, "I")
    reader.align()
    columns |= {name: reader.column(count, "B") for name in enc.MOVED_BYTES}
    for name in ("jitters", "returned"):
        columns[name] = [bool(value) for value in columns[name]]
    reader.align()
    names = reader.texts(name_count)
    columns["errors"], columns["reasons"] = reader.texts(count), reader.texts(count)
    blob = reader.take(blob_bytes)
    payloads = records.PayloadBlob(blob, offsets[:-1], offsets[1:])
    columns["queues"] = [names[number] for number in name_numbers]
    return records.Moved(payloads=payloads, **columns)


_DECODERS: Final[dict[int, Callable[[memoryview, int, int, int], records.Record]]] = {
    1: _pushed,
    2: _matured,
    3: _leased,
    4: _extended,
    5: _acked,
    6: _failed,
    7: _lost,
    8: _died,
    9: _removed,
    10: _revived,
    11: _paused,
    12: _moved,
    13: _released,
    14: _postponed,
}
