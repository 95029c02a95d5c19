"""Handlers hear at once that their job was cancelled, or is not theirs any more."""

import asyncio
import threading
import time
from typing import Any

import orjson
import pytest

from client.fake_server import TELLS, FakeServer, Reply, Request, some_jobs
from client.running import KINDS, running
from client.test_worker_wire import giving
from magicqueue import Cancelled, Job, MagicQueueError, Worker
from magicqueue.progress_notes import EVERY_S
from magicqueue.testing import job as made_up_job
from patience import PATIENCE_S

ABLE = {**TELLS, "capabilities": ["cancel", "progress"]}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Desk:
    """A server whose HEARTBEATs wait, until something is told or the next line comes."""

    def __init__(self, fake: FakeServer, jobs: int = 1) -> None:
        self.fake = fake
        self.cancelled: set[int] = set()
        self.missing: set[int] = set()
        self._give = giving(some_jobs(jobs))
        self._parked: tuple[Any, Request] | None = None
        self._lock = threading.Lock()
        fake.hello = lambda _: ABLE
        fake.behave = self._behave

    def _behave(self, connection: Any, request: Request) -> None:
        with self._lock:
            if self._parked is not None and self._parked[0] is connection:
                self._beat(*self._parked)
                self._parked = None
            reply: Reply = {"ok": True}
            if request["cmd"] == "HEARTBEAT":
                named = {item["id"] for item in request["ids"]}
                if request.get("wait") and not named & (self.cancelled | self.missing):
                    self._parked = connection, request
                else:
                    self._beat(connection, request)
                return
            if request["cmd"] != "PROGRESS":
                reply = self._give(request)
            self._send(connection, request, reply)

    def _beat(self, connection: Any, request: Request) -> None:
        named = [item["id"] for item in request["ids"]]
        missing = [one for one in named if one in self.missing]
        cancelled = [one for one in named if one in self.cancelled - self.missing]
        told = {"extended": len(named) - len(missing), "missing": missing}
        self._send(connection, request, {"ok": True, **told, "cancelled": cancelled})

    def _send(self, connection: Any, request: Request, reply: Reply) -> None:
        if reply is not None:
            line = {**reply, "rid": request["rid"]} if "rid" in request else reply
            connection.sendall(json_line(line))

    def tell(self, *, cancelled: int = 0, missing: int = 0) -> None:
        with self._lock:
            self.cancelled |= {cancelled}
            self.missing |= {missing}
            if self._parked is not None:
                self._beat(*self._parked)
                self._parked = None

    def watched(self, *ids: int) -> None:
        """Wait until a waiting HEARTBEAT names these jobs, and perhaps others."""

        def named() -> bool:
            beats = [r for r in self.fake.requests if r["cmd"] == "HEARTBEAT"]
            return any(
                r.get("wait") and set(ids) <= {item["id"] for item in r["ids"]}
                for r in beats
            )

        self.fake.wait_until(named)


def json_line(reply: dict[str, Any]) -> bytes:
    return orjson.dumps(reply) + b"\n"


class Handler:
    """A plain handler that looks now and then whether its job is wanted."""

    def __init__(self, *, raises: bool = True) -> None:
        self.raises = raises
        self.started = threading.Event()
        self.ended = threading.Event()
        self.job: Job | None = None

    def __call__(self, job: Job) -> None:
        self.job = job
        self.started.set()
        end = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < end:
                if self.raises:
                    job.check()
                elif job.cancelled:
                    return
                time.sleep(0.002)
        finally:
            self.ended.set()


def test_a_cancelled_job_ends_soon_and_as_cancelled(kind: str, fake: FakeServer) -> None:
    desk, handler, failed = Desk(fake), Handler(), list[Any]()
    with running(
        kind, "q", handler, url=fake.url, on_error=lambda *told: failed.append(told)
    ) as run:
        desk.watched(1)
        desk.tell(cancelled=1)
        assert handler.ended.wait(PATIENCE_S)
        assert not [one for one in fake.of("HEARTBEAT") if not one.get("wait")], "at once"
        (request,) = fake.wait_for("FAILB")
    (job,) = request["jobs"]
    assert job == {"id": 1, "attempt": 1, "error": "cancelled"}
    assert not failed
    counts = run.worker
    assert (counts.cancelled, counts.failed, counts.completed) == (1, 0, 0)
    assert handler.job is not None
    assert handler.job.cancelled
    assert not handler.job.lost


def test_one_that_ends_well_all_the_same_is_done(kind: str, fake: FakeServer) -> None:
    if kind == "tasks":
        pytest.skip("its task is cancelled")
    desk, handler = Desk(fake), Handler(raises=False)
    with running(kind, "q", handler, url=fake.url) as run:
        desk.watched(1)
        desk.tell(cancelled=1)
        fake.wait_for("ACKB")
    assert (run.worker.cancelled, run.worker.completed) == (0, 1)


def test_one_that_is_not_ours_any_more_has_no_verdict(kind: str, fake: FakeServer) -> None:
    desk, handler = Desk(fake), Handler()
    with running(kind, "q", handler, url=fake.url) as run:
        desk.watched(1)
        desk.tell(missing=1)
        assert handler.ended.wait(PATIENCE_S)
        until(lambda: run.worker.held == 0)
    assert handler.job is not None
    assert handler.job.lost
    assert (run.worker.lost, run.worker.failed, run.worker.cancelled) == (1, 0, 0)
    assert not fake.of("FAILB")
    assert not fake.of("ACKB")


def until(condition: Any) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def run_async(fake: FakeServer, handler: Any, then: Any, **options: Any) -> Worker:
    async def main() -> Worker:
        async with Worker("q", handler, url=fake.url, **options) as worker:
            await asyncio.to_thread(then)
        return worker

    return asyncio.run(main())


