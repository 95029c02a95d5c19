"""Groups: jobs of a queue that take turns, by group, each group first in first out.

`seats` knows which jobs are of which group, `rounds` whose turn it is, `group_limits` how
many each group may hand out, `handing` hands them out. Here is what is decided and done: a
job that becomes ready is held and gets its place in the same frame of the log; a pull of a
queue with groups hands out by turns. A queue is ruled while it has live jobs with a group.
"""

from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import islice
from typing import Final

import msgspec

from magicqueue_cores.contract import Core, Delivery, JobState, Step
from magicqueue_cores.policies.ground import PAGE_BYTES_MAX, Ground, at_once
from magicqueue_cores.policies.group import Group
from magicqueue_cores.policies.group_limits import GroupLimits
from magicqueue_cores.policies.handing import Handing
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.ruling import GROUPED
from magicqueue_cores.policies.wishes import ACTIVE, DEAD, GroupedMark, Mark
from magicqueue_cores.records import Record

_HELD: Final = frozenset((JobState.HELD,))
UPTO_GROUPS: Final = -1
"""Stands for the `upto` of a drain that has come to the jobs with a group."""


class GroupStats(msgspec.Struct, frozen=True):
    """What is told of a group."""

    name: str
    queued: int
    processing: int
    throttled_until_ms: int | None


