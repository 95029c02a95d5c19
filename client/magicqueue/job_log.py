"""What is logged of jobs, and which job the running code belongs to.

Each job that is done has a line at INFO, up to `LINES_PER_S` a second: a worker of short
jobs would otherwise do little else. The rest of a second is one line with their number.
At DEBUG every job has its lines, its start too. A failed job always has its line, a
WARNING. Records carry `job`, `queue`, `attempt` and `duration_ms`, and a job's `labels`,
for formatters that write fields.
"""

import contextvars
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from magicqueue.job import Job

LINES_PER_S: Final = 100

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class Slot:
    """Where a thread runs one job after the other: the job that it runs now."""

    __slots__ = ("job",)

    def __init__(self) -> None:
        self.job: Job | None = None


_current: contextvars.ContextVar[Job | Slot | None] = contextvars.ContextVar(
    "magicqueue_job", default=None
)


def current_job() -> Job | None:
    """Give the job whose handler calls this; None outside of a worker's handlers.

    It is there in what the handler calls and awaits, in the tasks that it starts and in
    `asyncio.to_thread`.
    """
    current = _current.get()
    return current.job if isinstance(current, Slot) else current


set_current: Final = _current.set
"""Have `current_job` give this job, or the slot's, in this context."""


class JobLogFilter(logging.Filter):
    """Adds `job`, `queue`, `attempt` and labels to what is logged while a handler runs.

    Put it on a handler of `logging`: `handler.addFilter(JobLogFilter())`. It lets every
    record pass, and sets None where no job runs.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark a record."""
        if not hasattr(record, "job"):
            job = current_job()
            record.job = job.id if job else None
            record.queue = job.queue if job else None
            record.attempt = job.attempts if job else None
            record.labels = job._labels if job else None  # noqa: SLF001
        return True


def fields_of(job: Job) -> dict[str, Any]:
    """Give what a record says of a job, for `extra`."""
    took_ms = round(job._took_s * 1000, 3) if job._took_s >= 0 else None  # noqa: SLF001 - a worker's note on it
    return {
        "job": job.id,
        "queue": job.queue,
        "attempt": job.attempts,
        "duration_ms": took_ms,
        "labels": job._labels,  # noqa: SLF001
    }


def label(job: Job, **labels: str | int) -> None:
    """Have all records about a job, and those of its handler, say this, too.

    The task that it is, say, or the trace that it belongs to.
    """
    if job._labels is None:  # noqa: SLF001
        job._labels = labels  # noqa: SLF001
    else:
        job._labels |= labels  # noqa: SLF001


class JobLog:
    """Writes the lines of jobs that are done or given back; from any thread."""

    def __init__(self) -> None:
        self._second = 0.0
        self._lines = 0
        self._more = 0
        self._queue = ""

    @property
    def wanted(self) -> bool:
        """Whether anybody reads of jobs that are done."""
        return logger.isEnabledFor(logging.INFO)

    @property
    def tells_starts(self) -> bool:
        """Whether anybody reads of jobs that begin."""
        return logger.isEnabledFor(logging.DEBUG)

    def started(self, job: Job) -> None:
        """A handler begins."""
        logger.debug(
            "job %d of %s started (attempt %d)",
            job.id,
            job.queue,
            job.attempts,
            extra=fields_of(job),
        )

    def done(self, jobs: Sequence[Job]) -> None:
        """Handlers have returned."""
        if not jobs or not self.wanted:
            return
        now = time.monotonic()
        for job in self._some(jobs, now):
            if job._took_s < 0:  # noqa: SLF001
                job._took_s = now - job._started_at  # noqa: SLF001
            logger.info(
                "job %d of %s done in %s (attempt %d)",
                job.id,
                job.queue,
                span(job._took_s),  # noqa: SLF001
                job.attempts,
                extra=fields_of(job),
            )

    def given_back(self, jobs: Iterable[Job]) -> None:
        """Jobs go back to their queue, unstarted or cut off."""
        if not self.wanted:
            return
        for job in jobs:
            how = "cut off" if job._started_at else "unstarted"  # noqa: SLF001
            logger.info(
                "job %d of %s goes back %s (attempt %d)",
                job.id,
                job.queue,
                how,
                job.attempts,
                extra=fields_of(job),
            )

    def cancelled(self, job: Job) -> None:
        """A cancelled job has ended, or does not begin."""
        logger.info(
            "job %d of %s %s (attempt %d)",
            job.id,
            job.queue,
            "is not ours any more and ended" if job.lost else "was cancelled",
            job.attempts,
            extra=fields_of(job),
        )

    def grace_is_over(self, count: int, queue: str) -> None:
        """So many jobs are cut off by a stop."""
        logger.warning("the grace is over: %d jobs go back to %s unfinished", count, queue)

    def tell_rest(self) -> None:
        """Write how many jobs had no line of their own."""
        more, self._more = self._more, 0
        if more:
            logger.info(
                "%d more jobs of %s done (at level debug each has a line)",
                more,
                self._queue,
            )

    def _some(self, jobs: Sequence[Job], now: float) -> Sequence[Job]:
        """Give those that have a line of their own; count the others."""
        if logger.isEnabledFor(logging.DEBUG):
            return jobs
        if now - self._second >= 1:
            self.tell_rest()
            self._second = now
            self._lines = 0
        left = LINES_PER_S - self._lines
        if len(jobs) > left:
            self._queue = jobs[-1].queue
            self._more += len(jobs) - left
            jobs = jobs[:left]
        self._lines += len(jobs)
        return jobs


def span(seconds: float) -> str:
    """Write how long a handler ran: "85 µs", "3.2 ms", "4.1 s"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{max(seconds, 0.0) * 1e6:.0f} µs"
