"""The sans-I/O protocol: whole and byte by byte."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicqueue import commands
from magicqueue.coalesce import Gathering
from magicqueue.encoding import Batch
from magicqueue.errors import Full, NotFound, ProtocolError, RequestError, Stale
from magicqueue.failures import Failure
from magicqueue.job import Job
from magicqueue.protocol import Call, Command, Protocol
from magicqueue.wire.decode import decode_request
from magicqueue.wire.requests import FailBatch, PlainAckBatch, PlainDone, PullBatch

JOB = (
    b'{"id":%d,"queue":"q","data":{"a":[1,"\xc3\xa9"]},"priority":2,'
    b'"created_at":1000,"run_at":2000,"attempts":%d}'
)


def pulled(*jobs: tuple[int, int]) -> list[Job]:
    line = b'{"ok":true,"jobs":[%b]}\n' % b",".join(JOB % job for job in jobs)
    return commands.pull("q", len(jobs), 0, None).read(line)


EXCHANGES: list[tuple[Command[Any], bytes, Any]] = [
    (commands.push("q", b'{"data":1}'), b'{"ok":true,"id":7}', [7]),
    (commands.push_batch("q", Batch(b'{"data":1}', 1)), b'{"ok":true,"ids":[8]}', [8]),
    (commands.ack([1]), b'{"ok":true,"ids":[1],"acked":1,"missing":[]}', []),
    (commands.ping(), b' { "ok" : true } \r', None),
    (commands.drain("q"), b'{"removed":3,"ok":true}', 3),
    (commands.fail_one(1, "x"), b'{"ok":true,"state":"delayed"}', "delayed"),
    (commands.pull("q", 1, 0, None), b'{"ok":true,"jobs":[]}', []),
    (commands.ping(), b'{"ok":false,"error":"no","code":"FULL"}', Full("no")),
    (commands.ping(), b'{"ok":false,"error":"o","code":"NEW"}', RequestError("o")),
    (commands.job(4), b'{"ok":true,"job":null}', NotFound("there is no job 4")),
]


def check_answers(calls: list[Call[Any]]) -> None:
    for call, (_, _, expected) in zip(calls, EXCHANGES, strict=True):
        assert call.done
        if isinstance(expected, Exception):
            assert type(call.error) is type(expected)
            assert str(expected) in str(call.error)
        else:
            assert call.result() == expected


@given(st.lists(st.integers(1, 60), min_size=1))
def test_replies_in_any_pieces_reach_their_calls(sizes: list[int]) -> None:
    protocol = Protocol(greets=False)
    calls = [Call(command) for command, _, _ in EXCHANGES]
    for call in calls:
        assert protocol.send(call) == call.command.line
        assert call.sent
        assert not call.done
    replies = b"".join(reply + b"\n\n" for _, reply, _ in EXCHANGES)
    start = turn = 0
    while start < len(replies):
        size = sizes[turn % len(sizes)]
        protocol.receive(replies[start : start + size])
        start += size
        turn += 1
    check_answers(calls)
    assert protocol.oldest is None


def test_replies_byte_by_byte_and_at_once() -> None:
    replies = b"".join(reply + b"\n" for _, reply, _ in EXCHANGES)
    for size in (1, len(replies)):
        protocol = Protocol(greets=False)
        calls = [Call(command) for command, _, _ in EXCHANGES]
        for call in calls:
            protocol.send(call)
        for start in range(0, len(replies), size):
            protocol.receive(replies[start : start + size])
        check_answers(calls)


def test_each_call_is_told_once_and_in_order() -> None:
    told: list[int] = []
    protocol = Protocol(greets=False)
    for number in range(3):
        protocol.send(Call(commands.ping(), lambda _, n=number: told.append(n)))  # type: ignore[misc]
    protocol.receive(b'{"ok":true}\n{"ok":true}\n{"ok"')
    assert told == [0, 1]
    protocol.receive(b":true}\n")
    assert told == [0, 1, 2]


def test_a_reply_that_nobody_asked_for_ends_it() -> None:
    with pytest.raises(ProtocolError, match="nobody asked"):
        Protocol().receive(b'{"ok":true}\n')


def test_a_reply_that_cannot_be_read_ends_it() -> None:
    protocol = Protocol(greets=False)
    calls: list[Call[Any]] = [
        Call(commands.push("q", b'{"data":1}')),
        Call(commands.ping()),
    ]
    for call in calls:
        protocol.send(call)
    with pytest.raises(
        ProtocolError, match=r"reply to PUSH cannot be true.*may or may not"
    ):
        protocol.receive(b'{"ok":true,"id":"x"}\n{"ok":true,"id":7}\n')
    assert isinstance(calls[0].error, ProtocolError)
    assert protocol.abandon() == calls[1:]


def test_what_is_under_way_is_given_up_in_order() -> None:
    protocol = Protocol(greets=False)
    calls = [Call(commands.ping()) for _ in range(3)]
    for call in calls:
        protocol.send(call)
    protocol.receive(b'{"ok":true}\n')
    assert protocol.abandon() == calls[1:]
    assert protocol.oldest is None


def test_a_job_is_read_lazily_and_exactly() -> None:
    (job,) = pulled((5, 1))
    assert (job.id, job.queue, job.priority, job.attempts, job.lost) == (
        5,
        "q",
        2,
        1,
        False,
    )
    assert job.data == {"a": [1, "é"]}
    assert job.raw == b'{"a":[1,"\xc3\xa9"]}'
    assert (job.created_at.timestamp(), job.run_at.timestamp()) == (1.0, 2.0)
    assert job != pulled((5, 1))[0]


def test_verdicts_name_the_attempt_of_each_job() -> None:
    cases: list[tuple[Any, Any]] = [
        (pulled((1, 1), (2, 1)), [PlainDone(1, 1), PlainDone(2, 1)]),
        (pulled((1, 1), (2, 3)), [PlainDone(1, 1), PlainDone(2, 3)]),
        ([4, 5], [4, 5]),
        ([4, *pulled((1, 2))], [4, PlainDone(1, 2)]),
        ([*pulled((1, 2)), 4], [PlainDone(1, 2), 4]),
        ([], []),
    ]
    for jobs, expected in cases:
        request = decode_request(commands.ack(jobs).line)
        assert isinstance(request, PlainAckBatch)
        assert request.ids == expected


def test_failures_name_attempt_and_error() -> None:
    (job,) = pulled((1, 2))
    request = decode_request(commands.fail([Failure(job, "x" * 9999)]).line)
    assert isinstance(request, FailBatch)
    (failure,) = request.jobs
    assert (failure.id, failure.attempt, failure.error) == (1, 2, "x" * 4096)


def test_a_pull_says_how_long_it_may_take() -> None:
    command = commands.pull("q\n", 3, 1500, 9)
    request = decode_request(command.line)
    assert isinstance(request, PullBatch)
    assert (request.queue, request.count, request.timeout, request.lease) == (
        "q\n",
        3,
        1500,
        9,
    )
    assert command.repeat
    assert command.patience_s == 1.5


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_a_message_can_always_be_made() -> None:
    assert commands.message_of(ValueError("no")) == "ValueError: no"
    assert commands.message_of(ValueError()) == "ValueError"
    assert commands.message_of(_Mute()).startswith("_Mute: ")
    text = commands.message_of(ValueError("\ud800"))
    assert orjson.loads(orjson.dumps(text)) == "ValueError: \\ud800"


def test_a_gathering_gives_batches_within_its_bounds() -> None:
    gathering: Gathering[int, str] = Gathering(3, 10)
    assert gathering.add(0, "a", 4)
    assert not gathering.add(1, "b", 4)
    for item, waiter, weight in [(2, "c", 4), (3, "d", 99), (4, "e", 1), (5, "f", 1)]:
        gathering.add(item, waiter, weight)
    for item in (6, 7):
        gathering.add(item, "g", 0)
    assert [items for items, _ in gathering.take()] == [[0, 1], [2], [3], [4, 5, 6], [7]]
    assert list(gathering.take()) == []
    assert gathering.add(8, "h")


def test_stale_is_read_as_such() -> None:
    call = Call(commands.fail_one(1, "x"))
    protocol = Protocol(greets=False)
    protocol.send(call)
    protocol.receive(b'{"ok":false,"error":"again","code":"STALE"}\n')
    with pytest.raises(Stale, match="again"):
        call.result()


@pytest.mark.parametrize(
    ("code", "sentence", "ending"),
    [
        ("TOO_LARGE", "the line is over the limit of 9 bytes: send less", True),
        ("TOO_LARGE", "data is 9 bytes: the limit is 8 a job", False),
        ("UNAUTHORIZED", "no", True),
        ("FULL", "no", False),
    ],
)
def test_some_refusals_end_the_connection(
    code: str, sentence: str, *, ending: bool
) -> None:
    protocol = Protocol(greets=False)
    protocol.send(Call(commands.ping()))
    reply = {"ok": False, "error": sentence, "code": code}
    protocol.receive(orjson.dumps(reply) + b"\n")
    assert protocol.ending == ending
