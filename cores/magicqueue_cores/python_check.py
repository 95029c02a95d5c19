"""Every invariant of a `JobTable`, each with a name for the day it breaks."""

from magicqueue_cores.contract import JobState
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import PLAIN, UNWORKED, WAITING, Queue


def check_table(table: JobTable) -> None:
    """Verify everything: AssertionError names the first that is broken. O(n)."""
    found: dict[int, JobState] = {}
    table.names.check(set(table.queues))
    held = table.leases.check()
    found.update(dict.fromkeys(held, JobState.ACTIVE))
    waiting = table.delayed.check()
    for job_id in waiting:
        _place(found, job_id, JobState.DELAYED)
    for name, queue in table.queues.items():
        assert queue.name == name, f"queue {queue.name!r} is filed under {name!r}"
        _check_queue(table, queue, found)
    assert found.keys() == table.jobs.keys(), "a job is nowhere, or something is no job"
    assert table.marked <= table.jobs.keys(), "a mark outlives its job"
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
    assert table.ruled <= table.queues.keys(), "a ruled queue is not known"
    assert table.roomy == table.ruled & table.watched, "who waits for room is forgotten"
    _check_totals(table)
    _check_tally(table)


def _check_totals(table: JobTable) -> None:
    """Count what all queues have together; what forgotten ones had is not here."""
    totals, here, queues = table.totals, len(table.jobs), table.queues.values()
    active = sum(queue.active for queue in queues)
    assert totals.processing(here=here) == active, "active jobs miscounted in all"
    assert totals.paused == sum(queue.paused for queue in queues), "paused miscounted"
    completed = sum(queue.completed for queue in queues)
    assert totals.completed(here=here) >= completed, "done jobs miscounted in all"
    for total in ("pushed", "failed", "lost", "released", *UNWORKED, "duplicates"):
        known = sum(getattr(queue, total) for queue in queues)
        assert getattr(totals, total) >= known, f"{total} jobs miscounted in all"
    oldest_ms: dict[str, int] = {}
    for queue in queues:
        for run in queue.ready.runs.values():
            for job_id in run.members():
                run_at_ms = table.jobs[job_id].run_at_ms
                oldest_ms[queue.name] = min(run_at_ms, oldest_ms.get(queue.name, run_at_ms))
    table.oldest.check(oldest_ms)


def _check_tally(table: JobTable) -> None:
    """Count all that takes memory anew; leases and delays are looked at in their places."""
    tally, jobs = table.tally, table.jobs.values()
    histories = [job.history for job in jobs if job.history is not None]
    texts = [history.text for history in histories if history.text is not None]
    payload_bytes = sum(len(job.payload) for job in jobs)
    assert tally.payload_bytes == payload_bytes, "payload bytes miscounted"
    assert tally.histories == len(histories), "histories miscounted"
    assert tally.texts == len(texts), "error texts miscounted"
    assert tally.text_bytes == sum(map(len, texts)), "bytes of error texts miscounted"
    names = sum(len(name.encode(errors="surrogatepass")) for name in table.queues)
    assert tally.name_bytes == names, "bytes of names miscounted"
    runs = [queue.ready.runs for queue in table.queues.values()]
    more = sum(max(0, len(each) - 1) for each in runs)
    assert tally.runs == more, "distinct priorities miscounted"
    returned = sum(len(run.returned_keys) for each in runs for run in each.values())
    assert tally.returned == returned, "jobs that came back miscounted"
    for queue in table.queues.values():
        size = sum(table.jobs[job_id].content_bytes for job_id in queue.dead)
        assert queue.dead.content_bytes == size, f"queue {queue.name!r}: dead bytes"


def _check_queue(table: JobTable, queue: Queue, found: dict[int, JobState]) -> None:
    for job_id in queue.ready.check(table.jobs):
        _place(found, job_id, JobState.READY)
        assert table.jobs[job_id].queue is queue, f"job {job_id} is ready elsewhere"
    queue.dead.check()
    for job_id in queue.dead:
        _place(found, job_id, JobState.DEAD)
        assert table.jobs[job_id].queue is queue, f"job {job_id} is dead elsewhere"
    for priority, run in queue.ready.runs.items():
        for job_id in run.members():
            assert table.jobs[job_id].priority == priority, f"job {job_id}: wrong priority"


def _place(found: dict[int, JobState], job_id: int, state: JobState) -> None:
    assert job_id not in found, f"job {job_id} is in two places"
    found[job_id] = state
