"""RETRYDEAD where dead letters may want a key that another job holds by now."""

from collections.abc import Sequence

from magicqueue_cores.contract import NotFound, Step
from magicqueue_cores.policies.answers import Duplicate
from magicqueue_cores.policies.ground import PAGE_BYTES_MAX, Ground, at_once
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.pushing import Pushing
from magicqueue_cores.policies.wishes import DEAD


class Retrying:
    """Revives dead letters whose key is free; others stay dead."""

    def __init__(self, ground: Ground, pushing: Pushing, outcomes: Outcomes) -> None:
        self._ground = ground
        self._pushing = pushing
        self._outcomes = outcomes
        self._cursors: dict[str, int | None] = {}
        """The last letter that was looked at, of queues that are gone through here."""

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None
    ) -> Step:
        """Make one dead job, or a step of a queue's, ready anew.

        upto: a moment where letters are gone through here, else a number of the core's.
        """
        core, marks = self._ground.core, self._ground.marks
        if job_id is not None:
            self._refuse_held(queue, job_id, now_ms)
        elif queue is not None:
            if upto is None:
                self._cursors.pop(queue, None)  # of a caller who did not go on
                if queue in marks.dead_keyed:
                    self._cursors[queue] = None
            if queue in self._cursors:
                return self._retry_some(queue, now_ms, now_ms if upto is None else upto)
        step = at_once(core.retry_dead(queue, job_id, now_ms, upto))
        if marks.notes.pending:
            self._outcomes.settle(now_ms)
        return step

    def _refuse_held(self, queue: str | None, job_id: int, now_ms: int) -> None:
        mark = self._ground.marks.by_id.get(job_id)
        if mark is None or not mark.flags & DEAD or not mark.takes_key:
            return
        if queue is not None and queue != mark.terms.queue:
            return  # the core says that it is not there
        assert mark.key is not None, "what is taken is a key"
        holder = self._pushing.holder(mark.terms.queue, mark.key, now_ms)
        if holder is not None:
            raise Duplicate(0, holder, mark.key)

    def _retry_some(self, queue: str, now_ms: int, begun_ms: int) -> Step:
        """Revive a step of a queue's letters that had died when it began."""
        core, most = self._ground.core, self._ground.step_jobs
        # Up to number 0 there is no letter; there is more to do only while jobs are due.
        if at_once(core.retry_dead(queue, None, now_ms, 0)).upto is not None:
            return Step(0, begun_ms)
        try:
            page = at_once(
                core.dead(queue, most, PAGE_BYTES_MAX, self._cursors[queue], now_ms)
            )
        except NotFound:
            # The letter is gone and its place forgotten. From the start there are only such
            # that stay dead, before those that were not looked at.
            page = at_once(core.dead(queue, most, PAGE_BYTES_MAX, None, now_ms))
        letters = [job.id for job in page.jobs if (job.died_at_ms or 0) <= begun_ms]
        ids = self.free(queue, letters, now_ms)
        if ids:
            at_once(core.revive(ids, now_ms))
            self._outcomes.settle(now_ms)
        if page.next_id is None or len(letters) < len(page.jobs):
            del self._cursors[queue]
            return Step(len(ids))
        self._cursors[queue] = page.next_id
        return Step(len(ids), begun_ms)

    def free(self, queue: str, letters: Sequence[int], now_ms: int) -> list[int]:
        """Return those of the letters that want no key, or one that is free."""
        by_id, taken, free = self._ground.marks.by_id, set[str](), []
        for job_id in letters:
            mark = by_id.get(job_id)
            if mark is not None and mark.takes_key:
                key = mark.key
                assert key is not None, "what is taken is a key"
                if key in taken or self._pushing.holder(queue, key, now_ms) is not None:
                    continue
                taken.add(key)
            free.append(job_id)
        return free
