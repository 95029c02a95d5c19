"""From replies to `job_commands` to answers, and none from one that cannot be true."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from magicqueue.answers import Cancelling, Ending
from magicqueue.errors import NotFound
from magicqueue.job import NULL, Count, JobDetails
from magicqueue.readers import checked, decoder, queue_name
from magicqueue.refusals import Line

PENDING: Final = frozenset(("ready", "delayed", "active", "blocked"))
"""States of jobs that have not ended."""


class _Cancelled(msgspec.Struct):
    cancelled: list[int]
    cancelling: list[int]
    missing: list[int]


class _Promoted(msgspec.Struct):
    promoted: Count
    missing: list[int]


class _Ended(msgspec.Struct):
    jobs: list[Ending]


class _Found(msgspec.Struct):
    job: JobDetails | None


class _KeptEnd(Ending, kw_only=True):
    queue: str
    attempts: Count
    finished_at_ms: Count = msgspec.field(name="finished_at")


class _FoundEnd(msgspec.Struct):
    job: _KeptEnd


_cancelled: Final = decoder(_Cancelled)
_promoted: Final = decoder(_Promoted)
_ended: Final = decoder(_Ended)
_found: Final = decoder(_Found)
_found_end: Final = decoder(_FoundEnd)


def cancelled(ids: Sequence[int]) -> Callable[[Line], Cancelling]:
    """Read CANCEL's reply: what became of each of the ids."""

    def read(line: Line) -> Cancelling:
        told = _cancelled(line)
        all_told = [*told.cancelled, *told.cancelling, *told.missing]
        if sorted(all_told) != sorted(ids):
            raise ValueError("it does not tell of each job once")
        return Cancelling(told.cancelled, told.cancelling, told.missing)

    return read


def promoted(ids: Sequence[int]) -> Callable[[Line], list[int]]:
    """Read PROMOTE's reply: which jobs were not delayed."""

    def read(line: Line) -> list[int]:
        told = _promoted(line)
        return checked(told.promoted, told.missing, ids)

    return read


def ended(ids: Sequence[int]) -> Callable[[Line], list[Ending]]:
    """Read WAIT's reply: jobs that were asked for, each once, all ended."""

    def read(line: Line) -> list[Ending]:
        jobs = _ended(line).jobs
        told = {job.id for job in jobs}
        if len(told) != len(jobs) or not told.issubset(ids):
            raise ValueError("it tells of a job twice, or of one that was not asked for")
        for job in jobs:
            if job.state in PENDING:
                raise ValueError(f"job {job.id} has not ended: it is {job.state}")
        return jobs

    return read


def found(job_id: int) -> Callable[[Line], JobDetails]:
    """Read GETJOB's reply: that job, or none."""

    def read(line: Line) -> JobDetails:
        try:
            job = _found(line).job
        except msgspec.ValidationError:  # of a job that has ended there is less
            if b'"finished_at":' not in line:
                raise
            job = _details_of(_found_end(line).job)
        if job is None:
            raise NotFound(f"there is no job {job_id}: done, removed or never pushed")
        if job.id != job_id:
            raise ValueError(f"it is of job {job.id}")
        queue_name(job.queue)
        return job

    return read


def _details_of(end: _KeptEnd) -> JobDetails:
    return JobDetails(
        end.id,
        end.queue,
        NULL,
        0,
        0,
        0,
        end.attempts,
        state=end.state,
        failures=0,
        lost=0,
        max_attempts=0,
        error=end.error,
        lease_until_ms=None,
        _result=end._result,  # noqa: SLF001 - as it came
        finished_at_ms=end.finished_at_ms,
    )
