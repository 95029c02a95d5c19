"""What workers say of jobs: verdicts, heartbeats, progress; and cancels."""

from collections.abc import Callable, Sequence
from itertools import repeat

import msgspec

from magicqueue_cores.contract import WAITING, JobState, JobView, Settled
from magicqueue_cores.policies.answers import (
    Beats,
    Cancelled,
    Failures,
    Progress,
    TooLarge,
)
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.wishes import ACTIVE, CANCELLED, TIMED, Mark

_ACTIVE = frozenset((JobState.ACTIVE,))


class Verdicts:
    """The verbs about jobs at work. Cancelled ones (few) are gone through one by one."""

    def __init__(self, ground: Ground, outcomes: Outcomes) -> None:
        self._ground = ground
        self._outcomes = outcomes
        self._doomed = ground.marks.doomed
        self._notes = ground.marks.notes
        self.on_doomed: Callable[[int], None] = _nobody

    def ack(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        results: Sequence[bytes | None] | None,
        now_ms: int,
    ) -> Settled:
        """Settle active jobs as done, with results for those that keep them."""
        core = self._ground.core
        if results is None:
            settled = at_once(core.ack(ids, attempts, now_ms))
        else:
            self._refuse_large(results)
            if len(set(ids)) != len(ids):
                return self._ack_singly(ids, attempts, results, now_ms)
            given = zip(ids, results, strict=True)
            brought = {job_id: result for job_id, result in given if result is not None}
            self._outcomes.results = brought
            settled = at_once(core.ack(ids, attempts, now_ms))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        self._outcomes.results = {}
        return settled

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None,
    ) -> Failures:
        """Settle active jobs as failed; cancelled ones end as such."""
        answer, core = Failures([], [], [], {}), self._ground.core
        if not self._any_doomed(ids):
            whole = at_once(core.fail(ids, attempts, errors, now_ms, delays_ms))
            answer = Failures(whole.missing, whole.stale, whole.states, {})
            self._settle(ids, answer, now_ms)
            return answer
        for job_id, attempt, error, delay_ms in zip(
            ids, attempts or repeat(0), errors, delays_ms or repeat(None), strict=False
        ):
            if job_id not in self._doomed:
                one = at_once(
                    core.fail((job_id,), (attempt,), (error,), now_ms, (delay_ms,))
                )
                _add(answer, one)
                answer.states += one.states
                self._settle((job_id,), answer, now_ms)
                continue
            answer.states.append(None)
            if self._is_current(job_id, attempt, answer):
                self._end_cancelled((job_id,), now_ms)
                answer.ended[job_id] = "cancelled"
        return answer

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        """Give active jobs back; cancelled ones end as such."""
        core = self._ground.core
        if self._any_doomed(ids):
            answer = Settled([], [])
            for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
                if job_id not in self._doomed:
                    _add(
                        answer,
                        at_once(core.release((job_id,), (attempt,), delay_ms, now_ms)),
                    )
                elif self._is_current(job_id, attempt, answer):
                    self._end_cancelled((job_id,), now_ms)
        else:
            answer = at_once(core.release(ids, attempts, delay_ms, now_ms))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return answer

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Beats:
        """Extend leases, and say which of the jobs are cancelled."""
        core = self._ground.core
        settled = at_once(core.heartbeat(ids, attempts, lease_ms, now_ms))
        answer = Beats(settled.missing, settled.stale, [])
        if self._any_doomed(ids):
            missing = set(settled.missing)
            answer.cancelled += [
                job_id
                for job_id in dict.fromkeys(ids)
                if job_id in self._doomed and job_id not in missing
            ]
        return answer

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """Let leases be over, those of cancelled jobs first."""
        core, most = self._ground.core, self._ground.step_jobs
        while self._doomed:
            ids = self._doomed.over(core, until_ms, most)
            self._end_cancelled(ids, now_ms)
            if len(ids) >= most:
                return False
            if not ids:
                break
        ended = at_once(core.end_leases(until_ms, now_ms))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return ended

    def close_session(self, session: int, now_ms: int) -> bool:
        """End a session, its cancelled jobs first."""
        core, most = self._ground.core, self._ground.step_jobs
        if self._doomed and session:
            ids = self._doomed.of_session(core, session)
            self._end_cancelled(ids[:most], now_ms)
            if len(ids) > most:
                return False
        ended = at_once(core.close_session(session, now_ms))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return ended

    def cancel(self, ids: Sequence[int], now_ms: int) -> Cancelled:
        """Remove jobs that wait, and flag those at work."""
        core, answer = self._ground.core, Cancelled([], [], [])
        once = list(dict.fromkeys(ids))
        others = set(at_once(core.remove(once, WAITING, "cancelled", now_ms)).missing)
        flagged: list[tuple[int, Mark]] = []
        for job_id in once:
            if job_id not in others:
                answer.cancelled.append(job_id)
                continue
            if job_id not in self._doomed:
                view = at_once(core.job(job_id, now_ms))
                if view is None or view.state is not JobState.ACTIVE:
                    answer.missing.append(job_id)
                    continue
                mark = self.mark_of(job_id, view)
                flags = (mark.flags | CANCELLED) & ~TIMED
                flagged.append((job_id, msgspec.structs.replace(mark, flags=flags)))
            answer.cancelling.append(job_id)
        self._ground.change(flagged)
        self._outcomes.settle(now_ms)
        for job_id, _ in flagged:
            self.on_doomed(job_id)
        return answer

    def progress(
        self,
        job_id: int,
        attempt: int,
        percent: float | None,
        note: str | None,
        lease_ms: int | None,
        now_ms: int,
    ) -> Settled:
        """Keep how far an active job is, and perhaps extend its lease."""
        core, marks = self._ground.core, self._ground.marks
        view = at_once(core.job(job_id, now_ms))
        if view is None or view.state is not JobState.ACTIVE:
            stale = view is not None and 0 < attempt < view.attempts
            return Settled([job_id], [job_id] if stale else [])
        if attempt not in (0, view.attempts):
            return Settled([job_id], [job_id] if attempt < view.attempts else [])
        if lease_ms is not None:
            at_once(core.heartbeat((job_id,), (attempt,), lease_ms, now_ms))
        if job_id not in marks.by_id:
            # Only to be told of its end: nothing that would have to be recorded.
            marks.put(job_id, self.mark_of(job_id, view))
            core.mark((job_id,), marked=True)
        marks.notebook.put(job_id, Progress(percent, note))
        self._ground.weigh()
        return Settled([], [])

    def mark_of(self, job_id: int, view: JobView) -> Mark:
        """Return the mark of an active job, or a new one that says no more than that."""
        mark = self._ground.marks.by_id.get(job_id)
        if mark is None:
            terms = self._ground.terms.share(view.queue)
            mark = Mark(terms, attempts=view.attempts, flags=ACTIVE)
        return mark

    def _any_doomed(self, ids: Sequence[int]) -> bool:
        doomed = self._doomed
        return bool(doomed) and any(job_id in doomed for job_id in ids)

    def _is_current(self, job_id: int, attempt: int, answer: Settled) -> bool:
        """Whether a verdict is about a cancelled job's last attempt; if not, say so."""
        last = self._ground.marks.by_id[job_id].attempts
        if attempt in (0, last):
            return True
        answer.missing.append(job_id)
        if attempt < last:
            answer.stale.append(job_id)
        return False

    def _end_cancelled(self, ids: Sequence[int], now_ms: int) -> None:
        if ids:
            self._ground.core.remove(ids, _ACTIVE, "cancelled", now_ms)
            self._outcomes.settle(now_ms)

    def _settle(self, ids: Sequence[int], answer: Failures, now_ms: int) -> None:
        """Settle, and tell of the jobs that expired and were not retried."""
        if not self._notes.pending:
            return
        self._outcomes.settle(now_ms)
        expired, begin = self._outcomes.expired, len(answer.states) - len(ids)
        if not expired:
            return
        for index, job_id in enumerate(ids, begin):
            if job_id in expired and answer.states[index] is not None:
                dead = job_id in self._ground.marks.by_id
                answer.states[index] = JobState.DEAD if dead else None
                if not dead:
                    answer.ended[job_id] = "expired"

    def _refuse_large(self, results: Sequence[bytes | None]) -> None:
        most = self._ground.options.result_bytes_max
        for index, result in enumerate(results):
            if result is not None and most and len(result) > most:
                raise TooLarge(
                    index,
                    f"the result has {len(result):,} bytes and may have {most:,} "
                    "(result_bytes_max): store it elsewhere and give its place",
                )

    def _ack_singly(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        results: Sequence[bytes | None],
        now_ms: int,
    ) -> Settled:
        """Settle jobs of which one is named twice, each time with a result of its own."""
        answer = Settled([], [])
        for job_id, attempt, result in zip(
            ids, attempts or repeat(0), results, strict=False
        ):
            _add(answer, self.ack((job_id,), (attempt,), (result,), now_ms))
        return answer


def _add(answer: Settled, more: Settled) -> None:
    answer.missing += more.missing
    answer.stale += more.stale


def _nobody(_: int) -> None:
    """Tell nobody."""
