"""Moved by cores/: python_core and its structures, array_core and the kernels' verbs.

Each verb of the contract by itself, called as the server calls it for what is not on the
wire path: jobs as columns. `depth` jobs stay queued underneath all the while.
"""

from benchmarks.in_process import (
    BYTES_MAX,
    CORES,
    LEASE_MS,
    NOW_MS,
    QUEUE,
    new_core,
    new_jobs,
)
from benchmarks.workloads import QUICK, sized

JOBS = sized(20_000, 20_000, 1_000)
BATCH = 1_000


class Verbs:
    params = [
        CORES,
        sized([1_000, 100_000], [100_000], [1_000]),
        sized([0, 150], [0], [0]),
        sized([1, 1_000], [1, 1_000], [1_000]),
    ]
    param_names = ["core", "depth", "payload_bytes", "priorities"]
    jobs = JOBS
    number = 1
    repeat = sized((3, 5, 2.0), 2, 1)
    rounds = 1
    warmup_time = 0.0 if QUICK else 0.1

    def setup(self, core, depth, payload_bytes, distinct):
        self.core = new_core(core)
        self.core.push(QUEUE, new_jobs(0, depth, payload_bytes, distinct), NOW_MS)
        self.batches = [
            new_jobs(first, BATCH, payload_bytes, distinct)
            for first in range(0, JOBS, BATCH)
        ]

    def teardown(self, core, depth, payload_bytes, distinct):
        self.core = None

    def push_all(self):
        for batch in self.batches:
            self.core.push(QUEUE, batch, NOW_MS)

    def pull_all(self):
        return [
            self.core.pull(QUEUE, BATCH, BYTES_MAX, LEASE_MS, 1, NOW_MS)
            for _ in self.batches
        ]


class Push(Verbs):
    def time_push(self, *params):
        self.push_all()


class Pull(Verbs):
    def setup(self, *params):
        super().setup(*params)
        self.push_all()

    def time_pull(self, *params):
        self.pull_all()


class Settle(Verbs):
    def setup(self, *params):
        super().setup(*params)
        self.push_all()
        self.deliveries = self.pull_all()

    def time_ack(self, *params):
        for delivery in self.deliveries:
            self.core.ack(delivery.ids, delivery.attempts, NOW_MS)

    def time_fail(self, *params):
        for delivery in self.deliveries:
            errors = ["because"] * len(delivery.ids)
            self.core.fail(delivery.ids, delivery.attempts, errors, NOW_MS)

    def time_heartbeat(self, *params):
        for delivery in self.deliveries:
            self.core.heartbeat(delivery.ids, delivery.attempts, LEASE_MS, NOW_MS)

    def time_release(self, *params):
        self.core.close_session(1, NOW_MS)


del Verbs
