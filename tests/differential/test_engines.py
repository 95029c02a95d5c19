"""The same bytes, whole or in other pieces, over both cores: the same replies and records.

Only what the core or the engine keeps of lines and jobs may differ, so it is blanked out.
"""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import require_core
from differential.line_makers import Lines
from differential.twins import START_MS, Side, told_singly
from magicqueue.wire.limits import Limits

_BLANK = re.compile(rb'"(?:memory|input)_bytes":\d+|,"declined":\{[^}]*\}')
_GREETING = b'{"cmd":"PING"}\n'
_OPTIONS: tuple[dict[str, int], ...] = (
    {"lost_max": 1, "dead_jobs_max": 3},
    {"jobs_max": 12},
    {"queues_max": 2},
    {},
)


@pytest.fixture(autouse=True, scope="module")
def _array_core_runs() -> None:
    require_core("array")


def _pieces(rng: random.Random, lines: list[bytes]) -> list[bytes]:
    """The same lines in pieces of one or more whole lines."""
    pieces, at = [], 0
    while at < len(lines):
        size = rng.choice((1, 2, 5, len(lines)))
        pieces.append(b"".join(lines[at : at + size]))
        at += size
    return pieces


class History:
    """Random lines and times for a python and an array engine."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        options = rng.choice(_OPTIONS)
        limits = Limits(pull_jobs_max=rng.choice((2, 10_000)), push_jobs_max=15)
        if rng.random() < 0.2:
            limits = Limits(job_bytes_max=100, reply_payload_bytes_max=50)
        self.sides = [Side("python", limits, **options), Side("array", limits, **options)]
        self.maker = Lines(rng)
        self.now = START_MS
        self.sessions_max = rng.choice((1, 3))

    def open(self) -> None:
        for side in self.sides:
            side.open(self.now)
            side.feed(-1, _GREETING, self.now)

    def feed(self, number: int, lines: list[bytes]) -> None:
        pieces = _pieces(self.rng, lines)
        for side in self.sides:
            if self.sessions_max == 1:  # with more, pieces decide whose turn is when
                pieces = _pieces(self.rng, lines)
            for piece in pieces:
                side.feed(number, piece, self.now)

    def compare(self) -> None:
        replies = [
            [_BLANK.sub(b"", told) for told in side.replies()] for side in self.sides
        ]
        for one, two in zip(*replies, strict=True):
            assert one.split(b"\n") == two.split(b"\n")
        made = [list(told_singly(side.records)) for side in self.sides]
        assert made[0] == made[1]
        for side in self.sides:
            side.records.clear()
            assert side.core is not None
            side.core.check()

    def pass_time(self) -> None:
        self.now += self.rng.choice((0, 0, 1, 10, 60, 2000))
        for side in self.sides:
            side.engine.advance(self.now)
            side.engine.end_leases(self.now, self.now)

    def reopen(self, number: int) -> None:
        for side in self.sides:
            side.engine.close(side.sessions[number], self.now)
            side.open(self.now)
            side.sessions[number] = side.sessions.pop()
            side.heard[number] = side.heard.pop()
            side.feed(number, _GREETING, self.now)

    def run(self, *, rounds: int, lines_a_round: int) -> None:
        rng = self.rng
        for turn in range(rounds):
            if turn < self.sessions_max:
                self.open()
            number = rng.randrange(min(turn + 1, self.sessions_max))
            lines = [self.maker.line() for _ in range(rng.randrange(1, lines_a_round))]
            self.feed(number, lines)
            self.compare()
            self.pass_time()
            if rng.random() < 0.05:
                self.reopen(number)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_short_histories(seed: int) -> None:
    History(seed).run(rounds=12, lines_a_round=12)


@pytest.mark.parametrize("seed", range(6))
def test_long_histories(seed: int) -> None:
    History(seed).run(rounds=60, lines_a_round=60)
