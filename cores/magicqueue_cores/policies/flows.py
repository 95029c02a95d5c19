"""Flows: jobs that are held until those that they depend on are done.

A *blocked* job is held by the core, and is here with a count: the parents that it still
waits for. That is all derived: a parent counts while it is live, or dead unless the rule is
`run`; one that is nowhere any more is done, since a child whose parent can never be done is
dead at once, in the same frame of the log. So a replay keeps links alone (`links`), and
`rebuild` finds the counts anew at its end, from where the parents are then.

`follow` notes what befalls parents and children, within the verbs of the core; `settle`
does what has to follow: it goes down the flow, from the lowest id on, and then buries and
frees what it reached, each in one record. What that leads to in turn (a dead letter that is
dropped for it, say) is noted again, so it is called until nothing is left.

A revived job is blocked anew while parents of its are live, or dead unless its rule is
`run`: so a whole flow can be revived in any order. Parents that are nowhere hold nobody
back then: who revives a job by itself wants it to run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, TypeAlias

from magicqueue_cores import records
from magicqueue_cores.contract import CoreStats, JobState, QueueStats, Step
from magicqueue_cores.policies.endings import Endings
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.links import Edges, Fate, Link, dooms, waits

_HELD: Final = frozenset((JobState.HELD,))


Event: TypeAlias = tuple[int, int, Fate, str]
"""A parent, a running number, what befell it, and how in a word."""


class Flows:
    """Who waits for whom, and what follows from it."""

    def __init__(self, ground: Ground, endings: Endings) -> None:
        """Start empty."""
        self._ground = ground
        self._endings = endings
        self._marks = ground.marks
        self._edges = Edges()
        """From parents to the blocked."""
        self._dead: set[int] = set()
        """Parents with edges that are dead."""
        self._blocked: dict[str, dict[int, int]] = {}
        """The blocked, by queue, and how many parents each waits for."""
        self.total = 0
        """The blocked of all queues."""
        self._befell: list[Event] = []
        self._revived: list[int] = []
        self._doomed: list[tuple[int, int, str]] = []
        """New jobs to be buried, each for a parent, and how that ended."""
        self._draining: dict[str, int] = {}
        """The last id of what is drained, by queue."""
        self._drained = 0
        self._ways: dict[type, Callable[[Any], None]] = {
            records.Acked: self._acked,
            records.Removed: self._removed,
            records.Died: self._died,
            records.Revived: self._were_revived,
        }

    def link_of(self, job_id: int) -> Link | None:
        """Return what a job depends on, or depended on."""
        mark = self._marks.by_id.get(job_id)
        return None if mark is None else mark.terms.link

    def waits_for(self, job_id: int) -> int:
        """Count the parents that a job waits for; 0 if it is not blocked. O(1)."""
        mark = self._marks.by_id.get(job_id)
        return 0 if mark is None else self._blocked.get(mark.terms.queue, {}).get(job_id, 0)

    def children_of(self, job_id: int) -> list[int]:
        """Return the blocked jobs that wait for a job, by id."""
        return self._edges.of(job_id)

    def count(self, queue: str) -> int:
        """Count the blocked jobs of a queue. O(1)."""
        return len(self._blocked.get(queue, ()))

    def tell(self, stats: QueueStats | CoreStats) -> None:
        """Say in the counts of a queue, or of all, how many jobs are blocked. O(1)."""
        if isinstance(stats, QueueStats):
            stats.blocked = self.count(stats.name)
        else:
            stats.blocked = self.total

    def fates(self, parents: Iterable[int], now_ms: int) -> dict[int, Fate]:
        """Return where parents are. O(1) each."""
        return {parent: self._fate(parent, now_ms)[0] for parent in parents}

    def enter(self, ids: Sequence[int], fates: Mapping[int, Fate], now_ms: int) -> None:
        """Let new jobs, which are held and marked, be blocked, or be dead by `settle`.

        fates: where parents are; one that is not in it is live.
        """
        parents: dict[int, None] = {}
        for child in ids:
            link = self.link_of(child)
            assert link is not None, "only who depends on others is held"
            self._block(child, link, fates, parents)
            parent = dooms(link, fates)
            if parent is not None:
                self._doomed.append((child, parent, self._fate(parent, now_ms)[1]))
                self._marks.notes.pending = True
        self._ground.core.mark(list(parents), marked=True)

    def follow(self, record: records.Record) -> None:
        """Note what befalls jobs, before their marks are gone; must not call the core."""
        way = self._ways.get(type(record))
        if way is not None and (self._edges or self._marks.links):
            way(record)

    def settle(self, now_ms: int) -> None:
        """Do and record what follows from what was noted. O(log n) a job it reaches."""
        if self._befell or self._doomed:
            self._go_down(now_ms)
        if self._revived:
            self._block_again(now_ms)

    def drain(
        self,
        queue: str,
        now_ms: int,
        upto: int | None,
        rest: Callable[[str, int, int | None], Step],
    ) -> Step:
        """Remove a step of the blocked jobs of a queue, then of the `rest`.

        What these removed, and what they reached in the same queue, `take_drained` counts.
        """
        core = self._ground.core
        if upto is None:
            self._draining.pop(queue, None)  # of a caller who did not go on
            if queue in self._blocked:
                self._draining[queue] = core.last_id
        last_id = self._draining.get(queue)
        if last_id is not None:
            left = (i for i in self._blocked.get(queue, ()) if i <= last_id)
            ids = list(islice(left, self._ground.step_jobs))
            if ids:
                self._drained += len(ids)
                at_once(core.remove(ids, _HELD, "drained", now_ms))
                return Step(0, last_id)
            del self._draining[queue]
            upto = None
        return rest(queue, now_ms, upto)

    def take_drained(self) -> int:
        """Return how many jobs were drained here since the last call."""
        count, self._drained = self._drained, 0
        return count

    def rebuild(self) -> None:
        """Find out who is blocked, and for whom, after a replay. O(links)."""
        self._edges, self._dead, self._blocked, self.total = Edges(), set(), {}, 0
        core, fates, held = self._ground.core, dict[int, Fate](), []
        for job_id, mark in self._marks.by_id.items():
            link = mark.terms.link
            if link is None:
                continue
            view = at_once(core.job(job_id, 0))  # of the past, so nothing matures by it
            if view is not None and view.state is JobState.HELD:
                held.append((job_id, link))
                unknown = [one for one in link.parents if one not in fates]
                fates |= self.fates(unknown, 0)
        parents: dict[int, None] = {}
        for job_id, link in held:
            if waits(link, fates):
                self._block(job_id, link, fates, parents)
        core.mark(list(parents), marked=True)

    def check(self) -> None:
        """Verify the structure: AssertionError names what is broken. O(links)."""
        core, edges = self._ground.core, set[tuple[int, int]]()
        fates = self.fates(list(self._edges), 0)
        blocked = {i: n for jobs in self._blocked.values() for i, n in jobs.items()}
        assert len(blocked) == self.total, "blocked jobs miscounted"
        for job_id, count in blocked.items():
            link, view = self.link_of(job_id), at_once(core.job(job_id, 0))
            assert link is not None, f"job {job_id} is blocked by nothing"
            assert view is not None, f"job {job_id} is blocked and gone"
            assert view.state is JobState.HELD, f"job {job_id} is blocked and not held"
            here = tuple(parent for parent in link.parents if parent in fates)
            edges |= {(parent, job_id) for parent in here}
            number = waits(Link(here, link.rule), fates)
            assert number == count > 0, f"job {job_id} waits for {number}, not for {count}"
        known = {(one, child) for one in self._edges for child in self._edges.of(one)}
        assert known == edges, "who waits for whom differs"
        assert set(fates.values()) <= {Fate.LIVE, Fate.DEAD}, "a parent is gone"
        dead = {parent for parent, fate in fates.items() if fate is Fate.DEAD}
        assert self._dead == dead, "dead parents differ"
        assert all(self._blocked.values()), "a queue is remembered for nothing"
        left = [*self._befell, *self._revived, *self._doomed]
        assert not left, "a flow is unsettled"

    def _fate(self, parent: int, now_ms: int) -> tuple[Fate, str]:
        view = at_once(self._ground.core.job(parent, now_ms))
        if view is not None:
            dead = view.state is JobState.DEAD
            return (Fate.DEAD, "dead") if dead else (Fate.LIVE, "live")
        ending = self._endings.get(parent, now_ms)
        if ending is None or ending.state == "done":
            return Fate.DONE, "done"
        return Fate.LOST, ending.state

    def _block(
        self, child: int, link: Link, fates: Mapping[int, Fate], parents: dict[int, None]
    ) -> None:
        queue = self._marks.by_id[child].terms.queue
        self._blocked.setdefault(queue, {})[child] = waits(link, fates)
        self.total += 1
        for parent in link.parents:
            fate = fates.get(parent, Fate.LIVE)
            if fate is Fate.LIVE or fate is Fate.DEAD:
                self._edges.add(parent, child)
                parents[parent] = None
                if fate is Fate.DEAD:
                    self._dead.add(parent)

    def _unblock(self, child: int) -> None:
        """Let a job be blocked no more, and wait for nobody."""
        mark = self._marks.by_id[child]
        queue, link = mark.terms.queue, mark.terms.link
        assert link is not None, "only who depends on others is blocked"
        blocked = self._blocked[queue]
        del blocked[child]
        self.total -= 1
        if not blocked:
            del self._blocked[queue]
        for parent in link.parents:
            if self._edges.discard(parent, child):
                self._dead.discard(parent)

    def _note(self, parent: int, fate: Fate, how: str) -> None:
        self._befell.append((int(parent), len(self._befell), fate, how))
        self._marks.notes.pending = True

    def _acked(self, record: records.Acked) -> None:
        for job_id in record.ids:
            if job_id in self._edges:
                self._note(job_id, Fate.DONE, "done")

    def _removed(self, record: records.Removed) -> None:
        for job_id in record.ids:
            if job_id in self._edges:
                fate = Fate.PURGED if job_id in self._dead else Fate.LOST
                self._dead.discard(job_id)
                self._note(job_id, fate, record.cause)
            if self.waits_for(job_id):
                self._unblock(int(job_id))

    def _died(self, record: records.Died) -> None:
        for job_id in record.ids:
            if job_id in self._edges and job_id not in self._dead:
                self._dead.add(int(job_id))
                self._note(job_id, Fate.DEAD, "dead")
            if self.waits_for(job_id):
                self._unblock(int(job_id))

    def _were_revived(self, record: records.Revived) -> None:
        for job_id in record.ids:
            if job_id in self._dead:
                self._dead.discard(job_id)
                self._note(job_id, Fate.LIVE, "live")
            if self.link_of(job_id) is not None:
                self._revived.append(int(job_id))
                self._marks.notes.pending = True

    def _block_again(self, now_ms: int) -> None:
        """Hold those of the revived jobs that have to wait."""
        core, revived = self._ground.core, dict.fromkeys(self._revived)
        self._revived = []
        links = [(job_id, self.link_of(job_id)) for job_id in revived]
        linked = {job_id: link for job_id, link in links if link is not None}
        fates = self.fates(
            {one for link in linked.values() for one in link.parents}, now_ms
        )
        ids = [job_id for job_id, link in linked.items() if waits(link, fates)]
        missing = set(at_once(core.hold(ids, now_ms)).missing) if ids else ()
        parents: dict[int, None] = {}
        for job_id in ids:
            if job_id not in missing:
                self._block(job_id, linked[job_id], fates, parents)
        core.mark(list(parents), marked=True)

    def _go_down(self, now_ms: int) -> None:
        """See to who waits for parents that something befell, and for them in turn."""
        events, doomed = sorted(self._befell), self._doomed
        self._befell, self._doomed = [], []
        free, dying = list[int](), dict[int, str]()
        for child, parent, how in doomed:
            self._doom(child, _sentence(parent, how), dying, events)
        while events:
            parent, _, fate, how = heappop(events)
            for child in self._touched(parent, fate):
                if fate is not Fate.DONE and self._rule_of(child) != "run":
                    self._doom(child, _sentence(parent, how), dying, events)
                    continue
                blocked = self._blocked[self._queue_of(child)]
                blocked[child] -= 1
                if not blocked[child]:
                    self._unblock(child)
                    free.append(child)
        self._bury(dying, now_ms)
        if free:
            at_once(self._ground.core.unhold(sorted(free), now_ms))

    def _touched(self, parent: int, fate: Fate) -> list[int]:
        """Return the children to whom it means something what befell a parent."""
        children = self._edges.of(parent)
        if fate is Fate.LIVE:
            for child in children:
                if self._rule_of(child) == "run":
                    self._blocked[self._queue_of(child)][child] += 1
            return []
        if fate is Fate.DEAD:
            return [child for child in children if self._rule_of(child) != "wait"]
        self._edges.take(parent)
        if fate is Fate.PURGED:  # to those that run it counted as done when it died
            return [child for child in children if self._rule_of(child) != "run"]
        return children

    def _doom(
        self, child: int, why: str, dying: dict[int, str], events: list[Event]
    ) -> None:
        """Let a job die when all are found that do, and go on to who waits for it."""
        self._unblock(child)
        dying[child] = why
        if child in self._edges:
            if self._is_drained(child):
                heappush(events, (child, 0, Fate.LOST, "drained"))
            else:
                self._dead.add(child)
                heappush(events, (child, 0, Fate.DEAD, "dead"))

    def _bury(self, dying: Mapping[int, str], now_ms: int) -> None:
        """Let jobs be dead, or gone with those that are drained from their queue."""
        core, drained = self._ground.core, sorted(filter(self._is_drained, dying))
        if drained:
            self._drained += len(drained)
            at_once(core.remove(drained, _HELD, "drained", now_ms))
        dead = sorted(dying.keys() - set(drained))
        if dead:
            errors = [dying[child] for child in dead]
            at_once(core.bury(dead, "parent_failed", errors, now_ms))

    def _is_drained(self, child: int) -> bool:
        last_id = self._draining.get(self._queue_of(child))
        return last_id is not None and child <= last_id

    def _queue_of(self, child: int) -> str:
        return self._marks.by_id[child].terms.queue

    def _rule_of(self, child: int) -> str:
        link = self._marks.by_id[child].terms.link
        assert link is not None, "only who depends on others is blocked"
        return link.rule


def _sentence(parent: int, how: str) -> str:
    if how == "dead":
        return f"job {parent}, which it depends on, died"
    return f"job {parent}, which it depends on, was removed ({how})"
