"""Where facts are in the log: which segment brought each of them last.

A fact is what policies keep beside jobs, by a space and a key. The last `Kept` of a key
holds, until a `Gone`; so when a segment goes, those facts have to be written again whose
last `Kept` lies in it. There may be some hundred thousand, so a fact costs one entry of a
dict here. Segments come in order: a key that is always put back at the end leaves those of
the oldest segment at the front, and how many these are is counted.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec


class _Space(msgspec.Struct):
    """The segment of each key, those of older segments first, and how many each has."""

    homes: dict[bytes, int] = msgspec.field(default_factory=dict)
    counts: dict[int, int] = msgspec.field(default_factory=dict)

    def less(self, segment: int) -> None:
        left = self.counts[segment] - 1
        if left:
            self.counts[segment] = left
        else:
            del self.counts[segment]


class Facts:
    """The segment of each fact, by space and key."""

    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}

    def __len__(self) -> int:
        return sum(len(space.homes) for space in self._spaces.values())

    def kept(self, name: str, keys: Sequence[bytes], segment: int) -> None:
        """Be told of a `Kept` in a segment, which is the newest one. O(1) a key."""
        space = self._spaces.setdefault(name, _Space())
        for key in keys:
            before = space.homes.pop(key, None)
            if before is not None:
                space.less(before)
            space.homes[key] = segment
            space.counts[segment] = space.counts.get(segment, 0) + 1

    def gone(self, name: str, keys: Sequence[bytes]) -> None:
        """Be told that facts hold no more. O(1) a key."""
        space = self._spaces.get(name)
        if space is None:
            return
        for key in keys:
            segment = space.homes.pop(key, None)
            if segment is not None:
                space.less(segment)
        if not space.homes:
            del self._spaces[name]

    def of(self, oldest: int) -> Iterator[tuple[str, list[bytes]]]:
        """Give the keys whose last `Kept` is in the oldest segment, by space. O(keys)."""
        for name, space in list(self._spaces.items()):
            count = space.counts.get(oldest, 0)
            if count:
                yield name, list(islice(space.homes, count))

    def segment(self, name: str, key: bytes) -> int | None:
        """Give the segment that the last `Kept` of a key is in, if it holds. O(1)."""
        space = self._spaces.get(name)
        return None if space is None else space.homes.get(key)

    def forget(self, oldest: int) -> None:
        """The oldest segment is gone, and with it the facts that nobody wrote again."""
        for name, keys in self.of(oldest):
            self.gone(name, keys)
