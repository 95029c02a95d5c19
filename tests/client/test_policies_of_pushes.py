"""What a push asks for beyond a plain job: keys, times, results; and what it is told."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import TELLS, FakeServer, Reply, Request, polite
from magicqueue import (
    BadRequest,
    ConnectionLost,
    Duplicate,
    Full,
    NewJob,
    PushedId,
    Queue,
    SyncQueue,
    Unsupported,
)
from magicqueue.commands import BATCH_DEFAULTS, push, push_batch
from magicqueue.encoding import encode_batch, object_of
from magicqueue.job_options import needs_of, tail_of
from magicqueue.protocol import REQUEST_KEYS
from magicqueue.wire.decode import decode_request
from magicqueue.wire.requests import Push, PushBatch

ALL = ["unique", "ttl", "timeout", "results", REQUEST_KEYS, BATCH_DEFAULTS]
ABLE = {**TELLS, "capabilities": ALL}
OPTIONS: dict[str, Any] = {
    "unique_key": 'user:7,"ttl":1',
    "unique": "start",
    "on_conflict": "replace",
    "ttl": 60,
    "on_expire": "dead",
    "timeout": timedelta(seconds=2),
    "keep_result": 3600.5,
}
ON_THE_WIRE = {
    "unique_key": 'user:7,"ttl":1',
    "unique": "start",
    "on_conflict": "replace",
    "ttl": 60_000,
    "on_expire": "dead",
    "timeout": 2000,
    "keep_result": 3_600_500,
}


def told(request: Request) -> dict[str, Any]:
    return {name: request[name] for name in ON_THE_WIRE if name in request}


@pytest.mark.parametrize("client", CLIENTS)
def test_options_go_over_the_wire_in_milliseconds(client: str, fake: FakeServer) -> None:
    fake.hello = lambda _: ABLE
    with opened(client, "q", fake.url) as queue:
        queue.push(1, **OPTIONS)
        queue.push(2, unique_key="k", unique_for=1.5)
        queue.push_batch([3, NewJob(4, ttl=5), NewJob(5, **OPTIONS)], keep_result=1)
        queue.push_many([6], unique_key="k", keep_result=0)
    first, second = fake.of("PUSH")
    assert told(first) == ON_THE_WIRE
    assert told(second) == {"unique_key": "k"}
    assert second["unique_for"] == 1500
    jobs, (last,) = (request["jobs"] for request in fake.of("PUSHB"))
    assert [told(job) for job in jobs] == [
        {"keep_result": 1000},
        {"ttl": 5000},
        ON_THE_WIRE,
    ]
    assert told(last) == {"unique_key": "k"}


def test_the_codec_of_the_server_reads_them() -> None:
    options: Any = OPTIONS
    tail = tail_of(options)
    one = decode_request(push("q", object_of(b"1", tail), needs_of(tail)).line)
    assert isinstance(one, Push)
    batch = encode_batch([1, NewJob(2, priority=3)], tail, share=True)
    many = decode_request(push_batch("q", batch).line)
    assert isinstance(many, PushBatch)
    for pushed in (one, many.jobs[0]):
        assert {name: getattr(pushed, name) for name in ON_THE_WIRE} == ON_THE_WIRE
    assert many.jobs[1].unique_key is None
    assert many.unique_key is None
    assert batch.needs == ("unique", "ttl", "timeout", "results")


def test_plain_jobs_need_nothing_and_share_as_before() -> None:
    tail = tail_of({"priority": 4})
    assert needs_of(tail) == ()
    assert encode_batch([1, 2], tail, share=True).shared == tail[:-1]
    mixed = encode_batch([NewJob(1, unique_key="a"), NewJob(2)], tail_of({}), share=True)
    assert mixed.shared == tail_of({})[:-1]
    assert mixed.objects == b'{"data":1,"unique_key":"a"},{"data":2}'
    same = encode_batch([NewJob(1, unique_key="a")] * 2, tail_of({}), share=True)
    assert b"unique_key" not in same.shared


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"unique_key": "k"}, "unique"),
        ({"ttl": 1}, "ttl"),
        ({"timeout": 1}, "timeout"),
        ({"keep_result": 1}, "results"),
    ],
)
def test_an_older_server_is_not_asked(
    client: str, options: dict[str, Any], word: str, fake: FakeServer
) -> None:
    fake.hello = lambda _: {**TELLS, "capabilities": [w for w in ALL if w != word]}
    with opened(client, "q", fake.url) as queue:
        for ask, data in ((queue.push, 1), (queue.push_batch, [1])):
            with pytest.raises(Unsupported, match=f"does not offer '{word}'"):
                ask(data, **options)
        assert queue.push(2) == 1
    assert [request["data"] for request in fake.of("PUSH")] == [2]
    assert not fake.of("PUSHB")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique": "done"}, "unique is about a unique_key"),
        ({"unique_for": 1}, "unique_for is about a unique_key"),
        ({"on_conflict": "reject"}, "on_conflict is about a unique_key"),
        ({"on_expire": "dead"}, "on_expire is about a ttl"),
        ({"unique_key": "k", "unique": "done", "unique_for": 1}, "not both"),
        ({"unique_key": "k", "unique": "once"}, "unique is 'once': it must be done or st"),
        ({"unique_key": "k", "on_conflict": 1}, "on_conflict is 1"),
        ({"ttl": 1, "on_expire": "bury"}, "on_expire is 'bury'"),
        ({"ttl": 0}, "ttl is 0"),
        ({"timeout": -1}, "timeout is -1"),
        ({"unique_key": "k", "unique_for": 0}, "unique_for is 0"),
        ({"unique_key": ""}, "unique_key must be 1 to 255 bytes"),
        ({"unique_key": "é" * 128}, "unique_key must be 1 to 255 bytes"),
        ({"unique_key": "a\nb"}, "without control characters"),
        ({"unique_key": "\ud800"}, "lone surrogate"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    options: dict[str, Any], message: str
) -> None:
    with SyncQueue("q", "localhost:1") as queue:
        with pytest.raises(ValueError, match=message):
            queue.push(1, **options)
        with pytest.raises(ValueError, match=message):
            queue.push_batch([NewJob(1, **options)])


def test_a_key_is_a_text() -> None:
    key: Any = 7
    with pytest.raises(TypeError, match="unique_key must be a string, not int"):
        tail_of({"unique_key": key})


@pytest.mark.parametrize("client", CLIENTS)
def test_an_id_tells_whether_the_key_was_held(client: str, fake: FakeServer) -> None:
    answers: Iterator[Reply] = iter(
        [
            {"ok": True, "id": 4},
            {"ok": True, "id": 4, "duplicate": True},
            {"ok": True, "id": 4, "replaced": True},
            {"ok": True, "ids": [5, 4, 6, 5], "duplicates": [1], "replaced": [3]},
        ]
    )
    fake.hello = lambda _: ABLE
    fake.answer = lambda r: next(answers) if r["cmd"].startswith("PUSH") else polite(r)
    with opened(client, "q", fake.url) as queue:
        ids = [queue.push(n, unique_key="k") for n in range(3)]
        many = queue.push_batch([NewJob(n, unique_key=f"{n}") for n in range(4)])
    assert ids == [4, 4, 4]
    assert many == [5, 4, 6, 5]
    assert all(isinstance(job_id, PushedId) for job_id in ids + many)
    flags = [(one.duplicate, one.replaced) for one in ids + many]
    new, old, over = (False, False), (True, False), (False, True)
    assert flags == [new, old, over, new, old, new, over]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_plain_push_gives_a_plain_number(client: str, fake: FakeServer) -> None:
    fake.hello = lambda _: ABLE
    with opened(client, "q", fake.url) as queue:
        assert type(queue.push(1, ttl=5)) is int
        assert {type(one) for one in queue.push_batch([1, 2], keep_result=1)} == {int}


@pytest.mark.parametrize("client", CLIENTS)
def test_such_an_id_may_be_used_as_any(client: str, fake: FakeServer) -> None:
    fake.answer = lambda _: {"ok": False, "error": "no", "code": "BAD_REQUEST"}
    fake.hello = lambda _: {**TELLS, "capabilities": ["cancel", "results", "release"]}
    held = PushedId(4, duplicate=True)
    with opened(client, "q", fake.url) as queue:
        asks: tuple[Callable[[], Any], ...] = (
            lambda: queue.job(held),
            lambda: queue.ack(held),
            lambda: queue.fail(held),
            lambda: queue.release(held),
            lambda: queue.heartbeat(held),
            lambda: queue.cancel(held),
            lambda: queue.promote([held]),
            lambda: queue.retry_dead(held),
            lambda: queue.purge_dead(held),
            lambda: queue.wait(held, timeout=0),
        )
        for ask in asks:
            with pytest.raises(BadRequest):
                ask()
    named = [request.get("ids", [request.get("id")]) for request in fake.requests]
    assert named == [[4]] * 10


@pytest.mark.parametrize("client", CLIENTS)
def test_a_conflict_that_is_to_be_refused_is(client: str, fake: FakeServer) -> None:
    refusal = {"ok": False, "error": "held", "code": "DUPLICATE", "id": 12}
    fake.hello = lambda _: ABLE
    fake.answer = lambda _: refusal
    with opened(client, "q", fake.url) as queue:
        with pytest.raises(Duplicate, match="held") as caught:
            queue.push(1, unique_key="k", on_conflict="reject")
        assert caught.value.job_id == 12


def test_in_one_turn_one_pushs_conflict_is_not_anothers(fake: FakeServer) -> None:
    ids = itertools.count(1)

    def answer(request: Request) -> Reply:
        jobs = request.get("jobs", [request])
        if any("unique_key" in job for job in jobs):
            return {"ok": False, "error": "held", "code": "DUPLICATE", "id": 9}
        assert request["cmd"] == "PUSH"
        return {"ok": True, "id": next(ids)}

    fake.hello = lambda _: ABLE
    fake.answer = answer

    async def main() -> list[Any]:
        async with Queue("q", fake.url) as queue:
            pushes = [
                queue.push(1),
                queue.push(2, unique_key="k", on_conflict="reject"),
                queue.push(3),
            ]
            return await asyncio.gather(*pushes, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert (first, third) == (1, 2)
    assert isinstance(second, Duplicate)


def test_in_one_turn_one_pushs_lack_is_not_anothers(fake: FakeServer) -> None:
    async def main() -> list[Any]:
        async with Queue("q", fake.url) as queue:
            pushes = [queue.push(1), queue.push(2, ttl=1), queue.push(3)]
            return await asyncio.gather(*pushes, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert (first, third) == (1, 2)
    assert isinstance(second, Unsupported)


class Forgetful:
    """A server that stores a push, and may lose the connection before it says so."""

    def __init__(self, losses: int, *, greets_after: int = 99) -> None:
        self.losses = losses
        self.greets_after = greets_after
        self.stored: dict[str, Any] = {}
        self.ids = itertools.count(1)
        self.fake: FakeServer

    def answer(self, request: Request) -> Reply:
        if not request["cmd"].startswith("PUSH"):
            return polite(request)
        key = request["req_key"]
        repeated = key in self.stored
        if not repeated:
            jobs = request.get("jobs")
            new = [next(self.ids) for _ in jobs or [0]]
            self.stored[key] = {"ids": new} if jobs is not None else {"id": new[0]}
        if self.losses:
            self.losses -= 1
            self.fake.cut()
            return None
        told = {"repeated": True} if repeated else {}
        return {"ok": True, **self.stored[key], **told}


def opened_by(server: Forgetful, fake: FakeServer) -> None:
    server.fake = fake
    fake.hello = lambda _: ABLE
    fake.answer = server.answer


@pytest.mark.parametrize("client", CLIENTS)
def test_a_push_whose_connection_broke_is_repeated_and_stored_once(
    client: str, fake: FakeServer
) -> None:
    server = Forgetful(0)
    opened_by(server, fake)
    with opened(client, "q", fake.url, repeat_pushes=True) as queue:
        assert queue.push("first") == 1
        server.losses = 2
        assert queue.push("lost twice") == 2
        server.losses = 1
        assert queue.push_batch(["a", "b"], ttl=5) == [3, 4]
        server.losses = 1
        # a server that is being left may still store some while it is sent others again
        assert sorted(queue.push_many(range(20), batch_size=3)) == list(range(5, 25))
        assert queue.push("last") == 25
    keys = [request["req_key"] for request in fake.requests if "req_key" in request]
    assert len(set(keys)) == len(server.stored) == 11
    assert len(keys) > 11


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_goes_on_losing_is_given_up(client: str, fake: FakeServer) -> None:
    server = Forgetful(99)
    opened_by(server, fake)
    with opened(client, "q", fake.url, repeat_pushes=True) as queue:
        queue.ping()
        with pytest.raises(ConnectionLost, match="may or may not"):
            queue.push(1)
    assert len(server.stored) == 1
    assert len(fake.of("PUSH")) == 3


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_cannot_know_it_again_is_sent_it_once(
    client: str, fake: FakeServer
) -> None:
    server = Forgetful(1)
    opened_by(server, fake)
    fake.hello = lambda _: {**TELLS, "capabilities": [BATCH_DEFAULTS]}
    with opened(client, "q", fake.url, repeat_pushes=True) as queue:
        queue.ping()
        with pytest.raises(ConnectionLost, match="may or may not"):
            queue.push(1)
        assert queue.push(2) == 2
    assert len(fake.of("PUSH")) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_became_an_older_one_is_not_sent_it_again(
    client: str, fake: FakeServer
) -> None:
    server = Forgetful(0)
    opened_by(server, fake)
    with opened(client, "q", fake.url, repeat_pushes=True) as queue:
        queue.ping()
        server.losses = 1
        fake.hello = lambda _: TELLS
        with pytest.raises(ConnectionLost, match="may or may not"):
            queue.push(1)
        assert queue.push(2) == 2
    assert len(fake.of("PUSH")) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_unless_asked_for_pushes_have_no_key(client: str, fake: FakeServer) -> None:
    fake.hello = lambda _: ABLE
    with opened(client, "q", fake.url) as queue:
        queue.push(1)
        queue.push_batch([1, 2])
        queue.push_many([1, 2])
    assert not any("req_key" in request for request in fake.requests)


def test_a_pushes_repeat_refused_is_its_error(fake: FakeServer) -> None:
    """It is sent again as it was, and the answer to that counts."""
    server = Forgetful(1)
    opened_by(server, fake)

    def answer(request: Request) -> Reply:
        if server.losses or request["cmd"] != "PUSH":
            return server.answer(request)
        return {"ok": False, "error": "no room", "code": "FULL"}

    fake.answer = answer
    with SyncQueue("q", fake.url, repeat_pushes=True) as queue:
        queue.ping()
        with pytest.raises(Full, match="no room"):
            queue.push(1)
