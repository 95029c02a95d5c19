"""What clients asked and heard, as a list of operations that a checker can judge later.

An operation has the moment before its request was sent and the moment after its reply was
read; without a reply its `end` is NEVER, and what it asked may have happened at any later
time, or not at all. Moments are whatever the history's clock gives, in nanoseconds, each
later than the one before. Clients of several threads may write to one history.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, TypeVar

NEVER: Final = 2**63
MS: Final = 10**6
"""Nanoseconds."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """connection: the number of the one that it was asked on."""

    connection: int = 0
    start: int = 0
    end: int = NEVER

    @property
    def answered(self) -> bool:
        """Whether its reply was heard."""
        return self.end != NEVER


@dataclass(slots=True, kw_only=True)
class Push(Operation):
    """Jobs of one PUSH or PUSHB. No two of a history have the same data.

    delayed: they (or those of them where it is true) were not ready at once, so their place
    is not known. refused: the server said that it took none.
    """

    queue: str
    data: Sequence[Any]
    priorities: Sequence[int] = ()
    delayed: bool | Sequence[bool] = False
    ids: Sequence[int] = ()
    refused: bool = False


@dataclass(slots=True)
class Delivered:
    """A job as a pull's reply had it."""

    id: int
    data: Any
    attempt: int


@dataclass(slots=True, kw_only=True)
class Pull(Operation):
    """A PULL or PULLB; `lease_ms` as asked for.

    refused: the server said that it hands nothing out.
    """

    queue: str
    lease_ms: int
    jobs: Sequence[Delivered] = ()
    refused: bool = False


@dataclass(slots=True, kw_only=True)
class Settle(Operation):
    """Verdicts on jobs: done, or else failed or released. Each may name its attempt.

    missing: those that the server did not take.
    """

    ids: Sequence[int]
    attempts: Sequence[int | None] = ()
    done: bool = True
    missing: frozenset[int] = frozenset()


@dataclass(slots=True)
class Seen:
    """A job as GETJOB or DEAD shows it."""

    data: Any
    state: str
    attempts: int


@dataclass(slots=True, kw_only=True)
class Look(Operation):
    """A look at the state of jobs, by id; None for one that is not there."""

    jobs: dict[int, Seen | None]


@dataclass(slots=True, kw_only=True)
class Close(Operation):
    """A connection ended while the server lived, not before `start`."""


@dataclass(slots=True, kw_only=True)
class Restart(Operation):
    """The server was gone at `start`: what nobody had heard of may be undone."""


@dataclass(slots=True, kw_only=True)
class Pause(Operation):
    """Somebody asked to pause a queue."""

    queue: str


def unheard(operation: Operation) -> Operation:
    """The same, if its reply had not been heard."""
    match operation:
        case Push():
            return replace(operation, end=NEVER, ids=(), refused=False)
        case Pull():
            return replace(operation, end=NEVER, jobs=(), refused=False)
        case Settle():
            return replace(operation, end=NEVER, missing=frozenset())
        case Look():
            return replace(operation, end=NEVER, jobs={})
    return operation


Kind = TypeVar("Kind", bound=Operation)


@dataclass
class History:
    """Operations in the order of their starts. clock: gives nanoseconds that never fall."""

    clock: Callable[[], int] = time.monotonic_ns
    operations: list[Operation] = field(default_factory=list)
    connections: "count[int]" = field(default_factory=lambda: count(1))
    """Numbers for connections."""

    def begin(self, operation: Kind) -> Kind:
        """Note what is going to be asked, before it is."""
        self.operations.append(operation)
        operation.start = self.clock()
        return operation

    def end(self, operation: Operation, **heard: Any) -> None:
        """Note what was answered."""
        moment = self.clock()
        for name, value in heard.items():
            setattr(operation, name, value)
        operation.end = moment

    def cut(self, connection: int) -> None:
        """Note that a connection ended, at any time since its last reply was on its way."""
        answered = [
            operation.start
            for operation in self.operations
            if operation.connection == connection and operation.answered
        ]
        if answered:
            self.operations.append(Close(connection=connection, start=max(answered)))

    def of_a_copy(self, begun: int, ended: int) -> "History":
        """What it says of a copy of the server's state made between two moments.

        What was answered before is in it, what was asked later is not, the rest may be.
        """
        known = [one for one in self.operations if one.start < ended]
        some = [one if one.end < begun else unheard(one) for one in known]
        return History(self.clock, [*some, Restart(start=ended)], self.connections)

    def copy(self) -> "History":
        """A history that goes on by itself; nothing may be under way."""
        return History(self.clock, list(self.operations), self.connections)
