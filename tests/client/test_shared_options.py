"""Options that jobs share go over the wire once, to a server that has told that it can."""

import asyncio
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import TELLS, FakeServer, Request
from magicqueue import NewJob, Queue
from magicqueue.commands import BATCH_DEFAULTS, push, push_batch
from magicqueue.encoding import Batch, encode_batch
from magicqueue.job_options import tail_of
from magicqueue.protocol import HELLO, Call, Protocol

NEW = {**TELLS, "capabilities": [BATCH_DEFAULTS]}
USUAL = {"backoff": 1000, "jitter": True}
HELLO_REPLY = (
    b'{"ok":true,"server":"s","version":"1","core":"c","protocol":1,"persistence":"off",'
    b'"limits":{},"capabilities":["batch_defaults"]}\n'
)
SHORT = Batch(b'{"data":1},{"data":"x"}', 2, b',"backoff":1000')
LONG_LINE = (
    b'{"cmd":"PUSHB","queue":"q","jobs":'
    b'[{"data":1,"backoff":1000},{"data":"x","backoff":1000}]}\n'
)
SHORT_LINE = (
    b'{"cmd":"PUSHB","queue":"q","backoff":1000,"jobs":[{"data":1},{"data":"x"}]}\n'
)


def shared_in(request: Request) -> dict[str, Any]:
    return {k: v for k, v in request.items() if k not in {"cmd", "queue", "jobs"}}


@pytest.mark.parametrize("client", CLIENTS)
def test_they_are_repeated_until_the_server_has_told(client: str, fake: FakeServer) -> None:
    fake.hello = lambda _: NEW
    with opened(client, "q", fake.url) as queue:
        assert queue.push_batch([1, 2], priority=3) == [1, 2]
        assert queue.push_batch([1, 2], priority=3) == [3, 4]
        items = [NewJob(1, priority=1), NewJob(2, max_attempts=4), 3]
        assert queue.push_batch(items, max_attempts=2) == [5, 6, 7]
        assert queue.push_batch([]) == []
    first, second, third = fake.of("PUSHB")
    options = {"priority": 3, **USUAL}
    assert first["jobs"] == [{"data": 1, **options}, {"data": 2, **options}]
    assert shared_in(first) == {}
    assert second["jobs"] == [{"data": 1}, {"data": 2}]
    assert shared_in(second) == options
    assert third["jobs"] == [
        {"data": 1, "priority": 1},
        {"data": 2, "max_attempts": 4},
        {"data": 3, "max_attempts": 2},
    ]
    assert shared_in(third) == USUAL


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("hello", [TELLS, {"ok": False, "error": "no", "code": "X"}])
def test_they_are_always_repeated_to_an_older_server(
    client: str, hello: dict[str, Any], fake: FakeServer
) -> None:
    fake.hello = lambda _: hello
    with opened(client, "q", fake.url) as queue:
        for _ in range(3):
            queue.push_batch([1])
            queue.push_many([1])
    pushes = fake.of("PUSHB")
    assert len(pushes) == 6
    assert all(p["jobs"] == [{"data": 1, **USUAL}] for p in pushes)
    assert all(shared_in(p) == {} for p in pushes)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_became_an_older_one_gets_them_repeated(
    client: str, fake: FakeServer
) -> None:
    fake.hello = lambda _: NEW
    with opened(client, "q", fake.url) as queue:
        queue.push_batch([1])
        queue.push_batch([2])
        fake.hello = lambda _: TELLS
        fake.cut()
        queue.ping()
        queue.push_batch([3])
        queue.push_batch([4])
    shared = [shared_in(p) for p in fake.of("PUSHB")]
    assert shared == [{}, USUAL, {}, {}]
    assert len(fake.greetings) == 2
    assert fake.of("PUSHB")[-1]["jobs"] == [{"data": 4, **USUAL}]


@pytest.mark.parametrize("client", CLIENTS)
def test_push_many_goes_over_to_it(client: str, fake: FakeServer) -> None:
    fake.hello = lambda _: NEW
    with opened(client, "q", fake.url) as queue:
        assert queue.push_many(range(50), batch_size=2) == list(range(1, 51))
    pushes = fake.of("PUSHB")
    assert [job["data"] for p in pushes for job in p["jobs"]] == list(range(50))
    assert shared_in(pushes[0]) == {}
    assert shared_in(pushes[-1]) == USUAL
    for p in pushes:
        assert all(job.keys() == {"data"} or not shared_in(p) for job in p["jobs"])


def test_pushes_that_go_out_together_share(fake: FakeServer) -> None:
    fake.hello = lambda _: NEW

    async def scenario() -> None:
        async with Queue("q", fake.url) as queue:
            await queue.push(0)
            await asyncio.gather(*map(queue.push, "abc"))
            await asyncio.gather(queue.push("d", priority=1), queue.push("e"))

    asyncio.run(scenario())
    same, different = fake.of("PUSHB")
    assert same["jobs"] == [{"data": letter} for letter in "abc"]
    assert shared_in(same) == shared_in(different) == USUAL
    assert different["jobs"] == [{"data": "d", "priority": 1}, {"data": "e"}]


def test_a_batch_that_shares_never_waits_for_hello_nor_is_overtaken() -> None:
    protocol = Protocol()
    first, second = Call(push_batch("q", SHORT)), Call(push("q", b'{"data":2}'))
    sent = protocol.send(first) + protocol.send(second)
    assert sent == HELLO.line + LONG_LINE + second.command.line
    protocol.receive(HELLO_REPLY + b'{"ok":true,"ids":[1,2]}\n{"ok":true,"id":3}\n')
    assert (first.result(), second.result()) == ([1, 2], [3])
    third = Call(push_batch("q", SHORT))
    assert protocol.send(third) == SHORT_LINE
    protocol.receive(b'{"ok":true,"ids":[4,5]}\n')
    assert third.result() == [4, 5]


def test_a_batch_that_was_never_sent_is_spelled_out_for_the_next_server() -> None:
    call = Call(push_batch("q", SHORT))
    older = Protocol()
    older.send(Call(push("q", b'{"data":2}')))
    older.receive(HELLO_REPLY.replace(b'"batch_defaults"', b"") + b'{"ok":true,"id":3}\n')
    assert older.send(call) == LONG_LINE
    older.receive(b'{"ok":true,"ids":[1,2]}\n')
    assert call.result() == [1, 2]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_real_server_heeds_them(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        queue.ping()
        ids = queue.push_batch([1, NewJob(2, priority=9)], priority=4, max_attempts=7)
        found = [queue.job(job_id) for job_id in ids]
        assert [(job.priority, job.max_attempts) for job in found] == [(4, 7), (9, 25)]
        (alone,) = queue.push_batch([3], delay=3600, priority=-2)
        assert queue.job(alone).state == "delayed"
        assert queue.job(alone).priority == -2


def test_it_is_less_than_half_of_a_small_job() -> None:
    items = [{"i": 1_000_000 + n} for n in range(100)]
    apart = encode_batch(items, tail_of({}), share=False).objects
    once = encode_batch(items, tail_of({}), share=True).objects
    assert len(once) * 2 < len(apart)
