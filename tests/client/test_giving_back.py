"""What workers hold, what they give back, and what a handler may say of its job."""

import asyncio
import functools
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from client.conftest import Run
from client.running import KINDS, running
from client.test_workers import until
from magicqueue import (
    Discard,
    Job,
    JobLogFilter,
    Queue,
    Retry,
    SyncQueue,
    Worker,
    current_job,
)
from magicqueue.failures import text_of
from magicqueue.protocol import Command
from magicqueue.room import Room
from magicqueue.sync_channel import SyncChannel
from magicqueue.wire.limits import ERROR_CHARS_MAX
from patience import PATIENCE_S


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", ["threads", "sync threads"])
def test_stops_do_no_harm(kind: str, url: str, name: str) -> None:
    """More often than a job may be lost."""
    gate = threading.Event()
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(12))
        for _ in range(5):
            started = threading.Event()

            def handler(_: Job, started: threading.Event = started) -> None:
                started.set()
                gate.wait(PATIENCE_S)

            options = {"concurrency": 2, "prefetch": 4, "grace": 0}
            with running(kind, name, handler, url=url, **options) as run:
                assert started.wait(PATIENCE_S)
                until(queue, lambda: queue.stats().processing == 6)
                run.stop()
                assert run.worker.released >= 6
        gate.set()
        stats = queue.stats()
        assert (stats.queued, stats.dead, stats.lost, stats.failed) == (12, 0, 0, 0)
        queue.drain()


def test_a_stopped_workers_own_pull_takes_nothing(kind: str, url: str, name: str) -> None:
    """It still waits at the server when the job that was cut off goes back."""
    started, gate = threading.Event(), threading.Event()

    def handler(_: Job) -> None:
        started.set()
        gate.wait(PATIENCE_S)

    if kind in {"inline", "sync"}:
        pytest.skip("they do not pull while a handler runs")
    with SyncQueue(name, url) as queue:
        queue.push(1)
        with running(kind, name, handler, url=url, grace=0.05) as run:
            assert started.wait(PATIENCE_S)
            run.stop()
            gate.set()  # the loop's end waits for its threads
        assert (queue.stats().queued, queue.stats().lost) == (1, 0)
        queue.drain()


@pytest.mark.parametrize("in_turn", ["inline", "sync"])
def test_jobs_behind_a_slow_one_go_back(in_turn: str, url: str, name: str) -> None:
    started, gate = threading.Event(), threading.Event()

    def handler(job: Job) -> None:
        if job.data == "slow":
            started.set()
            gate.wait(PATIENCE_S)

    with SyncQueue(name, url) as queue:
        queue.pause()
        queue.push_batch(range(500))
        queue.push("slow")
        queue.push_batch(range(100))
        queue.resume()
        with running(in_turn, name, handler, url=url):
            assert started.wait(PATIENCE_S)
            until(queue, lambda: queue.stats().processing == 1)
            assert queue.stats().completed == 500
            gate.set()
            until(queue, lambda: queue.stats().completed == 601)
        assert queue.stats().lost == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tasks"])
