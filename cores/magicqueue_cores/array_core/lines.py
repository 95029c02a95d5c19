"""From the events that `execute` noted to records.

A log that takes bytes gets what kernels made of all events (`written`), but for the rare
call of which they could not. An event is a header (kind, count, two values, the time) and a
list. Payloads and errors are places in the request lines, which are still in the memory
when the call returns.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

from magicqueue_cores import records
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.line_contract import RecordBytes

T = TypeVar("T")

_KIND: Final = 0
_COUNT: Final = 1
_ONE: Final = 2
_TWO: Final = 3
_NOW: Final = 4
_ERROR_WORDS: Final = lo.E_FAILED_WORDS


def recorded(store: Store) -> Iterator[records.Record]:
    """What the last call of `execute` did, in order."""
    state = store.memory.state
    count = state[lo.S_EVENTS]
    events = store.memory.words[lo.EVENTS_W : lo.EVENTS_W + count]
    at = 0
    while at < count:
        header = events[at : at + lo.E_HEADER_WORDS].tolist()
        alike = _alike(events, at, header) if header[_COUNT] == 1 else 1
        if alike > 1:
            end = at + alike * (lo.E_HEADER_WORDS + _ITEM_WORDS[header[_KIND]])
            yield _joined(store, header, events[at:end])
            at = end
            continue
        at += lo.E_HEADER_WORDS
        if header[_KIND] == lo.E_PUSHED and header[_COUNT] > 1:
            record, size = _pushed_batch(store, header, events[at:])
            yield record
        else:
            size = header[_COUNT] * _ITEM_WORDS[header[_KIND]]
            items = events[at : at + size]
            if size > _LIST_MAX and header[_KIND] in _OF_IDS:
                yield _record(store, header, memoryview(items.tobytes()).cast("q"))
            else:
                yield _record(store, header, items.tolist())
        at += size


def written(store: Store) -> RecordBytes | None:
    """What the last call did as kernels wrote it, or None: see `recorded`."""
    state = store.memory.state
    size = state[lo.S_RECORDS_BYTES]
    if not size:
        return None
    begin = 8 * lo.SCRATCH_W
    return RecordBytes(
        bytes(store.memory.bytes[begin : begin + size]),
        state[lo.S_RECORDS],
        state[lo.S_RECORDS_PROMISED],
        state[lo.S_RECORDS_LAST_ID],
        state[lo.S_RECORDS_SPAN],
    )


def befell_marked(store: Store) -> Iterator[records.Record]:
    """What lines did to marked jobs, by the notes taken of the last call; in order."""
    told, store.told = store.told, []
    session = until_ms = 0
    for kind, notes in groupby(told, key=itemgetter(0)):
        rows = list(notes)
        if kind == lo.NOTE_PULLED:
            _, session, until_ms = rows[0]
            continue
        ids = [job_id for _, job_id, _ in rows]
        if kind == lo.NOTE_ACKED:
            yield records.Acked(ids)
        else:
            yield records.Leased(ids, session, until_ms)


def _alike(events: memoryview, at: int, header: list[int]) -> int:
    """Count the events from one on that can be told as one: single pushes, single ACKs."""
    kind, queue = header[_KIND], header[_ONE]
    if kind not in _JOINED:
        return 1
    size = lo.E_HEADER_WORDS + _ITEM_WORDS[kind]
    alike, following = 1, at + size
    while (
        following < len(events)
        and events[following] == kind
        and events[following + _COUNT] == 1
        and events[following + _ONE] == queue
    ):
        alike, following = alike + 1, following + size
    return alike


def _joined(store: Store, header: list[int], events: memoryview) -> records.Record:
    """Tell events of one item each as one record: jobs pushed in a row follow by id."""
    words = events.tolist()
    width = lo.E_HEADER_WORDS + _ITEM_WORDS[header[_KIND]]
    first = lo.E_HEADER_WORDS
    if header[_KIND] == lo.E_ACKED:
        return records.Acked(words[first::width])
    columns: list[Any] = [words[first + field :: width] for field in range(lo.ROW_WORDS)]
    starts, sizes = columns[lo.X_DATA], columns[lo.X_DATA_BYTES]
    view = store.memory.bytes
    payloads = b"".join(
        [view[at : at + size] for at, size in zip(starts, sizes, strict=True)]
    )
    for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
        if columns[field].count(columns[field][0]) == len(columns[field]):
            columns[field] = columns[field][0]
    return _pushed_columns(store, header, payloads, [0, *accumulate(sizes)], columns)


_JOINED: Final = (lo.E_PUSHED, lo.E_ACKED)
_ITEM_WORDS: Final = {
    lo.E_PUSHED: lo.ROW_WORDS,
    lo.E_LEASED: 1,
    lo.E_EXTENDED: 1,
    lo.E_ACKED: 1,
    lo.E_FAILED: _ERROR_WORDS,
}


_OF_IDS: Final = (lo.E_LEASED, lo.E_ACKED)
_LIST_MAX: Final = 64
"""More ids come as a copy of the kernels' column, without an object each."""


