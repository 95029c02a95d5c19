"""Clients and workers over owners that are killed: nothing is lost, nothing done twice.

Two servers stand by for each other over one log. While pushes come and workers work, the
owner is killed, again and again; all have one address, of both hosts.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from magicqueue import Job, Queue, SyncQueue, SyncWorker, Worker
from patience import PATIENCE_S
from wal.server_process import Server

LEASE_MS = 400
JOB_LEASE_S = 3.0
OPTIONS = ("--log-durability=local", f"--log-lease={LEASE_MS}ms", "--host=127.0.0.1")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Pair:
    """Two servers of one log; `kill` ends the owner, and a new one stands by."""

    def __init__(self, folder: Path, log: str) -> None:
        self._folder, self._log = folder, log
        self._numbers = count(1)
        self.ports = [_free_port(), _free_port()]
        self.url = "magicqueue://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.started: list[Server] = []
        self.owner = self.start(0).wait_until_it_listens()
        self.other = self.start(1)

    def start(self, which: int) -> Server:
        folder = self._folder / f"{next(self._numbers)}"
        folder.mkdir()
        options = (*OPTIONS, f"--log={self._log}")
        server = Server(folder, *options, core="python", port=self.ports[which])
        self.started.append(server)
        return server

    def kill(self) -> None:
        os.kill(self.owner.pid, signal.SIGKILL)
        self.owner.process.join()
        which = (len(self.started)) % 2
        self.owner = self.other.wait_until_it_listens()
        self.other = self.start(which)

    def close(self) -> None:
        for server in self.started:
            server.close()


@pytest.fixture
def pair(tmp_path: Path, log_at: str) -> Iterator[Pair]:
    with closing(Pair(tmp_path, log_at)) as made:
        yield made


class Work:
    """What was pushed, and what was done."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pushed: dict[int, str] = {}
        self.done: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()
        self.over = threading.Event()
        """No more is pushed."""
        self.ended = threading.Event()
        """No more is to be done."""
        self.errors: list[BaseException] = []

    def note(self, job_id: int, data: str) -> None:
        with self.lock:
            assert job_id not in self.pushed, "an id was given twice"
            self.pushed[job_id] = data

    def handle(self, job: Job) -> None:
        time.sleep(0.002)
        with self.lock:
            self.done[job.data] += 1
            self.attempts[job.id] = max(self.attempts[job.id], job.attempts)

    def push_blocking(self, url: str) -> None:
        with SyncQueue("q", url, timeout=PATIENCE_S) as queue:
            for number in count():
                if self.over.is_set():
                    return
                data = f"blocking {number}"
                self.note(queue.push(data), data)

    def push_in_a_loop(self, url: str) -> None:
        async def main() -> None:
            async with Queue("q", url, timeout=PATIENCE_S) as queue:
                for number in count():
                    if self.over.is_set():
                        return
                    some = [f"loop {number}.{part}" for part in range(3)]
                    ids = await asyncio.gather(*map(queue.push, some))
                    for job_id, data in zip(ids, some, strict=True):
                        self.note(job_id, data)

        asyncio.run(main())

    def work_in_a_loop(self, url: str) -> None:
        async def main() -> None:
            worker = Worker("q", self.handle, url=url, lease=JOB_LEASE_S, concurrency=4)
            await worker.start()
            await asyncio.to_thread(self.ended.wait)
            await worker.stop()

        asyncio.run(main())

    def thread(self, act: Callable[[str], None], url: str) -> threading.Thread:
        def run() -> None:
            try:
                act(url)
            except BaseException as error:  # noqa: BLE001 - the test shows it
                self.errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def some_pushes(self) -> None:
        seen = len(self.pushed)
        self.until(lambda: len(self.pushed) > seen + 60)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert not self.errors, self.errors
            assert time.monotonic() < end, "nothing goes on"
            time.sleep(0.02)


def fail_overs(pair: Pair, rounds: int) -> Work:
    """Kill owners under pushes and workers; gives what came of it when all is done."""
    work = Work()
    blocking = SyncWorker("q", work.handle, url=pair.url, lease=JOB_LEASE_S)
    workers = [
        threading.Thread(target=blocking.run, kwargs={"signals": False}),
        work.thread(work.work_in_a_loop, pair.url),
    ]
    workers[0].start()
    pushers = [
        work.thread(work.push_blocking, pair.url),
        work.thread(work.push_in_a_loop, pair.url),
    ]
    try:
        for _ in range(rounds):
            work.some_pushes()
            pair.kill()
        work.some_pushes()
        work.over.set()
        for thread in pushers:
            thread.join(PATIENCE_S)
        work.until(lambda: work.done.keys() >= set(work.pushed.values()))
    finally:
        work.over.set()
        work.ended.set()
        blocking.stop()
        for thread in [*pushers, *workers]:
            thread.join(PATIENCE_S)
    assert not work.errors
    return work


def check(work: Work, url: str) -> None:
    """Nothing pushed is left undone, and nothing was done under two leases at once."""
    assert set(work.done) == set(work.pushed.values())
    assert len(set(work.pushed.values())) == len(work.pushed)
    assert {data: times for data, times in work.done.items() if times > 1} == {}
    with SyncQueue("q", url) as queue:
        stats = queue.stats()
        assert stats.queued == stats.processing == stats.delayed == stats.dead == 0


def test_owners_are_killed_under_pushes_and_workers(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "magicqueue"):
        work = fail_overs(pair, 2)
    check(work, pair.url)
    said = [record.getMessage() for record in caplog.records]
    a, b = (f"127.0.0.1:{port}" for port in pair.ports)
    waiting = f"waiting for a server: no server answers at {a},{b} ("
    assert any(text.startswith(waiting) for text in said), said
    assert {f"connected to {a}", f"connected to {b}"} & set(said)


def test_the_command_line_finds_the_owner(pair: Pair) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "magicqueue", *words, "--url", pair.url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("push", "q", "1").strip() == "pushed job 1 to q"
    pair.kill()
    assert "to q" in run("push", "q", "2")
    assert '"queued":2' in run("stats", "--json")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_owners_are_killed_under_pushes_and_workers(pair: Pair) -> None:
    check(fail_overs(pair, 100), pair.url)
