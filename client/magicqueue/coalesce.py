"""Requests that come in one by one and go out as batches, without I/O.

A `Gathering` holds what was asked for since its last `take`: the asyncio queue takes once
a turn of the event loop, so whatever its tasks pushed in that turn is one PUSHB. A batch
is stored or refused whole, so after a refusal that may be one item's fault each item is
sent again alone (`is_one_items_fault`): coalescing must not show.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from magicqueue.errors import (
    BadJson,
    BadRequest,
    Duplicate,
    Full,
    TooLarge,
    Unsupported,
)

I = TypeVar("I")  # noqa: E741 - an item
W = TypeVar("W")

_ITEMS_FAULT: Final = (BadJson, BadRequest, Duplicate, Full, TooLarge, Unsupported)


class Gathering(Generic[I, W]):
    """Items and who waits for each, in the order of asking."""

    __slots__ = ("_entries", "_items_max", "_weight_max")

    def __init__(self, items_max: int, weight_max: int) -> None:
        self._items_max = items_max
        self._weight_max = weight_max
        self._entries: list[tuple[I, W, int]] = []

    def add(self, item: I, waiter: W, weight: int = 0) -> bool:
        """Add an item; tells whether it is the first since the last `take`."""
        self._entries.append((item, waiter, weight))
        return len(self._entries) == 1

    def clear(self) -> None:
        """Forget all there is."""
        self._entries = []

    def take(self) -> Iterator[tuple[list[I], list[W]]]:
        """Give all there is, as batches within the bounds (one item may be over)."""
        entries, self._entries = self._entries, []
        items: list[I] = []
        waiters: list[W] = []
        total = 0
        for item, waiter, weight in entries:
            total += weight
            full = len(items) >= self._items_max or total > self._weight_max
            if items and full:
                yield items, waiters
                items, waiters, total = [], [], weight
            items.append(item)
            waiters.append(waiter)
        if items:
            yield items, waiters


def is_one_items_fault(error: Exception) -> bool:
    """Tell whether the items of a refused batch may fare better one by one."""
    return isinstance(error, _ITEMS_FAULT)
