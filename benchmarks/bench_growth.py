"""Moved by ready_order, job_table and leases; for the array core by kernels/ and memory.

How a job's cost grows with the jobs that are queued, and the longest that one call keeps
the event loop: growth of a structure, compaction. CPU time of the thread, so that other
processes do not show.
"""

import time

from benchmarks.dialects import ids_of
from benchmarks.in_process import CORES, Desk, pull_line, push_lines
from benchmarks.workloads import sized

JOBS = sized(100_000, 50_000, 2_000)
BATCH = 1_000
DEPTHS = sized(
    [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    [1_000, 100_000, 1_000_000],
    [1_000],
)
PYTHON_DEPTH_MAX = 1_000_000
SAMPLES = sized(5, 3, 1)


def refuse_too_deep(core, depth):
    """Leave out what would need more memory than most machines have."""
    if core == "python" and depth > PYTHON_DEPTH_MAX:
        raise NotImplementedError("some 7 GB in the python core")


class Growth:
    params = [CORES, DEPTHS, sized([1, 1_000], [1], [1_000])]
    param_names = ["core", "depth", "priorities"]
    unit = "ns/job"
    timeout = 300

    def setup(self, core, depth, distinct):
        refuse_too_deep(core, depth)
        self.desk = Desk(core)
        self.desk.fill(depth, distinct=distinct)
        self.pushes = push_lines(JOBS, BATCH, distinct=distinct)
        self.once()

    def teardown(self, core, depth, distinct):
        self.desk = None

    def track_push_pull_ack(self, core, depth, distinct):
        return min(self.once() for _ in range(SAMPLES)) / JOBS

    def once(self):
        desk, clock = self.desk, time.thread_time_ns
        start = clock()
        for line in self.pushes:
            desk.feed(line)
        used = clock() - start
        desk.take()
        for _ in range(JOBS // BATCH):
            start = clock()
            desk.feed(pull_line(BATCH))
            used += clock() - start
            ack = b'{"cmd":"ACKB","ids":[%s]}\n' % ids_of(desk.take())
            start = clock()
            desk.feed(ack)
            used += clock() - start
        desk.take()
        return used


class LongestPause:
    params = [CORES, sized([1_000_000, 10_000_000], [1_000_000], [2_000])]
    param_names = ["core", "depth"]
    unit = "ms"
    timeout = 300

    def setup(self, core, depth):
        refuse_too_deep(core, depth)
        self.desk = Desk(core)

    def track_longest_pause(self, core, depth):
        lines = push_lines(BATCH * 100, BATCH)
        longest = 0
        for number in range(depth // BATCH):
            longest = max(longest, self.fed(lines[number % 100]))
            self.desk.out.clear()
        for _ in range(depth // BATCH):
            (ids,) = self.pulled()
            longest = max(longest, self.fed(b'{"cmd":"ACKB","ids":[%s]}\n' % ids))
        return longest / 1e6

    def pulled(self):
        self.desk.out.clear()
        return self.desk.pull(BATCH, BATCH)

    def fed(self, line):
        start = time.thread_time_ns()
        self.desk.feed(line)
        return time.thread_time_ns() - start
