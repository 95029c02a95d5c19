"""Which jobs are of which group, and what befalls them: the same live and in a replay.

A job with a group is held by the core while it waits, and is in its line here. It is not
held while it is delayed, so it is ready in the core for a moment when its time has come, or
after a failure. That is noted (`ready`), and `Groups` has it held and gives it a place
before anything else happens.

Counts are kept in a replay, too; lines and rounds are not. `rebuild` makes them at its end,
from the places that marks tell. Nothing here calls the core.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from magicqueue_cores.policies.fronts import Fronts
from magicqueue_cores.policies.group import GROUP_BYTES, Group, Line
from magicqueue_cores.policies.lines import Lines
from magicqueue_cores.policies.moments import Tally
from magicqueue_cores.policies.notes import Notes
from magicqueue_cores.policies.rounds import Rounds
from magicqueue_cores.policies.wishes import ACTIVE, BACK, DEAD, GroupedMark, Mark


class Seats:
    """Groups by queue, kept up with the marks. by_id: all marks."""

    def __init__(self, by_id: dict[int, Mark], notes: Notes, tally: Tally) -> None:
        """Start without groups."""
        self._by_id: dict[int, Any] = by_id
        self._notes = notes
        self._tally = tally
        self.lines: Final = Lines(by_id)
        self.rounds: dict[str, Rounds] = {}
        """By queue."""
        self.count = 0
        """Groups of all queues."""
        self._all_waiting = Tally()
        self._fronts = Fronts(self._front_of)
        self.begun = True
        """There are lines and rounds; not after a replay, until `rebuild`."""
        self.last_place = 0
        self.taking = False
        """Jobs that are handed out just now have taken their turns."""
        self.ready: list[int] = []
        """Jobs that are in the core's order, and have to be held."""
        self.changed: set[str] = set()
        """Queues that have their first job with a group, or no more."""
        self.on_new: Callable[[str, Rounds], None] = _nobody
        """Told of the rounds of a queue that are new."""
        self.on_ready: Callable[[str], None] = _nobody
        """Told of queues of which a pull may find a job now."""
        self.on_empty: Callable[[str, str], None] = _nobody
        """Told of groups that have no jobs any more: a queue, and a name."""

    def line_of(self, queue: str, name: str, priority: int) -> Line:
        """Return a line of a queue, which may be new. O(1)."""
        rounds = self.rounds_of(queue)
        group = rounds.groups.get(name)
        if group is None:
            group = rounds.groups[name] = Group(name)
            self._tally.size += GROUP_BYTES + len(name)
            self.count += 1
        line = group.line_of(priority)
        if line is None:
            line = Line(group, priority)
            group.add(line)
        return line

    def rounds_of(self, queue: str) -> Rounds:
        """Return the rounds of a queue, which may be new."""
        rounds = self.rounds.get(queue)
        if rounds is None:
            rounds = self.rounds[queue] = Rounds(
                self.lines, self._by_id, self._tally, self._all_waiting
            )
            rounds.on_front = partial(self._fronts.note, queue)
            self.on_new(queue, rounds)
        return rounds

    def place_of(self, job_id: int) -> int:
        """Return the place of a job that has a group."""
        mark = self._by_id[job_id]
        assert isinstance(mark, GroupedMark), f"job {job_id} has no group"
        return mark.place

    def next_place(self) -> int:
        """Return the place of the next job that enters a line."""
        self.last_place += 1
        return self.last_place

    def put(self, job_id: int, old: Mark | None, mark: GroupedMark) -> None:
        """Know this of a job, in place of what was known, if it was."""
        if isinstance(old, GroupedMark):
            self.change(job_id, old, mark)
        else:
            self.hook(job_id, mark)

    def hook(self, job_id: int, mark: GroupedMark) -> None:
        """Know of a job that was not known."""
        if mark.flags & DEAD:
            mark.place = 0
            return
        queue, line = mark.terms.queue, mark.line
        if not line.jobs:  # it may be of a group that was forgotten
            name = line.group.name
            assert name is not None, "a mark is of a group"
            line = mark.line = self.line_of(queue, name, line.priority)
        line.jobs += 1
        rounds = self.rounds[queue]
        rounds.jobs += 1
        if rounds.jobs == 1:
            self._note(queue)
        if mark.flags & ACTIVE:
            line.group.active += 1
            rounds.active += 1
        elif mark.place:
            self._wait(rounds, job_id, mark, again=False)
        self.last_place = max(self.last_place, mark.place)

    def unhook(self, job_id: int, mark: GroupedMark) -> None:
        """Forget a job."""
        if mark.flags & DEAD:
            return
        queue, line = mark.terms.queue, mark.line
        rounds = self.rounds[queue]
        if mark.flags & ACTIVE:
            self._end(queue, rounds, line.group)
        elif mark.place:
            self._wait_no_more(rounds, job_id, mark)
        rounds.jobs -= 1
        if not rounds.jobs:
            self._note(queue)
        self._let_go(queue, rounds, line)

    def hook_new(self, found: Sequence[tuple[int, GroupedMark]]) -> None:
        """Know of new jobs of one queue, in the order of their places."""
        queue, by_id = found[0][1].terms.queue, self._by_id
        rounds, entered = self.rounds[queue], []
        if not rounds.jobs:
            self._note(queue)
        rounds.jobs += len(found)
        self.last_place = max(self.last_place, *(mark.place for _, mark in found))
        for job_id, mark in found:
            line = mark.line
            line.jobs += 1
            if not mark.place:
                continue
            last = line.last
            if last:
                by_id[last].following = job_id
                mark.before = last
            else:
                line.first = job_id
            line.last = job_id
            line.group.waiting += 1
            if not line.in_round:
                rounds.enter(line)
            entered.append(job_id)
        rounds.wait(len(entered))
        rounds.note(entered, again=False)

    def unhook_all(self, found: Iterable[tuple[int, Mark]]) -> None:
        """Forget those of the jobs that have a group."""
        queue, rounds, bounded = None, None, False
        for job_id, mark in found:
            flags = mark.flags
            if not isinstance(mark, GroupedMark) or flags & DEAD:
                continue
            line = mark.line
            if rounds is None or mark.terms.queue != queue:
                queue = mark.terms.queue
                rounds = self.rounds[queue]
                bounded = rounds.bounded
            if not flags & ACTIVE or bounded or rounds.jobs == 1 or line.jobs == 1:
                self.unhook(job_id, mark)
                rounds = None  # it may be another one now
                continue
            line.group.active -= 1
            line.jobs -= 1
            rounds.active -= 1
            rounds.jobs -= 1

    def change(self, job_id: int, old: GroupedMark, new: GroupedMark) -> None:
        """Know something else of a job."""
        if old.flags & DEAD:  # it was nowhere, and its line may be forgotten
            self.hook(job_id, new)
            return
        line = old.line
        if line is new.line and old.flags & new.flags & ACTIVE:
            return
        line.jobs += 1  # it is not to be forgotten meanwhile
        rounds = self.rounds_of(old.terms.queue)
        rounds.jobs += 1
        self.unhook(job_id, old)
        self.hook(job_id, new)
        rounds.jobs -= 1
        self._let_go(old.terms.queue, rounds, line)

    def hand_out(self, job_id: int, mark: GroupedMark) -> None:
        """A job was handed out that took no turn; its mark does not say so yet."""
        rounds = self.rounds[mark.terms.queue]
        if mark.place:
            self._wait_no_more(rounds, job_id, mark)
        mark.line.group.active += 1
        rounds.active += 1

    def come_back(self, job_id: int, mark: GroupedMark, *, stays: bool) -> None:
        """A job's attempt ended; its mark says so. stays: it has its old place again."""
        queue = mark.terms.queue
        rounds = self.rounds[queue]
        if stays and mark.place:
            self._wait(rounds, job_id, mark, again=True)
            self.on_ready(queue)
        else:
            mark.place = 0
            if stays:
                self.be_ready(job_id)
        self._end(queue, rounds, mark.line.group)

    def be_ready(self, job_id: int) -> None:
        """A job is in the core's order."""
        if self._notes.live:
            self.ready.append(int(job_id))
            self._notes.pending = True

    def go_away(self, job_id: int, mark: GroupedMark) -> None:
        """A job that waited is held no more."""
        if mark.waits:
            self._wait_no_more(self.rounds[mark.terms.queue], job_id, mark)
            mark.place = 0

    def oldest(self, queue: str | None) -> int | None:
        """Return the job of a queue, or of all, that waits the longest for its turn."""
        if queue is None:
            queue = self._fronts.first()
        rounds = None if queue is None else self.rounds.get(queue)
        return None if rounds is None else rounds.oldest()

    def _front_of(self, queue: str) -> int:
        """Return the place of the first who waits in a queue, 0 if nobody does."""
        first = self.oldest(queue)
        return 0 if first is None else self.place_of(first)

    @property
    def waiting(self) -> int:
        """Jobs in all lines. O(1)."""
        return self._all_waiting.size

    def forget_rounds(self, queue: str) -> None:
        """Forget the rounds of a queue that has no groups any more, all but its buckets."""
        rounds = self.rounds.get(queue)
        if rounds is None or rounds.jobs:
            return
        if rounds.buckets:
            rounds.reset()
        else:
            del self.rounds[queue]
            self._fronts.forget(queue)

    def rebuild(self) -> None:
        """Make lines and rounds after a replay. O(n log n)."""
        self.begun = True
        for queue, rounds in self.rounds.items():
            rounds.reset()
            self._fronts.forget(queue)
        grouped = [
            (mark.place, job_id, mark)
            for job_id, mark in self._by_id.items()
            if isinstance(mark, GroupedMark) and mark.waits
        ]
        grouped.sort()
        for _, job_id, mark in grouped:
            mark.flags &= ~BACK
            self.lines.enter(mark.line, job_id, mark)
            rounds = self.rounds[mark.terms.queue]
            rounds.enter(mark.line)
            rounds.note((job_id,), again=False)

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        marks = [
            (job_id, mark)
            for job_id, mark in self._by_id.items()
            if isinstance(mark, GroupedMark) and not mark.flags & DEAD
        ]
        waiting: dict[int, list[int]] = {}
        active: dict[int, int] = {}
        for job_id, mark in marks:
            group = mark.line.group
            assert group.name is not None, f"job {job_id} is of no group"
            known = self.rounds[mark.terms.queue].groups.get(group.name)
            assert known is group, f"job {job_id} is of a group that is not known"
            assert mark.place <= self.last_place, f"job {job_id} has a place to come"
            if mark.flags & ACTIVE:
                active[id(group)] = active.get(id(group), 0) + 1
            elif mark.place:
                waiting.setdefault(id(group), []).append(job_id)
        groups = 0
        for queue, rounds in self.rounds.items():
            groups += len(rounds.groups)
            in_queue = [mark for _, mark in marks if mark.terms.queue == queue]
            assert rounds.jobs == len(in_queue), f"jobs with groups of {queue!r}"
            assert rounds.waiting == sum(mark.waits for mark in in_queue), "those that wait"
            at_work = sum(bool(mark.flags & ACTIVE) for mark in in_queue)
            assert rounds.active == at_work, "jobs with groups at work"
            for name, group in rounds.groups.items():
                assert group.name == name, "a group has another name"
                mine = waiting.get(id(group), [])
                assert group.waiting == len(mine), f"group {name!r}: waiting"
                assert group.active == active.get(id(group), 0), f"group {name!r}: active"
                lines = group.lines()
                jobs = sum(mark.line.group is group for mark in in_queue)
                assert sum(line.jobs for line in lines) == jobs, f"group {name!r}: jobs"
                assert all(line.jobs > 0 for line in lines), f"group {name!r}: no jobs"
                if self.begun:
                    seen = [i for line in lines for i in self.lines.check(line)]
                    assert sorted(seen) == sorted(mine), f"group {name!r}: lines"
            if self.begun:
                rounds.check()
        assert self.count == groups, "groups miscounted"
        if self.begun:
            waiting_in = {q for q, one in self.rounds.items() if one.oldest() is not None}
            self._fronts.check(waiting_in)
        in_lines = sum(rounds.waiting for rounds in self.rounds.values())
        assert self.waiting == in_lines, "those that wait of all queues miscounted"

    def _note(self, queue: str) -> None:
        """Note that the queue has its first job with a group, or none any more."""
        self.changed.add(queue)
        if self._notes.live:
            self._notes.pending = True

    def _let_go(self, queue: str, rounds: Rounds, line: Line) -> None:
        """Count a job of a line less, and forget what is good for nothing any more."""
        line.jobs -= 1
        if line.jobs:
            return
        group = line.group
        group.drop(line)
        name = group.name
        if group.line is None and group.others is None and name is not None:
            del rounds.groups[name]
            self._tally.size -= GROUP_BYTES + len(name)
            self.count -= 1
            self.on_empty(queue, name)

    def _wait(self, rounds: Rounds, job_id: int, mark: GroupedMark, *, again: bool) -> None:
        line = mark.line
        line.group.waiting += 1
        rounds.wait(1)
        if self.begun:
            enter = self.lines.come_back if again else self.lines.enter
            enter(line, job_id, mark)
            rounds.enter(line)
            rounds.note((job_id,), again=again)

    def _wait_no_more(self, rounds: Rounds, job_id: int, mark: GroupedMark) -> None:
        line = mark.line
        line.group.waiting -= 1
        rounds.wait(-1)
        if self.begun:
            self.lines.leave(line, job_id, mark)
            if not self.lines.head(line):
                rounds.leave(line)

    def _end(self, queue: str, rounds: Rounds, group: Group) -> None:
        """A job of a group is at work no more, so another one may be."""
        group.active -= 1
        rounds.active -= 1
        if rounds.bounded and group.waiting and self.begun and rounds.let_in(group):
            self.on_ready(queue)


def _nobody(*_: object) -> None:
    """Tell nobody."""
