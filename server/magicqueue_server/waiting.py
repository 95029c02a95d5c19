"""Who waits for jobs: the blocked pulls, first come, first served.

A session waits for one pull at a time. A pull of several queues stands in the line of each,
and leaves all when it is served.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from magicqueue_server.deadlines import Deadlines

if TYPE_CHECKING:
    from magicqueue_server.session import Session


class Waiter(msgspec.Struct, gc=False, eq=False):
    """A blocked pull and what it asked for; `batch` tells PULLB from PULL."""

    session: "Session"
    queues: tuple[str, ...]
    """Each once, in the order in which they are tried."""
    count: int
    lease_ms: int
    deadline_ms: int
    batch: bool
    rid: msgspec.Raw


class WaitingRoom:
    """Waiters by queue in order of arrival, and by session."""

    def __init__(self) -> None:
        self._by_queue: dict[str, OrderedDict[int, Waiter]] = {}
        self._by_session: dict[int, Waiter] = {}
        self.deadlines = Deadlines(self._waits)

    def __len__(self) -> int:
        return len(self._by_session)

    def __contains__(self, queue: str) -> bool:
        return queue in self._by_queue

    @property
    def next_deadline_ms(self) -> int:
        """When the next waiter's time is over, at the earliest. O(1)."""
        return self.deadlines.next_ms

    def has(self, session_id: int) -> bool:
        """Whether a session waits. O(1)."""
        return session_id in self._by_session

    def add(self, waiter: Waiter, *, first: bool = False) -> None:
        """Let it wait behind the others of its queues, or before them. O(log n)."""
        session_id = waiter.session.id
        self._by_session[session_id] = waiter
        for queue in waiter.queues:
            line = self._by_queue.setdefault(queue, OrderedDict())
            line[session_id] = waiter
            if first:
                line.move_to_end(session_id, last=False)
        self.deadlines.add(waiter, len(self._by_session))

    def postpone(self, by_ms: int) -> None:
        """Let everybody's time be over that much later. O(n)."""
        self.deadlines.postpone(by_ms)

    def first(self, queue: str) -> Waiter | None:
        """Give the one whose turn it is. O(1)."""
        line = self._by_queue.get(queue)
        return next(iter(line.values())) if line else None

    def remove(self, session_id: int) -> Waiter | None:
        """Take a session's waiter out, if it waits. O(queues of it)."""
        waiter = self._by_session.pop(session_id, None)
        if waiter is not None:
            for queue in waiter.queues:
                line = self._by_queue[queue]
                del line[session_id]
                if not line:
                    del self._by_queue[queue]
        return waiter

    def overdue(self, now_ms: int) -> list[Waiter]:
        """Take out all whose time is over, in order of their deadlines."""
        waiters: list[Waiter] = []
        for waiter in self.deadlines.overdue(now_ms):
            self.remove(waiter.session.id)
            waiters.append(waiter)
        return waiters

    def everyone(self) -> list[Waiter]:
        """Take everybody out, in order of arrival within a queue."""
        waiters = list(
            dict.fromkeys(w for line in self._by_queue.values() for w in line.values())
        )
        self._by_queue.clear()
        self._by_session.clear()
        self.deadlines.clear()
        return waiters

    def _waits(self, waiter: Waiter) -> bool:
        return self._by_session.get(waiter.session.id) is waiter
