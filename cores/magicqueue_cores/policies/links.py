"""Links: which jobs a job depends on, and what becomes of it when one of them fails.

A link goes with its job, in its mark, for as long as the job is here. Everything else that
is known of flows follows from links and from where their jobs are (see `flows`).
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

import msgspec

Rule: TypeAlias = Literal["wait", "fail", "run"]
"""What becomes of a job when one that it depends on is dead: it waits, dies, or runs."""
RULES: Final[tuple[Rule, ...]] = ("wait", "fail", "run")
LINK_BYTES: Final = 330
"""What a link takes beside its parents: three objects, and a place among the blocked."""
EDGE_BYTES: Final = 130
"""What each parent takes: its number, twice, and its place in the table."""


class Fate(Enum):
    """Where a parent is, or what befell it."""

    LIVE = 0
    DONE = 1
    DEAD = 2
    LOST = 3
    """It is removed, and was never done."""
    PURGED = 4
    """So, and it had been dead before."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """The jobs that one depends on, each once, and the rule for when one of them fails."""

    parents: tuple[int, ...]
    rule: Rule = "wait"


def waits(link: Link, fates: Mapping[int, Fate]) -> int:
    """Count the parents that a job has to wait for; those without a fate are live."""
    found = [fates.get(parent, Fate.LIVE) for parent in link.parents]
    count = found.count(Fate.LIVE)
    return count if link.rule == "run" else count + found.count(Fate.DEAD)


def dooms(link: Link, fates: Mapping[int, Fate]) -> int | None:
    """Return the first parent for which a new job has to die at once."""
    if link.rule != "run":
        for parent in sorted(link.parents):
            fate = fates.get(parent, Fate.LIVE)
            if fate is Fate.LOST or (fate is Fate.DEAD and link.rule == "fail"):
                return parent
    return None


class Edges:
    """From each job to those that wait for it: one number, or a set of more."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        """Start empty."""
        self._of: dict[int, int | set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def __contains__(self, parent: int) -> bool:
        return parent in self._of

    def __iter__(self) -> Iterator[int]:
        return iter(self._of)

    def add(self, parent: int, child: int) -> None:
        """Let a job wait for another. O(1)."""
        known = self._of.get(parent)
        if known is None:
            self._of[parent] = child
        elif isinstance(known, int):
            self._of[parent] = {known, child}
        else:
            known.add(child)

    def discard(self, parent: int, child: int) -> bool:
        """Let a job wait no more for another; gives whether none does now. O(1)."""
        known = self._of.get(parent)
        if isinstance(known, set):
            known.discard(child)
            if len(known) == 1:
                self._of[parent] = known.pop()
        elif known == child:
            del self._of[parent]
        return parent not in self._of

    def of(self, parent: int) -> list[int]:
        """Return who waits for a job, by id."""
        known = self._of.get(parent)
        if known is None:
            return []
        return [known] if isinstance(known, int) else sorted(known)

    def take(self, parent: int) -> list[int]:
        """Return who waits for a job, by id, and let none of them."""
        found = self.of(parent)
        self._of.pop(parent, None)
        return found