def test_an_async_handler_may_tidy_up(fake: FakeServer) -> None:
    desk, seen = Desk(fake), list[str]()

    async def handler(_: Job) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("tidied")
            raise

    def then() -> None:
        desk.watched(1)
        desk.tell(cancelled=1)
        fake.wait_for("FAILB")

    assert run_async(fake, handler, then).cancelled == 1
    assert seen == ["cancelled", "tidied"]


def test_an_async_handler_may_finish_its_work(fake: FakeServer) -> None:
    desk = Desk(fake)

    async def handler(_: Job) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        except asyncio.CancelledError:
            return

    def then() -> None:
        desk.watched(1)
        desk.tell(cancelled=1)
        fake.wait_for("ACKB")

    assert run_async(fake, handler, then).completed == 1


def test_a_fault_in_tidying_up_is_shown(
    fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(fake)

    async def handler(_: Job) -> None:
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            raise OSError("disk")

    def then() -> None:
        desk.watched(1)
        desk.tell(cancelled=1)
        fake.wait_for("FAILB")

    assert run_async(fake, handler, then).failed == 1
    assert "OSError: disk" in caplog.text


@pytest.mark.parametrize("kind", ["threads", "inline", "sync", "sync threads"])
def test_what_is_awaited_for_a_plain_handler_is_cancelled(
    kind: str, fake: FakeServer
) -> None:
    desk = Desk(fake, jobs=2)
    seen: list[str] = []

    async def later(job: Job) -> None:
        if job.id == 1:
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

    def decorated(job: Job) -> Any:
        return later(job)

    with running(kind, "q", decorated, url=fake.url) as run:
        desk.watched(1)
        desk.tell(cancelled=1)
        fake.wait_for("FAILB")
        until(lambda: run.worker.completed == 1)
    assert seen == ["cancelled"]
    assert run.worker.cancelled == 1


def test_a_job_whose_turn_has_not_come_does_not_begin(fake: FakeServer) -> None:
    """It is told of by the heartbeats, which name it too."""
    desk, begun, gate = Desk(fake, jobs=3), list[int](), threading.Event()
    desk.cancelled = {2}

    def handler(job: Job) -> None:
        begun.append(job.id)
        if job.id == 1:
            job.heartbeat()
            gate.wait(PATIENCE_S)

    options: dict[str, Any] = {"prefetch": 5}
    with running("sync", "q", handler, url=fake.url, **options) as run:
        until(lambda: begun and len(run.worker._runner.unstarted) == 1)
        gate.set()
        until(lambda: run.worker.completed == 2)
    assert begun == [1, 3]
    assert run.worker.cancelled == 1


def test_jobs_that_begin_later_are_watched_too(fake: FakeServer) -> None:
    desk = Desk(fake, jobs=2)
    second = threading.Event()

    async def handler(job: Job) -> None:
        if job.id == 2:
            await asyncio.to_thread(second.wait, PATIENCE_S)
        await asyncio.sleep(PATIENCE_S)

    def then() -> None:
        desk.watched(1)
        second.set()
        desk.watched(1, 2)
        desk.tell(cancelled=2)
        (request,) = fake.wait_for("FAILB")
        assert [job["id"] for job in request["jobs"]] == [2]

    run_async(fake, handler, then, grace=0)
    waiting = [r for r in fake.of("HEARTBEAT") if "wait" in r]
    assert len(waiting) < 6
    assert all(r["lease"] == 30_000 for r in waiting)


def test_an_older_server_is_not_asked_to_wait(fake: FakeServer) -> None:
    fake.answer = giving(some_jobs(1))
    handler = Handler()
    with running("threads", "q", handler, url=fake.url, lease=0.6):
        fake.wait_for("HEARTBEAT", 2)
        assert handler.job is not None
        handler.job.cancelled = True  # so that its thread ends
    assert not any("wait" in request for request in fake.of("HEARTBEAT"))


@pytest.mark.parametrize("kind", KINDS)
def test_progress_is_told_soon_and_the_last_counts(kind: str, fake: FakeServer) -> None:
    Desk(fake)
    done, took_s = threading.Event(), [0.0]

    def handler(job: Job) -> None:
        begun = time.monotonic()
        for percent in range(0, 101, 10):
            job.progress(percent, f"{percent} of 100")
        took_s[0] = time.monotonic() - begun
        with pytest.raises(ValueError, match="percent is 200"):
            job.progress(200)
        # in the heartbeats' thread it would end that thread, and the leases with it
        with pytest.raises(ValueError, match="lone surrogate"):
            job.progress(100, "\ud800")
        done.wait(PATIENCE_S)

    with running(kind, "q", handler, url=fake.url):
        fake.wait_until(lambda: any(r.get("percent") == 100 for r in fake.requests))
        done.set()
    told = fake.of("PROGRESS")
    assert len(told) <= 3 + took_s[0] / EVERY_S
    assert (told[-1]["id"], told[-1]["attempt"], told[-1]["note"]) == (1, 1, "100 of 100")


def test_progress_nobody_hears_of_is_said_once(
    fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake.answer = giving(some_jobs(2))

    def handler(job: Job) -> None:
        job.progress(1)
        time.sleep(0.3)
        job.progress(2)

    with running("sync", "q", handler, url=fake.url):
        fake.wait_until(lambda: sum(r["cmd"] == "ACKB" for r in fake.requests) == 2)
    assert caplog.text.count("nobody hears of a job's progress") == 1


def test_a_job_made_for_tests_can_be_cancelled() -> None:
    job = made_up_job()
    job.check()
    job.progress(5, "x")
    job.cancelled = True
    with pytest.raises(Cancelled, match=r"job \d+ was cancelled"):
        job.check()
    assert issubclass(Cancelled, MagicQueueError)
