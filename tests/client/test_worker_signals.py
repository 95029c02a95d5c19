"""A worker as a process: signals, as an init system or Ctrl-C sends them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from client.fake_server import FakeServer
from client.running import make_worker
from magicqueue import Job, SyncQueue, SyncWorker, Worker, stop_signals
from magicqueue.stop_signals import StopSignal, watched_signals
from patience import PATIENCE_S

PROGRAM = """
import asyncio, signal, sys, threading
from patience import PATIENCE_S
from magicqueue import SyncWorker, Worker, stop_signals, sync_worker, worker
kind, name, url, *more = sys.argv[1:]
if "elsewhere" in more:
    # the kernel gives the signal to this thread, so no call of the main one is broken off
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals.STOP_SIGNALS)
if "same" in more:
    stop_signals.SAME_SIGNAL_S = 3600.0
    class StopSignal(stop_signals.StopSignal):
        def __call__(self, number):
            super().__call__(number)
            print("signal", number, flush=True)
        def repeat_left_s(self):
            return 0.0
    sync_worker.StopSignal = worker.StopSignal = StopSignal

def handler(job):
    print("started", job.data, flush=True)
    if job.data == "wait":
        sys.stdin.readline()
    print("ended", job.data, flush=True)

async def async_handler(job):
    print("started", job.data, flush=True)
    if job.data == "wait":
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print("ended", job.data, flush=True)

options = {"url": url, "batch_size": 1}
if kind == "tasks":
    asyncio.run(Worker(name, async_handler, concurrency=1, **options).run())
elif kind == "threads":
    asyncio.run(Worker(name, handler, concurrency=1, **options).run())
else:
    options["concurrency"] = 2 if kind == "sync threads" else 1
    SyncWorker(name, handler, **options).run()
print("stopped", flush=True)
"""


KINDS = ["tasks", "threads", "sync", "sync threads"]


@pytest.fixture(params=KINDS)
def process(
    request: pytest.FixtureRequest, url: str, name: str
) -> Iterator[subprocess.Popen[str]]:
    with worker_process(request.param, name, url) as child:
        yield child


@contextlib.contextmanager
def worker_process(
    kind: str, name: str, url: str, *more: str
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, name, url, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        yield child
        child.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_finishes_what_is_held(
    process: subprocess.Popen[str], number: signal.Signals, url: str, name: str
) -> None:
    with SyncQueue(name, url) as queue:
        queue.push("wait")
        assert line_of(process) == "started wait"
        process.send_signal(number)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_of(process) == "ended wait"
        assert line_of(process) == "stopped"
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert queue.stats().completed == 1


def test_an_idle_worker_stops_at_once(
    process: subprocess.Popen[str], url: str, name: str
) -> None:
    with SyncQueue(name, url) as queue:
        queue.push("quick")
        assert line_of(process) == "started quick"
        assert line_of(process) == "ended quick"
        while not queue.stats().completed:
            pass
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "stopped"
        assert process.wait(PATIENCE_S) == 0


def test_a_second_signal_ends_it_and_the_job_goes_back(
    process: subprocess.Popen[str], url: str, name: str
) -> None:
    with SyncQueue(name, url) as queue:
        queue.push("wait")
        assert line_of(process) == "started wait"
        process.send_signal(signal.SIGTERM)
        while process.poll() is None and queue.stats().processing:
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        while queue.stats().queued != 1:
            pass
        queue.drain()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_that_breaks_off_no_call_ends_a_wait_too(
    kind: str, fake: FakeServer
) -> None:
    """As one does that comes just before the worker's poll."""
    with worker_process(kind, "q", fake.url, "elsewhere") as process:
        fake.wait_for("PULLB")
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "stopped"
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_signal_sent_twice_kills_nothing(kind: str, url: str, name: str) -> None:
    with SyncQueue(name, url) as queue, worker_process(kind, name, url, "same") as process:
        queue.push("wait")
        assert line_of(process) == "started wait"
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            assert line_of(process) == f"signal {number:d}"
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_of(process) == "ended wait"
        assert process.wait(PATIENCE_S) == 0
        assert queue.stats().completed == 1


class Clock:
    """Time that a test sets, and what became of the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5.0
        self.exits: list[int] = []
        self.slept: list[float] = []
        # that module's own: threads that other tests left behind live by the true time
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.slept.append)
        monkeypatch.setattr(stop_signals, "time", clock)
        monkeypatch.setattr(os, "_exit", self.exits.append)


def test_what_comes_within_an_instant_is_the_same_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    asked: list[float] = []
    stop = StopSignal(lambda: asked.append(clock.now))
    stop(signal.SIGTERM)
    clock.now += 0.15
    stop(signal.SIGTERM)
    assert clock.exits == []
    assert stop.repeat_left_s() == pytest.approx(0.05)
    clock.now += 0.1
    assert stop.repeat_left_s() == 0
    stop(signal.SIGINT)
    assert clock.exits == [130]
    assert asked == [5.0, 5.15, 5.25]


def test_a_child_never_exits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    stop = StopSignal(lambda: None, only_asks=True)
    for _ in range(9):
        stop(signal.SIGTERM)
        clock.now += 1
    assert clock.exits == []
    assert stop.repeat_left_s() == 0


def test_signals_are_caught_until_no_repeat_can_come_and_then_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Event()
    before = [signal.getsignal(number) for number in stop_signals.STOP_SIGNALS]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    fd_before = signal.set_wakeup_fd(wake)
    try:
        clock = Clock(monkeypatch)
        with watched_signals(StopSignal(asked.set)):
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked.wait(PATIENCE_S)
        assert clock.slept == [pytest.approx(0.2)]
    finally:
        assert signal.set_wakeup_fd(fd_before) == wake
        os.close(woken)
        os.close(wake)
    assert [signal.getsignal(number) for number in stop_signals.STOP_SIGNALS] == before


@pytest.mark.parametrize("kind", ["sync", "sync threads", "tasks", "inline"])
def test_a_stop_asked_for_before_run_is_not_lost(kind: str, fake: FakeServer) -> None:
    def handler(job: Job) -> None:
        raise AssertionError(job)

    worker = make_worker(kind, "q", handler, url=fake.url)
    worker.request_stop()
    if isinstance(worker, SyncWorker):
        worker.run(signals=False)
        worker.start()
        fake.wait_for("PULLB")
        worker.stop()
    else:
        asyncio.run(twice(worker, fake))


async def twice(worker: Worker, fake: FakeServer) -> None:
    """It ends at once; after that it works as any other."""
    await worker.run(signals=False)
    async with worker:
        await asyncio.to_thread(fake.wait_for, "PULLB", 1)
