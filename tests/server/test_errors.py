"""Every code an engine answers with, what its sentence says, and that the rest goes on."""

import logging

import msgspec
import pytest

from magicqueue.wire.limits import Limits
from server.desk import Caller, Desk, code_of, job, one

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q","timeout":0}'
PONG = b'{"ok":true,"pong":true}'
PING = b'{"cmd":"PING"}'


def _sentence(reply: bytes) -> str:
    sentence = msgspec.json.decode(reply)["error"]
    assert isinstance(sentence, str)
    return sentence


@pytest.fixture
def caller(desk: Desk) -> Caller:
    caller = desk.caller()
    assert caller.ask(PING) == [PONG]
    return caller


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (b"nonsense", "BAD_JSON", "not valid JSON"),
        (b"[1]", "BAD_JSON", "not a JSON object"),
        (b'{"cmd":"PING"', "BAD_JSON", "ends too early"),
        (b'{"cmd":"PUSH","queue":"q","data":NaN}', "BAD_JSON", "not valid JSON"),
        (b'{"cmd":"PUSH","queue":"q","data":"\xff"}', "BAD_JSON", "UTF-8"),
        (b'{"cmd":"PUSH","queue":"q","data":"\\ud800"}', "BAD_JSON", "surrogate"),
        (b'{"cmd":"PUSH","queue":"q","data":%b}', "BAD_JSON", "nests deeper than 512"),
        (b"{}", "BAD_REQUEST", "cmd is missing"),
        (b'{"cmd":7}', "BAD_REQUEST", "cmd must be a string"),
        (b'{"cmd":"PUSH","data":1}', "BAD_REQUEST", "queue is missing"),
        (b'{"cmd":"PUSH","queue":"","data":1}', "BAD_REQUEST", "queue is empty"),
        (b'{"cmd":"PUSH","queue":"a\\nb","data":1}', "BAD_REQUEST", "control character"),
        (b'{"cmd":"PUSH","queue":"q","data":1,"priority":true}', "BAD_REQUEST", "priority"),
        (b'{"cmd":"PUSH","queue":"q","data":1,"delay":1.0}', "BAD_REQUEST", "delay"),
        (
            b'{"cmd":"PUSH","queue":"q","data":1,"delay":1,"run_at":2}',
            "BAD_REQUEST",
            "delay or run_at, not both",
        ),
        (
            b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1,"delay":1,"run_at":2}]}',
            "BAD_REQUEST",
            "jobs[1]: give delay or run_at",
        ),
        (
            b'{"cmd":"PUSHB","queue":"q","delay":1,"run_at":2,"jobs":[{"data":1}]}',
            "BAD_REQUEST",
            "PUSHB: give delay or run_at, not both",
        ),
        (
            b'{"cmd":"PUSHB","queue":"q","delay":1,"run_at":2,"jobs":[]}',
            "BAD_REQUEST",
            "PUSHB: give delay or run_at, not both",
        ),
        (b'{"cmd":"PUSHB","queue":"q","jobs":[{"x":1}]}', "BAD_REQUEST", "jobs[0].data"),
        (b'{"cmd":"PULLB","queue":"q","count":0}', "BAD_REQUEST", "count"),
        (b'{"cmd":"HEARTBEAT"}', "BAD_REQUEST", "ids"),
        (b'{"cmd":"HEARTBEAT","id":1,"ids":[1]}', "BAD_REQUEST", "ids"),
        (b'{"cmd":"RETRYDEAD"}', "BAD_REQUEST", "give id"),
        (b'{"cmd":"NOPE"}', "UNKNOWN_COMMAND", "'NOPE'"),
        (b'{"cmd":"ACK","id":5}', "NOT_FOUND", "job 5 is not active"),
        (b'{"cmd":"FAIL","id":5}', "NOT_FOUND", "job 5 is not active"),
        (b'{"cmd":"GETJOB","id":5}', "NOT_FOUND", "no job 5"),
        (b'{"cmd":"RETRYDEAD","id":5}', "NOT_FOUND", "job 5"),
        (b'{"cmd":"PURGEDEAD","id":5}', "NOT_FOUND", "job 5"),
        (b'{"cmd":"DEAD","queue":"q","after":5}', "NOT_FOUND", "5"),
    ],
)
def test_code_sentence_and_going_on(
    caller: Caller, line: bytes, code: str, words: str
) -> None:
    if b"%b" in line:
        line %= b"[" * 513 + b"]" * 513
    refusal, pong = caller.ask(line, PING)
    assert code_of(refusal) == code
    assert words in _sentence(refusal)
    assert pong == PONG
    assert not caller.hang_ups


