"""Jobs that were cancelled while at work: whose they are, and until when.

The core does not know of it, and would count their loss, or make a dead letter of them. So
they are taken out before it ends their lease.
"""

from magicqueue_cores.contract import Core
from magicqueue_cores.policies.moments import Clock, Moments


class Doomed:
    """Cancelled jobs at work, by session and by the end of their lease.

    Both are asked of the core when they are needed, and after a restart: a job's session
    is the same until its attempt ends.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._places: dict[int, tuple[int, int] | None] = {}
        self._by_session: dict[int, set[int]] = {}
        self._unknown: set[int] = set()
        # A clock of its own: ends of leases are no business of `advance`.
        self._ends: Moments[int] = Moments(Clock(), self._ends_at)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._places

    def add(self, job_id: int) -> None:
        """Add a job that is at work. O(1)."""
        if job_id not in self._places:
            self._places[job_id] = None
            self._unknown.add(job_id)

    def discard(self, job_id: int) -> None:
        """Forget a job that may be here. O(1) amortised."""
        if job_id in self._places:
            self._unplace(job_id)
            self._unknown.discard(job_id)
            del self._places[job_id]

    def moved(self, job_id: int) -> None:
        """Ask anew for the lease of a job that may be here: it was extended."""
        if job_id in self._places:
            self._unplace(job_id)
            self._unknown.add(job_id)

    def of_session(self, core: Core, session: int) -> list[int]:
        """Return those that a session holds, by id."""
        self._learn(core)
        return sorted(self._by_session.get(session, ()))

    def over(self, core: Core, until_ms: int, most: int) -> list[int]:
        """Return those whose lease ends by then, about `most` at most."""
        self._learn(core)
        ids = self._ends.due(until_ms, most)
        for job_id in ids:
            place = self._places[job_id]
            assert place is not None, "an entry that holds has a place"
            self._places[job_id] = None
            self._leave_session(job_id, place[0])
            self._unknown.add(job_id)
        # All leases may have been postponed, of which nobody is told: so ask again.
        self._learn(core)
        places = [(job_id, self._places[job_id]) for job_id in ids]
        return [job_id for job_id, place in places if place and place[1] <= until_ms]

    def ids(self) -> set[int]:
        """Return all of them."""
        return set(self._places)

    def check(self, expected: set[int]) -> None:
        """Verify that these jobs are here, each once: AssertionError says if not."""
        assert self._places.keys() == expected, "cancelled jobs are not those marked so"
        placed = {job_id for job_id, place in self._places.items() if place}
        assert placed | self._unknown == expected, "a cancelled job is nowhere"
        assert not placed & self._unknown, "a cancelled job is in two places"
        held = [job_id for ids in self._by_session.values() for job_id in ids]
        assert sorted(held) == sorted(placed), "sessions of cancelled jobs"
        self._ends.check("ends of cancelled jobs' leases")

    def _learn(self, core: Core) -> None:
        if not self._unknown:
            return
        moved = core.export(sorted(self._unknown))
        self._unknown.clear()
        for job_id, session, until_ms in zip(
            moved.ids, moved.sessions, moved.untils_ms, strict=True
        ):
            self._places[job_id] = (session, until_ms)
            self._by_session.setdefault(session, set()).add(job_id)
            self._ends.add(until_ms, job_id)

    def _unplace(self, job_id: int) -> None:
        place = self._places[job_id]
        if place is not None:
            self._places[job_id] = None
            self._leave_session(job_id, place[0])
            self._ends.lose()

    def _leave_session(self, job_id: int, session: int) -> None:
        held = self._by_session[session]
        held.discard(job_id)
        if not held:
            del self._by_session[session]

    def _ends_at(self, until_ms: int, job_id: int) -> bool:
        place = self._places.get(job_id)
        return place is not None and place[1] == until_ms
