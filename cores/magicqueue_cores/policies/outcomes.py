"""What follows from what befell marked jobs: ends kept, attempts timed, jobs turned away.

Only a live layer does this. What it does is recorded, so a replay does not do it again.
"""

from collections.abc import Callable, Sequence

import msgspec

from magicqueue_cores.contract import TIME_MAX_MS, WAITING, JobState
from magicqueue_cores.policies.endings import Endings
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.ground import Ground
from magicqueue_cores.policies.ruling import TELLING
from magicqueue_cores.policies.wishes import ACTIVE, CANCELLED, TIMED

_AT_REST = frozenset((JobState.READY, JobState.DELAYED, JobState.HELD, JobState.DEAD))


class Outcomes:
    """Takes the notes of `Marks` and does what has to follow, until there are none."""

    def __init__(self, ground: Ground, endings: Endings, flows: Flows) -> None:
        self._ground = ground
        self._endings = endings
        self._flows = flows
        self.results: dict[int, bytes] = {}
        """What the verdicts that are just being carried out bring."""
        self.expired: set[int] = set()
        """Jobs that expired instead of coming back, of the last `settle`."""
        self.on_end: Callable[[int], None] = _nobody
        self.seat: Callable[[int], None] = _nobody
        """Sees to jobs with a group that are ready, at this time."""

    def settle(self, now_ms: int) -> None:
        """Do and record what follows, and tell who waits for it."""
        notes = self._ground.marks.notes
        told: list[int] = []
        self.expired.clear()
        while notes.pending:
            handed, back, ended = notes.take()
            if ended:
                self._endings.keep(ended, self.results, now_ms)
                told += [job_id for job_id, _, _ in ended]
            if handed:
                self._time_attempts(handed, now_ms)
            if back:
                self._turn_away(back, now_ms)
            self._flows.settle(now_ms)
            if notes.telling:
                self.rule_telling()
            self.seat(now_ms)
        self._ground.weigh()
        for job_id in told:
            self.on_end(job_id)

    def rule_telling(self) -> None:
        """Have queues ruled, or not, whose pulls began or ended to tell more."""
        marks, telling = self._ground.marks, self._ground.marks.notes.telling
        for queue in sorted(telling):
            self._ground.ruling.rule(queue, TELLING, holds=queue in marks.telling)
        telling.clear()

    def expire(self, ids: Sequence[int], now_ms: int) -> None:
        """Let jobs that wait expire: they are removed, or dead."""
        by_id, core = self._ground.marks.by_id, self._ground.core
        dying = [job_id for job_id in ids if by_id[job_id].terms.expires_dead]
        leaving = [job_id for job_id in ids if not by_id[job_id].terms.expires_dead]
        if leaving:
            core.remove(leaving, WAITING, "expired", now_ms)
        if dying:
            core.bury(dying, "expired", [None] * len(dying), now_ms)

    def _time_attempts(self, handed: Sequence[int], now_ms: int) -> None:
        """Say, durably, when attempts end that began just now."""
        by_id = self._ground.marks.by_id
        changed = {}
        for job_id in handed:
            mark = by_id.get(job_id)
            if mark is not None and mark.flags & ACTIVE:
                until_ms = min(now_ms + mark.terms.timeout_ms, TIME_MAX_MS)
                changed[job_id] = msgspec.structs.replace(
                    mark, attempt_until_ms=until_ms, flags=mark.flags & ~TIMED
                )
        self._ground.change(list(changed.items()))

    def _turn_away(self, back: Sequence[int], now_ms: int) -> None:
        """Let no job run again that is cancelled, or whose time is over."""
        by_id, marks = self._ground.marks.by_id, self._ground.marks
        cancelled, late = [], []
        for job_id in dict.fromkeys(back):
            mark = by_id.get(job_id)
            if mark is None or mark.flags & ACTIVE:
                continue
            if mark.flags & CANCELLED:
                cancelled.append(job_id)
            elif mark.due(now_ms):
                late.append(job_id)
            elif mark.expires_at_ms and not mark.flags & TIMED:
                marks.time(job_id, mark)
        if cancelled:
            self._ground.core.remove(cancelled, _AT_REST, "cancelled", now_ms)
        self.expired.update(late)
        self.expire(late, now_ms)


def _nobody(_: int) -> None:
    """Tell nobody."""
