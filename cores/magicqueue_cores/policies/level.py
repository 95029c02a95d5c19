"""The round of one priority: whose turn it is, whose comes next.

It is a deque of lines. What leaves it from the middle leaves an entry that holds no more, a
*ghost*: a line counts how many of its entries these are, and they are its first ones. The
deque is made anew when most of it is such.
"""

from collections import deque
from typing import Final

from magicqueue_cores.policies.group import Group, Line

_SPARE_GHOSTS: Final = 64


class Level:
    """The round of one priority."""

    __slots__ = ("ghosts", "line", "priority", "round", "turns")

    def __init__(self, priority: int) -> None:
        """Start with nobody."""
        self.priority = priority
        self.round: deque[Line] = deque()
        self.turns = 0
        """Entries of the round that hold."""
        self.ghosts = 0
        """Those that do not."""
        self.line: Final = Line(Group(None), priority)
        """That of the jobs without a group."""

    def enter(self, line: Line) -> None:
        """Let a line in at the end, if it is not in. O(1)."""
        if not line.in_round:
            line.in_round = True
            self.round.append(line)
            self.turns += 1

    def leave(self, line: Line) -> None:
        """Let a line out from wherever it is. O(1) amortised."""
        if line.in_round:
            line.in_round = False
            line.ghosts += 1
            self.turns -= 1
            self.ghosts += 1
            if self.ghosts > self.turns + _SPARE_GHOSTS:
                self._sweep()

    def first(self) -> Line:
        """Return whose turn it is; there is somebody. O(1) amortised."""
        line = self.round[0]
        while line.ghosts:
            self.round.popleft()
            line.ghosts -= 1
            self.ghosts -= 1
            line = self.round[0]
        return line

    def pass_on(self) -> None:
        """Let the first out. O(1)."""
        line = self.round.popleft()
        line.in_round = False
        self.turns -= 1

    def put_first(self, line: Line, *, again: bool) -> None:
        """Undo the turn that was the last. again: the line went to the end by it. O(1)."""
        if again:
            self.round.pop()
        else:
            line.in_round = True
            self.turns += 1
        self.round.appendleft(line)

    def in_order(self, count: int) -> list[Line]:
        """Return the first lines whose turns come, the next one first. O(count)."""
        ghosts: dict[int, int] = {}
        found: list[Line] = []
        for line in self.round:
            passed = ghosts.get(id(line), 0)
            if passed < line.ghosts:
                ghosts[id(line)] = passed + 1
            else:
                found.append(line)
            if len(found) >= count:
                break
        return found

    def end(self) -> None:
        """Be no more: nobody is in the round."""
        for line in self.round:
            line.ghosts -= 1
        self.line.in_round = False

    def check(self) -> None:
        """Verify the round: AssertionError names what is broken."""
        entries: dict[int, int] = {}
        lines = {id(line): line for line in self.round}
        for line in self.round:
            entries[id(line)] = entries.get(id(line), 0) + 1
        for place, count in entries.items():
            line = lines[place]
            assert count == line.ghosts + line.in_round, "entries of a round miscounted"
        turns = sum(line.in_round for line in lines.values())
        assert self.turns == turns, "turns of a round miscounted"
        assert self.ghosts == len(self.round) - turns, "ghosts of a round miscounted"
        assert self.ghosts <= turns + _SPARE_GHOSTS, "a round is mostly ghosts"

    def _sweep(self) -> None:
        kept: deque[Line] = deque()
        for line in self.round:
            if line.ghosts:
                line.ghosts -= 1
            else:
                kept.append(line)
        self.round, self.ghosts = kept, 0
