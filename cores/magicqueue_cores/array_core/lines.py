"""From the events that `execute` noted to records.

An event is a header (kind, count, two values, the time) and a list. Payloads and errors
are places in the request lines, which are still in the memory when the call returns.
"""

from collections.abc import Iterator
from typing import Final

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
    events = store.memory.words[lo.EVENTS_W : lo.EVENTS_W + count].tolist()
    at = 0
    while at < count:
        header = events[at : at + lo.E_HEADER_WORDS]
        at += lo.E_HEADER_WORDS
        size = header[_COUNT] * _ITEM_WORDS[header[_KIND]]
        yield _record(store, header, events[at : at + size])
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
    view, width = store.memory.bytes, lo.ROW_WORDS
    places = zip(items[lo.X_DATA :: width], items[lo.X_DATA_BYTES :: width], strict=True)
    retries = items[lo.X_BACKOFF :: width]
    return records.Pushed(
        store.queues.numbered(header[_ONE]).name,
        header[_TWO],
        header[_NOW],
        [bytes(view[at : at + size]) for at, size in places],
        items[lo.X_RUN_AT :: width],
        items[lo.X_PRIORITY :: width],
        items[lo.X_MAX_ATTEMPTS :: width],
        [retry & 0xFFFFFFFF for retry in retries],
        [bool(retry >> lo.X_JITTER_BIT) for retry in retries],
    )
