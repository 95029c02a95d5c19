"""Limits, throttles and several queues, from either client and workers to a real server."""

import time
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import FakeServer
from client.running import KINDS, running
from magicqueue import GroupLimits, Job, Rate, SyncQueue, Throttle, Unsupported
from patience import PATIENCE_S


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def until(condition: Any) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


@pytest.mark.parametrize("client", CLIENTS)
def test_limits_are_set_told_and_kept_to(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.push_batch(range(5))
        told = queue.limit(concurrency=2, rate=Rate(10, per=3600), group=GroupLimits(1))
        assert (told.concurrency, told.rate.jobs, told.rate.per) == (2, 10, 3_600_000)
        assert (told.rate.burst, told.group.concurrency) == (10, 1)
        assert queue.limit(group=None).group is None
        assert queue.limit() == queue.stats().limits
        assert len(queue.pull_batch(9, timeout=0)) == 2
        assert queue.pull(timeout=0) is None
        queue.limit(concurrency=None)
        assert len(queue.pull_batch(9, timeout=0)) == 3
        queue.limit(rate=None)
        assert queue.stats().limits is None


@pytest.mark.parametrize("client", CLIENTS)
def test_a_throttle_says_until_when(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.push(1)
        until_s = queue.throttle(3600)
        assert until_s * 1000 == queue.stats().throttled_until
        assert queue.throttle(1) == until_s
        assert queue.pull(timeout=0) is None
        assert queue.throttle(0) is None
        assert queue.pull(timeout=0).data == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_several_queues_are_pulled_as_one(client: str, url: str, name: str) -> None:
    names = [f"{name}-{n}" for n in range(2)]
    for one in names:
        with SyncQueue(one, url) as queue:
            queue.push_batch([1, 2])
    with opened(client, [names[1], names[0]], url) as queue:
        jobs = queue.pull_batch(3, timeout=0)
        assert [job.queue for job in jobs] == [names[1], names[1], names[0]]
        assert queue.ack_batch(jobs) == []
        for refused in (lambda: queue.push(1), queue.stats, queue.limit):
            with pytest.raises(ValueError, match="several queues"):
                refused()
        assert queue.pull(timeout=0).queue == names[0]
    with pytest.raises(ValueError, match="1 to 64 queues"):
        SyncQueue([])
    with pytest.raises(ValueError, match="'strict' or 'turns'"):
        SyncQueue("q", order="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [{"concurrency": 0}, {"rate": Rate(0)}])
def test_limits_that_cannot_be_are_refused(url: str, limit: dict[str, Any]) -> None:
    with SyncQueue("q", url) as queue, pytest.raises(ValueError, match="must be 1 to"):
        queue.limit(**limit)


def test_an_older_server_is_not_asked(fake: FakeServer) -> None:
    with SyncQueue("q", fake.url, timeout=1) as queue:
        with pytest.raises(Unsupported):
            queue.limit(concurrency=1)
        with pytest.raises(Unsupported):
            queue.throttle(1)
    with SyncQueue(["a", "b"], fake.url, timeout=1) as queue, pytest.raises(Unsupported):
        queue.pull(timeout=0)


def test_a_worker_takes_from_several_queues(kind: str, url: str, name: str) -> None:
    names, seen = [f"{name}-high", f"{name}-low"], []
    for one in reversed(names):
        with SyncQueue(one, url) as queue:
            queue.push_batch([one] * 3)

    def handle(job: Job) -> None:
        seen.append((job.queue, job.data))

    with running(kind, names, handle, url=url):
        until(lambda: len(seen) == 6)
    assert sorted(seen) == sorted([(one, one) for one in names] * 3)


def test_a_throttled_queue_waits_and_the_job_has_not_failed(
    kind: str, url: str, name: str
) -> None:
    attempts: list[int] = []

    def handle(job: Job) -> None:
        attempts.append(job.attempts)
        if job.data == "first" and job.attempts == 1:
            raise Throttle(3600, "429")

    with SyncQueue(name, url) as queue:
        queue.push("first", max_attempts=1)
        with running(kind, name, handle, url=url) as worker:
            until(lambda: queue.stats().released == 1)
            counts = queue.stats()
            assert (counts.failed, counts.dead, counts.queued) == (0, 0, 1)
            assert counts.throttled_until is not None
            queue.throttle(0)
            until(lambda: queue.stats().completed == 1)
            assert (worker.worker.failed, worker.worker.released) == (0, 1)
    assert attempts == [1, 2]
