"""An address of several hosts, of which one serves at a time: which is found, and when."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.conftest import Run
from client.fake_server import TELLS, FakeServer, Reply, polite
from magicqueue import (
    BadAddress,
    ConnectionLost,
    ConnectionRefused,
    Queue,
    RequestTimeout,
    SyncQueue,
    Unauthorized,
    hosts,
)
from magicqueue.address import parse_address
from patience import PATIENCE_S

KEYS = {**TELLS, "capabilities": ["req_key"]}


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """A port that refuses: it is bound, and nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{one.getsockname()[1]}"


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """What takes connections and never answers, as a paused process does."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "TRY_S", 0.3)


def test_addresses_of_several_hosts() -> None:
    address = parse_address("magicqueues://:secret@a,b:7000,[::1]:7001/?")
    assert str(address) == "magicqueues://a:6789,b:7000,[::1]:7001"
    assert [(one.host, one.port) for one in address.each()] == [
        ("a", 6789),
        ("b", 7000),
        ("::1", 7001),
    ]
    assert {one.token for one in address.each()} == {"secret"}
    assert all(one.tls is address.tls and not one.others for one in address.each())
    assert str(parse_address("a,b")) == "a:6789,b:6789"
    assert parse_address("a").each() == [parse_address("a")]


@pytest.mark.parametrize("text", ["a,", ",a", "a,,b", "a,b:x", "a,b c", "a/b,c"])
def test_addresses_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_one_that_serves_is_found(client: str) -> None:
    with nobody() as a, silent() as b, FakeServer() as fake:
        with opened(client, "q", f"{a},{b},{fake.url}") as queue:
            assert queue.push(1) == 1
            assert queue.push(2) == 2
        assert fake.accepted == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_none_serves(client: str) -> None:
    with nobody() as a, silent() as b:
        began = time.monotonic()
        with (
            opened(client, "q", f"{a},{b}", timeout=0.8) as queue,
            pytest.raises(ConnectionRefused) as error,
        ):
            queue.push(1)
        assert time.monotonic() - began >= 0.8
    assert f"no server answers at {a},{b} ({a}: " in str(error.value)
    assert f"{b}: " in str(error.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_one_that_comes_later_is_waited_for_from_the_first(client: str) -> None:
    with nobody() as a, socket.socket() as later:
        later.bind(("127.0.0.1", 0))
        made: list[FakeServer] = []

        def listen() -> None:
            later.listen()
            made.append(FakeServer(listener=later))

        timer = threading.Timer(0.5, listen)
        timer.start()
        address = f"{a},127.0.0.1:{later.getsockname()[1]}"
        with opened(client, "q", address, timeout=PATIENCE_S) as queue:
            assert queue.push(1) == 1
        timer.join()
        made[0].close()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_next_takes_over_with_the_same_key(client: str) -> None:
    """The first ends behind a push, unanswered: the second gets it with its key."""

    def end(_: dict[str, Any]) -> Reply:
        threading.Thread(target=first.close).start()
        return None

    with FakeServer(end) as first, FakeServer() as second:
        first.hello = second.hello = lambda _: KEYS
        address = f"{first.url},{second.url}"
        with opened(client, "q", address, repeat_pushes=True) as queue:
            assert queue.push("x") == 1
            assert queue.push("y") == 2
        (lost,) = first.of("PUSH")
        again, behind = second.of("PUSH")
        assert again["req_key"] == lost["req_key"] != behind["req_key"]
        first.close = lambda: None  # type: ignore[method-assign]  # it is closed


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_not_answered_in_time_is_asked_of_the_next(client: str) -> None:
    """As when the owner's machine is cut off: nothing comes, not even an end."""
    with FakeServer(lambda _: None) as first, FakeServer() as second:
        first.hello = second.hello = lambda _: KEYS
        address = f"{first.url},{second.url}"
        with opened(client, "q", address, repeat_pushes=True, timeout=0.5) as queue:
            assert queue.push("x") == 1
            queue.ping()
        assert first.of("PUSH")[0]["req_key"] == second.of("PUSH")[0]["req_key"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_push_without_a_key_is_not_repeated(client: str) -> None:
    with FakeServer(lambda _: None) as first, FakeServer() as second:
        address = f"{first.url},{second.url}"
        with opened(client, "q", address, timeout=0.5) as queue:
            with pytest.raises((RequestTimeout, ConnectionLost)):
                queue.push("x")
            assert queue.push("y") == 1
        assert len(second.of("PUSH")) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_that_is_refused_is_told_at_once(client: str) -> None:
    refusal = {"ok": False, "error": "no such token", "code": "UNAUTHORIZED"}
    with nobody() as a, FakeServer() as fake:
        fake.hello = lambda _: refusal
        address = f"magicqueue://:secret@{a},{fake.url}"
        began = time.monotonic()
        with (
            opened(client, "q", address, timeout=PATIENCE_S) as queue,
            pytest.raises(Unauthorized, match="no such token"),
        ):
            queue.push(1)
        assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("client", CLIENTS)
def test_an_old_server_that_knows_no_hello_is_found(client: str) -> None:
    with nobody() as a, FakeServer() as fake:
        fake.hello = lambda _: {"ok": False, "error": "unknown", "code": "UNKNOWN_COMMAND"}
        with opened(client, "q", f"{a},{fake.url}") as queue:
            assert queue.push(1) == 1


def test_a_cancelled_search_leaves_no_connection(run: Run) -> None:
    async def main() -> None:
        with silent() as a, silent() as b:
            queue = Queue("q", f"{a},{b}")
            push = asyncio.create_task(queue.push(1))
            await asyncio.sleep(0.1)
            push.cancel()
            await queue._channel.close()
            assert push.cancelled() or push.cancelling()

    run(main())


def test_one_host_is_asked_as_ever() -> None:
    with FakeServer(polite) as fake, SyncQueue("q", fake.url) as queue:
        queue.ping()
        assert len(fake.greetings) == 1
