"""Columns of a batch: one value for all jobs, or a sequence of one each."""

from array import array
from collections.abc import Sequence
from typing import overload


def first(column: int | Sequence[int]) -> int:
    """Give the first job's value."""
    return column if isinstance(column, int) else column[0]


@overload
def clipped(column: Sequence[int], most: int) -> Sequence[int]: ...
@overload
def clipped(column: int | Sequence[int], most: int) -> int | Sequence[int]: ...
def clipped(column: int | Sequence[int], most: int) -> int | Sequence[int]:
    """Give the column with no value above `most`."""
    if isinstance(column, int):
        return min(column, most)
    if max(column) <= most:
        return column
    return [min(value, most) for value in column]


def spread(column: int | Sequence[int], count: int) -> Sequence[int]:
    """Give a value for each of `count` jobs."""
    return [column] * count if isinstance(column, int) else column


def halves_of(column: Sequence[int]) -> memoryview:
    """Give the bytes of the values as 32-bit numbers."""
    view = column if isinstance(column, memoryview) else memoryview(array("I", column))
    if view.format != "I" or not view.contiguous:
        view = memoryview(array("I", view))
    return view.cast("B")
