"""One session's flood of lines does not stop the others: counted in turns and rounds."""

import pytest

from conformance.driver import require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.turns import ROUND_NS, TURN_BYTES, TURN_NS
from server.desk import Caller, Desk

PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
STATS = b'{"cmd":"STATS"}'


@pytest.fixture(params=["python", "array"])
def desk(request: pytest.FixtureRequest) -> Desk:
    require_core(request.param)
    made = Desk(core=ArrayCore if request.param == "array" else PythonCore)
    made.settle_checks = False
    return made


def flood(caller: Caller, line: bytes, count: int) -> None:
    caller.feed((line + b"\n") * count, settle=False)


def next_turns(desk: Desk) -> None:
    """Run what was to be called soon, and nothing of what that asks for."""
    for _ in range(len(desk.soon)):
        desk.soon.popleft()()


@pytest.mark.parametrize("line", [PING, PUSH, STATS, b" "])
def test_a_turn_is_bounded_in_bytes(desk: Desk, line: bytes) -> None:
    one, other = desk.caller(), desk.caller()
    one.ask(PING)
    lines = 3 * TURN_BYTES // len(line)
    flood(one, line, lines)
    left = one.session.backlog_bytes
    assert left > TURN_BYTES, "the turn is over, and most has not run"
    assert other.send(PING, settle=False).heard() == [PONG], "others go first"
    assert one.session.backlog_bytes == left
    desk.settle()
    assert one.session.backlog_bytes == 0
    assert len(one.heard()) == (0 if line == b" " else lines)


def test_a_turn_is_bounded_in_time(desk: Desk) -> None:
    one = desk.caller()
    one.ask(PING)
    desk.clock.look_ns = TURN_NS // 4
    flood(one, STATS, 100)
    assert 0 < len(one.heard()) <= 5
    desk.settle()
    assert one.session.backlog_bytes == 0


def test_floods_are_worked_off_in_rounds(desk: Desk) -> None:
    callers = [desk.caller() for _ in range(5)]
    for caller in callers:
        caller.ask(PING)
    desk.clock.look_ns = ROUND_NS
    for caller in callers:
        flood(caller, STATS, 20)
    ran = [0] * len(callers)
    while any(caller.session.backlog_bytes for caller in callers):
        next_turns(desk)
        for number, caller in enumerate(callers):
            ran[number] += len(caller.heard())
        assert max(ran) - min(ran) <= 2
    assert ran == [20] * len(callers)


def test_who_is_new_does_not_wait_behind_those_that_had_a_turn(desk: Desk) -> None:
    floods, late = [desk.caller() for _ in range(5)], desk.caller()
    for caller in (*floods, late):
        caller.ask(PING)
    desk.clock.look_ns = ROUND_NS
    for caller in floods:
        flood(caller, STATS, 20)
    desk.now += 100
    flood(floods[0], STATS, 1)
    assert late.send(PING, settle=False).heard() == [PONG]
    desk.now += 100
    assert late.send(PING, settle=False).heard() == [], "there was no poll for long"
    next_turns(desk)
    assert late.heard() == [PONG], "it has the first turn of the next round"
    assert all(caller.session.backlog_bytes for caller in floods)


def test_one_push_that_wakes_many_does_not_run_all_their_lines(desk: Desk) -> None:
    waiters, pusher = [desk.caller() for _ in range(20)], desk.caller()
    for waiter in waiters:
        waiter.ask(PING, PULL, *[STATS] * 20)
        waiter.heard()
    desk.clock.look_ns = TURN_NS
    jobs = b",".join([b'{"data":1}'] * 20)
    pusher.send(b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}' % jobs, settle=False)
    heard = [len(waiter.heard()) for waiter in waiters]
    assert all(heard), "each has its job"
    assert sum(heard) < 3 * len(waiters)
    desk.settle()
    assert [n + len(w.heard()) for n, w in zip(heard, waiters, strict=True)] == [21] * 20


def test_what_is_kept_of_lines_and_of_waiting_pulls_is_counted(desk: Desk) -> None:
    one, other = desk.caller(), desk.caller()
    rid = b"r" * 5000
    one.ask(b'{"cmd":"PULL","queue":"q","rid":"%b"}' % rid)
    assert 5000 <= desk.engine.sessions.input_bytes < 5100, (
        "of the line no more than the rid"
    )
    one.ask(*[PING] * 1000)
    kept = desk.engine.sessions.input_bytes
    assert kept >= 5000 + 1000 * len(PING)
    assert b'"input_bytes":%d,' % kept in other.ask(STATS)[0]
    other.ask(PUSH)
    assert desk.engine.sessions.input_bytes == 0
    assert len(one.heard()) == 1001
    one.ask(PULL, PING)
    one.close()
    assert desk.engine.sessions.input_bytes == 0
