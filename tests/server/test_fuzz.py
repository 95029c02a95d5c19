"""Lines that are a little wrong, through the engine: one JSON reply each, or a hang-up.

A run takes 100,000 lines; MAGICQUEUE_FUZZ_LINES takes any number more, from other seeds
(MAGICQUEUE_FUZZ_SEED), as `MAGICQUEUE_FUZZ_LINES=1000000 pytest tests/server/test_fuzz.py`.
"""

import json
import logging
import os
import random
from collections import Counter
from typing import Any, Final, NoReturn

import pytest

from magicqueue.errors import ERROR_CODES
from magicqueue.wire.limits import Limits
from server.desk import Caller, Desk
from wire.samples import LINES, MEMBERS, PIECES, VALUES

SHARES: Final = 4
LINES_A_SHARE: Final = int(os.environ.get("MAGICQUEUE_FUZZ_LINES", "100000")) // SHARES
FIRST_SEED: Final = int(os.environ.get("MAGICQUEUE_FUZZ_SEED", "1"))
LIMITS: Final = Limits(job_bytes_max=4000, push_jobs_max=3, queue_name_bytes_max=40)
PING: Final = b'{"cmd":"PING"}'
PONG: Final = b'{"ok":true,"pong":true}'
WHITE_SPACE: Final = b" \t\r"


def _mutated(rng: random.Random) -> bytes:
    """A line as a client writes it, changed in a few places."""
    line = rng.choice(LINES)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        start = rng.randrange(len(line) + 1)
        end = min(len(line), start + rng.choice((0, 0, 1, 2, 6, 20)))
        colon = line.find(b":", start) + 1 or len(line)
        comma = min(line.find(mark, colon) % (len(line) + 1) for mark in (b",", b"}"))
        brace = line.find(rng.choice((b"{", b",")), start) + 1
        line = rng.choice(
            (
                line[:colon] + rng.choice(VALUES) + line[comma:],
                line[:colon] + rng.choice(VALUES) + line[comma:],
                line[:brace] + rng.choice(MEMBERS) + line[brace:],
                line[:start] + rng.choice(PIECES) + line[end:],
                line[:start] + line[end:],
                line[:start] + line[start:end].swapcase() + line[end:],
                line[:start] + bytes([rng.randrange(256)]) + line[end:],
                line[:start] + rng.choice(LINES)[start:],
                rng.randbytes(rng.randrange(40)),
            )
        )
    return line.replace(b"\n", b" ")


def _no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def _strict(reply: bytes) -> dict[str, Any]:
    fields = json.loads(reply.decode(), parse_constant=_no_constant, parse_int=str)
    assert isinstance(fields, dict)
    return fields


def _check(reply: bytes, line: bytes, codes: Counter[str]) -> None:
    fields = _strict(reply)
    if fields["ok"] is True:
        codes["ok"] += 1
        return
    assert fields["ok"] is False
    assert fields["error"], line
    assert fields["code"] in ERROR_CODES, line
    assert fields["code"] != "INTERNAL", line
    codes[fields["code"]] += 1


def _one_line(desk: Desk, caller: Caller, line: bytes, codes: Counter[str]) -> bool:
    """Send a line and check what comes of it; False if the session is of no more use."""
    replies = caller.ask(line)
    if not line.strip(WHITE_SPACE):
        assert not replies
        return True
    if not replies:
        assert caller.session.parked, line
        assert not caller.hang_ups
        desk.tick(1)
        replies = caller.heard()
        if not replies:
            codes["waits"] += 1
            return False
    assert len(replies) == 1, line
    _check(replies[0], line, codes)
    return not caller.hang_ups


@pytest.mark.parametrize("share", range(SHARES))
def test_every_line_gets_one_reply_or_a_hang_up(
    share: int, caplog: pytest.LogCaptureFixture
) -> None:
    seed = FIRST_SEED * SHARES + share
    rng = random.Random(seed)
    desk = Desk(limits=LIMITS, jobs_max=40, queues_max=20, dead_jobs_max=8)
    desk.settle_checks = False
    caller = desk.caller()
    codes: Counter[str] = Counter()
    with caplog.at_level(logging.WARNING):
        for number in range(LINES_A_SHARE):
            if not _one_line(desk, caller, _mutated(rng), codes):
                caller.close()
                caller = desk.caller()
            elif rng.random() < 0.05:
                assert caller.ask(PING) == [PONG]
            if not number % 5000:
                desk.engine.core.check()
                desk.tick(1000)
            if rng.random() < 0.002:
                caller.close()
                caller = desk.caller()
    assert not caplog.records, f"seed {seed}"
    wanted = {"ok", "waits", "BAD_JSON", "BAD_REQUEST", "UNKNOWN_COMMAND", "NOT_FOUND"}
    wanted |= {"TOO_LARGE", "FULL"}
    if LINES_A_SHARE >= 25_000:
        assert wanted <= set(codes), codes