class Groups:
    """The groups of all queues. settle: does what follows from what was noted."""

    def __init__(
        self, ground: Ground, limits: Limits, settle: Callable[[int], None]
    ) -> None:
        """Start without groups."""
        self._ground = ground
        self._core: Core = ground.core
        self._settle_all = settle
        self._seats = ground.marks.seats
        self._notes = ground.marks.notes
        self._marks = ground.marks
        self.limits: Final = GroupLimits(ground, limits)
        self._handing = Handing(ground, self.limits)
        self._ruled: set[str] = set()
        self._draining: dict[str, tuple[int, list[Group]]] = {}
        """The last place of what is drained, and the groups to go through, by queue."""
        limits.hand_out = self.pull

    @property
    def any(self) -> bool:
        """Whether there are queues with groups: pulls of these have to go through here."""
        return bool(self._ruled)

    @property
    def unbegun(self) -> bool:
        """Whether there are groups from a replay, which take no turns until `begin`."""
        return not self._seats.begun

    @property
    def on_ready(self) -> Callable[[str], None]:
        """Told of each queue of which a pull may find a job; must not call back."""
        return self._seats.on_ready

    @on_ready.setter
    def on_ready(self, tell: Callable[[str], None]) -> None:
        self._seats.on_ready = tell

    def waiting(self, queue: str | None) -> int:
        """Count the jobs of a queue, or of all, that are held until their turn. O(1)."""
        if queue is None:
            return self._seats.waiting
        rounds = self._seats.rounds.get(queue)
        return 0 if rounds is None else rounds.waiting

    def group_of(self, job_id: int) -> str | None:
        """Return the group of a job that is here, None if it has none. O(1)."""
        return group_of(self._marks.by_id.get(job_id))

    def has(self, queue: str) -> bool:
        """Return whether a queue has jobs with a group. O(1)."""
        return queue in self._ruled

    def oldest_ms(self, queue: str | None, now_ms: int) -> int:
        """Return how long the job of a queue, or of all, waits that does so the longest.

        0 if none waits for its turn. O(1) amortised; of all O(log queues with groups).
        """
        job_id = self._seats.oldest(queue)
        view = None if job_id is None else at_once(self._core.job(job_id, now_ms))
        return 0 if view is None else now_ms - view.run_at_ms

    def in_turn(self, queue: str, count: int, now_ms: int) -> list[int]:
        """List the first jobs whose turns come, if no limit has a say. O(count).

        Of groups that wait for what their limits allow O(groups).
        """
        rounds = self._seats.rounds.get(queue)
        if rounds is None:
            return []
        page = at_once(
            self._core.in_turn(queue, JobState.READY, None, count, PAGE_BYTES_MAX, now_ms)
        )
        others: dict[int, list[int]] = {}
        for job in page.jobs:
            others.setdefault(job.priority, []).append(job.id)
        return rounds.in_turn(others, count)

    def waits(self, job_id: int) -> bool:
        """Return whether a job is held until its turn. O(1)."""
        mark = self._marks.by_id.get(job_id)
        return isinstance(mark, GroupedMark) and mark.waits

    def listed(self, queue: str, count: int, after: str | None) -> list[GroupStats]:
        """List groups of a queue by name, behind `after`. O(groups)."""
        rounds = self._seats.rounds.get(queue)
        if rounds is None:
            return []
        names = rounds.groups.keys() | rounds.buckets.keys()
        page = nsmallest(count, (name for name in names if after is None or name > after))
        nobody = Group(None)
        found = [(name, rounds.groups.get(name, nobody)) for name in page]
        return [
            GroupStats(name, group.waiting, group.active, rounds.shut.get(name))
            for name, group in found
        ]

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """As the core's, by turns where the queue has groups. O(1) a job."""
        core, rounds = self._core, self._seats.rounds.get(queue)
        if rounds is None or not rounds.jobs:
            return at_once(
                core.pull(queue, count, payload_bytes_max, lease_ms, session, now_ms)
            )
        core.advance(now_ms)
        if self._notes.pending:
            self._settle_all(now_ms)
        bounds = payload_bytes_max, lease_ms, session, now_ms
        return self._handing.pull(queue, rounds, count, bounds)

    def settle(self, now_ms: int) -> None:
        """Have jobs held that became ready; rule queues that have groups, and no others."""
        seats = self._seats
        if seats.ready:
            self._hold(now_ms)
        while seats.changed:
            self._rule(seats.changed.pop())

    def enter_anew(self, job_id: int, priority: int, run_at_ms: int, now_ms: int) -> None:
        """A job that waited was replaced: let it enter its line anew, or wait for its time.

        A blocked one is in no line, and one that was delayed enters when it is ready.
        """
        mark = self._marks.by_id.get(job_id)
        if not isinstance(mark, GroupedMark):
            return
        waits, queue = mark.waits, mark.terms.queue
        name = mark.line.group.name
        assert name is not None, "a mark is of a group"
        if waits and run_at_ms > now_ms:
            at_once(self._core.unhold((job_id,), now_ms))
            waits = False
        if waits or priority != mark.line.priority:
            line = self._seats.line_of(queue, name, priority)
            place = self._seats.next_place() if waits else 0
            changed = msgspec.structs.replace(mark, line=line, place=place)
            self._ground.mark(queue, (job_id,), (changed,))
            self._seats.on_ready(queue)

    def drain(self, queue: str, now_ms: int, upto: int | None) -> Step:
        """Remove a step of the jobs of a queue that wait: the core's, then those held."""
        if upto is None:
            self._draining.pop(queue, None)  # of a caller who did not go on
            rounds = self._seats.rounds.get(queue)
            if rounds is not None and rounds.waiting:
                groups = list(rounds.groups.values())
                self._draining[queue] = self._seats.last_place, groups
        if upto != UPTO_GROUPS:
            step = at_once(self._core.drain(queue, now_ms, upto))
            if step.upto is None and queue in self._draining:
                return Step(step.count, UPTO_GROUPS)
            return step
        last_place, groups = self._draining[queue]
        ids: list[int] = []
        while groups and len(ids) < self._ground.step_jobs:
            left = self._ground.step_jobs - len(ids)
            part = list(islice(self._up_to(groups[-1], last_place), left))
            ids += part
            if len(part) < left:
                groups.pop()
        if ids:
            at_once(self._core.remove(ids, _HELD, "drained", now_ms))
        if groups:
            return Step(len(ids), UPTO_GROUPS)
        del self._draining[queue]
        return Step(len(ids))

    def _up_to(self, group: Group, last_place: int) -> Iterator[int]:
        """Return who waits in the lines of a group, up to a place."""
        for line in group.lines():
            for job_id in self._seats.lines.in_order(line):
                if self._seats.place_of(job_id) > last_place:
                    break
                yield job_id

    def follow(self, record: Record) -> None:
        """Apply what happened once before, as far as it is about groups."""
        self.limits.follow(record)
        if self._seats.rounds or self.limits.any:
            self._seats.begun = False
            self._ground.clock.due_ms = 0

    def begin(self, now_ms: int) -> None:
        """Be told that a replay is over: lines and rounds begin anew."""
        self._seats.rebuild()
        self.limits.begin(now_ms)
        for queue in {*self._seats.rounds, *self._ruled}:
            self._rule(queue)
        self._seats.changed.clear()

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        self._seats.check()
        self.limits.check()
        if self._seats.begun:
            with_jobs = {name for name, one in self._seats.rounds.items() if one.jobs}
            assert self._ruled == with_jobs, "queues ruled for groups"
            self._ground.ruling.check(GROUPED, with_jobs)
        assert not self._seats.ready, "a job is ready and not held"

    def _hold(self, now_ms: int) -> None:
        seats, by_id = self._seats, self._marks.by_id
        ids = [
            job_id
            for job_id in dict.fromkeys(seats.ready)
            if isinstance(mark := by_id.get(job_id), GroupedMark)
            and not mark.place
            and not mark.flags & (ACTIVE | DEAD)
        ]
        seats.ready.clear()
        if not ids:
            return
        missing = set(at_once(self._core.hold(ids, now_ms)).missing)
        changed = [
            (
                job_id,
                msgspec.structs.replace(by_id[job_id], place=seats.next_place()),
            )
            for job_id in ids
            if job_id not in missing
        ]
        self._ground.change(changed)
        for queue in {mark.terms.queue for _, mark in changed}:
            seats.on_ready(queue)

    def _rule(self, queue: str) -> None:
        """Have the core leave pulls of a queue to others while it has jobs with a group."""
        rounds = self._seats.rounds.get(queue)
        if rounds is not None and rounds.jobs:
            self._ruled.add(queue)
            self._ground.ruling.rule(queue, GROUPED, holds=True)
        else:
            self._ruled.discard(queue)
            self._ground.ruling.rule(queue, GROUPED, holds=False)
            self._seats.forget_rounds(queue)


def group_of(mark: Mark | None) -> str | None:
    """Return the group that a job's mark is of, if it is of one."""
    return mark.line.group.name if isinstance(mark, GroupedMark) else None
