"""What the python core tells: jobs, counts, totals, the record of a push."""

from magicqueue_cores import records
from magicqueue_cores.contract import (
    CoreStats,
    DeadPage,
    Delivery,
    JobView,
    NewJobs,
    NotFound,
    QueueStats,
    Settled,
)
from magicqueue_cores.dead_letters import no_such_cursor
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import History, Job, Queue

_NO_HISTORY = History()


def delivery(ids: list[int], jobs: list[Job]) -> Delivery:
    """Jobs that were just lent, as columns."""
    if len(jobs) == 1:  # at half the price of six comprehensions
        job = jobs[0]
        return Delivery(
            ids,
            [job.payload],
            [job.priority],
            [job.created_at_ms],
            [job.run_at_ms],
            [job.attempts],
        )
    return Delivery(
        ids,
        [job.payload for job in jobs],
        [job.priority for job in jobs],
        [job.created_at_ms for job in jobs],
        [job.run_at_ms for job in jobs],
        [job.attempts for job in jobs],
    )


def job_view(job_id: int, job: Job) -> JobView:
    """All that can be said of one job."""
    history = job.history or _NO_HISTORY
    return JobView(
        id=job_id,
        queue=job.queue.name,
        payload=job.payload,
        priority=job.priority,
        created_at_ms=job.created_at_ms,
        run_at_ms=job.run_at_ms,
        attempts=job.attempts,
        state=job.state,
        failures=history.failures,
        lost=history.lost,
        max_attempts=job.policy[0],
        error=history.error,
        lease_until_ms=None if job.lease is None else job.lease.until_ms,
        reason=history.reason,
        died_at_ms=history.died_at_ms,
    )


def dead_page(
    table: JobTable, queue: str, count: int, payload_bytes_max: int, after_id: int | None
) -> DeadPage:
    """Dead letters behind `after_id`, one at least; raises `NotFound` for a lost cursor."""
    known = table.queues.get(queue)
    if known is None:
        if after_id is not None:
            raise NotFound(no_such_cursor(queue, after_id))
        return DeadPage([], None)
    page: list[JobView] = []
    for job_id in known.dead.after(after_id):
        job = table.jobs[job_id]
        payload_bytes_max -= job.content_bytes
        if page and (len(page) >= count or payload_bytes_max < 0):
            return DeadPage(page, page[-1].id)
        page.append(job_view(job_id, job))
    return DeadPage(page, None)


def miss(table: JobTable, answer: Settled, job_id: int, attempt: int) -> None:
    """Say that a verdict was on a job that is not there, or on an older delivery of it."""
    answer.missing.append(job_id)
    job = table.jobs.get(job_id)
    if job is not None and 0 < attempt < job.attempts:
        answer.stale.append(job_id)


def queue_stats(table: JobTable, queue: Queue, now_ms: int) -> QueueStats:
    """Counts of one queue. O(1) amortised."""
    oldest_ms = queue.ready.oldest_run_at_ms(table.jobs)
    return QueueStats(
        name=queue.name,
        queued=queue.ready.count,
        processing=queue.active,
        delayed=table.delayed.count(queue.name),
        dead=len(queue.dead),
        paused=queue.paused,
        pushed=queue.pushed,
        completed=queue.completed,
        failed=queue.failed,
        lost=queue.lost,
        released=queue.released,
        expired=queue.expired,
        cancelled=queue.cancelled,
        duplicates=queue.duplicates,
        dropped=queue.dropped,
        oldest_ready_ms=0 if oldest_ms is None else now_ms - oldest_ms,
    )


def core_stats(table: JobTable, now_ms: int) -> CoreStats:
    """Totals over all queues, with what the forgotten ones had counted. O(1) amortised."""
    totals, jobs, queues = table.totals, table.jobs, table.queues
    here, delayed, dead = len(jobs), table.tally.delayed, table.dead_count
    processing = totals.processing(here=here)
    oldest_ms = table.oldest.first_ms(
        lambda name: queues[name].ready.oldest_run_at_ms(jobs)
    )
    return CoreStats(
        queued=here - dead - delayed - processing - table.held_count,
        processing=processing,
        delayed=delayed,
        dead=dead,
        paused=totals.paused,
        pushed=totals.pushed,
        completed=totals.completed(here=here),
        failed=totals.failed,
        lost=totals.lost,
        released=totals.released,
        expired=totals.expired,
        cancelled=totals.cancelled,
        duplicates=totals.duplicates,
        dropped=totals.dropped,
        oldest_ready_ms=0 if oldest_ms is None else now_ms - oldest_ms,
        queues=len(queues),
        content_bytes=table.tally.content_bytes,
        memory_bytes=table.memory_bytes(),
    )


def pushed_record(queue: str, first_id: int, jobs: NewJobs, now_ms: int) -> records.Pushed:
    """What a push reports."""
    return records.Pushed(
        queue,
        first_id,
        now_ms,
        jobs.payloads,
        jobs.run_ats_ms,
        jobs.priorities,
        jobs.max_attempts,
        jobs.backoffs_ms,
        jobs.jitters,
        jobs.held,
    )
