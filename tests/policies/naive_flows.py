"""The obvious model of flows: links in a dict, looked through after each verb.

It has no edges, no counts and no events: after each verb it compares where all jobs are
with where they were, and finds who has to die and who is free by scanning until nothing
changes.
"""

from collections.abc import Sequence

import msgspec

from conformance.naive_core import NaiveCore
from conformance.naive_jobs import ACTIVE, DEAD, HELD
from magicqueue_cores.contract import WAITING, CoreOptions, NewJobs
from magicqueue_cores.policies import Wishes


class NaiveFlows:
    """The verbs that flows have to do with, above the naive core."""

    def __init__(self, options: CoreOptions) -> None:
        self.core = NaiveCore(options, 0)
        self.links: dict[int, tuple[tuple[int, ...], str]] = {}
        self.watched: dict[int, set[int]] = {}
        """What each blocked job still looks at."""
        self.pardoned: set[tuple[int, int]] = set()
        """Revived jobs that wait for a dead one, though they would die of its death."""
        self.here: set[int] = set()
        self.dead: set[int] = set()

    def state(self, job_id: int) -> str:
        job = self.core.find(job_id)
        return "gone" if job is None else job.view.state.name.lower()

    def push(
        self,
        queues: Sequence[str],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        now_ms: int,
    ) -> list[int]:
        self.core.advance(now_ms)
        sure = [self.is_blocked(wish) or self.is_doomed(wish) for wish in wishes]
        ids = [0] * len(queues)
        for group in dict.fromkeys(zip(queues, sure, strict=True)):
            rows = [
                i for i, row in enumerate(zip(queues, sure, strict=True)) if row == group
            ]
            batch = msgspec.structs.replace(
                jobs,
                payloads=[jobs.payloads[row] for row in rows],
                run_ats_ms=[jobs.run_ats_ms[row] for row in rows],  # type: ignore[index]
                held=group[1],
            )
            first_id = self.core.push(group[0], batch, now_ms)
            for job_id, row in enumerate(rows, first_id):
                ids[row] = job_id
        for row, wish in enumerate(wishes):
            if wish is not None and wish.parents:
                parents = tuple(i if i > 0 else ids[-1 - i] for i in wish.parents)
                self.links[ids[row]] = parents, wish.on_parent_failure
                if sure[row]:
                    self.watched[ids[row]] = {i for i in parents if self.core.find(i)}
        self.here |= set(ids)
        self.look(now_ms)
        return ids

    def is_blocked(self, wish: Wishes | None) -> bool:
        if wish is None:
            return False
        return any(
            parent < 0 or self.counts(parent, wish.on_parent_failure)
            for parent in wish.parents
        )

    def is_doomed(self, wish: Wishes | None) -> bool:
        if wish is None or wish.on_parent_failure != "fail":
            return False
        return any(self.state(parent) == "dead" for parent in wish.parents if parent > 0)

    def counts(self, parent: int, rule: str) -> bool:
        """Whether a job with this rule waits for a parent."""
        state = self.state(parent)
        return state != "gone" and (state != "dead" or rule != "run")

    def look(self, now_ms: int, how: str = "dropped") -> None:
        """See what happened, until nothing follows; `how` those ended that are gone."""
        while True:
            here = {job.view.id for job in self.core.all}
            gone, self.here = self.here - here, here
            for child in [child for child in self.watched if self.state(child) != "held"]:
                del self.watched[child]
            for child in self.links.keys() - here:
                del self.links[child]
            dying, free = self.reached(gone, how)
            if not dying and not free:
                return
            for child in [*dying, *free]:
                del self.watched[child]
            ids = sorted(dying)
            self.core.bury(ids, "parent_failed", [dying[child] for child in ids], now_ms)
            self.core.unhold(sorted(free), now_ms)
            how = "dropped"

    def reached(self, gone: set[int], how: str) -> tuple[dict[int, str], list[int]]:
        """Who has to die, and who is free, by what happened."""
        dying: dict[int, str] = {}
        while found := self.next_to_die(gone, dying, how):
            dying |= found
        free = []
        for child, watched in self.watched.items():
            rule = self.links[child][1]
            watched.difference_update(gone)
            left = [
                parent
                for parent in watched
                if self.counts(parent, rule) and not (parent in dying and rule == "run")
            ]
            if child not in dying and not left:
                free.append(child)
        return dying, free

    def next_to_die(
        self, gone: set[int], dying: dict[int, str], how: str
    ) -> dict[int, str]:
        """The children of the first parent that has some which have to die for it."""
        for parent in sorted({one for watched in self.watched.values() for one in watched}):
            dead = parent in dying or self.state(parent) == "dead"
            fate = "died" if dead else f"was removed ({how})"
            found = {}
            for child, watched in self.watched.items():
                rule = self.links[child][1]
                dies = parent in gone and how != "done" and rule != "run"
                dies |= dead and rule == "fail" and (child, parent) not in self.pardoned
                if parent in watched and dies and child not in dying:
                    found[child] = f"job {parent}, which it depends on, {fate}"
            if found:
                return found
        return {}

    def revived(self, ids: Sequence[int], now_ms: int) -> None:
        """Block those of the revived jobs again that have to wait."""
        self.pardoned = {pair for pair in self.pardoned if pair[1] not in ids}
        self.look(now_ms)
        for child in ids:
            parents, rule = self.links.get(child, ((), "wait"))
            if any(self.counts(parent, rule) for parent in parents):
                self.core.hold([child], now_ms)
                self.watched[child] = {one for one in parents if self.core.find(one)}
                self.pardoned |= {
                    (child, one) for one in parents if self.state(one) == "dead"
                }

    def pull(self, queue: str, count: int, session: int, now_ms: int) -> list[int]:
        return self.core.pull(queue, count, 2**30, 20, session, now_ms).ids

    def ack(self, ids: Sequence[int], now_ms: int) -> None:
        self.core.ack(ids, None, now_ms)
        self.look(now_ms, "done")

    def fail(self, ids: Sequence[int], now_ms: int) -> None:
        self.core.fail(ids, None, ["broken"] * len(ids), now_ms)
        self.look(now_ms)

    def cancel(self, ids: Sequence[int], now_ms: int) -> None:
        self.core.remove(ids, WAITING, "cancelled", now_ms)
        self.look(now_ms, "cancelled")

    def drain(self, queue: str, now_ms: int) -> int:
        self.core.advance(now_ms)
        held = [
            job.view.id
            for job in self.core.all
            if job.view.state is HELD and job.view.queue == queue
        ]
        if held:
            self.core.remove(held, frozenset((HELD,)), "drained", now_ms)
        self.look(now_ms, "drained")
        count = self.core.drain(queue, now_ms)
        self.look(now_ms, "drained")
        return len(held) + count

    def purge(self, queue: str, now_ms: int) -> int:
        count = self.core.purge_dead(queue, None, now_ms)
        self.look(now_ms, "purged")
        return count

    def retry(self, queue: str, job_id: int | None, now_ms: int) -> int:
        letters = [job.view.id for job in self.core.chosen_dead(queue, job_id)]
        count = self.core.retry_dead(queue, job_id, now_ms)
        self.revived(letters, now_ms)
        return count

    def pass_time(self, now_ms: int) -> None:
        self.core.advance(now_ms)
        self.core.end_leases(now_ms, now_ms)
        self.look(now_ms)

    def active(self) -> list[int]:
        return [job.view.id for job in self.core.all if job.view.state is ACTIVE]

    def letters(self) -> list[int]:
        return [job.view.id for job in self.core.all if job.view.state is DEAD]
