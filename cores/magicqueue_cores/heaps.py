"""A binary heap read in order without taking anything out: as much of it as is wanted.

Whatever is not behind a limit stands above all that is, so it is passed without a
comparison too many; from there on the next entry is always among the children of those
that were told. So the first k entries cost O(k log k), however many there are.
"""

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")


def passed(
    heap: Sequence[T], limit: T | None, most: int
) -> tuple[list[T], list[tuple[T, int]]]:
    """Return the entries up to `limit`, `most` or a few more at most, and the front behind.

    The front is for `ascending`; the entries are in no particular order.
    """
    over, front, to_see = list[T](), list[tuple[T, int]](), [0] if heap else []
    bound: Any = limit
    while to_see and len(over) <= most:
        place = to_see.pop()
        entry = heap[place]
        if bound is None or entry > bound:
            front.append((entry, place))
            continue
        over.append(entry)
        to_see.extend(range(2 * place + 1, min(2 * place + 3, len(heap))))
    return over, front


def ascending(heap: Sequence[T], front: list[tuple[T, int]] | None = None) -> Iterator[T]:
    """Yield the entries in order, all or those at and below a front, which is used up."""
    if front is None:
        front = [(heap[0], 0)] if heap else []
    heapify(front)
    size = len(heap)
    while front:
        entry, place = heappop(front)
        yield entry
        for child in range(2 * place + 1, min(2 * place + 3, size)):
            heappush(front, (heap[child], child))
