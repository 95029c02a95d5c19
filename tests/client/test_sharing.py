"""Workers leave to others what they do not run."""

import threading

import pytest

from magicqueue import Job, SyncQueue, SyncWorker
from patience import PATIENCE_S


def test_two_workers_share_jobs_fairly(url: str, name: str) -> None:
    """Each job waits for one that the other worker runs: nobody can go on alone."""
    both = threading.Barrier(2)
    workers = [
        SyncWorker(name, lambda _: both.wait(PATIENCE_S), url=url, grace=0)
        for _ in range(2)
    ]
    finished = threading.Event()
    with SyncQueue(name, url) as queue:
        queue.push_batch(list(range(100)))
        try:
            with workers[0], workers[1]:
                for _ in range(int(PATIENCE_S * 50)):
                    if queue.stats().completed == 100:
                        break
                    finished.wait(0.02)
        finally:
            both.abort()
        counts = queue.stats()
    assert [worker.completed for worker in workers] == [50, 50]
    assert (counts.completed, counts.failed, counts.lost) == (100, 0, 0)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_job_of_a_higher_priority_is_next(url: str, name: str, concurrency: int) -> None:
    begun = threading.Semaphore(0)
    go_on = threading.Event()
    order: list[str] = []

    def handler(job: Job) -> None:
        order.append(job.data)
        begun.release()
        go_on.wait(PATIENCE_S)

    worker = SyncWorker(name, handler, url=url, concurrency=concurrency)
    with SyncQueue(name, url) as queue:
        queue.push_batch(["first"] * concurrency + ["later"] * 20)
        with worker:
            try:
                for _ in range(concurrency):
                    assert begun.acquire(timeout=PATIENCE_S)
                queue.push("urgent", priority=9)
            finally:
                go_on.set()
            for _ in range(21):
                assert begun.acquire(timeout=PATIENCE_S)
    assert order[:concurrency] == ["first"] * concurrency
    assert "urgent" in order[concurrency : 2 * concurrency], order