def test_too_large_a_job_batch_or_name(seed: int | None) -> None:
    limits = Limits(job_bytes_max=4, push_jobs_max=2, queue_name_bytes_max=3)
    caller = Desk(seed, limits=limits).caller()
    replies = caller.ask(
        b'{"cmd":"PUSH","queue":"q","data":"1234"}',
        b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":12345}]}',
        b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1},{"data":1}]}',
        b'{"cmd":"PUSH","queue":"abcd","data":1}',
        PULL,
    )
    assert [code_of(reply) for reply in replies[:4]] == [
        *("TOO_LARGE", "TOO_LARGE", "TOO_LARGE", "BAD_REQUEST")
    ]
    assert "jobs[1].data is 5 bytes: the limit is 4" in _sentence(replies[1])
    assert replies[4] == one(b"null"), "a batch is stored whole or not at all"


def test_full_refuses_pushes_and_lets_everything_else_go_on(seed: int | None) -> None:
    caller = Desk(seed, jobs_max=2).caller()
    replies = caller.ask(
        PUSH,
        b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":1},{"data":1}],"rid":3}',
        PUSH,
        PUSH,
    )
    assert [b'"id":' in reply for reply in replies] == [True, False, True, False]
    assert code_of(replies[1]) == code_of(replies[3]) == "FULL"
    assert replies[1].endswith(b',"rid":3}')
    assert caller.ask(PULL, b'{"cmd":"ACK","id":1}', PUSH) == [
        one(job(1)),
        b'{"ok":true}',
        b'{"ok":true,"id":3}',
    ]


def test_stale_names_the_attempt(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, b'{"cmd":"PULL","queue":"q","lease":10}')
    desk.tick(10)
    caller.ask(PULL)
    for verb in (b"ACK", b"FAIL"):
        (reply,) = caller.ask(b'{"cmd":"%b","id":1,"attempt":1,"rid":"r"}' % verb)
        assert code_of(reply) == "STALE"
        assert "attempt 1 of job 1 is over" in _sentence(reply)
        assert reply.endswith(b',"rid":"r"}')
    assert caller.ask(b'{"cmd":"ACKB","ids":[{"id":1,"attempt":1}]}') == [
        b'{"ok":true,"ids":[0],"acked":0,"missing":[1]}'
    ]
    assert caller.ask(b'{"cmd":"ACK","id":1,"attempt":2}') == [b'{"ok":true}']


def test_a_late_ack_of_a_job_that_came_back_counts(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, b'{"cmd":"PULL","queue":"q","lease":10}')
    desk.tick(10)
    assert caller.ask(b'{"cmd":"ACK","id":1,"attempt":1}', PULL) == [
        b'{"ok":true}',
        one(b"null"),
    ]


@pytest.mark.parametrize(
    ("line", "echo"),
    [
        (b'{"cmd":"NOPE","rid":"x"}', b'"x"'),
        (b'{"rid":12}', b"12"),
        (b'{"cmd":"PUSH","rid":1,"rid":2}', b"2"),
        (b'{"cmd":"PUSH","rid":5,"data":1,"queue":3}', b"5"),
        (b'{"cmd":"ACK","id":9,"rid":"late"}', b'"late"'),
    ],
)
def test_a_refusal_echoes_the_rid(caller: Caller, line: bytes, echo: bytes) -> None:
    (reply,) = caller.ask(line)
    assert reply.endswith(b',"rid":%b}' % echo)
    code_of(reply)


@pytest.mark.parametrize("rid", [b"true", b"null", b"[1]", b"{}"])
def test_what_is_no_rid_is_not_echoed(caller: Caller, rid: bytes) -> None:
    (reply,) = caller.ask(b'{"cmd":"NOPE","rid":%b}' % rid)
    assert b"rid" not in reply.replace(b"rid must be", b"")


def test_a_bug_is_answered_internal_and_logged_without_forging_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    caller = desk.caller()
    caller.ask(PING)

    def broken(*_: object) -> int:
        raise KeyError("inner workings")

    monkeypatch.setattr(desk.engine.core, "push", broken)
    with caplog.at_level(logging.ERROR):
        replies = caller.ask(b'{"cmd":"PUSH","queue":"q","data":"\x1b[31m","rid":1}', PUSH)
    assert code_of(replies[0]) == "BAD_JSON", "a raw control character is no JSON"
    assert code_of(replies[1]) == "INTERNAL"
    assert "inner workings" not in _sentence(replies[1])
    (record,) = caplog.records
    assert "a request failed: b'" in record.getMessage()
    assert caller.ask(PING) == [PONG]