def test_a_slow_release_of_what_waits_stops_no_worker(
    kind: str, url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those jobs are held until then, and the handler that they waited for has ended.

    Tasks wait for no turn, so nothing of theirs is released.
    """
    releasing, go_on, ended = (threading.Event() for _ in range(3))
    request = SyncChannel.request

    def slowly(channel: SyncChannel, command: Command[object]) -> object:
        if b"RELEASE" in command.line and not go_on.is_set():
            releasing.set()
            assert go_on.wait(PATIENCE_S)
        return request(channel, command)

    def handler(job: Job) -> None:
        if job.data == "slow":
            assert ended.wait(PATIENCE_S)

    monkeypatch.setattr(SyncChannel, "request", slowly)
    with SyncQueue(name, url) as queue:
        queue.pause()
        queue.push_batch(range(300))
        queue.push("slow")
        queue.push_batch(range(50))
        queue.resume()
        options = {} if kind in {"inline", "sync"} else {"concurrency": 1}
        with running(kind, name, handler, url=url, **options):
            assert releasing.wait(PATIENCE_S)
            ended.set()
            until(queue, lambda: queue.stats().completed >= 301)
            go_on.set()
            until(queue, lambda: queue.stats().completed == 351)
        assert queue.stats().lost == 0


def test_room_is_by_measure_unless_told() -> None:
    room = Room(2, 50, None)
    assert room.to_pull(0) == 2
    room.measured(10, 10.0)
    assert (room.to_pull(0), room.to_pull(2)) == (2, 0)
    for _ in range(9):
        room.measured(10, 0.0001)
    assert room.to_pull(0) == 52
    assert room.to_pull(51) == 0
    assert room.to_pull(2) == 50
    room.measured(10, 0.12)
    assert room.to_pull(2) == 5
    room.stalled()
    assert room.to_pull(2) == 0
    told = Room(2, 50, 7)
    told.measured(10, 0.0)
    told.stalled()
    assert told.to_pull(0) == 9


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt(), MemoryError()])
def test_what_a_handler_raises_ends_its_job_only(
    kind: str, error: BaseException, url: str, name: str
) -> None:
    def handler(job: Job) -> None:
        if job.data == "bad":
            raise error

    with SyncQueue(name, url) as queue:
        queue.push_batch(["bad", "good"], max_attempts=1)
        chosen = "starving" if kind == "tasks" else kind
        with running(chosen, name, handler, url=url) as run:
            until(queue, lambda: queue.stats().completed == 1)
            until(queue, lambda: queue.stats().dead == 1)
            run.stop()
        assert str(queue.dead().jobs[0].error).startswith(type(error).__name__)
        queue.purge_dead()


class AsAwaitable:
    """Four ways of giving a worker what is to be awaited."""

    def __init__(self, seen: list[object]) -> None:
        self.seen = seen

    async def method(self, job: Job) -> None:
        await asyncio.sleep(0)
        self.seen.append(job.data)

    def wrapped(self) -> Callable[[Job], Any]:
        @functools.wraps(self.method)
        def wrapper(job: Job) -> Any:
            return self.method(job)

        return wrapper

    def unmarked(self) -> Callable[[Job], Any]:
        def plain(job: Job) -> Any:
            return self.method(job)

        return plain

    def partial(self) -> Callable[[Job], Any]:
        return functools.partial(self.wrapped())


@pytest.mark.parametrize("kind", ["threads", "inline", "sync", "sync threads"])
@pytest.mark.parametrize("way", ["wrapped", "unmarked", "partial"])
def test_what_a_plain_handler_returns_is_awaited(
    kind: str, way: str, url: str, name: str
) -> None:
    seen: list[object] = []
    handler = getattr(AsAwaitable(seen), way)()
    with SyncQueue(name, url) as queue:
        queue.push_batch(range(5))
        with running(kind, name, handler, url=url):
            until(queue, lambda: queue.stats().completed == 5)
    assert sorted(map(str, seen)) == list("01234")


def test_a_handler_says_never_again_or_when(kind: str, url: str, name: str) -> None:
    def handler(job: Job) -> None:
        if job.data == "never":
            raise Discard("bad address")
        if job.data == "later":
            raise Retry("busy", after=3600)
        if job.attempts == 1:
            raise Retry

    with SyncQueue(name, url) as queue:
        queue.push_batch(["never", "later", "again"], backoff=0)
        with running(kind, name, handler, url=url):
            until(queue, lambda: queue.stats().completed == 1)
            until(queue, lambda: queue.stats().dead == 1)
            until(queue, lambda: queue.stats().delayed == 1)
        (dead,) = queue.dead().jobs
        assert (dead.data, dead.failures) == ("never", 1)
        assert str(dead.error).startswith("Discard: bad address\n\nTraceback")
        queue.purge_dead()
        queue.drain()


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_that_hangs_fails_its_job(kind: str, url: str, name: str) -> None:
    gate = threading.Event()
    with SyncQueue(name, url) as queue:
        queue.push(1, max_attempts=1)
        handler = functools.partial(_hang, gate)
        options = {"time_limit": 0.1, "concurrency": 2}
        with running(kind, name, handler, url=url, **options) as run:
            until(queue, lambda: queue.stats().dead == 1)
            if kind not in {"inline", "sync"}:
                queue.push_batch([2, 2, 2])
                until(queue, lambda: queue.stats().completed == 3)
            gate.set()
            run.stop()
        assert "timed out after 0.1 s" in str(queue.dead().jobs[0].error)
        assert run.worker.lost == 0
        queue.purge_dead()


def _hang(gate: threading.Event, job: Job) -> None:
    if job.data == 1:
        gate.wait(PATIENCE_S)


def test_the_message_comes_first_and_the_end_of_the_traceback_is_kept() -> None:
    def even(level: int) -> None:
        odd(level - 1)

    def odd(level: int) -> None:
        if level > 0:
            even(level - 1)
        raise ValueError("x" * 9000)

    with pytest.raises(ValueError, match="xxx") as raised:
        even(80)
    text = text_of(raised.value)
    assert len(text) == ERROR_CHARS_MAX
    message, _, trace = text.partition("\n\n")
    assert message.startswith("ValueError: xxx")
    assert trace.endswith('raise ValueError("x" * 9000)')


def test_the_log_says_which_job(
    kind: str, url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(JobLogFilter())
    seen: list[Job | None] = []

    def handler(_: Job) -> None:
        seen.append(current_job())
        logging.getLogger("mine").info("hello")

    with SyncQueue(name, url) as queue:
        job_id = queue.push(1)
        with running(kind, name, handler, url=url):
            until(queue, lambda: queue.stats().completed == 1)
    assert [job and job.id for job in seen] == [job_id]
    assert current_job() is None
    (done,) = (r for r in caplog.records if " done in " in r.getMessage())
    assert (done.__dict__["job"], done.__dict__["queue"]) == (job_id, name)
    assert done.__dict__["duration_ms"] >= 0
    (mine,) = (r for r in caplog.records if r.name == "mine")
    assert (mine.__dict__["job"], mine.__dict__["attempt"]) == (job_id, 1)


def test_exits_of_a_task_do_not_end_the_loop(run: Run, url: str, name: str) -> None:
    async def main() -> None:
        async def handler(job: Job) -> None:
            await asyncio.sleep(0)
            if job.data:
                sys.exit(3)

        async with Queue(name, url) as queue:
            await queue.push_batch([1, 0], max_attempts=1)
            async with Worker(name, handler, url=url) as worker:
                while worker.completed + worker.failed < 2:
                    await queue.ping()
            assert worker.failed == 1
            await queue.purge_dead()

    run(main())
