"""What becomes of requests when connections fail, by a server that does as it is told."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from client.conftest import Run
from client.fake_server import FakeServer, Reply, polite
from magicqueue import (
    ConnectionLost,
    Full,
    ProtocolError,
    Queue,
    RequestTimeout,
    SyncQueue,
    TooLarge,
)


async def seen(fake: FakeServer, cmd: str, count: int = 1) -> list[Any]:
    return await asyncio.to_thread(fake.wait_for, cmd, count)


def test_a_turns_pushes_are_one_request(run: Run, fake: FakeServer) -> None:
    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            ids = await asyncio.gather(*(queue.push(n) for n in range(100)))
            assert ids == list(range(1, 101))
            assert await queue.push("alone") == 101
            await asyncio.gather(*(queue.ack(n) for n in range(1, 50)))
        assert len(fake.of("PUSHB")) == 1
        assert len(fake.of("PUSH")) == 1
        (request,) = fake.of("ACKB")
        assert request["ids"] == list(range(1, 50))
        job = fake.of("PUSH")[0]
        assert (job["backoff"], job["jitter"]) == (1000, True)

    run(main())


def test_a_cancelled_push_disturbs_no_other(run: Run, fake: FakeServer) -> None:
    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            pushes = [asyncio.create_task(queue.push(n)) for n in range(3)]
            await asyncio.sleep(0)
            pushes[1].cancel()
            outcomes = await asyncio.gather(*pushes, return_exceptions=True)
            assert [outcomes[0], outcomes[2]] == [1, 3]
            assert isinstance(outcomes[1], asyncio.CancelledError)
            assert await queue.push("next") == 4

    run(main())


def test_a_cancelled_request_leaves_the_replies_in_order(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: None) as fake:
            async with Queue("q", fake.url) as queue:
                drain = asyncio.create_task(queue.drain())
                await seen(fake, "DRAIN")
                drain.cancel()
                push = asyncio.create_task(queue.push(1))
                await seen(fake, "PUSH")
                await asyncio.to_thread(fake.send, {"ok": True, "removed": 5})
                await asyncio.to_thread(fake.send, {"ok": True, "id": 9})
                assert await push == 9
                assert drain.cancelled()

    run(main())


def test_a_push_under_way_is_ambiguous_and_a_read_is_repeated(run: Run) -> None:
    def hold(request: dict[str, Any]) -> Reply:
        first = sum(r["cmd"] == request["cmd"] for r in fakes[0].requests) == 1
        return None if first else {**(polite(request) or {}), "removed": 5}

    fakes: list[FakeServer] = []

    async def main() -> None:
        with FakeServer(hold) as fake:
            fakes[:] = [fake]
            async with Queue("q", fake.url) as queue:
                push = asyncio.create_task(queue.push(1))
                drain = asyncio.create_task(queue.drain())
                await seen(fake, "PUSH")
                await seen(fake, "DRAIN")
                ping = asyncio.create_task(queue.ping())
                await seen(fake, "PING")
                fake.cut()
                with pytest.raises(ConnectionLost, match="may or may not"):
                    await push
                with pytest.raises(ConnectionLost):
                    await drain
                await ping
                assert len(fake.of("PING")) == 2
                assert len(fake.of("PUSH")) == 1
                assert await queue.push(2) == 1

    run(main())


def test_a_push_that_was_never_sent_is_sent_after_reconnecting(
    run: Run, fake: FakeServer
) -> None:
    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            await queue.ping()
            connection = queue._channel._connection
            assert connection is not None
            fake.cut()
            await connection.closed
            assert await queue.push(1) == 1
            assert len(fake.of("PUSH")) == 1

    run(main())


def test_a_read_is_not_repeated_for_ever(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: None) as fake:
            async with Queue("q", fake.url) as queue:
                ping = asyncio.create_task(queue.ping())
                for count in (1, 2, 3):
                    await seen(fake, "PING", count)
                    fake.cut()
                with pytest.raises(ConnectionLost):
                    await ping

    run(main())


def test_a_silent_server_times_out(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: None) as fake:
            async with Queue("q", fake.url, timeout=0.7) as queue:
                for call in (queue.push(1), queue.ping(), queue.push_batch([1, 2])):
                    with pytest.raises(RequestTimeout, match=r"0\.7 s"):
                        await call
            with (
                SyncQueue("q", fake.url, timeout=0.7) as sync_queue,
                pytest.raises(RequestTimeout),
            ):
                sync_queue.push(1)

    run(main())


def test_a_server_that_speaks_otherwise_is_a_protocol_error(run: Run) -> None:
    async def main() -> None:
        with FakeServer(lambda _: {"ok": True, "id": "one"}) as fake:
            async with Queue("q", fake.url) as queue:
                with pytest.raises(
                    ProtocolError, match=r"reply to PUSH cannot be true.*may or may not"
                ):
                    await queue.push(1)
                assert await queue.ping() is None  # type: ignore[func-returns-value]

    run(main())


def test_a_full_batch_is_tried_one_by_one(run: Run) -> None:
    def full_after_two(request: dict[str, Any]) -> Reply:
        if request["cmd"] == "PUSHB" or request["data"] >= 2:
            return {"ok": False, "error": "no room", "code": "FULL"}
        return {"ok": True, "id": request["data"] + 1}

    async def main() -> None:
        with FakeServer(full_after_two) as fake:
            async with Queue("q", fake.url) as queue:
                outcomes = await asyncio.gather(
                    *(queue.push(n) for n in range(4)), return_exceptions=True
                )
                assert outcomes[:2] == [1, 2]
                assert [type(outcome) for outcome in outcomes[2:]] == [Full, Full]
                assert outcomes[2] is not outcomes[3]
                with pytest.raises(Full):
                    await queue.push_batch([1])

    run(main())


def test_an_explicit_batch_stays_whole(run: Run) -> None:
    refusal = {"ok": False, "error": "jobs[1].data is large", "code": "TOO_LARGE"}

    async def main() -> None:
        with FakeServer(lambda _: refusal) as fake:
            async with Queue("q", fake.url) as queue:
                with pytest.raises(TooLarge, match=r"jobs\[1\]"):
                    await queue.push_batch([1, 2])
            assert len(fake.requests) == 1

    run(main())


def test_blocking_requests_follow_the_same_rules() -> None:
    def cut_first(request: dict[str, Any]) -> Reply:
        if sum(r["cmd"] == request["cmd"] for r in fakes[0].requests) == 1:
            fakes[0].cut()
            return None
        return polite(request)

    fakes: list[FakeServer] = []
    with FakeServer(cut_first) as fake:
        fakes[:] = [fake]
        with SyncQueue("q", fake.url) as queue:
            queue.ping()
            assert len(fake.of("PING")) == 2
            with pytest.raises(ConnectionLost):
                queue.push(1)
            assert queue.push(2) == 1
            with pytest.raises(ConnectionLost) as caught:
                queue.push_many(range(10), batch_size=5)
            assert caught.value.__notes__ == ["push_many had stored 0 jobs by then"]
            assert queue.push_many(range(10), batch_size=5) == list(range(1, 6)) * 2


def test_localhost_is_found_on_ipv6_too(run: Run) -> None:
    async def main(url: str) -> None:
        async with Queue("q", url) as queue:
            assert await queue.push(1) == 1

    refusing = socket.socket()  # bound and deaf: nobody else listens at this port on IPv4
    refusing.bind(("127.0.0.1", 0))
    try:
        listener = socket.create_server(
            ("::1", refusing.getsockname()[1]), family=socket.AF_INET6
        )
    except OSError:
        pytest.skip("this machine has no IPv6")
    with refusing, FakeServer(listener=listener) as fake:
        run(main(fake.url))
        with SyncQueue("q", fake.url) as queue:
            assert queue.push(2) == 2


def test_unix_sockets(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with Queue("q", path) as queue:
            assert await queue.push(1) == 1

    path = str(tmp_path / "q.sock")
    listener = socket.create_server(path, family=socket.AF_UNIX)
    with FakeServer(listener=listener) as fake:
        assert fake.url == path
        run(main())
        with SyncQueue("q", f"unix://{path}") as queue:
            assert queue.push(2) == 2
