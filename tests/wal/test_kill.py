"""kill -9 at random moments: nothing answered is lost, nothing settled comes back.

The core of each life is chosen at random, too: any opens what any other wrote.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from history.checker import check
from patience import PATIENCE_S
from wal.noting_client import Crowd
from wal.server_process import cores_here, serving

CLIENTS = 8
OPTIONS = ("--segment-size=64KiB", "--log-level=error", "--max-lost=0")


def kill_loop(folder: Path, mode: str, kills: int, seed: int) -> Counter[str]:
    rng, cores = random.Random(seed), cores_here()
    crowd = Crowd(CLIENTS, seed)
    for _ in range(kills):
        core = rng.choice(cores)
        with serving(folder, f"--fsync={mode}", *OPTIONS, core=core) as server:
            crowd.look(server)
            enough = threading.Event()
            crowd.after_replies(rng.randrange(50, 1100), enough)
            with crowd.at_work(server):
                came = enough.wait(PATIENCE_S)
                time.sleep(rng.uniform(0, 0.01))  # not always behind a reply
                os.kill(server.pid, signal.SIGKILL)
            assert came
            server.process.join()
            assert server.process.exitcode == -signal.SIGKILL
    with serving(folder, f"--fsync={mode}", *OPTIONS) as server:
        crowd.look(server)
        assert server.stop() == 0
    check(crowd.history)
    return crowd.seen()


def worked(seen: Counter[str], kills: int) -> bool:
    """Whether so much happened that the kills hit something."""
    return (
        seen["look"] == kills + 1
        and seen["jobs handed out"] > 20 * kills
        and seen["jobs handed out again"] > kills
        and seen["verdicts"] > 20 * kills
        and seen["push without a reply"] > kills // 2
        and seen["settle without a reply"] > kills // 4
    )


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 12, seed=1)
    assert worked(seen, 12), seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_thousand_kills_lose_nothing(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 334, seed=2)
    assert worked(seen, 334), seen
