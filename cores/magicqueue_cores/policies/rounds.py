"""Turns: within a priority, the lines of a queue's groups go round, one job a turn.

A line enters the round at its end: when a job enters it that finds it outside, after its
turn if it has more jobs, and when its group may go on again. Whether a group may is asked
when its turn comes: if not, the line leaves the round, and hides nobody.

Jobs without a group are one group more. They are no held jobs: they are in the core's own
order, and what is known of them is the priority of the first. So they take part in the
round of that priority from when a pull finds them there.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from magicqueue_cores.contract import COUNT_MAX
from magicqueue_cores.policies.gates import Bucket
from magicqueue_cores.policies.group import Group, Line
from magicqueue_cores.policies.level import Level
from magicqueue_cores.policies.lines import Lines
from magicqueue_cores.policies.moments import Tally
from magicqueue_cores.policies.rules import Bounds, Rate
from magicqueue_cores.policies.wishes import ACTIVE, DEAD, GroupedMark

BUCKET_BYTES: Final = 280
"""About what the bucket of a group takes, with its places in tables."""
_SPARE_GHOSTS: Final = 64


Turn: TypeAlias = tuple[Level, Line, int, bool]
"""One job's turn, so that it can be undone: in which level, of which line, the job (0: one
without a group), and whether the line went to the end of the round, since it has more."""


class Rounds:
    """The groups of a queue, and whose turn it is."""

    def __init__(
        self, lines: Lines, by_id: dict[int, Any], tally: Tally, all_waiting: Tally
    ) -> None:
        """Start without any. all_waiting: counts those who wait, of all queues."""
        self._lines = lines
        self._tally = tally
        self._by_id = by_id
        self._all_waiting = all_waiting
        self.groups: dict[str, Group] = {}
        self.jobs = 0
        """Live jobs with a group."""
        self.waiting = 0
        self.active = 0
        self.levels: dict[int, Level] = {}
        self._order: list[int] = []
        """Priorities of all levels, negated, highest first."""
        self.concurrency: int | None = None
        """Each group's bounds, beside which a group may be shut."""
        self.rate: Rate | None = None
        self.empty_ms: int | None = None
        """Buckets that are new are as if they had been empty then; None: full."""
        self.buckets: dict[str, Bucket] = {}
        self._entered: deque[int] = deque()
        """Jobs that entered lines, the oldest first; of some that is over."""
        self.on_front: Callable[[int], None] = _nobody
        """Told of the place of the first who waits, when others came."""
        self.shut: dict[str, int] = {}
        """Until when groups give nothing."""

    @property
    def bounded(self) -> bool:
        """Whether a group may have to wait though it has jobs."""
        return self.concurrency is not None or self.rate is not None or bool(self.shut)

    def in_turn(self, others: Mapping[int, Sequence[int]], count: int) -> list[int]:
        """List the first jobs whose turns come, if no limit has a say.

        others: jobs without a group, by priority, in order.
        """
        ids: list[int] = []
        stalled = self._stalled() if self.bounded else {}
        for priority in sorted({*self.levels, *others, *stalled}, reverse=True):
            level = self.levels.get(priority)
            lines = [] if level is None else level.in_order(count)
            names = {line.group.name for line in lines}
            ways = deque(
                iter(others.get(priority, ()))
                if line.group.name is None
                else self._lines.in_order(line)
                for line in lines
            )
            if priority in others and None not in names and len(ways) < count:
                ways.append(iter(others[priority]))
            ways += map(self._lines.in_order, stalled.get(priority, ()))
            while ways and len(ids) < count:
                way = ways.popleft()
                job_id = next(way, None)
                if job_id is not None:
                    ids.append(job_id)
                    ways.append(way)
        return ids

    def _stalled(self) -> dict[int, list[Line]]:
        """Return the lines with jobs that take no turns, by priority. O(groups)."""
        found: dict[int, list[Line]] = {}
        for group in self.groups.values():
            for line in group.lines():
                if not line.in_round and self._lines.head(line):
                    found.setdefault(line.priority, []).append(line)
        return found

    def reset(self) -> None:
        """Have nobody wait in any line."""
        self.levels.clear()
        self._order.clear()
        self._entered.clear()
        for group in self.groups.values():
            for line in group.lines():
                line.first = line.last = line.ghosts = 0
                line.back, line.in_round = None, False

    def level(self, priority: int) -> Level:
        """Return the level of a priority. O(1), or O(p) if it is new."""
        level = self.levels.get(priority)
        if level is None:
            level = self.levels[priority] = Level(priority)
            insort(self._order, -priority)
        return level

    def wait(self, more: int) -> None:
        """Count jobs that wait, or with a minus wait no more."""
        self.waiting += more
        self._all_waiting.size += more

    def enter(self, line: Line) -> None:
        """Let a line take turns."""
        if not line.in_round:
            self.level(line.priority).enter(line)

    def leave(self, line: Line) -> None:
        """Let a line take turns no more."""
        if line.in_round:
            self.levels[line.priority].leave(line)

    def note(self, ids: Sequence[int], *, again: bool) -> None:
        """Be told of jobs that wait, at the end or at their old place. O(1) amortised."""
        entered = self._entered
        if again:
            entered.extendleft(ids)
        else:
            entered.extend(ids)
        first = self.oldest()  # which drops those at the front that do not wait any more
        if first is not None:
            self.on_front(self._mark_of(first).place)
        if len(entered) > 2 * self.waiting + _SPARE_GHOSTS:
            here = dict.fromkeys(filter(self._waits, entered))
            places = sorted((self._mark_of(job_id).place, job_id) for job_id in here)
            self._entered = deque(job_id for _, job_id in places)

    def oldest(self) -> int | None:
        """Return the job that waits the longest, or nearly so. O(1) amortised."""
        entered = self._entered
        find, gone = self._by_id.get, ACTIVE | DEAD
        while entered:
            mark = find(entered[0])
            if isinstance(mark, GroupedMark) and mark.place and not mark.flags & gone:
                return entered[0]
            entered.popleft()
        return None

    def let_in(self, group: Group) -> bool:
        """Let the lines of a group take turns again; give whether there are any."""
        lines = [line for line in group.lines() if self._lines.head(line)]
        for line in lines:
            self.enter(line)
        return bool(lines)

    def bound(self, bounds: Bounds | None, now_ms: int | None) -> None:
        """Have bounds for each group. now_ms: None in a replay, when nobody waits."""
        rate = None if bounds is None else bounds.rate
        self.concurrency = None if bounds is None else bounds.concurrency
        if rate is None:
            self._tally.size -= BUCKET_BYTES * len(self.buckets)
            self.buckets.clear()
        elif now_ms is not None and rate != self.rate:
            for bucket in self.buckets.values():
                bucket.change(rate, now_ms)
        self.rate = rate

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of a group; there is a rate. O(1)."""
        bucket = self.buckets.get(name)
        if bucket is None:
            assert self.rate is not None, "buckets are for rates"
            bucket = self.buckets[name] = Bucket(self.rate)
            self._tally.size += BUCKET_BYTES
            if self.empty_ms is not None:
                bucket.empty(self.empty_ms)
        return bucket

    def forget_bucket(self, name: str) -> None:
        """Forget a bucket that is full. O(1)."""
        del self.buckets[name]
        self._tally.size -= BUCKET_BYTES

    def room(self, group: Group, now_ms: int) -> int:
        """Count the jobs of a group that may be handed out now. O(1)."""
        name = group.name
        assert name is not None, "jobs without a group have no bounds"
        if now_ms < self.shut.get(name, 0):
            return 0
        room = COUNT_MAX if self.concurrency is None else self.concurrency - group.active
        if self.rate is not None and room > 0:
            room = min(room, self.bucket(name).tokens(now_ms))
        return room

    def top(self) -> Level | None:
        """Return the highest level in which somebody takes turns. O(1) amortised."""
        while self._order:
            level = self.levels[-self._order[0]]
            if level.turns:
                return level
            level.end()
            del self.levels[level.priority], self._order[0]
        return None

    @property
    def has_none(self) -> bool:
        """Whether no group takes turns, in a round that is no other's either."""
        top = self.top()
        return top is None or (len(self.levels) == 1 and not self.rivals)

    def pass_by(self) -> None:
        """Have jobs without a group take all turns; `has_none`."""
        top = self.top()
        if top is not None:
            top.first()
            top.pass_on()

    @property
    def rivals(self) -> int:
        """Lines of groups in the highest round. O(1) amortised."""
        top = self.top()
        return 0 if top is None else top.turns - top.line.in_round

    def turns(
        self,
        count: int,
        plain: Sequence[int],
        now_ms: int,
        stalled: list[str],
        *,
        more: bool,
    ) -> list[Turn]:
        """Take turns, `count` at most, or until nobody knows whose it is.

        plain: the priorities of the first jobs without a group, in order. more: there are
        others of these behind, so whoever has had all of `plain` has to look again.
        stalled: is told of groups that have to wait for a token.
        """
        turns: list[Turn] = []
        bounded, left, others = self.bounded, list(plain[::-1]), 0
        if plain:
            self.enter(self.level(plain[0]).line)
        top: Level | None = None
        while len(turns) < count:
            if top is None or not top.turns:
                top = self.top()
                if top is None:
                    break
            line = top.round[0]
            if line.ghosts:
                line = top.first()
            name = line.group.name
            if name is None:
                if not left or left[-1] != top.priority:
                    top.pass_on()
                    continue
                turns.append(self._take_plain(top, left, last=len(turns) + 1 == count))
                others += 1
                if more and not left:
                    break
            elif bounded and self.room(line.group, now_ms) < 1:
                top.pass_on()
                stalled.append(name)
            else:
                turns.append(self._take(top, line, name, now_ms))
        self.wait(others - len(turns))
        self.active += len(turns) - others
        return turns

    def undo(self, turns: list[Turn]) -> None:
        """Undo turns, which were the last ones: their jobs were not handed out."""
        for level, line, job_id, again in reversed(turns):
            if job_id:
                self._give_back(line, job_id)
            if level.priority not in self.levels:
                self.levels[level.priority] = level
                insort(self._order, -level.priority)
            level.put_first(line, again=again)

    def _give_back(self, line: Line, job_id: int) -> None:
        """Let a job be first in its line that was taken just now."""
        group = line.group
        group.active -= 1
        group.waiting += 1
        self.active -= 1
        self.wait(1)
        if group.name in self.buckets:
            self.buckets[group.name].spend(-1, 0)
        self._lines.come_back(line, job_id, self._mark_of(job_id))

    def _waits(self, job_id: int) -> bool:
        mark = self._by_id.get(job_id)
        return isinstance(mark, GroupedMark) and mark.waits

    def _mark_of(self, job_id: int) -> GroupedMark:
        mark = self._by_id[job_id]
        assert isinstance(mark, GroupedMark), f"job {job_id} has no group"
        return mark

    def check(self) -> None:
        """Verify the rounds: AssertionError names what is broken."""
        assert sorted(self._order) == self._order, "levels out of order"
        assert {-order for order in self._order} == set(self.levels), "a level is lost"
        for priority, level in self.levels.items():
            level.check()
            assert level.priority == priority, "a level of another priority"
        for group in self.groups.values():
            for line in group.lines():
                waits = bool(self._lines.head(line))
                assert waits or not line.in_round, "a line takes turns and has no jobs"
                known = line.priority in self.levels
                assert known or not line.in_round, "a line takes turns in no round"
                if waits and not self.bounded:
                    assert line.in_round, f"group {group.name!r} waits for no turn"

    def _take(self, level: Level, line: Line, name: str, now_ms: int) -> Turn:
        """Take the first job of a line, whose turn it is."""
        group = line.group
        if line.back is None:
            job_id = line.first
            line.first = again = self._by_id[job_id].following
            if not again:
                line.last = 0
        else:
            lines = self._lines
            job_id = lines.head(line)
            lines.leave(line, job_id, self._mark_of(job_id))
            again = lines.head(line)
        group.waiting -= 1
        group.active += 1
        if self.rate is not None:
            self.bucket(name).spend(1, now_ms)
        if again:
            level.round.rotate(-1)
            return level, line, job_id, True
        level.pass_on()
        return level, line, job_id, False

    def _take_plain(self, level: Level, left: list[int], *, last: bool) -> Turn:
        """Let a job without a group have its turn; left: the priorities of those, reversed.

        The next one enters a round when the turn after this one is asked for, not before.
        """
        left.pop()
        level.pass_on()
        if not left or last:
            return level, level.line, 0, False
        self.enter(self.level(left[-1]).line)
        return level, level.line, 0, left[-1] == level.priority


def _nobody(_: int) -> None:
    """Tell nobody."""
