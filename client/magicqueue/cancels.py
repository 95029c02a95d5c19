"""How to cancel what is awaited for a job, from another thread."""

import contextlib
from collections.abc import Callable, Iterator

from magicqueue.job import Job
from magicqueue.job_log import current_job


class Cancels:
    """What is awaited for jobs whose handlers are no tasks of their own."""

    def __init__(self) -> None:
        self._of: dict[Job, Callable[[], object]] = {}

    @contextlib.contextmanager
    def by(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Cancel the current job so, as long as this lasts."""
        job = current_job()
        if job is None:
            yield
            return
        self._of[job] = cancel
        try:
            if job.cancelled:
                cancel()
            yield
        finally:
            self._of.pop(job, None)

    def cancel(self, job: Job) -> bool:
        """Cancel what is awaited for a job; tells whether there is anything."""
        cancel = self._of.get(job)
        if cancel is not None:
            cancel()
        return cancel is not None
