"""Records applied to a `JobTable`: checked, never re-decided."""

from collections.abc import Iterable, Sequence

import msgspec

from magicqueue_cores import records
from magicqueue_cores.contract import COUNT_MAX, LIVE, WAITING, CoreError, JobState
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_clearing import remove_drained
from magicqueue_cores.python_job import Job
from magicqueue_cores.python_moves import replay_moved
from magicqueue_cores.python_taking import (
    bury,
    came_back,
    hold,
    lend_held,
    promote,
    remove,
    replace,
    revive,
    unhold,
)
from magicqueue_cores.transitions import REMOVABLE, not_for_a_core


def replay_record(  # noqa: C901, PLR0912, PLR0915 - one flat case a record
    table: JobTable, record: records.Record
) -> None:
    """Apply one record. Raises `CoreError` if it cannot have happened here."""
    match record:
        case records.Pushed():
            _push(table, record)
        case records.Matured(ids):
            for job_id, job in _jobs(table, record, JobState.DELAYED):
                table.delayed.remove(job.queue.name, job.run_at_ms, job_id)
            table.mature(ids)
        case records.Leased():
            _lease(table, record)
        case records.Extended(ids, until_ms):
            _jobs(table, record, JobState.ACTIVE)
            table.extend(ids, until_ms)
        case records.Postponed(by_ms):
            table.leases.postpone(by_ms)
        case records.Acked():
            _ack(table, record)
        case records.Failed(ids, errors, run_ats_ms, at_ms):
            _jobs(table, record, JobState.ACTIVE)
            table.retry(ids, errors, run_ats_ms, at_ms)
        case records.Lost(ids):
            _jobs(table, record, JobState.ACTIVE)
            table.lose(ids)
        case records.Released(ids, run_at_ms):
            _jobs(table, record, JobState.ACTIVE)
            table.release(ids, run_at_ms)
        case records.Died(ids, reason, errors, at_ms):
            counts = reason in records.FAILURES or reason == records.WORKER_LOST
            _jobs(table, record, *((JobState.ACTIVE,) if counts else LIVE))
            bury(table, ids, reason, errors, at_ms)
        case records.Removed():
            _remove(table, record)
        case records.Revived(ids, at_ms):
            _jobs(table, record, JobState.DEAD)
            revive(table, ids, at_ms)
        case records.Promoted(ids, at_ms):
            _jobs(table, record, JobState.DELAYED)
            promote(table, ids, at_ms)
        case records.Replaced():
            _replace(table, record)
        case records.Held(ids):
            _jobs(table, record, JobState.READY)
            hold(table, ids)
        case records.Unheld(ids, run_ats_ms, at_ms):
            _jobs(table, record, JobState.HELD)
            unhold(table, ids, run_ats_ms, at_ms)
        case records.Paused():
            _pause(table, record)
        case records.Moved():
            replay_moved(table, record)
        case records.Origin(last_id, sequence):
            table.last_id = max(table.last_id, last_id)
            table.sequence = max(table.sequence, sequence)
        case records.Restarted():
            table.count_from_here()
        case records.Marked() | records.Kept() | records.Gone():
            raise not_for_a_core(record)


def _pause(table: JobTable, record: records.Paused) -> None:
    known = table.queue_of(record.queue)
    table.set_paused(known, paused=record.paused)
    if not record.paused:
        table.forget_unused(known)


def _push(table: JobTable, record: records.Pushed) -> None:
    if record.first_id <= table.last_id:
        raise CoreError(
            f"a record pushes job {record.first_id}, but ids up to {table.last_id} were "
            "given before it"
        )
    bound = table.options.queues_max
    if bound and len(table.queues) >= bound and record.queue not in table.queues:
        table.forget_idle_queues()
    queue = table.queue_of(record.queue)
    if isinstance(record.payloads, records.PayloadBlob):
        record = msgspec.structs.replace(record, payloads=list(record.payloads))
    table.add(queue, record.first_id, _bounded(record), record.created_at_ms)


def _bounded(record: records.Pushed) -> records.Pushed:
    """Give a push with no `max_attempts` above COUNT_MAX, which old logs may have."""
    most = record.max_attempts
    if isinstance(most, int):
        bounded: int | list[int] = min(most, COUNT_MAX)
    else:
        bounded = [min(each, COUNT_MAX) for each in most]
    if bounded == most:
        return record
    return msgspec.structs.replace(record, max_attempts=bounded)


def _lease(table: JobTable, record: records.Leased) -> None:
    jobs = [job for _, job in _jobs(table, record, JobState.READY, JobState.HELD)]
    queues = {job.queue.name for job in jobs}
    if len(queues) != 1:
        raise CoreError(f"a record leases jobs of {len(queues)} queues to one pull")
    queue = jobs[0].queue
    if all(job.is_held for job in jobs):
        lend_held(table, record.ids, record.session, record.until_ms)
        return
    if any(job.is_held for job in jobs):
        raise CoreError("a record leases ready and held jobs to one pull")
    for job_id, job in zip(record.ids, jobs, strict=True):
        queue.ready.remove(job.priority, job_id)
    table.lend(queue, jobs, record.ids, record.session, record.until_ms)


def _ack(table: JobTable, record: records.Acked) -> None:
    states = JobState.ACTIVE, JobState.READY, JobState.HELD
    for job_id, job in _jobs(table, record, *states):
        if job.lease is not None:
            table.finish(job_id, job)
        elif came_back(job_id, job):
            table.finish_returned(job_id, job)
        else:
            raise CoreError(f"a record settles job {job_id}, which was not handed out")


def _replace(table: JobTable, record: records.Replaced) -> None:
    _jobs(table, record, *WAITING)
    for columns in zip(
        record.ids, record.payloads, record.priorities, record.run_ats_ms, strict=True
    ):
        replace(table, *columns, record.at_ms)


def _remove(table: JobTable, record: records.Removed) -> None:
    states = REMOVABLE.get(record.cause)
    if states is None:
        raise CoreError(f"a record says Removed for {record.cause!r}, which is no cause")
    jobs = _jobs(table, record, *states)
    if record.cause != "drained":
        remove(table, record.ids, record.cause)
        return
    drained: dict[str, list[int]] = {}
    for job_id, job in jobs:
        drained.setdefault(job.queue.name, []).append(job_id)
    for name, ids in drained.items():
        remove_drained(table, table.queues[name], ids)
        table.forget_unused(table.queues[name])


def _jobs(
    table: JobTable, record: records.Record, *states: JobState
) -> Sequence[tuple[int, Job]]:
    assert hasattr(record, "ids"), "only records of known jobs come here"
    found = []
    for job_id in _once_each(record.ids):
        job = table.jobs.get(job_id)
        if job is None or job.state not in states:
            where = "not here" if job is None else job.state.name
            what = type(record).__name__
            raise CoreError(f"a record says {what} of job {job_id}, which is {where}")
        found.append((job_id, job))
    return found


def _once_each(ids: Sequence[int]) -> Iterable[int]:
    if len(set(ids)) != len(ids):
        raise CoreError("a record names a job twice")
    return ids
