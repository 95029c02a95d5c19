"""How lines become replies: order, chunks, line ends, first lines, and back-pressure."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicqueue.errors import TooLarge
from magicqueue.wire.framing import LineBuffer
from magicqueue_server.turns import REPLY_BYTES_A_TURN
from server.desk import Caller, Desk, code_of, job, one

PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'

MIXED = (
    b'{"cmd":"PUSH","queue":"q","data":{"n": 1}}\n'
    b"\n"
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":2},{"data":"\xe2\x82\xac","priority":1}]}\r\n'
    b"\r\n"
    b" \t \n"
    b'{"cmd":"PULL","queue":"q","rid":1}\n'
    b"garbage\n"
    b'{"cmd":"NOPE","rid":"x"}\n'
    b'  {"cmd" : "pull" , "queue":"q"}  \r\n'
    b'{"cmd":"ACKB","ids":[1,3]}\n'
    b'{"cmd":"PULLB","queue":"q","count":9,"timeout":0}\n'
    b'{"cmd":"STATS","queue":"q"}\n'
)
MIXED_REPLIES = 9


def _replies(pieces: list[bytes], seed: int | None = None) -> list[bytes]:
    desk = Desk(seed)
    caller, buffer = desk.caller(), LineBuffer(2**20)
    for piece in pieces:
        lines = buffer.feed(memoryview(piece))
        if lines:
            caller.feed(lines)
    return caller.heard()


def test_whole_and_byte_by_byte_give_the_same_replies(seed: int | None) -> None:
    whole = _replies([MIXED])
    assert len(whole) == MIXED_REPLIES
    assert [b'"ok":true' in reply for reply in whole] == [True] * 3 + [False] * 2 + [
        True
    ] * 4
    assert _replies([MIXED], seed) == whole
    assert _replies([bytes([byte]) for byte in MIXED], seed) == whole


@given(cuts=st.sets(st.integers(1, len(MIXED) - 1)), seed=st.none() | st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_any_chunking_gives_the_same_replies(cuts: set[int], seed: int | None) -> None:
    ends = [0, *sorted(cuts), len(MIXED)]
    pieces = [MIXED[a:b] for a, b in itertools.pairwise(ends)]
    assert _replies(pieces, seed) == _replies([MIXED])


def test_pipelined_lines_are_answered_in_order(desk: Desk) -> None:
    lines = [b'{"cmd":"PUSH","queue":"q","data":1,"rid":%d}' % n for n in range(500)]
    replies = desk.caller().ask(*lines)
    assert replies == [b'{"ok":true,"id":%d,"rid":%d}' % (n + 1, n) for n in range(500)]


def test_empty_lines_are_ignored(desk: Desk) -> None:
    assert desk.caller().feed(b"\n\r\n  \n\t\r\n" + PING + b"\n\n").heard() == [PONG]


def test_other_white_space_is_no_empty_line(desk: Desk) -> None:
    caller = desk.caller()
    caller.ask(PING)
    assert [code_of(reply) for reply in caller.ask(b"\x0b", b"\x0c\r", b"\xc2\xa0")] == [
        "BAD_JSON"
    ] * 3


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1",
        b"[1,2]",
        b"null",
        b"nonsense",
        b'"text"',
        b'{"cmd":"PING"',
        b'{"cmd":"PING"} {"cmd":"PING"}',
        b"\xff\xfe",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_a_first_line_that_is_no_object_ends_the_session(desk: Desk, first: bytes) -> None:
    caller, witness = desk.caller(), desk.caller()
    caller.send(first, PUSH, PUSH)
    (reply,) = caller.heard()
    assert code_of(reply) == "BAD_JSON"
    assert caller.hang_ups == 1
    assert caller.ask(PUSH) == [], "nothing runs after the hang-up"
    assert b'"pushed":0' in witness.ask(b'{"cmd":"STATS"}')[0]


def test_a_request_of_http_cannot_smuggle_a_command_in_its_body(desk: Desk) -> None:
    caller, witness = desk.caller(), desk.caller()
    caller.feed(
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1:6789\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 36\r\n\r\n" + PUSH + b"\n"
    )
    assert [code_of(reply) for reply in caller.heard()] == ["BAD_JSON"]
    assert caller.hang_ups == 1
    assert b'"pushed":0' in witness.ask(b'{"cmd":"STATS"}')[0]


def test_empty_lines_before_it_do_not_make_a_bad_first_line_good(desk: Desk) -> None:
    caller = desk.caller()
    caller.feed(b"\r\n\nGET / HTTP/1.1\r\n" + PUSH + b"\n")
    assert [code_of(reply) for reply in caller.heard()] == ["BAD_JSON"]
    assert caller.hang_ups == 1


@pytest.mark.parametrize("first", [PING, b'{"cmd":"NOPE"}', b"{}", b'{"cmd":"PUSH"}'])
def test_after_a_first_object_bad_lines_keep_the_session(desk: Desk, first: bytes) -> None:
    caller = desk.caller()
    replies = caller.ask(first, b"GET / HTTP/1.1", b"[]", PING)
    assert [code_of(reply) for reply in replies[1:3]] == ["BAD_JSON", "BAD_JSON"]
    assert replies[3] == PONG
    assert not caller.hang_ups


def test_a_refusal_waits_for_the_lines_before_it(desk: Desk) -> None:
    caller = desk.caller()
    caller.ask(PING, PULL, PING)
    desk.engine.refuse(caller.session, TooLarge("over the limit"), desk.now)
    desk.settle()
    assert (caller.heard(), caller.hang_ups) == ([], 0)
    desk.caller().ask(PUSH)
    pulled, pong, refused = caller.heard()
    assert (pulled, pong, code_of(refused)) == (one(job(1)), PONG, "TOO_LARGE")
    assert caller.hang_ups == 1


def test_a_congested_session_stops_and_goes_on(desk: Desk) -> None:
    caller = desk.caller()
    caller.session.congested = True
    assert caller.ask(PING, PUSH) == []
    other = desk.caller()
    assert other.ask(PING) == [PONG]
    caller.session.congested = False
    desk.engine.resume(caller.session, desk.now)
    desk.settle()
    assert caller.heard() == [PONG, b'{"ok":true,"id":1}']


def test_a_reply_may_reach_a_congested_session_but_no_line_runs(desk: Desk) -> None:
    caller = desk.caller()
    caller.send(PULL, PING)
    caller.session.congested = True
    desk.caller().ask(PUSH)
    assert caller.heard() == [one(job(1))]
    caller.session.congested = False
    desk.engine.resume(caller.session, desk.now)
    assert caller.heard() == [PONG]


def test_a_session_stops_between_lines_when_its_replies_pile_up() -> None:
    desk = Desk()
    written: list[bytes] = []

    def write(text: bytes) -> None:
        written.append(text)
        session.congested = True

    session = desk.engine.open(write, lambda: None, lambda: None, desk.now)
    payload = b'"%b"' % (b"x" * 2**16)
    pushes = b'{"cmd":"PUSH","queue":"q","data":%b}\n' % payload
    desk.caller().feed(pushes * 64)
    desk.engine.feed(session, (PULL + b"\n") * 64, desk.now)
    for _ in range(64):
        assert len(written) == 1
        assert len(written.pop()) <= REPLY_BYTES_A_TURN + 2 * len(pushes)
        session.congested = False
        desk.engine.resume(session, desk.now)
        if not session.backlog_bytes:
            break
    assert not session.backlog_bytes
    assert b'"processing":64' in desk.caller().ask(b'{"cmd":"STATS"}')[0]


def test_a_held_session_is_told_to_read_on_when_its_backlog_has_run(desk: Desk) -> None:
    caller = desk.caller()
    caller.send(PULL, *[PING] * 1000)
    assert caller.session.backlog_bytes == 1000 * (len(PING) + 1)
    caller.session.held = True
    assert caller.ask(PING) == []
    assert caller.read_ons == 0
    desk.caller().ask(PUSH)
    assert caller.heard() == [one(job(1))] + [PONG] * 1001
    assert caller.read_ons == 1
    assert caller.session.backlog_bytes == 0


def test_a_session_that_is_not_held_is_not_told(desk: Desk) -> None:
    caller = desk.caller()
    caller.ask(PULL, PING)
    desk.caller().ask(PUSH)
    assert caller.read_ons == 0


def test_closing_twice_is_closing_once(desk: Desk) -> None:
    caller = desk.caller()
    caller.close()
    caller.close()
    assert b'"connections":1' in desk.caller().ask(b'{"cmd":"STATS"}')[0]


def _script(rng: random.Random) -> list[tuple[int, bytes]]:
    """Lines for four sessions, each to be sent by one that does not wait."""
    lines: list[tuple[int, bytes]] = []
    for number in range(60):
        queue = rng.choice((b"a", b"b"))
        verb = rng.choice(
            (
                b'"PUSH","data":%d' % number,
                b'"PUSH","data":1,"priority":%d' % rng.randrange(3),
                b'"PUSH","data":1,"delay":%d' % rng.randrange(20),
                b'"PUSHB","jobs":[{"data":1},{"data":2,"backoff":3}]',
                b'"PULL","timeout":%d' % rng.randrange(30),
                b'"PULL","timeout":0,"lease":%d' % rng.randrange(1, 20),
                b'"PULLB","count":2,"timeout":%d' % rng.randrange(10),
                b'"ACK","id":%d' % rng.randrange(1, 20),
                b'"FAILB","jobs":[{"id":%d},{"id":%d}]' % (number % 9 + 1, number % 7 + 1),
                b'"HEARTBEAT","id":%d,"lease":9' % rng.randrange(1, 20),
                b'"PAUSE"',
                b'"RESUME"',
                b'"STATS"',
            )
        )
        line = b'{"cmd":%b,"queue":"%b","rid":%d}' % (verb, queue, number)
        lines.append((rng.randrange(4), line))
    return lines


def _played(script: list[tuple[int, bytes]], seed: int | None) -> list[list[bytes]]:
    desk = Desk(seed)
    callers: list[Caller] = [desk.caller() for _ in range(4)]
    for who, line in script:
        desk.tick(1)
        while all(caller.session.parked for caller in callers):
            desk.tick(1)
        free = [c for c in callers[who:] + callers[:who] if not c.session.parked]
        free[0].send(line)
    while len(desk.engine._blocked):
        desk.tick(1)
    return [caller.heard() for caller in callers]


@pytest.mark.parametrize("case", range(40))
def test_a_core_that_answers_later_gets_the_same_replies(case: int) -> None:
    script = _script(random.Random(case))
    now = _played(script, None)
    assert sum(map(len, now)) == len(script)
    assert _played(script, case) == now
