"""What time brings, moment by moment and in a fixed order."""

from collections.abc import Sequence

from magicqueue_cores.contract import JobState
from magicqueue_cores.policies.ground import REQUEST, RESULT, WINDOW, Ground
from magicqueue_cores.policies.groups import Groups
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.wishes import ACTIVE, CANCELLED

_ACTIVE = frozenset((JobState.ACTIVE,))


class Passage:
    """Lets time pass here and in the core, a step at a time."""

    def __init__(
        self, ground: Ground, outcomes: Outcomes, limits: Limits, groups: Groups
    ) -> None:
        self._ground = ground
        self._outcomes = outcomes
        self._limits = limits
        self._groups = groups
        self._seen_ms = 0
        self.lagging = False

    def saw(self, now_ms: int) -> None:
        """Learn from a replay that it was this late already."""
        self._seen_ms = max(self._seen_ms, now_ms)

    def advance(self, now_ms: int) -> None:
        """Let what is due by now happen, each at its own moment, a step of it at most.

        A moment that was reached before, and is not over yet, goes on now.
        """
        ground, left = self._ground, self._ground.step_jobs
        if self._groups.unbegun:
            self._groups.begin(now_ms)
        while ground.clock.due_ms <= now_ms and left > 0:
            moment_ms = self._next_ms()
            ground.clock.due_ms = moment_ms
            if moment_ms > now_ms:
                break
            at_ms = moment_ms if moment_ms > self._seen_ms else now_ms
            ground.core.advance(at_ms)
            left -= self._happen(moment_ms, at_ms, left)
        ground.clock.due_ms = self._next_ms()
        self.lagging = ground.marks.expiries.next_ms <= now_ms
        self._seen_ms = max(self._seen_ms, now_ms)
        if self._limits.unbegun:
            self._limits.begin(now_ms)
        ground.core.advance(now_ms)
        ground.weigh()

    def _next_ms(self) -> int:
        ground = self._ground
        return min(
            ground.marks.expiries.next_ms,
            ground.marks.attempt_ends.next_ms,
            ground.windows.next_ms,
            ground.results.next_ms,
            ground.requests.next_ms,
            self._limits.next_ms,
            self._groups.limits.next_ms,
        )

    def _happen(self, moment_ms: int, at_ms: int, most: int) -> int:
        """Let a moment happen, `most` things of it; return how many there were."""
        ground, marks = self._ground, self._ground.marks
        ids = marks.expired(moment_ms, most)
        done = len(ids)
        # Those at work are left alone: they are looked at when they come back.
        waiting = [job_id for job_id in ids if not marks.by_id[job_id].flags & ACTIVE]
        self._outcomes.expire(waiting, at_ms)
        if marks.notes.pending:
            self._outcomes.settle(at_ms)
        if done < most:
            ids = marks.timed_out(moment_ms, most - done)
            done += len(ids)
            self._time_out(ids, at_ms)
        for space in (WINDOW, RESULT, REQUEST):
            if done < most:
                done += len(ground.end_facts(space, moment_ms, most - done))
        if done < most:
            done += self._limits.happen(moment_ms, most - done)
        if done < most:
            done += self._groups.limits.happen(moment_ms, most - done)
        return done

    def _time_out(self, ids: Sequence[int], now_ms: int) -> None:
        """End attempts whose time is over: they failed."""
        if not ids:
            return
        by_id, core = self._ground.marks.by_id, self._ground.core
        cancelled = [job_id for job_id in ids if by_id[job_id].flags & CANCELLED]
        failed = [job_id for job_id in ids if not by_id[job_id].flags & CANCELLED]
        if cancelled:
            core.remove(cancelled, _ACTIVE, "cancelled", now_ms)
        if failed:
            errors = [
                f"timed out after {by_id[job_id].terms.timeout_ms} ms" for job_id in failed
            ]
            core.fail(failed, None, errors, now_ms, reason="timeout")
        self._outcomes.settle(now_ms)
