"""Replies that cannot be true: none is taken for an answer, and the connection ends.

A table of lies, told to both clients; then replies made up by hypothesis.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.both import CLIENTS, opened
from client.fake_server import FakeServer, polite
from magicqueue import MagicQueueError, NotFound, ProtocolError, RequestError, commands
from magicqueue.encoding import Batch
from magicqueue.protocol import Call, Command, Protocol

Ask = Callable[[Any], Any]

JOB = {
    "id": 7,
    "queue": "q",
    "data": 1,
    "priority": 0,
    "created_at": 1,
    "run_at": 1,
    "attempts": 1,
}
DETAILS = {
    **JOB,
    "state": "dead",
    "failures": 1,
    "lost": 0,
    "max_attempts": 3,
    "error": "no",
    "lease_until": None,
    "reason": "failed",
    "died_at": 5,
}
COUNTS = dict.fromkeys(
    (
        *("queued", "processing", "delayed", "dead", "paused", "pushed", "completed"),
        *("failed", "lost", "expired", "dropped", "oldest_ready_ms"),
    ),
    0,
)
ASKS: dict[str, tuple[Ask, dict[str, Any]]] = {
    "push": (lambda q: q.push(1), {"id": 5}),
    "push_batch": (lambda q: q.push_batch([1, 2, 3]), {"ids": [5, 6, 9]}),
    "push_many": (lambda q: q.push_many([1, 2, 3]), {"ids": [5, 6, 7]}),
    "pull_batch": (lambda q: q.pull_batch(2, timeout=0), {"jobs": [JOB]}),
    "ack": (lambda q: q.ack(5), {"acked": 1, "missing": []}),
    "ack_batch": (lambda q: q.ack_batch([5, 6]), {"acked": 1, "missing": [5]}),
    "fail": (lambda q: q.fail(5), {"state": "dead"}),
    "heartbeat": (lambda q: q.heartbeat(5, 6), {"extended": 1, "missing": [6]}),
    "stats": (lambda q: q.stats(), COUNTS),
    "queues": (lambda q: q.queues(), {"queues": [{"name": "q", **COUNTS}]}),
    "job": (lambda q: q.job(7), {"job": DETAILS}),
    "drain": (lambda q: q.drain(), {"removed": 2}),
    "dead": (lambda q: q.dead(2), {"jobs": [DETAILS], "next": 7}),
    "retry_dead": (lambda q: q.retry_dead(7), {"retried": 1}),
    "purge_dead": (lambda q: q.purge_dead(7), {"removed": 1}),
    "ping": (lambda q: q.ping(), {"pong": True}),
    "pause": (lambda q: q.pause(), {}),
}
LIES: list[tuple[str, Any]] = [
    *[("push", {"id": bad}) for bad in (None, 0, -1, 2**53, 1.0, "5", True, [5])],
    ("push", {}),
    ("push", {"ids": [5]}),
    ("push", {"id": 5, "rid": 1}),
    *(
        ("push_batch", {"ids": bad})
        for bad in (
            *([], [5], [5, 6], [5, 6, 7, 8], [5, 6, 6], [7, 6, 5], [-1, 0, 1], [0, 1, 2]),
            *([5, 6, "7"], [5, 6, 7.0], [5, 6, True], [5, 6, 2**60], None, 5, {"5": 6}),
        )
    ),
    ("push_many", {"ids": [5, 6]}),
    ("push_many", {}),
    ("pull_batch", {}),
    ("pull_batch", {"jobs": None}),
    ("pull_batch", {"job": JOB}),
    ("pull_batch", {"jobs": [JOB, JOB]}),
    ("pull_batch", {"jobs": [JOB, {**JOB, "id": 8}, {**JOB, "id": 9}]}),
    *(
        ("pull_batch", {"jobs": [{**JOB, field: bad}]})
        for field, bad in (
            *(("queue", "other"), ("queue", None), ("id", 0), ("id", -7), ("id", "7")),
            *(("attempts", 0), ("attempts", -1), ("attempts", None), ("priority", "high")),
            *(("created_at", -1), ("run_at", -5), ("run_at", 1.5), ("_worker", 1)),
            ("_decoded", 3),
        )
    ),
    *(
        ("pull_batch", {"jobs": [{k: v for k, v in JOB.items() if k != field}]})
        for field in JOB
    ),
    ("ack", {}),
    ("ack", {"acked": 1}),
    ("ack", {"missing": []}),
    ("ack", {"acked": 0, "missing": []}),
    ("ack", {"acked": 2, "missing": []}),
    ("ack", {"acked": 1, "missing": [5]}),
    ("ack", {"acked": 0, "missing": [6]}),
    ("ack", {"acked": -1, "missing": [5, 5]}),
    ("ack", {"acked": "1", "missing": []}),
    ("ack_batch", {"acked": 1, "missing": []}),
    ("ack_batch", {"acked": 0, "missing": [5, 6, 7]}),
    ("ack_batch", {"acked": 1, "missing": [7]}),
    *(("fail", {"state": bad}) for bad in (None, "", 5, "de\nad", "\x1b[2J", "x" * 99)),
    ("fail", {}),
    ("heartbeat", {"extended": 3, "missing": []}),
    ("heartbeat", {"extended": 1, "missing": [9]}),
    ("heartbeat", {"extended": 2}),
    ("stats", {k: v for k, v in COUNTS.items() if k != "queued"}),
    ("stats", {**COUNTS, "queued": -1}),
    ("stats", {**COUNTS, "dead": "0"}),
    ("queues", {}),
    ("queues", {"queues": [{"name": "q", **COUNTS}] * 2}),
    ("queues", {"queues": [{"name": "q\nforged", **COUNTS}]}),
    ("queues", {"queues": [{"name": "\x9b2J", **COUNTS}]}),
    ("queues", {"queues": [{"name": "", **COUNTS}]}),
    ("queues", {"queues": [], "next": "q"}),
    ("queues", {"queues": [{"name": "q", **COUNTS}], "next": "p"}),
    ("queues", {"queues": [{"name": "q", **COUNTS}], "next": "q"}),
    ("job", {}),
    ("job", {"job": {**DETAILS, "id": 8}}),
    ("job", {"job": {**DETAILS, "queue": "a\x07"}}),
    ("job", {"job": {**DETAILS, "failures": -1}}),
    ("job", {"job": {**DETAILS, "state": "dead\n"}}),
    ("job", {"job": {**DETAILS, "lease_until": "soon"}}),
    *(("drain", {"removed": bad}) for bad in (None, -1, "2", 1.5)),
    ("drain", {"retried": 2}),
    ("dead", {"jobs": [DETAILS]}),
    ("dead", {"jobs": [], "next": 7}),
    ("dead", {"jobs": [{**DETAILS, "queue": "other"}], "next": None}),
    ("dead", {"jobs": [DETAILS, DETAILS], "next": None}),
    ("dead", {"jobs": [{**DETAILS, "id": n} for n in (1, 2, 3)], "next": None}),
    ("retry_dead", {"retried": 2}),
    ("retry_dead", {"removed": 1}),
    ("purge_dead", {"removed": 2}),
    ("ping", {"rid": 10**9}),
    ("pause", {"rid": "another's"}),
    *(
        ("ping", {"ok": False, **bad})
        for bad in ({}, {"error": "no"}, {"code": "FULL"}, {"error": 1, "code": "FULL"})
    ),
    ("ping", {"ok": None}),
    ("ping", {"ok": 1}),
]
NO_JSON = [
    b"garbage",
    b"{",
    b'{"ok":true,"id":5',
    b'{"ok":true}}',
    b'[{"ok":true}]',
    b'"ok"',
    b"null",
    b"\xff\xfe",
    b'{"ok":true,"id":5}{"ok":true,"id":6}',
    b'{"ok":true' + b"[" * 100_000,
    b"HTTP/1.1 400 Bad Request\r",
    b"\x00",
]


def tell(fake: FakeServer, first: bytes) -> None:
    """Answer the first request with a line, and what follows it at once with true ones."""
    told: list[bool] = []

    def behave(connection: Any, request: dict[str, Any]) -> None:
        if told:
            reply = polite(request) or {"ok": True}
            connection.sendall(json.dumps(reply).encode() + b"\n")
        else:
            told.append(True)
            connection.sendall(first + b"\n")

    fake.behave = behave


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("ask", ASKS)
def test_the_truth_is_taken(client: str, ask: str, fake: FakeServer) -> None:
    call, reply = ASKS[ask]
    fake.answer = lambda _: {"ok": True, **reply}
    with opened(client, "q", fake.url) as queue:
        call(queue)
    assert fake.accepted <= 2


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("ask", "lie"), LIES, ids=[f"{ask}-{number}" for number, (ask, _) in enumerate(LIES)]
)
def test_a_lie_ends_the_connection(
    client: str, ask: str, lie: dict[str, Any], fake: FakeServer
) -> None:
    call, _ = ASKS[ask]
    tell(fake, json.dumps({"ok": True, **lie}).encode())
    with opened(client, "q", fake.url) as queue:
        with pytest.raises(ProtocolError, match="may or may not") as caught:
            call(queue)
        assert str(caught.value).isprintable()
        before = fake.accepted
        assert queue.push(1) == 1
        assert fake.accepted == before + 1


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("line", NO_JSON, ids=[str(n) for n in range(len(NO_JSON))])
def test_what_is_no_reply_at_all(client: str, line: bytes, fake: FakeServer) -> None:
    tell(fake, line)
    with opened(client, "q", fake.url) as queue:
        with pytest.raises(ProtocolError) as caught:
            queue.push(1)
        assert str(caught.value).isprintable()
        assert queue.push(1) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_line_too_many_does_not_shift_the_answers(client: str, fake: FakeServer) -> None:
    def behave(connection: Any, request: dict[str, Any]) -> None:
        reply = {"ok": True, "id": request["data"] + 100}
        line = json.dumps(reply).encode() + b"\n"
        connection.sendall(line * (2 if request["data"] == 1 else 1))

    fake.behave = behave
    with opened(client, "q", fake.url) as queue:
        got = []
        for number in range(5):
            try:
                got.append(queue.push(number))
            except (ProtocolError, MagicQueueError):
                got.append(None)
        right = [number + 100 for number in range(5)]
        assert all(got[n] in {right[n], None} for n in range(5))
        assert got.count(None) <= 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_servers_sentence_commands_no_terminal(client: str, fake: FakeServer) -> None:
    evil = "\x1b]0;owned\x07no\nmagicqueue: pushed\r\x9b2J\u202e\u2028"
    fake.answer = lambda _: {"ok": False, "error": evil, "code": "FULL"}
    with opened(client, "q", fake.url) as queue:
        with pytest.raises(RequestError) as caught:
            queue.push(1)
        assert str(caught.value).isprintable()
        assert r"no\nmagicqueue: pushed\r" in str(caught.value)
        fake.answer = lambda _: {"ok": False, "error": "x" * 9_000, "code": "\x1bNEW" * 99}
        with pytest.raises(RequestError) as caught:
            queue.push(1)
        assert caught.value.code.isprintable()
        assert caught.value.code.startswith(r"\x1bNEW")
        assert len(str(caught.value)) <= 4096


SAMPLES: list[Command[Any]] = [
    commands.push("q", b'{"data":1}'),
    commands.push_batch("q", Batch(b'{"data":1},{"data":2}', 2)),
    commands.pull("q", 2, 0, None),
    commands.ack([5]),
    commands.fail_one(5, "no"),
    commands.heartbeat([5], None),
    commands.job(7),
    commands.dead("q", 2, None),
    commands.queues(),
    commands.stats("q"),
]
WORDS = (
    *("ok", "id", "ids", "jobs", "job", "acked", "missing", "state", "extended", "queues"),
    *("next", "rid", "error", "code", "name", "queued", "queue", "data", "attempts"),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["q", "dead", "", "\x1b"])
    | st.sampled_from([JOB, DETAILS]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=6,
)
REPLIES = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5).map(
    lambda fields: json.dumps({"ok": True, **fields}, separators=(",", ":")).encode()
) | st.binary(max_size=60).map(lambda junk: junk.replace(b"\n", b" "))


def believable(command: Command[Any], value: Any, line: bytes) -> bool:
    """Tell, in other words than the client's, whether an answer may be given."""
    reply = json.loads(line)
    name = command.name
    if name in {"PUSH", "PUSHB"}:
        ids = [reply["id"]] if name == "PUSH" else reply["ids"]
        wanted = 1 if name == "PUSH" else 2
        return bool(
            value == ids
            and len(ids) == wanted
            and all(type(n) is int and 0 < n < 2**53 for n in ids)
            and sorted(set(ids)) == ids
        )
    if name == "PULLB":
        jobs = reply["jobs"]
        return bool(
            [job.id for job in value] == [job["id"] for job in jobs]
            and len({job["id"] for job in jobs}) == len(jobs) <= 2
            and all(job["queue"] == "q" and job["attempts"] > 0 for job in jobs)
        )
    if name in {"ACKB", "HEARTBEAT"}:
        number = reply["acked" if name == "ACKB" else "extended"]
        return bool(number + len(reply["missing"]) == 1 and set(value) <= {5})
    return bool(reply["ok"] is True)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), REPLIES, st.integers(1, 40))
