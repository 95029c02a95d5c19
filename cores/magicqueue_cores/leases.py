"""Who holds which jobs until when.

One `Lease` stands for all jobs of one pull (or one heartbeat) of a session, so a verdict
takes its job out of one set, in O(1). The heap of deadlines is never searched: an entry
whose lease holds nothing any more is skipped at the top, and the heap is rebuilt when
most of it is of that kind.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final

import msgspec

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.heaps import ascending
from magicqueue_cores.memory_tally import Tally, lease_bytes

_SPARE_ENTRIES: Final = 64


class Lease(msgspec.Struct, gc=False, eq=False):
    """Jobs that one session holds until one moment. It is open while it holds any."""

    session: int
    until_ms: int
    serial: int
    ids: set[int]


class Leases:
    """All open leases, by session and by deadline."""

    __slots__ = ("_deadlines", "_open_count", "_serial", "_tally", "by_session")

    def __init__(self, tally: Tally) -> None:
        """Start with none."""
        self._tally = tally
        self.by_session: dict[int, dict[int, Lease]] = {}
        self._deadlines: list[tuple[int, int, Lease]] = []
        self._open_count = 0
        self._serial = 0

    @property
    def next_ms(self) -> int:
        """When the first lease ends, or NEVER_MS. O(1) amortised."""
        deadlines = self._deadlines
        while deadlines and not deadlines[0][2].ids:
            heappop(deadlines)
        return deadlines[0][0] if deadlines else NEVER_MS

    def open(self, session: int, until_ms: int, ids: set[int]) -> Lease:
        """Lease jobs to a session; `ids` is kept. O(log n) with n leases."""
        self._serial = serial = self._serial + 1
        lease = Lease(session, until_ms, serial, ids)
        heappush(self._deadlines, (until_ms, serial, lease))
        of_session = self.by_session.get(session)
        if of_session is None:
            self.by_session[session] = {serial: lease}
        else:
            of_session[serial] = lease
        self._open_count += 1
        self._tally.lease_bytes += lease_bytes(ids)
        return lease

    def close(self, lease: Lease) -> None:
        """Forget a lease that holds nothing any more. O(1) amortised."""
        of_session = self.by_session[lease.session]
        if len(of_session) == 1:
            del self.by_session[lease.session]
        else:
            del of_session[lease.serial]
        self._open_count -= 1
        self._tally.lease_bytes -= lease_bytes(lease.ids)
        if len(self._deadlines) > 2 * self._open_count + _SPARE_ENTRIES:
            self._deadlines = [entry for entry in self._deadlines if entry[2].ids]
            heapify(self._deadlines)

    def due(self, now_ms: int, most: int) -> list[int]:
        """Jobs of leases that ended, `most` at most, by id; of the last lease a part.

        The caller takes each off its lease.
        """
        deadlines = self._deadlines
        ids: list[int] = []
        while deadlines and deadlines[0][0] <= now_ms and len(ids) < most:
            held, room = deadlines[0][2].ids, most - len(ids)
            ids.extend(islice(held, room))
            if len(held) <= room:
                heappop(deadlines)
        ids.sort()
        return ids

    def postpone(self, by_ms: int) -> None:
        """Let all leases end that much later. O(n)."""
        for _, _, lease in self._deadlines:
            lease.until_ms += by_ms
        self._deadlines = [(at_ms + by_ms, n, lease) for at_ms, n, lease in self._deadlines]

    def of_session(self, session: int, most: int) -> list[int]:
        """Jobs that a session holds, `most` at most, by id; of the last lease a part."""
        ids: list[int] = []
        for lease in self.by_session.get(session, {}).values():
            ids.extend(islice(lease.ids, most - len(ids)))
            if len(ids) >= most:
                break
        ids.sort()
        return ids

    def in_turn(self) -> Iterator[tuple[int, list[int]]]:
        """Yield the ends of leases, in order, each with all jobs of leases that end then.

        O(log n) a lease, and O(1) a job.
        """
        last_ms, ids = NEVER_MS, list[int]()
        for until_ms, _, lease in ascending(self._deadlines):
            if until_ms != last_ms and ids:
                yield last_ms, ids
                ids = []
            last_ms = until_ms
            ids.extend(lease.ids)
        if ids:
            yield last_ms, ids

    def check(self) -> dict[int, Lease]:
        """Verify the structure; gives the lease of each held job."""
        held: dict[int, Lease] = {}
        in_heap = {serial for _, serial, _ in self._deadlines}
        count = size = 0
        for session, leases in self.by_session.items():
            assert leases, f"session {session} is kept without a lease"
            for serial, lease in leases.items():
                count += 1
                assert lease.ids, f"session {session} keeps an empty lease"
                assert lease.session == session, "a lease is filed under another session"
                assert serial == lease.serial, "a lease is filed under another number"
                assert serial in in_heap, (
                    f"the lease until {lease.until_ms} has no deadline"
                )
                assert held.keys().isdisjoint(lease.ids), "a job is in two leases"
                held.update(dict.fromkeys(lease.ids, lease))
                size += lease_bytes(lease.ids)
        assert count == self._open_count, f"{count} open leases, counted {self._open_count}"
        assert self._tally.lease_bytes == size, "bytes of leases miscounted"
        limit = 2 * count + _SPARE_ENTRIES
        assert len(self._deadlines) <= limit, "the heap of deadlines is mostly stale"
        return held
