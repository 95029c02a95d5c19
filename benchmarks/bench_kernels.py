"""Moved by cores/magicqueue_cores/kernels/ alone (and array_core.core.execute around them).

The array core's kernels as the engine calls them: whole request lines in memory. Kernels
are compiled, or loaded from their cache, in setup.
"""

import json

from benchmarks.bench_wire import TIMING
from benchmarks.dialects import FORMS, ids_of
from benchmarks.in_process import NOW_MS, QUEUE, new_core, new_jobs, pull_line, push_lines
from benchmarks.workloads import sized

JOBS = sized(100_000, 50_000, 1_000)
BATCH = 1_000
DEPTH = sized(100_000, 100_000, 1_000)
WARM_JOBS = sized(50_000, 50_000, 1_000)
WARM_BATCH = sized(5_000, 5_000, 1_000)
SESSION = 1

SHAPES = {
    "smallest": {"i": 123456},
    "text_150": {"to": "somebody@example.com", "body": "lorem ipsum dolor sit " * 5},
    "nested": {"a": [[1, [2, {"b": [3, {"c": {"d": [4, 5]}}]}]], {"e": [[], {}]}]},
    "escapes": {"path": 'C:\\dir\\file "quoted"\n\ttext\u0001'},
    "utf8": {"name": "Zoë Müller, 東京 🚀 и так далее"},
    "floats": [1.5, -2.25e10, 3.0, 1e-7, 123456.789],
}


def run(core, lines):
    """Have whole lines run; nothing may be declined."""
    at, replies = 0, []
    while at < len(lines):
        consumed, reply = core.execute(lines, SESSION, NOW_MS, at)
        if not consumed:
            raise AssertionError(f"the kernels declined: {lines[at : at + 100]!r}")
        at += consumed
        replies.append(reply)
    return replies


def filled(depth, distinct=1):
    """Make a core that holds jobs."""
    core = new_core("array")
    core.push(QUEUE, new_jobs(0, depth, distinct=distinct), NOW_MS)
    return core


class Scan:
    """PUSHB of data of several shapes: scan, validate, copy, store, answer."""

    params = [sorted(SHAPES)]
    param_names = ["shape"]
    jobs = JOBS
    locals().update(TIMING)

    def setup(self, shape):
        self.core = filled(DEPTH)
        data = json.dumps(SHAPES[shape], ensure_ascii=shape != "utf8").encode()
        items = b",".join([b'{"data":%s}' % data] * BATCH)
        self.line = b'{"cmd":"PUSHB","queue":"bench","jobs":[%s]}\n' % items

    def time_pushb(self, shape):
        for _ in range(JOBS // BATCH):
            run(self.core, self.line)


class Forms:
    """PUSHB 5,000 in the forms that clients send, into memory that was used before."""

    params = [list(FORMS)]
    param_names = ["form"]
    jobs = WARM_JOBS
    locals().update(TIMING)

    def setup(self, form):
        self.core = filled(DEPTH)
        self.lines = push_lines(WARM_JOBS, WARM_BATCH, form=form)
        self.time_pushb(form)
        self.teardown(form)

    def teardown(self, form):
        self.core.drain(QUEUE, NOW_MS)
        self.core.push(QUEUE, new_jobs(0, DEPTH), NOW_MS)

    def time_pushb(self, form):
        for line in self.lines:
            run(self.core, line)


class Order:
    """The ready order, with few and with many distinct priorities."""

    params = [sized([1, 10, 1_000, 50_000], [1, 1_000], [1, 100])]
    param_names = ["priorities"]
    jobs = JOBS
    locals().update(TIMING)

    def setup(self, distinct):
        self.core = filled(DEPTH, distinct)
        self.pushes = push_lines(JOBS, BATCH, distinct=distinct)
        self.pulls = [pull_line(BATCH)] * (JOBS // BATCH)


class OrderPush(Order):
    def time_pushb(self, distinct):
        for line in self.pushes:
            run(self.core, line)


class OrderPull(Order):
    def setup(self, distinct):
        super().setup(distinct)
        for line in self.pushes:
            run(self.core, line)

    def time_pullb(self, distinct):
        for line in self.pulls:
            run(self.core, line)


class OrderAck(OrderPull):
    time_pullb = None

    def setup(self, distinct):
        super().setup(distinct)
        replies = [b"".join(run(self.core, line)) for line in self.pulls]
        self.acks = [b'{"cmd":"ACKB","ids":[%s]}\n' % ids_of(text) for text in replies]

    def time_ackb(self, distinct):
        for line in self.acks:
            run(self.core, line)


del Order


class Delays:
    """The heap of delayed jobs, in and out."""

    jobs = JOBS
    locals().update(TIMING)

    def setup(self):
        self.core = filled(DEPTH)
        item = b'{"data":1,"delay":%d}'
        self.lines = [
            b'{"cmd":"PUSHB","queue":"bench","jobs":[%s]}\n'
            % b",".join(item % (1 + (at + k) * 7919 % 60_000) for k in range(BATCH))
            for at in range(0, JOBS, BATCH)
        ]

    def time_push_delayed(self):
        for line in self.lines:
            run(self.core, line)


class Matures(Delays):
    time_push_delayed = None

    def setup(self):
        super().setup()
        for line in self.lines:
            run(self.core, line)

    def time_mature(self):
        self.core.advance(NOW_MS + 60_000)


class Call:
    """What one call costs beside its work: a command of its own each time."""

    jobs = sized(50_000, 20_000, 500)
    locals().update(TIMING)

    def setup(self):
        self.core = filled(DEPTH)
        self.line = push_lines(1, 1)[0]

    def time_push_line(self):
        execute = self.core.execute
        for _ in range(self.jobs):
            execute(self.line, SESSION, NOW_MS)
