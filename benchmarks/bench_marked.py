"""Moved by cores/magicqueue_cores/policies and by what cores tell of marked jobs.

What a job with wishes costs in process, above either core: its push, its exit, and what its
unique key takes beside the job. CPU time of the thread.
"""

import gc
import time
import tracemalloc

from benchmarks.in_process import (
    BYTES_MAX,
    CORES,
    LEASE_MS,
    NOW_MS,
    QUEUE,
    new_core,
    new_jobs,
)
from benchmarks.workloads import sized
from magicqueue_cores.policies import Policies, PolicyOptions, Wishes

JOBS = sized(20_000, 10_000, 1_000)
KEYS = sized(1_000_000, 200_000, 10_000)
ROUNDS = sized(5, 3, 1)
BATCH = 1_000
KINDS = ["plain", "key", "ttl", "key+ttl", "timeout", "result"]


def wishes_of(kind, number):
    """Return what the job of this number wishes."""
    if kind == "plain":
        return None
    if kind == "key":
        return Wishes(unique_key=f"user:{number:08}")
    if kind == "key+ttl":
        return Wishes(unique_key=f"user:{number:08}", ttl_ms=3_600_000)
    field = {"ttl": "ttl_ms", "timeout": "timeout_ms", "result": "keep_result_ms"}[kind]
    return Wishes(**{field: 3_600_000})


def nothing(_):
    """Stand for a log."""


def new_policies(core):
    """Make a layer above a core, with a log that keeps nothing."""
    return Policies(new_core(core), PolicyOptions(), nothing)


class Marked:
    params = [CORES, KINDS, sized([1, 100], [1, 100], [100])]
    param_names = ["core", "wish", "batch"]
    unit = "ns/job"
    timeout = 300

    def setup(self, core, kind, batch):
        self.policies = new_policies(core)

    def _round(self, kind, batch):
        """Push all jobs, hand them out and settle them; gives the time of both ends."""
        policies = self.policies
        starts = range(0, JOBS, batch)
        pushes = [
            (
                new_jobs(start, batch, 100),
                [wishes_of(kind, start + n) for n in range(batch)]
                if kind != "plain"
                else None,
            )
            for start in starts
        ]
        gc.collect()
        began = time.thread_time_ns()
        for jobs, wishes in pushes:
            policies.push(QUEUE, jobs, wishes, None, NOW_MS)
        pushed = time.thread_time_ns()
        pulled = [
            policies.pull(QUEUE, batch, BYTES_MAX, LEASE_MS, 1, NOW_MS).ids for _ in starts
        ]
        handed_out = time.thread_time_ns()
        for ids in pulled:
            policies.ack(ids, None, None, NOW_MS)
        ended = time.thread_time_ns()
        return pushed - began, ended - handed_out

    def track_push(self, core, kind, batch):
        return min(self._round(kind, batch)[0] for _ in range(ROUNDS)) / JOBS

    def track_exit(self, core, kind, batch):
        return min(self._round(kind, batch)[1] for _ in range(ROUNDS)) / JOBS


class UniqueKeys:
    params = [CORES]
    param_names = ["core"]
    unit = "bytes/job"
    timeout = 300

    def track_bytes_per_key(self, core):
        """What Python takes for jobs with a key of 13 characters, less without one."""
        return (self._bytes(core, "key") - self._bytes(core, "plain")) / KEYS

    def _bytes(self, core, kind):
        policies = new_policies(core)
        gc.collect()
        tracemalloc.start()
        for start in range(0, KEYS, BATCH):
            wishes = [wishes_of(kind, start + n) for n in range(BATCH)]
            policies.push(QUEUE, new_jobs(start, BATCH, 100), wishes, None, NOW_MS)
        del wishes
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size
