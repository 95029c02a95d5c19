"""Every invariant of a `JobTable`, each with a name for the day it breaks."""

from magicqueue_cores.contract import JobState
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import PLAIN, WAITING, Queue


def check_table(table: JobTable) -> None:
    """Verify everything: AssertionError names the first that is broken. O(n)."""
    found: dict[int, JobState] = {}
    held = table.leases.check()
    found.update(dict.fromkeys(held, JobState.ACTIVE))
    waiting = table.delayed.check()
    for job_id in waiting:
        _place(found, job_id, JobState.DELAYED)
    for name, queue in table.queues.items():
        assert queue.name == name, f"queue {queue.name!r} is filed under {name!r}"
        _check_queue(table, queue, found)
    assert found.keys() == table.jobs.keys(), "a job is nowhere, or something is no job"
    active: dict[str, int] = dict.fromkeys(table.queues, 0)
    for job_id, job in table.jobs.items():
        assert job.state is found[job_id], f"job {job_id} is not where its state says"
        assert job.lease is held.get(job_id), f"job {job_id} has another lease"
        assert table.queues[job.queue.name] is job.queue, f"job {job_id}: unknown queue"
        assert 0 < job_id <= table.last_id, f"job {job_id} has an id that was never given"
        active[job.queue.name] += job.lease is not None
        if job_id in waiting:
            assert waiting[job_id] == (job.queue.name, job.run_at_ms), f"job {job_id}: time"
        else:
            assert job.place >= PLAIN > WAITING, f"job {job_id} is ready without a key"
    for name, queue in table.queues.items():
        assert queue.active == active[name], f"queue {name!r}: active jobs miscounted"
    dead = sum(len(queue.dead) for queue in table.queues.values())
    assert table.dead_count == dead, "dead letters miscounted"
    payload_bytes = sum(len(job.payload) for job in table.jobs.values())
    assert table.payload_bytes == payload_bytes, "payload bytes miscounted"


def _check_queue(table: JobTable, queue: Queue, found: dict[int, JobState]) -> None:
    for job_id in queue.ready.check(table.jobs):
        _place(found, job_id, JobState.READY)
        assert table.jobs[job_id].queue is queue, f"job {job_id} is ready elsewhere"
    queue.dead.check()
    for job_id in queue.dead:
        _place(found, job_id, JobState.DEAD)
        assert table.jobs[job_id].queue is queue, f"job {job_id} is dead elsewhere"
    for priority, run in queue.ready.runs.items():
        for job_id in (*run.arrivals, *run.returned_keys):
            assert table.jobs[job_id].priority == priority, f"job {job_id}: wrong priority"


def _place(found: dict[int, JobState], job_id: int, state: JobState) -> None:
    assert job_id not in found, f"job {job_id} is in two places"
    found[job_id] = state
