"""The names of queues in order, so that a page of them is found without sorting all.

A sorted list: a new name is put in its place, which moves what is behind it, 8 bytes a
name, and takes some 10 µs among 100,000. A name that goes is noted only, and taken out with
others once they are many, so that forgetting all names at once is no more than that.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from typing import Final

_SPARE_NAMES: Final = 64


class NameOrder:
    """Names, each once, by code point."""

    __slots__ = ("_gone", "_names")

    def __init__(self) -> None:
        """Start with none."""
        self._names: list[str] = []
        self._gone: set[str] = set()

    def add(self, name: str) -> None:
        """Add a name that is not here."""
        if name in self._gone:
            self._gone.remove(name)
        else:
            insort(self._names, name)

    def remove(self, name: str) -> None:
        """Take out a name that is here. O(1) amortised."""
        self._gone.add(name)
        if len(self._gone) > len(self._names) // 2 + _SPARE_NAMES:
            self._names = [name for name in self._names if name not in self._gone]
            self._gone.clear()

    def page(self, count: int | None, after: str | None, prefix: str) -> list[str]:
        """Give the first `count` names (None: all) behind `after` that begin so."""
        start = bisect_left(self._names, prefix)
        if after is not None:
            start = max(start, bisect_right(self._names, after))
        return list(islice(self._from(start, prefix), count))

    def _from(self, start: int, prefix: str) -> Iterator[str]:
        for place in range(start, len(self._names)):
            name = self._names[place]
            if not name.startswith(prefix):
                return
            if name not in self._gone:
                yield name

    def check(self, names: set[str]) -> None:
        """Verify that these are the names, in order."""
        found = self.page(None, None, "")
        assert found == sorted(names), "the names of queues are not in order"
        limit = len(self._names) // 2 + _SPARE_NAMES
        assert len(self._gone) <= limit, "most names are of queues that are gone"