def test_no_made_up_reply_is_believed(
    command: Command[Any], line: bytes, size: int
) -> None:
    protocol = Protocol(greets=False)
    first, second = Call(command), Call(commands.ping())
    protocol.send(first)
    protocol.send(second)
    wire = line + b"\n"
    ended: list[ProtocolError] = []
    try:
        for start in range(0, len(wire), size):
            protocol.receive(wire[start : start + size])
    except ProtocolError as error:
        ended.append(error)
    if ended:
        assert str(ended[0]).isprintable()
        assert not second.done
    elif line.strip():
        assert first.done
        assert not second.done
        if first.error is None:
            assert believable(command, first.result(), line)
        else:
            assert isinstance(first.error, RequestError | NotFound)


@given(st.lists(st.integers(1, 2**53 - 1), max_size=6), st.integers(0, 6))
def test_ids_are_read_alike_in_every_spelling(ids: list[int], count: int) -> None:
    command = commands.push_batch("q", Batch(b"", count))
    for separators in ((",", ":"), (", ", ": ")):
        line = json.dumps({"ok": True, "ids": ids}, separators=separators).encode()
        for end in (b"", b"\n", b" \r\n"):
            if len(ids) == count and sorted(set(ids)) == ids:
                assert command.read(line + end) == ids
            else:
                with pytest.raises((ValueError, msgspec.ValidationError)):
                    command.read(line + end)


def test_a_run_of_ids_is_read_exactly() -> None:
    for first in (1, 9, 99, 10**15 - 2, 2**53 - 4):
        ids = [first, first + 1, first + 2]
        line = json.dumps({"ok": True, "ids": ids}, separators=(",", ":")).encode()
        read = commands.push_batch("q", Batch(b"", 3)).read
        assert read(line) == read(line + b"\n") == ids
        with pytest.raises(ValueError, match="ids for 3"):
            read(line.replace(b"]", b",%d]" % (first + 3)))
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            read(line.replace(b"[%d" % first, b"[0%d" % first))
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            read(line + b"x")
