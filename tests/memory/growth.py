"""What a core grows by and what it says it takes, in a process of its own.

`python growth.py CORE KIND` prints two numbers: the bytes that the process grew by while
it filled a core, and those that `memory_bytes` grew by.
"""

import gc
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from magicqueue_cores import make_core
from magicqueue_cores.contract import Core, CoreOptions, NewJobs
from magicqueue_cores.pending import Pending
from magicqueue_server.memory import tune_heap

NOW_MS: Final = 1_764_000_000_000
LEASE_MS: Final = 3_000_000
BATCH: Final = 100
PAGE_BYTES: Final = 4096


class Filler:
    """Fills a core, in batches so small that what they need in passing does not count."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.rng = random.Random(1)
        self.priority = 0

    def push(
        self,
        size: int,
        *,
        queue: str = "q",
        count: int = BATCH,
        spread_ms: int = 0,
        distinct: int = 0,
        max_attempts: int = 25,
        backoff_ms: int = 0,
    ) -> None:
        """Push jobs; run_ats and priorities are random if they are to be spread."""
        rng = self.rng
        run_ats_ms = [
            NOW_MS + rng.randint(bool(spread_ms), spread_ms) for _ in range(count)
        ]
        priorities = [rng.randint(-distinct, distinct) for _ in range(count)]
        jobs = NewJobs(
            payloads=[rng.randbytes(size) for _ in range(count)],
            run_ats_ms=run_ats_ms if spread_ms else NOW_MS,
            priorities=priorities if distinct else 0,
            max_attempts=max_attempts,
            backoffs_ms=backoff_ms,
        )
        self.core.push(queue, jobs, NOW_MS)

    def push_each(self) -> None:
        """Push a hundred jobs one by one."""
        for _ in range(BATCH):
            self.push(100, count=1)

    def pull(self, count: int = BATCH, session: int = 1) -> list[int]:
        delivery = self.core.pull("q", count, 2**40, LEASE_MS, session, NOW_MS)
        assert not isinstance(delivery, Pending)
        return delivery.ids

    def fail(self, text: str, *, max_attempts: int = 25, backoff_ms: int = 0) -> None:
        """Push jobs and let them fail, each with a text of its own."""
        self.push(20, max_attempts=max_attempts, backoff_ms=backoff_ms)
        ids = self.pull()
        self.core.fail(ids, None, [f"{text}{job_id}" for job_id in ids], NOW_MS)

    def retry(self) -> None:
        """Push jobs and let them fail; they are ready again at once, with their texts.

        Each batch has a priority above all before it, or else the next pull would take
        those that wait to be tried again, and nothing would grow.
        """
        self.priority += 1
        first = self.core.push(
            "q",
            NewJobs(
                payloads=[self.rng.randbytes(20) for _ in range(BATCH)],
                run_ats_ms=NOW_MS,
                priorities=self.priority,
                max_attempts=25,
                backoffs_ms=0,
            ),
            NOW_MS,
        )
        ids = self.pull()
        assert ids[0] == first, "of this batch, none that failed before"
        self.core.fail(ids, None, [f"{'why ' * 10}{job_id}" for job_id in ids], NOW_MS)

    def lease_each(self) -> None:
        self.push(100)
        for _ in range(BATCH):
            self.pull(1)

    def lease(self) -> None:
        self.push(100)
        self.pull()

    def lose(self) -> None:
        self.push(100)
        self.pull(session=2)
        self.core.close_session(2, NOW_MS)

    def name_queues(self) -> None:
        for _ in range(BATCH):
            name = f"{self.rng.getrandbits(64):x}"
            self.push(20, queue=name, count=1)


Kind = tuple[Callable[[Filler], None], int]

KINDS: Final[dict[str, Kind]] = {
    "tiny": (lambda f: f.push(6), 400_000),
    "bytes_100": (lambda f: f.push(100), 250_000),
    "bytes_1000": (lambda f: f.push(1000), 60_000),
    "bytes_60000": (lambda f: f.push(60_000), 1_500),
    "bytes_100000": (lambda f: f.push(100_000), 1_500),
    "one_by_one": (Filler.push_each, 250_000),
    "priorities": (lambda f: f.push(100, distinct=2**31 - 1), 180_000),
    "delayed": (lambda f: f.push(100, spread_ms=10**9), 220_000),
    "leased": (Filler.lease, 200_000),
    "leased_each": (Filler.lease_each, 180_000),
    "lost": (Filler.lose, 250_000),
    "dead": (lambda f: f.fail("", max_attempts=1), 120_000),
    "dead_with_text": (lambda f: f.fail("x" * 1000, max_attempts=1), 60_000),
    "dead_unicode": (lambda f: f.fail("\U0001f4a5" * 1000, max_attempts=1), 20_000),
    "dead_one_wide": (lambda f: f.fail("x" * 4000 + "\U0001f4a5", max_attempts=1), 20_000),
    "retried_later": (lambda f: f.fail("why " * 10, backoff_ms=LEASE_MS), 150_000),
    "retried_now": (Filler.retry, 150_000),
    "queues": (Filler.name_queues, 40_000),
}
"""What is filled in, and how many of it make 40 MB or more."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def told_bytes(core: Core) -> int:
    stats = core.stats(NOW_MS)
    assert not isinstance(stats, Pending)
    return stats.memory_bytes


def main(core_name: str, kind: str) -> None:
    tune_heap()
    bounds = {"lost_max": 0, "dead_jobs_max": 0, "dead_bytes_max": 0, "queues_max": 0}
    core = make_core(core_name, CoreOptions(**bounds))
    filler, (fill, count) = Filler(core), KINDS[kind]
    fill(filler)
    gc.collect()
    told, grown = told_bytes(core), resident_bytes()
    for _ in range(count // BATCH):
        fill(filler)
    gc.collect()
    sys.stdout.write(f"{resident_bytes() - grown} {told_bytes(core) - told}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
