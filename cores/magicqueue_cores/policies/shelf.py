"""Facts that outlive a job, or are of none: bounded, the oldest goes first.

A value begins with the moment at which the fact ends and with its number: facts are
numbered as they come, so that their order survives a log that is written anew.
"""

import struct
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final

from magicqueue_cores.contract import NEVER_MS, TIME_MAX_MS
from magicqueue_cores.policies.moments import ENTRY_BYTES, Clock, Moments, Tally

_HEAD: Final = struct.Struct(">QQ")
FACT_BYTES: Final = 260 + ENTRY_BYTES
"""What a fact takes beside its key and value: two objects and a place in order."""


def parts_of(value: bytes) -> tuple[int, int, bytes]:
    """Return when a fact ends, its number, and its body. Raises ValueError."""
    if len(value) < _HEAD.size:
        raise ValueError("it is too short for a fact")
    return *_HEAD.unpack_from(value), value[_HEAD.size :]


class Shelf:
    """The facts of one space, by key.

    facts_max, bytes_max: what `overflow` leaves, 0 is no bound.
    """

    def __init__(self, clock: Clock, tally: Tally, facts_max: int, bytes_max: int) -> None:
        """Start empty."""
        self._tally = tally
        self._facts: OrderedDict[bytes, bytes] = OrderedDict()
        self._facts_max = facts_max or NEVER_MS
        self._bytes_max = bytes_max or NEVER_MS
        self._ends: Moments[bytes] = Moments(clock, self._ends_at)
        self._number = 0
        self._in_order = True
        self.bytes = 0
        """Of all keys and values."""
        self.dropped = 0
        """Facts that went for a bound, since the start."""

    def __len__(self) -> int:
        return len(self._facts)

    def value(self, until_ms: int, body: bytes) -> bytes:
        """Make the value of a new fact, which is not here yet: see `put`."""
        self._number += 1
        return _HEAD.pack(min(until_ms, TIME_MAX_MS), self._number) + body

    def put(self, key: bytes, value: bytes) -> None:
        """Store a fact, in place of the one with this key. O(log n)."""
        if key in self._facts:
            self.remove(key)
        until_ms, number = _HEAD.unpack_from(value)
        if number < self._number:
            self._in_order = False  # a log that was written anew tells old ones later
        self._number = max(self._number, number)
        self._facts[key] = value
        size = len(key) + len(value)
        self.bytes += size
        self._tally.size += FACT_BYTES + size
        self._ends.add(until_ms, key)

    def remove(self, key: bytes) -> None:
        """Forget a fact, if it is here. O(1) amortised."""
        value = self._facts.pop(key, None)
        if value is not None:
            self._forget(key, value)
            self._ends.lose()

    def get(self, key: bytes, now_ms: int) -> bytes | None:
        """Return the body of a fact that has not ended yet."""
        value = self._facts.get(key)
        if value is None or _HEAD.unpack_from(value)[0] <= now_ms:
            return None
        return value[_HEAD.size :]

    def overflow(self) -> list[bytes]:
        """Return the keys of the oldest facts, which are too many or too large."""
        count, size = len(self._facts), self.bytes
        if count <= self._facts_max and size <= self._bytes_max:
            return []
        if not self._in_order:
            by_number = sorted(
                self._facts.items(), key=lambda fact: _HEAD.unpack_from(fact[1])[1]
            )
            self._facts = OrderedDict(by_number)
            self._in_order = True
        excess = []
        for key, value in self._facts.items():
            if count <= self._facts_max and size <= self._bytes_max:
                break
            excess.append(key)
            count -= 1
            size -= len(key) + len(value)
        return excess

    @property
    def next_ms(self) -> int:
        """When the next fact ends, or a moment before that."""
        return self._ends.next_ms

    def ended(self, until_ms: int, most: int) -> list[bytes]:
        """Forget the facts that end by then, `most` at most, and return their keys."""
        keys = self._ends.due(until_ms, most)
        for key in keys:
            self._forget(key, self._facts.pop(key))
        return keys

    def keys(self) -> Collection[bytes]:
        """Return the keys of all facts."""
        return self._facts.keys()

    def held(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those of these facts that are here."""
        facts = self._facts
        return {key: facts[key] for key in map(bytes, keys) if key in facts}

    def check(self, name: str) -> None:
        """Verify the structure: AssertionError names what is broken."""
        size = sum(len(key) + len(value) for key, value in self._facts.items())
        assert size == self.bytes, f"{name}: bytes miscounted"
        self._ends.check(f"ends of {name}")
        assert self._ends.count == len(self._facts), f"{name}: a fact without an end"
        numbers = [_HEAD.unpack_from(value)[1] for value in self._facts.values()]
        assert len(set(numbers)) == len(numbers), f"{name}: a number twice"
        assert max(numbers, default=0) <= self._number, f"{name}: an old number"
        assert not self._in_order or numbers == sorted(numbers), f"{name}: order"

    def _forget(self, key: bytes, value: bytes) -> None:
        size = len(key) + len(value)
        self.bytes -= size
        self._tally.size -= FACT_BYTES + size

    def _ends_at(self, until_ms: int, key: bytes) -> bool:
        value = self._facts.get(key)
        return value is not None and _HEAD.unpack_from(value)[0] == until_ms
