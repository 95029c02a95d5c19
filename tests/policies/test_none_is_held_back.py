"""A pull gives as many jobs as it asks for, if so many are ready: marked ones, too.

Many rounds of pushes, pulls and verdicts in random sizes, over and over with the same keys,
and each pull is counted against a set of what has to be ready.
"""

import random
from typing import Literal

import pytest

from conformance.driver import CORES, require_core
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.policies import Policies, PolicyOptions, Wishes

NOW_MS = 1_764_000_000_000
BYTES_MAX = 1 << 62
LEASE_MS = 60_000
HOUR_MS = 3_600_000
SIZES = (1, 1, 2, 7, 63, 64, 65, 100, 500)


class Round:
    """A core under policies, and what is known of its jobs."""

    def __init__(self, core: str, seed: int) -> None:
        require_core(core)
        self.rng = random.Random(seed)
        self.now_ms = NOW_MS
        sink = (lambda _: None) if seed % 2 else None
        self.policies = Policies(
            make_core(core, CoreOptions(), record=sink), PolicyOptions(), sink
        )
        self.ready: set[int] = set()
        self.held: list[int] = []

    def wishes(self) -> Wishes | None:
        """Return what a job wishes; most have a key, one of a few."""
        rng, kind = self.rng, self.rng.randrange(6)
        if kind == 0:
            return None
        if kind == 1:
            return Wishes(timeout_ms=HOUR_MS, keep_result_ms=HOUR_MS)
        until: Literal["done", "start"] = "done" if rng.random() < 0.5 else "start"
        ttl_ms = rng.choice((None, HOUR_MS))
        return Wishes(unique_key=f"k{rng.randrange(1000)}", until=until, ttl_ms=ttl_ms)

    def push(self) -> None:
        """Push a batch; what makes a job has to be ready."""
        size = self.rng.choice(SIZES)
        jobs = NewJobs(payloads=[b"1"] * size, run_ats_ms=self.now_ms)
        wishes = [self.wishes() for _ in range(size)]
        answer = self.policies.push("q", jobs, wishes, None, self.now_ms)
        assert len(answer.ids) == size
        doubles = set(answer.duplicates)
        new = {job_id for n, job_id in enumerate(answer.ids) if n not in doubles}
        assert len(new) == size - len(doubles)
        assert not new & self.ready
        self.ready |= new

    def pull(self) -> None:
        """Pull, and have as many as there are."""
        count = self.rng.choice(SIZES)
        pulled = self.policies.pull("q", count, BYTES_MAX, LEASE_MS, 1, self.now_ms).ids
        assert len(set(pulled)) == len(pulled) == min(count, len(self.ready))
        assert self.ready.issuperset(pulled)
        self.ready.difference_update(pulled)
        self.held += pulled

    def settle(self) -> None:
        """Acknowledge some, and give some back."""
        start = self.rng.randrange(len(self.held) + 1)
        end = start + self.rng.choice(SIZES)
        some, self.held = self.held[start:end], self.held[:start] + self.held[end:]
        if self.rng.random() < 0.3:
            self.policies.release(some, None, 0, self.now_ms)
            self.ready |= set(some)
        else:
            assert self.policies.ack(some, None, None, self.now_ms).missing == []

    def run(self, steps: int) -> None:
        """Do all that in turn, and take everything out at last."""
        for _ in range(steps):
            self.rng.choice((self.push, self.pull, self.settle))()
            self.now_ms += self.rng.randrange(3)
        self.policies.check()
        while self.ready:
            self.pull()
        while self.held:
            self.settle()
            while self.ready:
                self.pull()
        self.policies.check()
        assert self.policies.stats().marked == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("core", CORES)
def test_a_pull_gives_all_that_it_may(core: str, seed: int) -> None:
    Round(core, seed).run(120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 60))
@pytest.mark.parametrize("core", CORES)
def test_a_pull_gives_all_that_it_may_at_length(core: str, seed: int) -> None:
    Round(core, seed).run(1500)
