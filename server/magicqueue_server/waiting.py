"""Who waits for jobs: the blocked pulls, first come, first served.

A session waits for one pull at a time. Time-outs lie in a heap that is cleaned lazily: an
entry counts only while its waiter is still the one that made it, and when more than half
of the entries are of no use the heap is built anew, so its size follows the waiters.
"""

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

from magicqueue_cores.contract import NEVER_MS

if TYPE_CHECKING:
    from magicqueue_server.session import Session

_SLACK: Final = 64


class Waiter(msgspec.Struct, gc=False, eq=False):
    """A blocked pull and what it asked for; `batch` tells PULLB from PULL."""

    session: "Session"
    queue: str
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
        self._deadlines: list[tuple[int, int, Waiter]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._by_session)

    def __contains__(self, queue: str) -> bool:
        return queue in self._by_queue

    @property
    def next_deadline_ms(self) -> int:
        """When the next waiter's time is over, at the earliest. O(1)."""
        return self._deadlines[0][0] if self._deadlines else NEVER_MS

    def has(self, session_id: int) -> bool:
        """Whether a session waits. O(1)."""
        return session_id in self._by_session

    def add(self, waiter: Waiter, *, first: bool = False) -> None:
        """Let it wait behind the others of its queue, or before them. O(log n)."""
        session_id = waiter.session.id
        self._by_session[session_id] = waiter
        line = self._by_queue.setdefault(waiter.queue, OrderedDict())
        line[session_id] = waiter
        if first:
            line.move_to_end(session_id, last=False)
        if waiter.deadline_ms < NEVER_MS:
            self._serial += 1
            heapq.heappush(self._deadlines, (waiter.deadline_ms, self._serial, waiter))
            if len(self._deadlines) > 2 * len(self._by_session) + _SLACK:
                self._deadlines = [e for e in self._deadlines if self._waits(e[2])]
                heapq.heapify(self._deadlines)

    def postpone(self, by_ms: int) -> None:
        """Let everybody's time be over that much later. O(n)."""
        for _, _, waiter in self._deadlines:
            waiter.deadline_ms += by_ms
        self._deadlines = [(at_ms + by_ms, n, who) for at_ms, n, who in self._deadlines]

    def first(self, queue: str) -> Waiter | None:
        """Give the one whose turn it is. O(1)."""
        line = self._by_queue.get(queue)
        return next(iter(line.values())) if line else None

    def remove(self, session_id: int) -> Waiter | None:
        """Take a session's waiter out, if it waits. O(1)."""
        waiter = self._by_session.pop(session_id, None)
        if waiter is not None:
            line = self._by_queue[waiter.queue]
            del line[session_id]
            if not line:
                del self._by_queue[waiter.queue]
        return waiter

    def overdue(self, now_ms: int) -> list[Waiter]:
        """Take out all whose time is over, in order of their deadlines."""
        waiters: list[Waiter] = []
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            waiter = heapq.heappop(self._deadlines)[2]
            if self._waits(waiter):
                self.remove(waiter.session.id)
                waiters.append(waiter)
        return waiters

    def everyone(self) -> list[Waiter]:
        """Take everybody out, in order of arrival within a queue."""
        waiters = [w for line in self._by_queue.values() for w in line.values()]
        self._by_queue.clear()
        self._by_session.clear()
        self._deadlines.clear()
        return waiters

    def _waits(self, waiter: Waiter) -> bool:
        return self._by_session.get(waiter.session.id) is waiter
