"""`SyncQueue` against the real server."""

import errno
import os
import threading
import time

import pytest

from client.fake_server import FakeServer
from client.real_server import RealServer
from magicqueue import (
    Closed,
    ConnectionRefused,
    NewJob,
    NotFound,
    NotJson,
    SyncQueue,
    TooLarge,
    Unsupported,
    commands,
)
from patience import PATIENCE_S


def test_a_job_goes_all_the_way(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        job_id = queue.push({"to": "ada"}, priority=3)
        assert queue.job(job_id).state == "ready"
        job = queue.pull(lease=10)
        assert job is not None
        assert (job.id, job.data, job.attempts) == (job_id, {"to": "ada"}, 1)
        assert queue.heartbeat(job, lease=60) == []
        queue.ack(job)
        with pytest.raises(NotFound, match=f"job {job_id}"):
            queue.ack(job)
        assert queue.heartbeat(job) == [job_id]
        assert job.lost


def test_batches(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        assert len(queue.push_batch([1, NewJob(2, priority=9)])) == 2
        assert queue.push_batch([]) == []
        ids = queue.push_many(range(12_345), batch_size=1000, window=3)
        assert ids == list(range(ids[0], ids[0] + 12_345))
        jobs = queue.pull_batch(2)
        assert [job.data for job in jobs] == [2, 1]
        assert queue.ack_batch(jobs) == []
        with pytest.raises(NotJson, match="item 1"):
            queue.push_batch([1, {2}])
        with pytest.raises(TooLarge) as caught:
            queue.push_many([1, 2, "x" * 2_000_000, 3], batch_size=1, window=2)
        assert caught.value.__notes__ == ["push_many had stored 3 jobs by then"]
        assert queue.drain() == 12_348


def test_large_batches_cannot_deadlock(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        ids = queue.push_many(("x" * 1000 for _ in range(60_000)), window=16)
        assert len(ids) == 60_000
        queue.drain()


def test_failing_and_dead_letters(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        ids = queue.push_batch(range(5), max_attempts=1)
        for job in queue.pull_batch(5):
            assert queue.fail(job, KeyError("k")) == "dead"
        assert [job.id for job in queue.all_dead(page_size=2)] == ids
        assert queue.dead(2).next == ids[1]
        assert queue.dead().jobs[0].error == "KeyError: 'k'"
        assert queue.retry_dead(ids[0]) == 1
        assert queue.purge_dead() == 4
        assert queue.drain() == 1


def test_releasing_and_a_word_on_the_retry(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(2))
        jobs = queue.pull_batch(2)
        assert queue.fail(jobs[0], retry=False) == "dead"
        assert queue.release(jobs[1], delay=3600) == []
        assert queue.stats().delayed == 1


def test_an_older_server_is_not_asked_for_what_it_would_ignore(fake: FakeServer) -> None:
    with SyncQueue("q", fake.url) as queue:
        with pytest.raises(Unsupported, match="does not offer 'fail_options'"):
            queue.fail(1, retry=False)
        with pytest.raises(Unsupported, match="does not offer 'release'"):
            queue.release(1)
    assert fake.requests == []


def test_queues_are_listed_page_by_page(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_QUEUES_PAGE", 2)
    names = [f"{name}{number}" for number in range(5)]
    with SyncQueue(name, url) as queue:
        for each in names:
            with SyncQueue(each, url) as other:
                other.push(1)
        listed = [counts.name for counts in queue.queues()]
        assert [each for each in listed if each in names] == names


def test_administration(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        queue.ping()
        queue.pause()
        queue.push(1)
        assert queue.pull(timeout=0) is None
        assert queue.stats().paused
        queue.resume()
        assert any(counts.name == name for counts in queue.queues())
        assert queue.server_stats().queues > 0
        assert queue.hello().server == "magicqueue"
        assert queue.drain() == 1


def test_a_pull_in_one_thread_holds_no_other_back(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        pulled: list[object] = []

        def pull() -> None:
            job = queue.pull()
            assert job is not None
            pulled.append(job.data)

        threads = [threading.Thread(target=pull) for _ in range(2)]
        for thread in threads:
            thread.start()
        while queue.server_stats().waiting < 2:
            pass
        queue.push_batch([1, 2])
        for thread in threads:
            thread.join(PATIENCE_S)
        assert sorted(map(str, pulled)) == ["1", "2"]


def test_threads_share_a_queue(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        ids: list[int] = []

        def push() -> None:
            ids.extend(queue.push(number) for number in range(200))

        threads = [threading.Thread(target=push) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert len(set(ids)) == 800
        assert queue.drain() == 800


def test_a_pull_ends_in_time(url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        before = time.monotonic()
        assert queue.pull(timeout=0.05) is None
        assert time.monotonic() - before > 0.04


def test_closed_and_refused(url: str, name: str) -> None:
    queue = SyncQueue(name, url)
    queue.push(1)
    queue.close()
    with pytest.raises(Closed):
        queue.push(1)
    with pytest.raises(Closed):
        queue.pull()
    with pytest.raises(ConnectionRefused, match="magicqueue serve") as refused:
        SyncQueue(name, "127.0.0.1:1").push(1)
    assert refused.value.address == "127.0.0.1:1"
    assert refused.value.reason == os.strerror(errno.ECONNREFUSED)


def test_a_restart_between_requests_is_not_noticed(
    own_server: RealServer, name: str
) -> None:
    with SyncQueue(name, own_server.url) as queue:
        queue.push(1)
        own_server.kill()
        starting = threading.Thread(target=own_server.start)
        starting.start()
        assert queue.push(2) == 1
        starting.join()
