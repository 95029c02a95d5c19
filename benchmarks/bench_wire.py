"""Moved by magicqueue.wire, server/engine.py and its commands, cores/ and the kernels.

The wire path: request lines in, reply lines out, through the engine, without a socket.
`depth` jobs stay queued underneath all the while.
"""

from benchmarks.dialects import FORMS
from benchmarks.in_process import CORES, Desk, ids_in, pull_line, push_lines
from benchmarks.workloads import QUICK, sized

JOBS = sized(50_000, 20_000, 1_000)
SINGLES = sized(10_000, 5_000, 320)
BATCH = 1_000
WINDOW = 64
DEPTH = sized(100_000, 100_000, 1_000)

TIMING = {
    "number": 1,
    "repeat": sized((3, 5, 2.0), 2, 1),
    "rounds": 1,
    "warmup_time": 0.0 if QUICK else 0.1,
}


class Batches:
    params = [CORES, sized([0, 150], [0, 150], [0]), sized([1, 1_000], [1, 1_000], [1_000])]
    param_names = ["core", "payload_bytes", "priorities"]
    jobs = JOBS
    locals().update(TIMING)

    def setup(self, core, payload_bytes, distinct):
        self.desk = Desk(core)
        self.desk.fill(DEPTH, payload_bytes, distinct)
        self.pushes = push_lines(JOBS, BATCH, payload_bytes, distinct)
        self.pulls = [pull_line(BATCH)] * (JOBS // BATCH)

    def teardown(self, *params):
        self.desk.take()
        self.desk = None

    def feed_all(self, lines):
        feed = self.desk.feed
        for line in lines:
            feed(line)


class Push(Batches):
    def time_pushb(self, *params):
        self.feed_all(self.pushes)


class Forms:
    """PUSHB in the forms that clients send."""

    params = [CORES, list(FORMS)]
    param_names = ["core", "form"]
    jobs = JOBS
    locals().update(TIMING)

    def setup(self, core, form):
        self.desk = Desk(core)
        self.desk.fill(DEPTH)
        self.lines = push_lines(JOBS, BATCH, form=form)

    def teardown(self, *params):
        self.desk.take()
        self.desk = None

    def time_pushb(self, *params):
        for line in self.lines:
            self.desk.feed(line)


class Pull(Batches):
    def setup(self, *params):
        super().setup(*params)
        self.feed_all(self.pushes)
        self.desk.take()

    def time_pullb(self, *params):
        self.feed_all(self.pulls)


class Settle(Pull):
    def setup(self, *params):
        super().setup(*params)
        batches = self.desk.pull(JOBS, BATCH)
        form = b'{"cmd":"%s","ids":[%s]}\n'
        self.acks = [form % (b"ACKB", ids) for ids in batches]
        self.heartbeats = [form % (b"HEARTBEAT", ids) for ids in batches]
        self.fails = [
            b'{"cmd":"FAILB","jobs":[%s]}\n'
            % b",".join(b'{"id":%s,"error":"because"}' % i.strip() for i in ids.split(b","))
            for ids in batches
        ]

    time_pullb = None

    def time_ackb(self, *params):
        self.feed_all(self.acks)

    def time_failb(self, *params):
        self.feed_all(self.fails)

    def time_heartbeat(self, *params):
        self.feed_all(self.heartbeats)


class Singles:
    params = [CORES]
    param_names = ["core"]
    jobs = SINGLES
    locals().update(TIMING)

    def setup(self, core):
        self.desk = Desk(core)
        self.desk.fill(DEPTH)
        lines = push_lines(SINGLES, 1)
        self.lines = lines
        self.pieces = [
            b"".join(lines[at : at + WINDOW]) for at in range(0, SINGLES, WINDOW)
        ]

    def teardown(self, core):
        self.desk.take()
        self.desk = None

    def time_push(self, core):
        for line in self.lines:
            self.desk.feed(line)

    def time_push_64_at_once(self, core):
        for piece in self.pieces:
            self.desk.feed(piece)

    def time_cycle(self, core):
        desk, out = self.desk, self.desk.out
        pull = b'{"cmd":"PULL","queue":"bench"}\n'
        for line in self.lines:
            desk.feed(line)
            desk.feed(pull)
            desk.feed(b'{"cmd":"ACK","id":%s}\n' % ids_in(out[-1])[0])


del Batches
