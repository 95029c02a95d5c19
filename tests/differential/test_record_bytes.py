"""Records that kernels write as bytes: the bytes that `encode` writes of the records."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import require_core
from differential.line_makers import Lines
from differential.twins import START_MS
from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.line_contract import LineCore, RecordBytes, WireDefaults
from magicqueue_cores.records import sequence_span
from magicqueue_server.wal.encode import encode
from magicqueue_server.wal.gate import PROMISE_NOTHING

ERROR_CHARS_MAX = 30


@pytest.fixture(autouse=True, scope="module")
def _array_core_runs() -> None:
    require_core("array")


class Told:
    """An array core, and all that it tells its log: as bytes, and counted along."""

    def __init__(self, *, as_bytes: bool) -> None:
        self.written = 0
        """How often kernels wrote bytes."""
        self.said = b""
        self.count = self.promised = self.span = self.last_id = 0
        wire = WireDefaults(error_chars_max=ERROR_CHARS_MAX)
        core: Any = make_core(
            "array",
            CoreOptions(),
            record=self.record,
            record_bytes=self.take if as_bytes else None,
            wire=wire,
        )
        self.core: LineCore = core

    def record(self, record: records.Record) -> None:
        parts: list[bytes] = []
        encode(record, parts)
        self.said += b"".join(parts)
        self.count += 1
        self.promised += type(record) not in PROMISE_NOTHING
        self.span += sequence_span(record)
        if isinstance(record, records.Pushed):
            self.last_id = record.first_id + len(record.payloads) - 1

    def take(self, told: RecordBytes) -> None:
        self.written += 1
        self.said += told.data
        self.count += told.count
        self.promised += told.promised
        self.span += told.span
        self.last_id = told.last_id or self.last_id

    def run(self, lines: bytes, now_ms: int) -> bytes:
        """Run what kernels run of lines, and leave the others out."""
        at, replies = 0, b""
        while at < len(lines):
            ran, reply = self.core.execute(lines, 1, now_ms, at)
            at = at + ran if ran else lines.index(b"\n", at) + 1
            replies += reply
        return replies

    @property
    def all(self) -> tuple[object, ...]:
        return self.said, self.count, self.promised, self.span, self.last_id


class Pair:
    """Two cores that get the same: one whose kernels write, one whose do not."""

    def __init__(self) -> None:
        self.one, self.two = Told(as_bytes=True), Told(as_bytes=False)
        for side in (self.one, self.two):
            for queue in ("q", "mail", "été"):
                job = NewJobs(payloads=[b"0"], run_ats_ms=START_MS)
                side.core.push(queue, job, START_MS)  # kernels make no queues

    def run(self, lines: bytes, now_ms: int = START_MS) -> bytes:
        replies = [side.run(lines, now_ms) for side in (self.one, self.two)]
        assert replies[0] == replies[1]
        assert self.one.all == self.two.all
        return replies[0]


SINGLES = [
    b'{"cmd":"PUSH","queue":"q","data":1}',
    b'{"cmd":"PUSH","queue":"q","data":{"to":"x"},"priority":7}',
    b'{"cmd":"PUSH","queue":"q","data":"","priority":-3,"max_attempts":9}',
    b'{"cmd":"PUSH","queue":"q","data":[1,2,3],"delay":50}',
    b'{"cmd":"PUSH","queue":"q","data":null,"backoff":77}',
    b'{"cmd":"PUSH","queue":"q","data":null,"jitter":true}',
    '\x7b"cmd":"PUSH","queue":"été","data":"üx"}'.encode(),
]


@pytest.mark.parametrize("seed", range(20))
def test_single_pushes_in_a_row(seed: int) -> None:
    rng, pair = random.Random(seed), Pair()
    for size in (1, 2, 3, 8, 33):
        lines = [rng.choice(SINGLES[: rng.randrange(1, 8)]) for _ in range(size)]
        pair.run(b"\n".join(lines) + b"\n")
    assert pair.one.written == 5
    assert pair.two.written == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 100])
def test_batches_whose_jobs_differ_in_some_fields(size: int) -> None:
    rng, pair = random.Random(size), Pair()
    for fields in (
        (),
        ("priority",),
        ("delay",),
        ("backoff", "jitter"),
        ("max_attempts", "priority"),
        ("priority", "delay", "max_attempts", "backoff", "jitter"),
    ):
        jobs = []
        for _ in range(size):
            said = {"jitter": rng.choice(("true", "false"))}
            more = b"".join(
                b',"%b":%b' % (f.encode(), said.get(f, str(rng.randrange(1, 4))).encode())
                for f in fields
            )
            jobs.append(b'{"data":"%b"%b}' % (b"x" * rng.randrange(40), more))
        line = b'{"cmd":"PUSHB","queue":"mail","jobs":[%b]}\n' % b",".join(jobs)
        assert b'"ok":true' in pair.run(line)
    assert pair.one.written == 6


def test_leases_and_verdicts() -> None:
    pair = Pair()
    jobs = b",".join(b'{"data":%d}' % k for k in range(12))
    lines = [
        b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}' % jobs,
        b'{"cmd":"PULL","queue":"q"}',
        b'{"cmd":"PULLB","queue":"q","count":9}',
        b'{"cmd":"HEARTBEAT","id":1}',
        b'{"cmd":"HEARTBEAT","ids":[2,3,4,99]}',
        b'{"cmd":"ACK","id":1}',
        b'{"cmd":"ACK","id":2}',
        b'{"cmd":"ACKB","ids":[3,4,77]}',
        b'{"cmd":"FAIL","id":5,"error":"no such address: caf\xc3\xa9"}',
        b'{"cmd":"FAIL","id":6}',
        b'{"cmd":"FAILB","jobs":[{"id":7,"error":"a"},{"id":8},{"id":9,"error":"bcd"}]}',
    ]
    pair.run(b"\n".join(lines) + b"\n")
    assert pair.one.written >= 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"cmd":"FAIL","id":1,"error":"on \\"this\\" line"}',
        b'{"cmd":"FAIL","id":1,"error":"%b"}' % (b"x" * (ERROR_CHARS_MAX + 1)),
        b'{"cmd":"HEARTBEAT","ids":[1,4,1]}',
        b'{"cmd":"HEARTBEAT","ids":[4,1]}',
    ],
)
def test_what_kernels_do_not_write_is_told_by_python(line: bytes) -> None:
    pair = Pair()
    pair.run(SINGLES[0] + b"\n" + SINGLES[0] + b"\n")
    pair.run(b'{"cmd":"PULLB","queue":"q","count":2}\n')
    before = pair.one.written
    pair.run(b'{"cmd":"ACK","id":99}\n' + line + b"\n")
    assert pair.one.written == before


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_random_lines(seed: int) -> None:
    rng, pair, now_ms = random.Random(seed), Pair(), START_MS
    maker = Lines(rng)
    for _ in range(8):
        pair.run(b"".join(maker.line() for _ in range(rng.randrange(1, 25))), now_ms)
        now_ms += rng.choice((0, 1, 60, 2000))
        for side in (pair.one, pair.two):
            side.core.end_leases(now_ms, now_ms)
    assert pair.one.written or not pair.one.said
