"""Groups of jobs of a queue, and their lines: one for each priority that has jobs."""

from typing import Final

import msgspec

GROUP_BYTES: Final = 280
"""What a group takes beside the characters of its name: itself, a line, and its places."""


class Back(msgspec.Struct, gc=False, eq=False):
    """Jobs of a line that came back: (place, id), a heap; entries of some hold no more."""

    heap: list[tuple[int, int]]
    count: int = 0
    """Entries that hold."""


class Group(msgspec.Struct, gc=False, eq=False):
    """A group, which is here while it has live jobs. None is the name of no group."""

    name: str | None
    waiting: int = 0
    """Jobs in its lines."""
    active: int = 0
    """Jobs at work."""
    line: "Line | None" = None
    """A line of it, nearly always the only one."""
    others: "dict[int, Line] | None" = None
    """Those of other priorities."""

    def line_of(self, priority: int) -> "Line | None":
        """Return the line of a priority, if there is one. O(1)."""
        line = self.line
        if line is not None and line.priority == priority:
            return line
        return None if self.others is None else self.others.get(priority)

    def lines(self) -> "list[Line]":
        """Return all lines."""
        lines = [] if self.line is None else [self.line]
        return lines if self.others is None else lines + list(self.others.values())

    def add(self, line: "Line") -> None:
        """Have a line more. O(1)."""
        if self.line is None:
            self.line = line
        elif self.others is None:
            self.others = {line.priority: line}
        else:
            self.others[line.priority] = line

    def drop(self, line: "Line") -> None:
        """Have a line less. O(1)."""
        if self.line is line:
            self.line = None
        elif self.others is not None:
            del self.others[line.priority]
            self.others = self.others or None


class Line(msgspec.Struct, gc=False, eq=False):
    """The jobs of one priority of a group: those that wait here, and others.

    first, last: the ends of the chain of those that wait, by id; 0 if it is empty.
    """

    group: Group
    priority: int
    first: int = 0
    last: int = 0
    back: Back | None = None
    """Those that came back, as far as they are not before all of the chain."""
    jobs: int = 0
    """Live jobs, whether they wait here or not."""
    in_round: bool = False
    """Whether it takes turns."""
    ghosts: int = 0
    """Its first entries in the round that hold no more."""


def new_line(_queue: str, name: str | None, priority: int) -> Line:
    """Make a line of a group that nobody else knows."""
    return Line(Group(name), priority)
