"""Moved by cores/magicqueue_cores/turns.py and by what cores tell of rare turns.

What it costs a job that somebody listens to its core, in process: of jobs that are done,
which nobody is told of, and of jobs that fail once. CPU time of the thread; the array core
runs lines of a hundred jobs, the python core verbs.
"""

import gc
import json
import time

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

JOBS = sized(50_000, 20_000, 1_000)
ROUNDS = sized(7, 5, 1)
BATCH = 100
_ITEM = '{"data":"%s"}' % ("x" * 98)


def hear(_turn):
    """Listen."""


def encoded(command, **fields):
    """Write a line as clients do."""
    text = json.dumps({"cmd": command, **fields}, separators=(",", ":"))
    return text.encode() + b"\n"


class ByLines:
    """Jobs of the array core, by lines; only what may be listened to is timed."""

    def __init__(self, core):
        self.core = core
        jobs = ",".join([_ITEM] * BATCH)
        self.push = f'{{"cmd":"PUSHB","queue":"{QUEUE}","jobs":[{jobs}]}}\n'.encode()
        self.pull = encoded("PULLB", queue=QUEUE, count=BATCH, timeout=0)
        core.push("other", new_jobs(0, 1, 1), NOW_MS)
        core.push(QUEUE, new_jobs(0, 1, 1), NOW_MS)

    def run(self, line):
        """Run a line, which kernels have to take; gives its reply and its time."""
        began = time.thread_time_ns()
        size, reply = self.core.execute(line, 1, NOW_MS)
        took = time.thread_time_ns() - began
        assert size == len(line), line[:80]
        return reply, took

    def life(self, fails):
        """Have a batch done, after a failure of each if it `fails`; gives the time."""
        self.run(self.push)
        reply, took = self.run(self.pull)
        ids = [job["id"] for job in json.loads(reply)["jobs"]]
        if fails:
            failures = [{"id": job_id, "error": "broken"} for job_id in ids]
            took += self.run(encoded("FAILB", jobs=failures))[1]
            reply, _ = self.run(self.pull)
            ids = [job["id"] for job in json.loads(reply)["jobs"]]
        return took + self.run(encoded("ACKB", ids=ids))[1]


class ByVerbs:
    """Jobs of any core, by its verbs."""

    def __init__(self, core):
        self.core = core

    def life(self, fails):
        """As of `ByLines`."""
        core, jobs = self.core, new_jobs(0, BATCH, 100)
        began = time.thread_time_ns()
        core.push(QUEUE, jobs, NOW_MS)
        ids = core.pull(QUEUE, BATCH, BYTES_MAX, LEASE_MS, 1, NOW_MS).ids
        if fails:
            core.fail(ids, None, ["broken"] * BATCH, NOW_MS)
            ids = core.pull(QUEUE, BATCH, BYTES_MAX, LEASE_MS, 1, NOW_MS).ids
        core.ack(ids, None, NOW_MS)
        return time.thread_time_ns() - began


class Listened:
    params = [CORES, ["nobody", "somebody"], ["done", "failed once"]]
    param_names = ["core", "listens", "jobs"]
    unit = "ns/job"
    timeout = 300

    def setup(self, core, listens, jobs):
        self.core = new_core(core)
        self.way = (ByLines if core == "array" else ByVerbs)(self.core)
        self.core.listen(hear if listens == "somebody" else None)

    def track_life(self, core, listens, jobs):
        found = []
        for _ in range(ROUNDS):
            gc.collect()
            took = sum(self.way.life(jobs != "done") for _ in range(JOBS // BATCH))
            found.append(took / JOBS)
        return min(found)
