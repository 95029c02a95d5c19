"""Moved by policies/groups and its parts, and by what cores do with held jobs.

Jobs of a queue whose groups take turns: pushed, pulled and acknowledged by lines of 100,
through the engine without a socket, with as many groups waiting as the parameter says; the
same of a plain queue, of one with limits beside it, and of one where every other line has
jobs without a group; and what a group takes in memory.
CPU time of the thread. `python -m benchmarks.bench_groups` prints all of it.
"""

import gc
import time
import tracemalloc

from benchmarks.in_process import CORES, NOW_MS, Desk, new_core
from benchmarks.workloads import sized
from magicqueue_cores.contract import NewJobs
from magicqueue_cores.policies import Policies, PolicyOptions, Wishes

QUEUE = "bench"
BATCH = 100
JOBS = sized(40_000, 20_000, 1_000)
ROUNDS = sized(5, 3, 1)
GROUPS = sized([1, 100, 10_000, 100_000], [1, 100, 100_000], [1, 10])
MANY = sized(100_000, 100_000, 1_000)
KINDS = ["plain", "limited", "groups", "group_limited", "groups_and_others"]
LIMITS = {
    "limited": b'"concurrency":1000000,"rate":{"jobs":1000000000,"per":1}',
    "group_limited": b'"group":{"concurrency":1000,"rate":{"jobs":1000000000,"per":1}}',
}


def push_line(first, groups):
    """Write a PUSHB of a batch; its jobs are of one group after the other."""
    jobs = b",".join(
        b'{"data":{"i":%d}%b}' % (n, b',"group":"g%06d"' % (n % groups) if groups else b"")
        for n in range(first, first + BATCH)
    )
    return b'{"cmd":"PUSHB","queue":"bench","jobs":[%b]}\n' % jobs


def ack_line(reply):
    """Write the ACKB for what a PULLB was answered with."""
    ids = [part.split(b",", 1)[0] for part in reply.split(b'{"id":')[1:]]
    assert len(ids) == BATCH, reply[:200]
    return b'{"cmd":"ACKB","ids":[%b]}\n' % b",".join(ids)


class Cycle:
    """Push, pull and acknowledge batches beside jobs that wait in all groups."""

    def __init__(self, core, kind, groups):
        self._groups = groups if kind.startswith("group") else 0
        self._every_other = kind == "groups_and_others"
        self._desk = Desk(core)
        if kind in LIMITS:
            self._ask(b'{"cmd":"LIMIT","queue":"bench",%b}\n' % LIMITS[kind])
        for first in range(0, max(groups, BATCH), BATCH):
            self._ask(push_line(first, self._groups))
        self._next = 0

    def _push_line(self, first):
        alone = self._every_other and first // BATCH % 2
        return push_line(first, 0 if alone else self._groups)

    def _ask(self, line):
        self._desk.out.clear()
        self._desk.feed(line)
        reply = b"".join(self._desk.out)
        assert reply.startswith(b'{"ok":true'), reply[:200]
        return reply

    def ns_a_job(self):
        """Return the CPU time of one job's push, pull and ACK, the best of some rounds."""
        pull = b'{"cmd":"PULLB","queue":"bench","count":%d}\n' % BATCH
        return min(self._round(pull) for _ in range(ROUNDS)) / JOBS

    def _round(self, pull):
        starts = range(self._next, self._next + JOBS, BATCH)
        self._next += JOBS
        pushes = [self._push_line(first) for first in starts]
        gc.collect()
        spent = 0
        for push in pushes:
            began = time.thread_time_ns()
            self._ask(push)
            reply = self._ask(pull)
            spent += time.thread_time_ns() - began
            acks = ack_line(reply)
            began = time.thread_time_ns()
            self._ask(acks)
            spent += time.thread_time_ns() - began
        return spent


class Cycles:
    params = [CORES, KINDS, GROUPS]
    param_names = ["core", "kind", "groups"]
    unit = "ns/job"
    timeout = 600

    def setup(self, core, kind, groups):
        if not kind.startswith("group") and groups != GROUPS[-1]:
            raise NotImplementedError("a queue without groups is measured once")
        self.cycle = Cycle(core, kind, groups)

    def track_cycle(self, core, kind, groups):
        return self.cycle.ns_a_job()


class Memory:
    params = [CORES]
    param_names = ["core"]
    unit = "bytes/group"
    timeout = 300

    def track_bytes_per_group(self, core):
        """What Python takes for groups of one job each, less for as many jobs of one."""
        return (self._bytes(core, MANY) - self._bytes(core, 1)) / MANY

    def _bytes(self, core, groups):
        policies = Policies(new_core(core), PolicyOptions(), lambda _: None)
        gc.collect()
        tracemalloc.start()
        for first in range(0, MANY, BATCH):
            jobs = NewJobs(payloads=[b"1"] * BATCH, run_ats_ms=NOW_MS)
            wishes = [
                Wishes(group=f"group{n % groups:07}") for n in range(first, first + BATCH)
            ]
            policies.push(QUEUE, jobs, wishes, None, NOW_MS)
        del wishes
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size


def main():
    """Print everything."""
    for core in CORES:
        for kind in KINDS:
            for groups in GROUPS if kind.startswith("group") else GROUPS[-1:]:
                ns = Cycle(core, kind, groups).ns_a_job()
                print(f"{core:7} {kind:17} {groups:7,} groups {ns:8,.0f} ns/job", end="")
                print(f" {1e9 / ns:10,.0f} jobs/s")
        print(f"{core:7} memory {Memory().track_bytes_per_group(core):.0f} bytes/group")


if __name__ == "__main__":
    main()
