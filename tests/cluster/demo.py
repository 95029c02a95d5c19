"""`make demo-cluster`: three servers, one log in PostgreSQL, and what kills do to them.

A primary and two standbys of PostgreSQL run in a temporary folder, and three servers that
share a log there. Jobs are pushed and done; the server that has the log is killed, then
PostgreSQL's primary. At the end every job that was answered must have been done, once.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from cluster.postgres import Postgres, running, why_not
from magicqueue import Job, SyncQueue, SyncWorker
from magicqueue_server.wal.postgres_schema import make_tables

SERVERS: Final = 3
LEASE_S: Final = 2
JOB_LEASE_S: Final = 10
QUEUE: Final = "demo"
PATIENCE_S: Final = 60.0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Nodes:
    """The servers, each with a port of its own."""

    def __init__(self, log: str, folder: Path) -> None:
        self._log = log
        self._folder = folder
        self.ports = [_free_port() for _ in range(SERVERS)]
        self.url = "magicqueue://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.processes = {port: self._start(port) for port in self.ports}

    def _start(self, port: int) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "magicqueue_server", "serve", f"--port={port}"]
        words += [f"--log={self._log}", f"--log-lease={LEASE_S}s", "--host=127.0.0.1"]
        with (self._folder / f"{port}.log").open("wb") as output:
            return subprocess.Popen(words, stdout=output, stderr=output)

    def owner(self) -> int:
        """The port of the one that has the log: the others do not listen."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for port in self.processes:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    continue
                return port
            time.sleep(0.05)
        raise SystemExit("no server has the log: see what they say above")

    def kill(self, port: int) -> None:
        process = self.processes.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Work:
    """What was pushed, what was done, and the longest silence."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.pushed: dict[int, int] = {}
        self.done: Counter[int] = Counter()
        self.silence_s = 0.0
        self.error: BaseException | None = None

    def push(self) -> None:
        try:
            with SyncQueue(QUEUE, self._url, timeout=PATIENCE_S) as queue:
                for number in count():
                    if self._over.is_set():
                        return
                    began = time.monotonic()
                    self.pushed[queue.push(number)] = number
                    self.silence_s = max(self.silence_s, time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - it is told by whoever waits
            self.error = error

    def handle(self, job: Job) -> None:
        self.done[job.data] += 1

    def wait(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not true():
            if self.error is not None or time.monotonic() > until:
                raise SystemExit(f"nothing goes on any more: {self.error}")
            time.sleep(0.02)

    def some(self, more: int) -> None:
        """Wait until so many more are pushed, and tell how it stands."""
        seen = len(self.pushed)
        self.wait(lambda: len(self.pushed) >= seen + more)
        say(f"    {len(self.pushed):,} jobs are pushed, {len(self.done):,} are done")

    def silence(self, act: Callable[[], None], more: int) -> float:
        """Do something, and give for how long a push had to wait then."""
        self.silence_s = 0.0
        act()
        self.some(more)
        return self.silence_s

    @contextmanager
    def going_on(self) -> Iterator[None]:
        worker = SyncWorker(QUEUE, self.handle, url=self._url, lease=JOB_LEASE_S)
        threads = [
            threading.Thread(target=self.push),
            threading.Thread(target=worker.run, kwargs={"signals": False}),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
            self._over.set()
            threads[0].join(PATIENCE_S)
            self.wait(lambda: self.done.keys() >= set(self.pushed.values()))
        finally:
            self._over.set()
            worker.stop()
            for thread in threads:
                thread.join(PATIENCE_S)

    def verdict(self) -> bool:
        """Say what was lost, and done twice; tells whether that is nothing."""
        lost = set(self.pushed.values()) - self.done.keys()
        twice = [number for number, times in self.done.items() if times > 1]
        say(f"{len(self.pushed):,} pushes were answered: {len(lost):,} jobs are lost,")
        say(f"{len(twice):,} were done twice")
        return not lost and not twice


def run(postgres: Postgres, folder: Path, jobs: int) -> bool:
    """Go through it all; tells whether nothing was lost."""
    address = postgres.new_database("demo")
    make_tables(address)
    with ExitStack() as stack:
        nodes = Nodes(address, folder)
        stack.callback(nodes.close)
        owner = nodes.owner()
        say(f"{SERVERS} servers share a log; that at port {owner} has it, others stand by")
        say(f"clients and workers have one address: {nodes.url}")
        work = Work(nodes.url)
        with work.going_on():
            work.some(jobs)
            say(f"kill -9 of the server at port {owner} (its lease is {LEASE_S} s)")
            silence_s = work.silence(lambda: nodes.kill(owner), jobs)
            owner = nodes.owner()
            say(f"    that at port {owner} took over; a push waited {silence_s:.1f} s")
            say("kill of PostgreSQL's primary; a standby is promoted")
            silence_s = work.silence(postgres.fail_over, jobs)
            say(f"    the server went on there; a push waited {silence_s:.1f} s")
        return work.verdict()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="between two kills")
    options = parser.parse_args(arguments)
    if reason := why_not():
        say(f"the demo cannot run: {reason}")
        return 1
    os.environ.pop("MAGICQUEUE_URL", None)
    with tempfile.TemporaryDirectory(prefix="magicqueue-demo-") as folder:
        say("PostgreSQL: a primary and two standbys, of which one has each commit")
        with running(standbys=2) as postgres:
            whole = run(postgres, Path(folder), options.jobs)
    say("all is stopped; nothing is left behind")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
