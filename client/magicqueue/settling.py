"""What becomes of a worker's verdicts: taken, or refused and said otherwise."""

import logging
from collections.abc import Sequence

from magicqueue import commands
from magicqueue.errors import RequestError, Unsupported
from magicqueue.failures import Failure, Throttle, failure_of, log_failure
from magicqueue.handlers import OnError
from magicqueue.job import Job
from magicqueue.job_log import fields_of, span
from magicqueue.plain_text import plain
from magicqueue.results import Results
from magicqueue.verdicts import Verdict, given_back, verdict_on_throttled, verdicts_on

logger: logging.Logger = logging.getLogger("magicqueue")


class Settling:
    """Jobs whose verdicts are under way, and how jobs have ended."""

    def __init__(self, results: Results, on_error: OnError | None) -> None:
        self.unanswered: set[Verdict] = set()
        """Whole verdicts, not their jobs: one step for a batch, into it and out of it."""
        self.results = results
        self.throttled: list[tuple[Job, Throttle]] = []
        self.completed: int = 0
        self.failed: int = 0
        self.lost: int = 0
        self._on_error = on_error

    def count(self, *, completed: int = 0, failed: int = 0, lost: int = 0) -> None:
        """Add to how many jobs have ended so."""
        self.completed += completed
        self.failed += failed
        self.lost += lost

    def settled(self, verdict: Verdict, missing: list[int]) -> Sequence[Verdict]:
        """The server has taken a verdict, but for jobs not ours; gives what comes next."""
        if verdict.throttle_ms:
            return self._instead_of(verdict, (given_back(verdict.jobs),))
        self.unanswered.discard(verdict)
        if not missing or verdict.gives_back:
            return ()
        ids = set(missing)
        for job in verdict.jobs:
            if job.id in ids:
                job.lost = True
                self.lost += 1
                logger.warning(
                    "job %d of %s (attempt %d) was not ours any more when it was finished:"
                    " it may have run elsewhere too",
                    job.id,
                    job.queue,
                    job.attempts,
                    extra=fields_of(job),
                )
        return ()

    def throttle(self, job: Job, error: Throttle) -> None:
        """Note that a job's queue is to wait before the job comes again."""
        self.results.drop(job)
        self.throttled.append((job, error))
        group = group_throttled(job, error)
        logger.info(
            "%s waits for %s since job %d was told to slow down: %s",
            job.queue if group is None else f"{plain(group)} of {job.queue}",
            span(error.span_ms / 1000),
            job.id,
            plain(str(error)) or "no reason given",
            extra=fields_of(job),
        )

    def take_throttled(self) -> list[Verdict]:
        """Give the requests for what was noted so: of each queue or group the longest."""
        taken, self.throttled = self.throttled, []
        waits: dict[tuple[str, str | None], tuple[list[Job], int]] = {}
        for job, error in taken:
            whom = job.queue, group_throttled(job, error)
            jobs, longest_ms = waits.get(whom, ([], 0))
            waits[whom] = ([*jobs, job], max(longest_ms, error.span_ms))
        return [
            verdict_on_throttled(jobs, span_ms, group)
            for (_, group), (jobs, span_ms) in waits.items()
        ]

    def unsettled(self, verdict: Verdict, error: Exception) -> Sequence[Verdict]:
        """The server has not taken a verdict; gives what to send instead, if anything."""
        return self._instead_of(verdict, self._instead(verdict, error))

    def _instead_of(
        self, verdict: Verdict, following: Sequence[Verdict]
    ) -> Sequence[Verdict]:
        """Give what is sent instead; at no time is a job of it not `unanswered`."""
        self.unanswered.update(following)
        self.unanswered.discard(verdict)
        return following

    def _instead(self, verdict: Verdict, error: Exception) -> Sequence[Verdict]:
        """Say otherwise what the server has refused to hear.

        An older server cannot take jobs back before the connection closes, decides for
        itself when a failed job is tried again, and keeps no results.
        """
        if verdict.throttle_ms:
            logger.warning("the queue cannot be throttled, its job waits alone: %s", error)
            return (given_back(verdict.jobs, verdict.throttle_ms),)
        if isinstance(error, Unsupported) and verdict.failures:
            logger.warning("Retry and Discard count as any failure: %s", error)
            bare = [Failure(told.job, told.error) for told in verdict.failures]
            return (Verdict(verdict.jobs, commands.fail(bare, repeat=True), bare),)
        if verdict.results and isinstance(error, Unsupported):
            return verdicts_on(verdict.jobs, Results())
        if verdict.results and isinstance(error, RequestError):
            if len(verdict.jobs) > 1:
                return verdict.one_by_one()
            return self._without_result(verdict.jobs[0], error)
        if not verdict.gives_back:
            logger.error("the verdicts of %d jobs were lost: %s", len(verdict.jobs), error)
        return ()

    def _without_result(self, job: Job, error: Exception) -> Sequence[Verdict]:
        """Make the verdict on a job whose result the server refuses."""
        bad = self.results.refused(job, error)
        if bad is None:
            return verdicts_on([job], self.results)
        self.completed -= 1
        self.failed += 1
        log_failure(job, bad)
        self._tell_error(job, bad)
        failure = failure_of(job, bad)
        return (Verdict([job], commands.fail([failure], repeat=True), [failure]),)

    def _tell_error(self, job: Job, error: BaseException) -> None:
        if self._on_error is not None:
            try:
                self._on_error(job, error)
            except Exception:
                logger.exception("on_error itself failed for job %d", job.id)


def group_throttled(job: Job, error: Throttle) -> str | None:
    """Name the group that is to wait, None where it is the whole queue."""
    return job.group if error.group else None
