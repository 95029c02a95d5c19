"""From the events that `execute` noted to records.

An event is a header (kind, count, two values, the time) and a list. Payloads and errors
are places in the request lines, which are still in the memory when the call returns.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from magicqueue_cores import records
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.kernels import layout as lo

_KIND: Final = 0
_COUNT: Final = 1
_ONE: Final = 2
_TWO: Final = 3
_NOW: Final = 4
_ERROR_WORDS: Final = 4


def recorded(store: Store) -> Iterator[records.Record]:
    """What the last call of `execute` did, in order."""
    state = store.memory.state
    count = state[lo.S_EVENTS]
    events = store.memory.words[lo.EVENTS_W : lo.EVENTS_W + count]
    at = 0
    while at < count:
        header = events[at : at + lo.E_HEADER_WORDS].tolist()
        at += lo.E_HEADER_WORDS
        size = header[_COUNT] * _ITEM_WORDS[header[_KIND]]
        items = events[at : at + size]
        if header[_KIND] == lo.E_PUSHED and header[_COUNT] > 1:
            yield _pushed_batch(store, header, items.reshape(-1, lo.ROW_WORDS))
        else:
            yield _record(store, header, items.tolist())
        at += size


_ITEM_WORDS: Final = {
    lo.E_PUSHED: lo.ROW_WORDS,
    lo.E_LEASED: 1,
    lo.E_EXTENDED: 1,
    lo.E_ACKED: 1,
    lo.E_FAILED: _ERROR_WORDS,
}


def _record(store: Store, header: list[int], items: list[int]) -> records.Record:
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
        retry & 0xFFFFFFFF,
        bool(retry >> lo.X_JITTER_BIT),
    )


def _pushed_batch(store: Store, header: list[int], rows: Any) -> records.Pushed:
    """A batch as columns, without an object a job: payloads stay in the request line."""
    starts = rows[:, lo.X_DATA]
    ends = starts + rows[:, lo.X_DATA_BYTES]
    first, last = int(starts[0]), int(ends[-1])
    line = bytes(store.memory.bytes[first:last])
    retries = rows[:, lo.X_BACKOFF]
    return records.Pushed(
        store.queues.numbered(header[_ONE]).name,
        header[_TWO],
        header[_NOW],
        records.PayloadBlob(
            line, (starts - first).astype(np.uint32), (ends - first).astype(np.uint32)
        ),
        _column(rows[:, lo.X_RUN_AT]),
        _column(rows[:, lo.X_PRIORITY]),
        _column(rows[:, lo.X_MAX_ATTEMPTS]),
        _column(retries & 0xFFFFFFFF),
        _column(retries >> lo.X_JITTER_BIT, bool),
    )


def _column(column: Any, kind: type = int) -> Any:
    """One value if it holds for all jobs, else all of them."""
    first = column[0]
    if (column == first).all():
        return kind(first)
    return [kind(value) for value in column.tolist()]
