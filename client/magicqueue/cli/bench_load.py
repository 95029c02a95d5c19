"""The load of `magicqueue bench`: threads with a connection each, and what they measure."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from magicqueue.cli.options import Session
from magicqueue.errors import ConnectionLost
from magicqueue.sync_queue import SyncQueue

_FRAME_BYTES: Final = len('{"i":0000000,"pad":""}')

OnMoved = Callable[[int], None]
"""Called with a number of jobs that were moved."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to push and drain."""

    session: Session
    queue: str
    jobs: int
    batch: int
    payload_bytes: int
    connections: int


@dataclass(slots=True)
class Phase:
    """How one phase went. cpu_s: of this process."""

    jobs: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    requests_s: list[float] = field(default_factory=list)

    @property
    def busy(self) -> float:
        """Which part of the time this process was computing (more than 1: in threads)."""
        return self.cpu_s / self.wall_s

    def json(self) -> dict[str, float]:
        """Give the figures for a program."""
        return {
            "jobs": self.jobs,
            "wall_s": self.wall_s,
            "jobs_per_s": self.jobs / self.wall_s,
            "client_cpu_s": self.cpu_s,
        }


def push_jobs(load: Load, on_moved: OnMoved) -> Phase:
    """Push all jobs, in batches."""
    starts = count(0, load.batch)
    pad = "x" * max(0, load.payload_bytes - _FRAME_BYTES)

    def push_next(client: SyncQueue) -> int:
        start = next(starts)
        end = min(start + load.batch, load.jobs)
        if start >= end:
            return 0
        return len(client.push_batch([_data(i, pad) for i in range(start, end)]))

    return _run(load, push_next, on_moved)


def drain_jobs(load: Load, on_moved: OnMoved) -> Phase:
    """Pull and ack until there are none left."""

    def drain_next(client: SyncQueue) -> int:
        jobs = client.pull_batch(load.batch, 0)
        if jobs and (missing := client.ack_batch(jobs)):
            raise ConnectionLost(f"{len(missing)} jobs were lost before their ack")
        return len(jobs)

    return _run(load, drain_next, on_moved)


def round_trips_s(load: Load, number: int) -> list[float]:
    """Push jobs one at a time, and take them out again; gives the time of each push."""
    took: list[float] = []
    with load.session.queue(load.queue) as client:
        for i in range(number):
            data = _data(i, "x" * max(0, load.payload_bytes - _FRAME_BYTES))
            before = time.perf_counter()
            client.push(data)
            took.append(time.perf_counter() - before)
        client.drain()
    return took


def _data(i: int, pad: str) -> dict[str, Any]:
    return {"i": i, "pad": pad} if pad else {"i": i}


class _Crew:
    """Threads that repeat a step, each over its own connection, until it moves nothing."""

    def __init__(self, step: Callable[[SyncQueue], int], on_moved: OnMoved) -> None:
        self.phase = Phase()
        self.errors: list[BaseException] = []
        self.stopped = threading.Event()
        self._step = step
        self._on_moved = on_moved
        self._lock = threading.Lock()

    def work(self, client: SyncQueue) -> None:
        """Do one thread's part."""
        try:
            while not self.stopped.is_set():
                before = time.perf_counter()
                moved = self._step(client)
                if not moved:
                    return
                took = time.perf_counter() - before
                with self._lock:
                    self.phase.jobs += moved
                    self.phase.requests_s.append(took)
                self._on_moved(moved)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self.errors.append(error)
            self.stopped.set()


def _run(load: Load, step: Callable[[SyncQueue], int], on_moved: OnMoved) -> Phase:
    """Repeat a step over all connections. Raises what it raises."""
    crew = _Crew(step, on_moved)
    clients = [load.session.queue(load.queue) for _ in range(load.connections)]
    for client in clients:
        client.ping()
    threads = [threading.Thread(target=crew.work, args=(client,)) for client in clients]
    try:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        crew.phase.wall_s = time.perf_counter() - wall_s
        crew.phase.cpu_s = time.process_time() - cpu_s
    finally:
        crew.stopped.set()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
    if crew.errors:
        raise crew.errors[0]
    return crew.phase
