"""A worker as a process: signals, as an init system or Ctrl-C sends them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from magicqueue import SyncQueue

TIMEOUT_S = 30
PROGRAM = """
import asyncio, sys, threading
from magicqueue import SyncWorker, Worker
kind, name, url = sys.argv[1:]

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
    SyncWorker(name, handler, threads=2 if kind == "sync threads" else 1, **options).run()
print("stopped", flush=True)
"""


@pytest.fixture(params=["tasks", "threads", "sync", "sync threads"])
def process(
    request: pytest.FixtureRequest, url: str, name: str
) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, request.param, name, url],
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
        assert process.wait(TIMEOUT_S) == 0
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
        assert process.wait(TIMEOUT_S) == 0


def test_a_second_signal_ends_it_and_the_job_goes_back(
    process: subprocess.Popen[str], url: str, name: str
) -> None:
    with SyncQueue(name, url) as queue:
        queue.push("wait")
        assert line_of(process) == "started wait"
        process.send_signal(signal.SIGTERM)
        while process.poll() is None and queue.stats().processing:
            process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == -signal.SIGTERM
        while queue.stats().queued != 1:
            pass
        queue.drain()
