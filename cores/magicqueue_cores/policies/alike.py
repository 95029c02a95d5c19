"""Jobs of one push that wish alike: what they share is worked out once for all of them.

Most pushes have one such kind of jobs, which differ in their keys alone. So marks, texts
and times are made a column at a time, and a marked job costs little beside its key.
"""

from collections.abc import Sequence
from typing import Final

from magicqueue_cores.policies.group import Line
from magicqueue_cores.policies.mark_texts import text_of, texts_of_new, with_seats
from magicqueue_cores.policies.wishes import (
    KEY_BYTES,
    TIMED,
    GroupedMark,
    Mark,
    Terms,
    TimedMark,
    new_times,
)


class Alike:
    """New jobs with the same terms, all of which have a key or none of them.

    places: where each is among the new jobs of its push. keys: theirs, if they have any.
    """

    __slots__ = (
        "expires_at_ms",
        "flags",
        "groups",
        "keyed",
        "keys",
        "lines",
        "places",
        "seats",
        "terms",
    )

    def __init__(self, terms: Terms, now_ms: int, *, keyed: bool) -> None:
        """Start with no job."""
        self.terms: Final = terms
        self.keyed: Final = keyed
        self.flags, self.expires_at_ms = new_times(terms, now_ms, keyed=keyed)
        if self.expires_at_ms:
            self.flags |= TIMED
        self.places: list[int] = []
        self.keys: list[str] = []
        self.groups: list[str] = []
        """Theirs, if they have any."""
        self.lines: list[Line] = []
        """The line of each then, once that is known."""
        self.seats: Sequence[int] = ()
        """The place of each in it, 0 for nowhere."""

    def add(self, place: int, key: str | None, group: str | None) -> None:
        """Have one job more."""
        self.places.append(place)
        if key is not None:
            self.keys.append(key)
        if group is not None:
            self.groups.append(group)

    def add_all(self, groups: list[str]) -> None:
        """Have all jobs of a push, which have no keys: the group of each."""
        self.places, self.groups = list(range(len(groups))), groups

    def marks(self) -> list[Mark]:
        """Make the mark of each."""
        terms, flags, expires_at_ms = self.terms, self.flags, self.expires_at_ms
        keys = self.keys if self.keyed else [None] * len(self.places)
        if terms.grouped:
            return [
                GroupedMark(terms, key, 0, flags, expires_at_ms, line=line, place=place)
                for key, line, place in zip(keys, self.lines, self.seats, strict=True)
            ]
        if terms.has_times:
            return [TimedMark(terms, key, 0, flags, expires_at_ms) for key in keys]
        return [Mark(terms, key, 0, flags) for key in keys]

    def texts(self) -> list[bytes]:
        """Return the text of each mark."""
        if self.terms.grouped and self.terms.link is not None:
            return [text_of(mark) for mark in self.marks()]
        same = self.terms, self.expires_at_ms, self.flags
        if self.keyed:
            texts = texts_of_new(self.keys, *same)
        else:
            texts = texts_of_new((None,), *same) * len(self.places)
        return with_seats(texts, self.lines, self.seats) if self.terms.grouped else texts

    @property
    def key_chars(self) -> int:
        """Of all keys."""
        return sum(map(len, self.keys))

    @property
    def weight(self) -> int:
        """About what all marks take: the sum of `weight_of`."""
        keys_bytes = len(self.keys) * KEY_BYTES + self.key_chars
        return len(self.places) * self.terms.mark_bytes + keys_bytes
