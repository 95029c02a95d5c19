"""What handlers return, kept from their end until the verdict is sent.

A worker cannot tell whether the producer of a job asked for its result: whatever is not
None is sent, and a server drops what nobody asked for. None, which most handlers return,
costs nothing.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

from magicqueue.encoding import BATCH_BYTES_MAX, json_of
from magicqueue.errors import NotJson
from magicqueue.job import Job
from magicqueue.job_log import fields_of

OnBadResult: TypeAlias = Literal["log", "fail"]
"""What becomes of a job whose result cannot be kept: it is done without one, or fails."""

ON_BAD_RESULT: Final[OnBadResult] = "log"

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class BadResult(Exception):
    """What a job failed with whose result cannot be kept, where the worker wants that."""


class Results:
    """The results of one worker's jobs, as JSON."""

    def __init__(self, on_bad: OnBadResult = ON_BAD_RESULT) -> None:
        if on_bad not in {"log", "fail"}:
            raise ValueError(f"on_bad_result is {on_bad!r}: it must be 'log' or 'fail'")
        self._on_bad = on_bad
        self._of: dict[Job, bytes] = {}

    def clear(self) -> None:
        """Forget all."""
        self._of.clear()

    def keep(self, job: Job, value: Any) -> BadResult | None:
        """Keep what a job's handler returned; gives what the job fails with, if it does."""
        try:
            self._of[job] = json_of(value, "its result")
        except NotJson as error:
            return self.refused(job, error)
        return None

    def drop(self, job: Job) -> None:
        """Forget a job's result."""
        self._of.pop(job, None)

    def refused(self, job: Job, error: Exception) -> BadResult | None:
        """A result cannot be kept: log it, or give what the job fails with."""
        if self._on_bad == "fail":
            return BadResult(str(error))
        logger.warning(
            "job %d of %s is done, but its result is not kept: %s",
            job.id,
            job.queue,
            error,
            extra=fields_of(job),
        )
        return None

    def part(
        self, done: Sequence[Job]
    ) -> tuple[Sequence[Job], Iterator[tuple[list[Job], list[bytes]]]]:
        """Part jobs that are done without a result from batches of those with one."""
        if not self._of:
            return done, iter(())
        take = self._of.pop
        pairs = [(job, take(job, b"")) for job in done]
        bare = [job for job, result in pairs if not result]
        return bare, _batches([(job, result) for job, result in pairs if result])


def _batches(
    pairs: Sequence[tuple[Job, bytes]],
) -> Iterator[tuple[list[Job], list[bytes]]]:
    """Give them in batches that are not too long for a line."""
    jobs: list[Job] = []
    results: list[bytes] = []
    size = 0
    for job, result in pairs:
        if jobs and size + len(result) > BATCH_BYTES_MAX:
            yield jobs, results
            jobs, results, size = [], [], 0
        jobs.append(job)
        results.append(result)
        size += len(result)
    if jobs:
        yield jobs, results
