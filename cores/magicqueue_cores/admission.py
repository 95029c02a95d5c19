"""May these jobs come in? The bounds of `CoreOptions`, and sentences that help."""

from collections.abc import Container, Iterable, Sequence

import msgspec

from magicqueue_cores.contract import CoreOptions, Full, NewJobs
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.memory_tally import JOB_OVERHEAD_BYTES


def admit(table: JobTable, queue: str, jobs: NewJobs) -> None:
    """Raise `Full` if these jobs, or a queue of this name, cannot be added."""
    if jobs.admitted:
        return
    options, payloads = table.options, jobs.payloads
    refuse_jobs(options, held=len(table.jobs) - table.dead_count, new=len(payloads))
    more = sum(map(len, payloads)) + len(payloads) * JOB_OVERHEAD_BYTES
    refuse_bytes(options, held=table.memory_bytes(), new=more)
    admit_queue(table, queue)


def admit_many(
    table: JobTable, queues: Sequence[str], jobs: int, payload_bytes: int
) -> None:
    """Raise `Full` if so many jobs, to queues of these names, cannot be added."""
    options = table.options
    refuse_jobs(options, held=len(table.jobs) - table.dead_count, new=jobs)
    more = payload_bytes + jobs * JOB_OVERHEAD_BYTES
    refuse_bytes(options, held=table.memory_bytes(), new=more)
    new = new_queues(queues, table.queues)
    if options.queues_max and new and len(table.queues) + len(new) > options.queues_max:
        table.forget_idle_queues()
        new = new_queues(queues, table.queues)
        refuse_queues(options, held=len(table.queues) + len(new) - 1, name=new[-1])


def new_queues(queues: Iterable[str], known: Container[str]) -> list[str]:
    """Return those of the names that are not known, each once."""
    return [name for name in dict.fromkeys(queues) if name not in known]


def admit_queue(table: JobTable, queue: str) -> None:
    """Raise `Full` if a queue of this name cannot be added."""
    options = table.options
    bound = options.queues_max
    if bound and len(table.queues) >= bound and queue not in table.queues:
        table.forget_idle_queues()
        refuse_queues(options, held=len(table.queues), name=queue)


def refuse_jobs(options: CoreOptions, *, held: int, new: int) -> None:
    """Raise `Full` if `new` jobs beside `held` live ones are too many; 0 is no bound."""
    if options.jobs_max and held + new > options.jobs_max:
        raise Full(
            f"there are {held:,} jobs waiting or at work and {new:,} more would exceed the "
            f"maximum of {options.jobs_max:,} (jobs_max): let workers finish some or drain "
            "a queue, or raise the maximum"
        )


def refuse_bytes(options: CoreOptions, *, held: int, new: int) -> None:
    """Raise `Full` if `new` bytes beside the `held` ones are too many; 0 is no bound."""
    if options.memory_bytes_max and held + new > options.memory_bytes_max:
        raise Full(
            f"jobs and queues take {held:,} bytes and {new:,} more would exceed the "
            f"maximum of {options.memory_bytes_max:,} (memory_bytes_max): let workers "
            "finish some, drain a queue or purge dead letters, or raise the maximum"
        )


def refuse_queues(options: CoreOptions, *, held: int, name: str) -> None:
    """Raise `Full` if one queue more than the `held` ones is too many; 0 is no bound."""
    if options.queues_max and held >= options.queues_max:
        raise Full(
            f"there are {held:,} queues in use, the maximum (queues_max), so {name!r} "
            "cannot be added: use fewer names, empty some queues, or raise the maximum"
        )


def behind_due(jobs: NewJobs, now_ms: int) -> NewJobs:
    """Give jobs that come behind all that are due by now and did not mature yet.

    Held ones come into no order: they stay as they are.
    """
    if jobs.held:
        return jobs
    run_ats_ms, first_ms = jobs.run_ats_ms, now_ms + 1
    if isinstance(run_ats_ms, int):
        return msgspec.structs.replace(jobs, run_ats_ms=max(first_ms, run_ats_ms))
    later = [max(first_ms, run_at_ms) for run_at_ms in run_ats_ms]
    return msgspec.structs.replace(jobs, run_ats_ms=later)