def _record(store: Store, header: list[int], items: Any) -> records.Record:
    kind = header[_KIND]
    if kind == lo.E_PUSHED:
        return _pushed(store, header, items)
    if kind == lo.E_LEASED:
        return records.Leased(items, header[_ONE], header[_TWO])
    if kind == lo.E_EXTENDED:
        return records.Extended(list(dict.fromkeys(items)), header[_ONE])
    if kind == lo.E_ACKED:
        return records.Acked(items)
    places = zip(items[2::_ERROR_WORDS], items[3::_ERROR_WORDS], strict=True)
    errors = [store.error_text(at, size) if at > 0 else None for at, size in places]
    return records.Failed(
        items[::_ERROR_WORDS], errors, items[1::_ERROR_WORDS], header[_NOW]
    )


def _pushed(store: Store, header: list[int], items: list[int]) -> records.Pushed:
    at, size, priority, run_at_ms, max_attempts, retry = items
    return records.Pushed(
        store.queues.numbered(header[_ONE]).name,
        header[_TWO],
        header[_NOW],
        (bytes(store.memory.bytes[at : at + size]),),
        run_at_ms,
        priority,
        max_attempts,
        _backoff_ms(retry),
        _jitter(retry),
    )


def _pushed_batch(
    store: Store, header: list[int], event: memoryview
) -> tuple[records.Pushed, int]:
    """A batch as columns, without an object a job, and the words that its list has."""
    count = header[_COUNT]
    total, mixed, *row = event[: lo.P_PLACES].tolist()
    data = lo.P_PLACES + count // 2 + 1
    end = data + (total + 7 >> 3)
    places = event[lo.P_PLACES : data].tobytes()
    payloads = event[data:end].tobytes()
    columns: list[Any] = row
    if mixed:
        rows = event[end : end + count * lo.ROW_WORDS]
        end += count * lo.ROW_WORDS
        columns = [
            rows[field :: lo.ROW_WORDS].tolist() if mixed >> field & 1 else value
            for field, value in enumerate(row)
        ]
    offsets = memoryview(places).cast("I")[: count + 1]
    return _pushed_columns(store, header, payloads, offsets, columns), end


def _pushed_columns(
    store: Store,
    header: list[int],
    payloads: bytes,
    offsets: Sequence[int],
    columns: list[Any],
) -> records.Pushed:
    retries = columns[lo.X_BACKOFF]
    return records.Pushed(
        store.queues.numbered(header[_ONE]).name,
        header[_TWO],
        header[_NOW],
        records.PayloadBlob.joined(payloads, offsets),
        columns[lo.X_RUN_AT],
        columns[lo.X_PRIORITY],
        columns[lo.X_MAX_ATTEMPTS],
        _each(_backoff_ms, retries),
        _each(_jitter, retries),
    )


def _each(of: Callable[[int], T], column: int | list[int]) -> T | list[T]:
    return of(column) if isinstance(column, int) else list(map(of, column))


def _backoff_ms(retry: int) -> int:
    return retry & 0xFFFFFFFF


def _jitter(retry: int) -> bool:
    return bool(retry >> lo.X_JITTER_BIT)
