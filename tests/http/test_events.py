"""Events over HTTP: server-sent events of what SUBSCRIBE tells."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from http_client import Http
from magicqueue_server.app import App
from magicqueue_server.http import connection, streams
from patience import PATIENCE_S
from server.running import until

Run = Callable[..., None]


async def begin(http: Http, path: str = "/v1/events", **headers: str) -> dict[str, str]:
    """Ask for a stream, and read its head."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    http.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{''.join(lines)}\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        head = (await http.reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    return dict(line.lower().split(": ", 1) for line in rest)


async def message(http: Http) -> dict[str, Any]:
    """Read a message; comments are none."""
    while True:
        async with asyncio.timeout(PATIENCE_S):
            text = await http.reader.readuntil(b"\n\n")
        if text != streams.BEAT:
            assert text.startswith(b"data: ")
            told: dict[str, Any] = json.loads(text.removeprefix(b"data: "))
            return told


async def die(http: Http, queue: str) -> int:
    """Let a job die."""
    fields = {"queue": queue, "data": 1, "max_attempts": 1}
    job_id: int = (await http.post("/v1/push", fields)).json["id"]
    await http.post("/v1/pull", {"queue": queue})
    await http.post("/v1/fail", {"id": job_id})
    return job_id


def test_a_stream_tells_what_was_asked_for(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as some, await Http.connect(app) as every:
            headers = await begin(some, "/v1/events?kinds=dead&queues=a&queues=%C3%A9%22")
            assert headers["content-type"] == "text/event-stream"
            assert headers["cache-control"] == "no-store"
            assert headers["connection"] == "close"
            await begin(every)
            ids = [await die(http, queue) for queue in ("b", "a", 'é"')]
            assert [(await message(every))["ids"] for _ in ids] == [[one] for one in ids]
            told = [await message(some) for _ in ids[1:]]
            assert [event["queue"] for event in told] == ["a", 'é"']
            assert {event["reason"] for event in told} == {"failed"}

    run(scenario)


def test_counts_come_again_and_again(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        await begin(http, "/v1/events?kinds=stats&every=100")
        first, second = await message(http), await message(http)
        assert "rates" not in first
        assert second["rates"]["pushed"] == 0

    run(scenario)


@pytest.mark.parametrize("query", ["kinds=deaths", "queues=", "every=99&kinds=stats"])
def test_what_cannot_be_asked_for(run: Run, query: str) -> None:
    async def scenario(_app: App, http: Http) -> None:
        refused = await http.get(f"/v1/events?{query}")
        assert (refused.status, refused.json["code"]) == (400, "BAD_REQUEST")
        assert (await http.get("/v1/stats")).status == 200, "the connection goes on"

    run(scenario)


def test_another_site_may_not_take_a_stream(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        refused = await http.get("/v1/events", Sec_Fetch_Site="cross-site")
        assert refused.status == 403
        await http.send(b"").ends()

    run(scenario)


def test_its_head_alone(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        head = await http.ask("HEAD", "/v1/events")
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        subscriptions = app.engine._blocked.subscriptions
        assert subscriptions is not None
        assert len(subscriptions) == 0

    run(scenario)


def test_a_client_that_goes_is_told_nothing_more(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        subscriptions = app.engine._blocked.subscriptions
        assert subscriptions is not None
        async with await Http.connect(app) as gone:
            await begin(gone)
            assert len(subscriptions) == 1
        await until(lambda: not len(subscriptions))
        assert (await http.get("/health")).status == 200

    run(scenario)


def test_there_are_only_so_many(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magicqueue_server.http.server.STREAMS_MAX", 1)

    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as first:
            await begin(first)
            refused = await http.get("/v1/events")
            assert (refused.status, refused.json["code"]) == (429, "FULL")

    run(scenario)


def test_subscribers_of_all_kinds_are_counted(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as first:
            await begin(first)
            refused = await http.get("/v1/events")
            assert (refused.status, refused.json["code"]) == (429, "FULL")
            assert "--max-subscribers" in refused.json["error"]

    run(scenario, max_subscribers="1")


def test_a_silent_stream_says_that_it_is_there(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BEAT_S", 0.0)

    async def scenario(_app: App, http: Http) -> None:
        await begin(http)
        async with asyncio.timeout(PATIENCE_S):
            assert await http.reader.readuntil(b"\n\n") == streams.BEAT
            assert await http.reader.readuntil(b"\n\n") == streams.BEAT

    run(scenario)


def test_who_does_not_read_is_told_how_much_was_missed(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        engine = app.engine
        assert engine.policies is not None
        async with await Http.connect(app) as slow:
            await begin(slow, "/v1/events?kinds=paused")
            (session,) = [
                one.session
                for one in engine._blocked.subscriptions._by_session.values()  # type: ignore[union-attr]  # there
            ]
            session.congested = True
            queue, turns = "x" * 250, 4000
            for turn in range(turns):
                answer = engine.core.pause(
                    queue, paused=turn % 2 == 0, now_ms=app.engine._now_ms
                )
                assert answer is None
            await http.get("/health")
            assert session.congested
            session.congested = False
            session.on_read()
            seen = missed = 0
            while seen + missed < turns:
                told = await message(slow)
                missed += told.get("count", 0)
                seen += told["event"] == "paused"
            assert missed > 0
            assert seen > 1000

    run(scenario, core="python")
