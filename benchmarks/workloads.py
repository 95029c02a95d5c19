"""What the whole-server benchmarks and the comparison with peers send: one list.

Each is one phase that is timed: `push` (batches), `drain` (pull a batch, settle it, of
jobs pushed before), `mixed` (producers and consumers at once), `singles` (one job a
request, many requests in flight), `cycle` (push, pull, settle, each awaited).
"""

import os
from dataclasses import dataclass, replace

QUICK = os.environ.get("MAGICQUEUE_BENCH") == "quick"
TINY = os.environ.get("MAGICQUEUE_BENCH") == "tiny"


def sized(full, quick, tiny):
    """Choose a size: `make bench`, `make bench-quick`, or the test that all runs."""
    return tiny if TINY else quick if QUICK else full


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One phase. payload_bytes 0 is {"i":n}; window is in requests a connection."""

    title: str
    mode: str
    jobs: int
    batch: int = 1
    pull: int = 1
    window: int = 2
    payload_bytes: int = 0
    priorities: int = 1
    connections: int = 1
    form: str = "bare"
    """What is said of jobs beside their data and priority: see `dialects.FORMS`."""
    awake: bool = False
    """Run with spinners: it waits for each reply."""

    def scaled(self, share):
        """Give the same with fewer jobs."""
        return replace(self, jobs=max(int(self.jobs * share), self.batch, self.pull))


FULL = {
    "push": Workload(title="PUSHB 5,000 x {i:n}", mode="push", jobs=1_000_000, batch=5000),
    "push_client": Workload(
        title="PUSHB 5,000 as our client sends it",
        mode="push",
        jobs=1_000_000,
        batch=5000,
        form="client",
    ),
    "push_original": Workload(
        title="PUSHB 5,000 as the original's sends it",
        mode="push",
        jobs=1_000_000,
        batch=5000,
        form="original",
    ),
    "push_150": Workload(
        title="PUSHB 5,000 x 150 bytes",
        mode="push",
        jobs=500_000,
        batch=5000,
        payload_bytes=150,
    ),
    "drain": Workload(
        title="PULLB 1,000 + ACKB", mode="drain", jobs=500_000, batch=5000, pull=1000
    ),
    "drain_priorities": Workload(
        title="the same, 1,000 priorities, 1 M queued",
        mode="drain",
        jobs=1_000_000,
        batch=5000,
        pull=1000,
        priorities=1000,
    ),
    "mixed": Workload(
        title="mixed, 4 producers, 4 consumers",
        mode="mixed",
        jobs=400_000,
        batch=1000,
        pull=1000,
        connections=4,
    ),
    "singles": Workload(
        title="PUSH, 64 in flight", mode="singles", jobs=200_000, window=64
    ),
    "cycle": Workload(
        title="PUSH→PULL→ACK, one at a time", mode="cycle", jobs=10_000, awake=True
    ),
}

WORKLOADS = {name: workload.scaled(sized(1, 0.1, 0.01)) for name, workload in FULL.items()}
ROUNDS = sized(5, 3, 1)
