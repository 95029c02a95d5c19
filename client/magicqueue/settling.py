"""What becomes of a worker's verdicts: taken, or refused and said otherwise."""

import logging
from collections.abc import Sequence

from magicqueue import commands
from magicqueue.errors import RequestError, Unsupported
from magicqueue.failures import Failure, failure_of, log_failure
from magicqueue.handlers import OnError
from magicqueue.job import Job
from magicqueue.job_log import fields_of
from magicqueue.results import Results
from magicqueue.verdicts import Verdict, verdicts_on

logger = logging.getLogger("magicqueue")


class Settling:
    """Jobs whose verdicts are under way, and how jobs have ended."""

    def __init__(self, results: Results, on_error: OnError | None) -> None:
        self.unanswered: set[Job] = set()
        self.results = results
        self.completed = 0
        self.failed = 0
        self.lost = 0
        self._on_error = on_error

    def settled(self, verdict: Verdict, missing: list[int]) -> None:
        """The server has taken a verdict, but for jobs not ours any more."""
        self.unanswered.difference_update(verdict.jobs)
        if not missing or verdict.gives_back:
            return
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

    def unsettled(self, verdict: Verdict, error: Exception) -> Sequence[Verdict]:
        """The server has not taken a verdict; gives what to send instead, if anything.

        An older server cannot take jobs back before the connection closes, decides for
        itself when a failed job is tried again, and keeps no results.
        """
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
        self.unanswered.difference_update(verdict.jobs)
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
