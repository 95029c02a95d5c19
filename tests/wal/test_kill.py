"""kill -9 at random moments: nothing answered is lost, nothing settled comes back."""

import os
import random
import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest

from wal.noting_client import Worker
from wal.server_process import Connection, serving

CLIENTS = 8
OPTIONS = ("--segment-size=64KiB", "--log-level=error", "--max-lost=0")


def kill_loop(folder: Path, mode: str, kills: int, seed: int) -> int:
    rng = random.Random(seed)
    workers = [Worker(number, seed) for number in range(CLIENTS)]
    for _ in range(kills):
        with serving(folder, f"--fsync={mode}", *OPTIONS) as server:
            with closing(Connection(server)) as connection:
                for worker in workers:
                    worker.check(connection)
            threads = [
                threading.Thread(target=worker.work, args=(server,)) for worker in workers
            ]
            for thread in threads:
                thread.start()
            timer = threading.Timer(
                rng.uniform(0.01, 0.15), os.kill, (server.pid, signal.SIGKILL)
            )
            timer.start()
            for thread in threads:
                thread.join()
            timer.join()
            server.process.join()
        for worker in workers:
            if worker.error is not None:
                raise worker.error
    with serving(folder, f"--fsync={mode}", *OPTIONS) as server:
        with closing(Connection(server)) as connection:
            for worker in workers:
                worker.check(connection)
        assert server.stop() == 0
    return sum(worker.replies for worker in workers)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, mode: str) -> None:
    assert kill_loop(tmp_path, mode, 34, seed=1) > 1000


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_thousand_kills_lose_nothing(tmp_path: Path, mode: str) -> None:
    assert kill_loop(tmp_path, mode, 334, seed=2) > 10_000
