"""Cores and engines inside the benchmark's own process, driven with bytes."""

import re
from collections import deque

from benchmarks.processes import import_sources

import_sources()

from benchmarks.dialects import MagicQueue, ids_of  # noqa: E402
from benchmarks.payloads import payloads, priorities  # noqa: E402
from magicqueue.wire.limits import Limits  # noqa: E402 - after the sources are found
from magicqueue_cores import make_core  # noqa: E402
from magicqueue_cores.contract import CoreOptions, NewJobs  # noqa: E402
from magicqueue_server import memory  # noqa: E402
from magicqueue_server.clock import SystemClock  # noqa: E402
from magicqueue_server.columns import JobDefaults  # noqa: E402
from magicqueue_server.engine import Engine  # noqa: E402
from magicqueue_server.looks import ServerFacts  # noqa: E402
from magicqueue_server.turns import Turns  # noqa: E402

CORES = ["python", "array"]
NOW_MS = 1_764_000_000_000
QUEUE = "bench"
LEASE_MS = 300_000
BYTES_MAX = 1 << 62

_DIALECT = MagicQueue()


def new_core(name):
    """Make a core; where it cannot run, asv marks the benchmark as not applicable."""
    try:
        return make_core(name, CoreOptions())
    except ImportError as error:
        raise NotImplementedError(str(error)) from None


def new_jobs(first, count, payload_bytes=0, distinct=1):
    """Make a batch as columns, as a server hands it to its core."""
    ranks = priorities(count, distinct) if distinct > 1 else 0
    datas = payloads(first, count, payload_bytes)
    return NewJobs(payloads=datas, run_ats_ms=NOW_MS, priorities=ranks)


def push_lines(jobs, batch, payload_bytes=0, distinct=1, form="bare"):
    """Make the PUSHB lines for some jobs, `batch` jobs a line."""
    dialect = MagicQueue()
    dialect.form = form
    datas = payloads(0, jobs, payload_bytes)
    ranks = priorities(jobs, distinct)
    return [
        dialect.push(datas[at : at + batch], ranks[at : at + batch])
        for at in range(0, jobs, batch)
    ]


class Desk:
    """An engine with one session; `out` collects what it replies."""

    def __init__(self, core):
        memory.tune_heap()
        self.out = []
        self._soon = deque()
        try:
            self.engine = Engine(
                lambda on_ready: make_core(core, CoreOptions(), on_ready=on_ready),
                Limits(),
                JobDefaults(),
                ServerFacts(version="benchmark"),
                lambda _session: None,
                Turns(self._soon.append, SystemClock()),
            )
        except ImportError as error:
            raise NotImplementedError(str(error)) from None
        self._session = self.engine.open(
            self.out.append, lambda: None, lambda: None, NOW_MS
        )
        self.feed(b'{"cmd":"PING"}\n')
        self.out.clear()
        memory.tune_collector()

    def feed(self, lines):
        """Have lines run; replies go to `out`."""
        self.engine.feed(self._session, lines, NOW_MS)
        while self._soon:
            self._soon.popleft()()

    def fill(self, jobs, payload_bytes=0, distinct=1):
        """Queue jobs, 5,000 a line; a hundred lines are made once and used again."""
        batch = min(jobs, 5000)
        lines = push_lines(min(jobs, 500_000), batch, payload_bytes, distinct)
        for number in range(jobs // batch):
            self.feed(lines[number % len(lines)])
        self.take()

    def take(self):
        """Give the replies so far, and forget them; raises for a refusal."""
        text = b"".join(self.out)
        self.out.clear()
        _DIALECT.check(text)
        return text

    def pull(self, jobs, batch):
        """Pull jobs; gives the ids of each batch as text."""
        ids = []
        for _ in range(jobs // batch):
            self.feed(pull_line(batch))
            ids.append(ids_of(self.take()))
        return ids


def pull_line(count):
    """Make a PULLB that does not wait."""
    return b'{"cmd":"PULLB","queue":"bench","count":%d,"timeout":0}\n' % count


def ids_in(reply):
    """Give the ids in a PULL's or PULLB's reply."""
    return re.findall(rb'\{"id":(\d+)', reply)
