"""The whole state of jobs of the python core: told for a log, and put back from one.

Jobs come back in any order and much later than they became ready, so each finds its place
by its sequence number, beside the jobs that came back after a loss.
"""

from collections.abc import Iterable, Iterator, Sequence

from magicqueue_cores import records
from magicqueue_cores.contract import COUNT_MAX, CoreError, JobState
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import (
    HELD,
    HELD_AGAIN,
    PLAIN,
    WAITING,
    History,
    Job,
)
from magicqueue_cores.python_taking import came_back

_NO_HISTORY = History()
_MAY_BE_BACK = (JobState.READY, JobState.HELD)
_READY = int(JobState.READY)
_DELAYED = int(JobState.DELAYED)
_ACTIVE = int(JobState.ACTIVE)
_HELD = int(JobState.HELD)


def export_jobs(table: JobTable, ids: Sequence[int]) -> records.Moved:
    """Tell all about those of `ids` that are here. O(1) a job."""
    jobs = table.jobs
    found = [job_id for job_id in ids if job_id in jobs]
    here = [jobs[job_id] for job_id in found]
    histories = [job.history or _NO_HISTORY for job in here]
    leases = [job.lease for job in here]
    states = [job.state for job in here]
    return records.Moved(
        ids=found,
        queues=[job.queue.name for job in here],
        payloads=[job.payload for job in here],
        priorities=[job.priority for job in here],
        created_ats_ms=[job.created_at_ms for job in here],
        run_ats_ms=[job.run_at_ms for job in here],
        max_attempts=[job.policy[0] for job in here],
        backoffs_ms=[job.policy[1] for job in here],
        jitters=[job.policy[2] for job in here],
        states=[int(state) for state in states],
        returned=[
            state in _MAY_BE_BACK and came_back(job_id, job)
            for job_id, job, state in zip(found, here, states, strict=True)
        ],
        sequences=[
            0 if job.place < PLAIN else job.ready_key(job_id)
            for job_id, job in zip(found, here, strict=True)
        ],
        attempts=[job.attempts for job in here],
        failures=[history.failures for history in histories],
        losses=[history.lost for history in histories],
        sessions=[0 if lease is None else lease.session for lease in leases],
        untils_ms=[0 if lease is None else lease.until_ms for lease in leases],
        died_ats_ms=[history.died_at_ms or 0 for history in histories],
        errors=[history.error for history in histories],
        reasons=[history.reason for history in histories],
    )


def replay_moved(table: JobTable, record: records.Moved) -> None:
    """Put jobs back. Raises `CoreError` if one is here already or was never pushed."""
    leased: dict[tuple[int, int, str], list[int]] = {}
    delayed: dict[str, list[tuple[int, int]]] = {}
    dead: dict[str, list[int]] = {}
    states = zip(
        record.states, record.returned, record.sessions, record.untils_ms, strict=True
    )
    for job_id, job, (state, returned, session, until_ms) in zip(
        record.ids, _jobs(table, record), states, strict=True
    ):
        if job_id in table.jobs or not 0 < job_id <= table.last_id:
            raise CoreError(f"a record brings back job {job_id}, which cannot be missing")
        table.put_in(job_id, job)
        if state == _READY:
            job.queue.ready.put_in(
                job.priority, job.place, job_id, job.run_at_ms, returned=returned
            )
        elif state == _DELAYED:
            job.place = WAITING
            delayed.setdefault(job.queue.name, []).append((job.run_at_ms, job_id))
        elif state == _HELD:
            table.hold((job,), HELD_AGAIN if returned else HELD)
        elif state == _ACTIVE:
            job.place = job.place or HELD
            held_by = (session, until_ms, job.queue.name)
            leased.setdefault(held_by, []).append(job_id)
        else:
            dead.setdefault(job.queue.name, []).append(job_id)
    for name, entries in delayed.items():
        table.delayed.add(name, entries)
    for (session, until_ms, _), ids in leased.items():
        _lease(table, ids, session, until_ms)
    for name, ids in dead.items():
        _bury(table, name, ids)


def _jobs(table: JobTable, record: records.Moved) -> Iterator[Job]:
    """Make the jobs of a record, one when the last is in its place."""
    policies = zip(record.max_attempts, record.backoffs_ms, record.jitters, strict=True)
    pasts = zip(
        record.failures,
        record.losses,
        record.errors,
        record.reasons,
        record.died_ats_ms,
        strict=True,
    )
    for (
        name,
        payload,
        priority,
        created_at_ms,
        run_at_ms,
        policy,
        attempts,
        place,
        past,
    ) in zip(
        record.queues,
        record.payloads,
        record.priorities,
        record.created_ats_ms,
        record.run_ats_ms,
        policies,
        record.attempts,
        record.sequences,
        pasts,
        strict=True,
    ):
        max_attempts, backoff_ms, jitter = policy
        most = min(max_attempts, COUNT_MAX)  # old logs may have more
        shared = table.shared_policy((most, backoff_ms, jitter, 0))
        queue, history = table.queue_of(name), None
        failures, lost, error, reason, died_at_ms = past
        if failures or lost or error is not None or reason is not None:
            died_at = died_at_ms if reason is not None else None
            text = None if error is None else error.encode(errors="surrogatepass")
            counts = min(failures, COUNT_MAX), min(lost, COUNT_MAX)
            history = History(*counts, text, reason, died_at)
        yield Job(
            payload,
            priority,
            created_at_ms,
            run_at_ms,
            shared,
            queue,
            min(attempts, COUNT_MAX),
            None,
            history,
            place or PLAIN,
        )


def _lease(table: JobTable, ids: Iterable[int], session: int, until_ms: int) -> None:
    jobs = [table.jobs[job_id] for job_id in ids]
    lease = table.leases.open(session, until_ms, set(ids))
    for job in jobs:
        job.lease = lease
        job.queue.active += 1
    table.totals.lent += len(jobs)


def _bury(table: JobTable, name: str, ids: list[int]) -> None:
    letters = table.queues[name].dead
    sizes = {job_id: table.jobs[job_id].content_bytes for job_id in ids}
    letters.put_in(sizes, lambda job_id: table.jobs[job_id].place)
    table.dead_count += len(ids)
