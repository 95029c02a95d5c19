"""Jobs of the python core taken from wherever they stand, and where they go from there.

As the methods of `JobTable`: each applies a decision, of a verb or of a record. The jobs
are in a state that allows it; a replay checks that first.
"""

from collections.abc import Iterable, Sequence

from magicqueue_cores.contract import JobState
from magicqueue_cores.histories import drop_history, set_error
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import HELD, HELD_AGAIN, Job
from magicqueue_cores.records import FAILURES, WORKER_LOST


def take_out(table: JobTable, job_id: int, job: Job) -> bool:
    """Take a job out of its order, off its lease, or from the dead letters.

    O(log n) amortised. Says whether it was active; what that means is not counted.
    """
    if job.lease is not None:
        table.detach(job_id, job)
        return True
    if job_id in job.queue.dead:
        job.queue.dead.remove(job_id)
        table.dead_count -= 1
    elif job.is_delayed:
        table.delayed.remove(job.queue.name, job.run_at_ms, job_id)
    elif job.is_held:
        table.let_go(job)
    else:
        job.queue.ready.remove(job.priority, job_id)
    return False


def came_back(job_id: int, job: Job) -> bool:
    """Whether a job that waits is one that came back from a worker."""
    if job.is_held:
        return job.place == HELD_AGAIN
    return job.queue.ready.is_returned(job.priority, job_id)


def errors_of(table: JobTable, ids: Iterable[int]) -> list[str | None]:
    """The last error of each job."""
    histories = [table.jobs[job_id].history for job_id in ids]
    return [history.error if history else None for history in histories]


def remove(table: JobTable, ids: Iterable[int], cause: str) -> None:
    """Jobs of any state are gone."""
    totals = table.totals
    for job_id in ids:
        job = table.jobs[job_id]
        totals.revoked += take_out(table, job_id, job)
        for counts in (job.queue, totals):
            counts.expired += cause == "expired"
            counts.cancelled += cause == "cancelled"
            counts.dropped += cause == "dropped"
        totals.removed += 1
        table.delete(job_id, job)


def bury(
    table: JobTable,
    ids: Sequence[int],
    reason: str,
    errors: Sequence[str | None],
    at_ms: int,
) -> None:
    """Live jobs are dead: by a failure or a loss, which count, or for another reason."""
    for job_id, error in zip(ids, errors, strict=True):
        job = table.jobs[job_id]
        active = take_out(table, job_id, job)
        history = set_error(job, error, table.tally)
        if reason in FAILURES:
            job.count_failure()
            job.queue.failed += 1
            table.totals.failed += 1
        elif reason == WORKER_LOST:
            job.count_loss()
            job.queue.lost += 1
            table.totals.lost += 1
        else:
            table.totals.revoked += active
        history.reason = reason
        history.died_at_ms = at_ms
        job.place = table.next_place()
        job.queue.dead.add(job_id, job.content_bytes)
        table.dead_count += 1


def revive(table: JobTable, ids: Sequence[int], at_ms: int) -> None:
    """Dead jobs are ready anew, in this order."""
    for job_id in ids:
        job = table.jobs[job_id]
        take_out(table, job_id, job)
        drop_history(job, table.tally)
        job.attempts = 0
        job.run_at_ms = at_ms
    table.mature(ids)


def promote(table: JobTable, ids: Sequence[int], at_ms: int) -> None:
    """Delayed jobs are ready before their time, in this order."""
    for job_id in ids:
        job = table.jobs[job_id]
        take_out(table, job_id, job)
        job.run_at_ms = at_ms
    table.mature(ids)


def replace(
    table: JobTable, job_id: int, payload: bytes, priority: int, run_at_ms: int, at_ms: int
) -> None:
    """A job that waits is another, and enters its order anew."""
    job, held = table.jobs[job_id], table.jobs[job_id].state is JobState.HELD
    take_out(table, job_id, job)
    table.tally.payload_bytes += len(payload) - len(job.payload)
    job.payload = payload
    job.priority = priority
    job.run_at_ms = run_at_ms
    if held:
        table.sequence += run_at_ms <= at_ms
        table.hold((job,), HELD)
    elif run_at_ms <= at_ms:
        table.mature((job_id,))
    else:
        table.delay(job.queue, (job_id,))


def hold(table: JobTable, ids: Iterable[int]) -> None:
    """Ready jobs are held."""
    for job_id in ids:
        job = table.jobs[job_id]
        again = came_back(job_id, job)
        job.queue.ready.remove(job.priority, job_id)
        table.hold((job,), HELD_AGAIN if again else HELD)


def unhold(
    table: JobTable, ids: Iterable[int], run_ats_ms: Iterable[int], at_ms: int
) -> None:
    """Held jobs are ready, or delayed, in this order."""
    for job_id, run_at_ms in zip(ids, run_ats_ms, strict=True):
        job = table.jobs[job_id]
        table.let_go(job)
        job.run_at_ms = run_at_ms
        if run_at_ms <= at_ms:
            table.mature((job_id,))
        else:
            table.delay(job.queue, (job_id,))


def lend_held(table: JobTable, ids: Sequence[int], session: int, until_ms: int) -> None:
    """Held jobs of one queue are handed out."""
    jobs = [table.jobs[job_id] for job_id in ids]
    for job in jobs:
        job.place = HELD
    queue = jobs[0].queue
    queue.held -= len(jobs)
    table.held_count -= len(jobs)
    table.lend(queue, jobs, ids, session, until_ms)
