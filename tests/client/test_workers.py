"""What every kind of worker does with the real server."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from client.conftest import Run
from client.real_server import RealServer
from client.running import KINDS, make_worker, running
from magicqueue import BadRequest, Job, Queue, SyncQueue, SyncWorker, Worker
from patience import PATIENCE_S


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def until(queue: SyncQueue, condition: Callable[[], bool]) -> None:
    """Wait by asking the server, so that each look is a whole round trip apart."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        queue.ping()
        assert time.monotonic() < end, queue.stats()


def compute(seconds: float) -> None:
    """Hold the interpreter as pure Python does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_jobs_are_run_and_settled(kind: str, url: str, name: str) -> None:
    done: list[int] = []
    with SyncQueue(name, url) as queue:
        queue.push_many(range(3000))
        with running(kind, name, lambda job: done.append(job.data), url=url) as run:
            until(queue, lambda: queue.stats().completed == 3000)
            assert run.worker.completed == 3000
        assert sorted(done) == list(range(3000))
        assert queue.stats().processing == 0


def test_a_failure_is_reported_retried_and_shown(
    kind: str, url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[tuple[int, str]] = []

    def handler(job: Job) -> None:
        if job.data == "bad":
            raise ValueError("no good")

    def on_error(job: Job, error: BaseException) -> None:
        errors.append((job.attempts, str(error)))
        raise RuntimeError("a hook may fail too")

    with SyncQueue(name, url) as queue:
        queue.push_batch(["good", "bad", "good"], backoff=0, max_attempts=3)
        with running(kind, name, handler, url=url, on_error=on_error) as run:
            until(queue, lambda: queue.stats().dead == 1)
            until(queue, lambda: queue.stats().completed == 2)
        (dead,) = queue.dead().jobs
        message, _, trace = (dead.error or "").partition("\n\n")
        assert (message, dead.failures) == ("ValueError: no good", 3)
        assert trace.endswith('raise ValueError("no good")')
        assert errors == [(attempt, "no good") for attempt in (1, 2, 3)]
        assert (run.worker.failed, run.worker.completed) == (3, 2)
    assert "failed (attempt 2): ValueError: no good" in caplog.text
    assert "on_error itself failed" in caplog.text


@pytest.mark.parametrize("busy", ["inline", "starving", "sync threads"])
def test_a_handler_that_computes_keeps_its_lease(busy: str, url: str, name: str) -> None:
    jobs: list[Job] = []

    def handler(job: Job) -> None:
        jobs.append(job)
        compute(2.4)

    with SyncQueue(name, url) as queue:
        queue.push(1)
        with running(busy, name, handler, url=url, lease=0.8):
            until(queue, lambda: queue.stats().completed == 1)
        assert [job.lost for job in jobs] == [False]
        assert queue.stats().lost == 0


def test_each_of_a_batch_of_slow_jobs_is_settled(kind: str, url: str, name: str) -> None:
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(6))
        with running(kind, name, lambda _: compute(0.03), url=url):
            until(queue, lambda: queue.stats().completed == 6)
        assert queue.stats().lost == 0


def test_no_more_than_allowed_is_held(kind: str, url: str, name: str) -> None:
    gate = threading.Semaphore(0)
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(20))

        def handler(_: Job) -> None:
            assert gate.acquire(timeout=PATIENCE_S)

        options = {"batch_size": 3, "concurrency": 3}
        at_once = 1 if kind in {"inline", "sync"} else 3
        with running(kind, name, handler, url=url, **options) as run:
            until(queue, lambda: queue.stats().processing == at_once)
            until(queue, lambda: run.worker.held == at_once)
            assert queue.stats().processing == at_once
            gate.release(20)
            until(queue, lambda: queue.stats().completed == 20)


def test_stopping_finishes_what_is_held(kind: str, url: str, name: str) -> None:
    started, gate = threading.Event(), threading.Event()
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(2))

        def handler(_: Job) -> None:
            started.set()
            assert gate.wait(PATIENCE_S)

        with running(kind, name, handler, url=url, batch_size=1, concurrency=1) as run:
            assert started.wait(PATIENCE_S)
            stopping = threading.Thread(target=run.stop)
            stopping.start()
            gate.set()
            stopping.join(PATIENCE_S)
            assert run.worker.held == 0
        stats = queue.stats()
        assert (stats.completed, stats.processing, stats.queued) == (1, 0, 1)
        queue.drain()


@pytest.mark.parametrize("threaded", ["threads", "sync threads"])
def test_what_is_not_finished_within_the_grace_goes_back(
    threaded: str, url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    started, gate = threading.Event(), threading.Event()
    with SyncQueue(name, url) as queue:
        queue.push(1)

        def handler(_: Job) -> None:
            started.set()
            gate.wait(PATIENCE_S)

        with running(threaded, name, handler, url=url, grace=0.05) as run:
            assert started.wait(PATIENCE_S)
            run.stop()
        until(queue, lambda: queue.stats().queued == 1)
        gate.set()
        assert queue.stats().lost == 0
        queue.drain()
    assert "1 jobs go back" in caplog.text


def test_tasks_are_cancelled_when_the_grace_is_over(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def handler(_: Job) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with Queue(name, url) as queue:
            await queue.push(1)
            async with Worker(name, handler, url=url, grace=0):
                await started.wait()
            assert cancelled.is_set()
            stats = await queue.stats()
            assert (stats.queued, stats.lost) == (1, 0)
            await queue.drain()

    run(main())


def test_tasks_run_side_by_side_each_in_its_context(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(5)
        tasks: set[object] = set()

        async def handler(_: Job) -> None:
            tasks.add(asyncio.current_task())
            async with asyncio.timeout(PATIENCE_S):
                await barrier.wait()

        async with Queue(name, url) as queue:
            await queue.push_batch(range(10))
            async with Worker(name, handler, url=url, concurrency=5) as worker:
                while worker.completed < 10:
                    await queue.ping()
            assert len(tasks) == 10

    run(main())


def test_a_handlers_own_cancellation_is_a_failure(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async def handler(_: Job) -> None:
            raise asyncio.CancelledError

        async with Queue(name, url) as queue:
            await queue.push(1, max_attempts=1)
            async with Worker(name, handler, url=url):
                while not (await queue.stats()).dead:
                    pass
            error = str((await queue.dead()).jobs[0].error)
            assert error.startswith("CancelledError\n\n")

    run(main())


@pytest.mark.parametrize("threaded", ["threads", "sync threads"])
def test_a_handler_that_exits_its_thread_has_failed(
    threaded: str, url: str, name: str
) -> None:
    with SyncQueue(name, url) as queue:
        queue.push(2, max_attempts=1)
        with running(threaded, name, lambda job: sys.exit(job.data), url=url):
            until(queue, lambda: queue.stats().dead == 1)
        assert str(queue.dead().jobs[0].error).startswith("SystemExit: 2\n\n")


def test_wrong_settings_are_refused_at_once() -> None:
    async def handler(_: Job) -> None: ...

    with pytest.raises(ValueError, match="inline"):
        Worker("q", handler, inline=True)
    with pytest.raises(TypeError, match="Worker"):
        SyncWorker("q", handler)
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ValueError, "batch_size", {"batch_size": 0}),
        (TypeError, "concurrency", {"concurrency": 2.5}),
        (ValueError, "prefetch", {"prefetch": -1}),
        (ValueError, "lease", {"lease": 0}),
        (TypeError, "grace", {"grace": "30"}),
    ]
    for error, words, options in cases:
        with pytest.raises(error, match=words):
            Worker("q", handler, **options)


def test_a_refusal_for_good_ends_it(kind: str, url: str) -> None:
    worker = make_worker(kind, "x" * 300, print, url=url)

    def work() -> None:
        if isinstance(worker, SyncWorker):
            worker.run()
        else:
            asyncio.run(worker.run())

    with pytest.raises(BadRequest, match="300 bytes"):
        work()


class Heard(logging.Handler):
    """Waits for a log message."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.heard.set()


@pytest.fixture
def waiting_is_logged() -> Any:
    handler = Heard("waiting for a server: no server answers at 127.0.0.1")
    logger = logging.getLogger("magicqueue")
    logger.addHandler(handler)
    yield handler.heard
    logger.removeHandler(handler)


def test_a_worker_waits_for_its_server_and_comes_back_to_it(
    kind: str, own_server: RealServer, name: str, waiting_is_logged: threading.Event
) -> None:
    done: list[int] = []
    own_server.kill()
    with running(kind, name, lambda job: done.append(job.data), url=own_server.url) as run:
        assert waiting_is_logged.wait(PATIENCE_S)
        for round_number in range(3):
            own_server.start()
            with SyncQueue(name, own_server.url) as queue:
                queue.push(round_number)
                until(queue, lambda: queue.stats().completed == 1)
            own_server.kill()
        assert done == [0, 1, 2]
        run.stop()


def test_a_worker_that_never_found_its_server_stops_at_once(
    kind: str, waiting_is_logged: threading.Event
) -> None:
    with running(kind, "q", print, url="127.0.0.1:1") as run:
        assert waiting_is_logged.wait(PATIENCE_S)
        run.stop()
    assert run.worker.completed == 0
