"""What callers give, checked before anything is sent: numbers, lists of jobs, jobs.

Errors name the argument and say what it must be. A bool is no number here, though Python
counts it as one, and a string or a dict is no list of jobs, though both can be iterated.
"""

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Final

from magicqueue.job import AnyJob, StoredJob
from magicqueue.wire.limits import ID_MAX

_ONE: Final = (str, bytes, bytearray, memoryview, Mapping)
"""What can be iterated over and is yet one job's data, or none."""


def whole_number(value: object, name: str, least: int = 1, most: int = ID_MAX) -> int:
    """Give a plain integer back. Raises TypeError or ValueError that names it."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if not least <= value <= most:
        bounds = f"{least} or more" if most == ID_MAX else f"{least} to {most}"
        raise ValueError(f"{name} is {value}: it must be {bounds}")
    return int(value)


def optional_id(value: int | None, name: str) -> int | None:
    """Give a job's id back, or None."""
    return None if value is None else whole_number(value, name)


def job_list(items: Any, name: str) -> Any:
    """Give back what yields jobs to push. Raises TypeError for what is one job's data."""
    if isinstance(items, _ONE) or not isinstance(items, Iterable | AsyncIterable):
        raise TypeError(
            f"{name} takes a list of jobs, not {type(items).__name__}: for a single job,"
            " use push(data)"
        )
    return items


def one_job(job: Any) -> AnyJob:
    """Give a job or its id back. Raises TypeError or ValueError for anything else."""
    if isinstance(job, StoredJob):
        return job
    if not isinstance(job, int) or isinstance(job, bool):
        raise TypeError(f"give a job or its id, not {type(job).__name__}")
    return whole_number(job, "a job's id")


def several_ids(jobs: Any, name: str, most: int = ID_MAX) -> list[int]:
    """Give the ids of jobs (or of one), each once; raises as `one_job`, or ValueError."""
    if isinstance(jobs, StoredJob | int):
        jobs = (jobs,)
    some = several_jobs(jobs, name)
    ids = list(dict.fromkeys(job if isinstance(job, int) else job.id for job in some))
    if not 1 <= len(ids) <= most:
        bounds = "1 or more" if most == ID_MAX else f"1 to {most}"
        raise ValueError(f"{name} takes {bounds} jobs, not {len(ids)}")
    return ids


def several_jobs(jobs: Any, name: str) -> list[AnyJob]:
    """Give jobs or their ids back as a list; raises as `one_job`."""
    if not isinstance(jobs, Iterable) or isinstance(jobs, str | Mapping):
        raise TypeError(f"{name} takes a list of jobs or ids, not {type(jobs).__name__}")
    return list(map(one_job, jobs))
