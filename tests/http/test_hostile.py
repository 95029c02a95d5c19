"""What no client should send: requests within requests, endless ones, slow ones."""

import asyncio
import random
from collections.abc import Callable
from typing import Final, cast

import pytest

from http_client import Http, request
from magicqueue_server.app import App
from magicqueue_server.http import connection
from server.running import until

Run = Callable[..., None]
PUSH: Final = b'{"queue":"q","data":1}'
SMUGGLED: Final = request("POST", "/v1/push", PUSH)
HOST: Final = b"Host: localhost\r\n"
JSON: Final = b"Content-Type: application/json\r\n"


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /v1/push HTTP/1.1\r\n" + headers + b"\r\n" + body


HEADS: Final = {
    "length and chunks": post(
        HOST + JSON + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"0\r\n\r\n" + SMUGGLED,
    ),
    "chunks and length": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"0\r\n\r\n" + SMUGGLED,
    ),
    "two lengths": post(
        HOST + JSON + b"Content-Length: 0\r\nContent-Length: 5\r\n", SMUGGLED
    ),
    "the same length twice": post(HOST + JSON + b"Content-Length: 0\r\n" * 2, SMUGGLED),
    "a list of lengths": post(HOST + JSON + b"Content-Length: 0, 0\r\n", SMUGGLED),
    "a signed length": post(HOST + JSON + b"Content-Length: +5\r\n", SMUGGLED),
    "a hexadecimal length": post(HOST + JSON + b"Content-Length: 0x5\r\n", SMUGGLED),
    "a negative length": post(HOST + JSON + b"Content-Length: -1\r\n", SMUGGLED),
    "a length too long to count": post(
        HOST + JSON + b"Content-Length: 18446744073709551616\r\n"
    ),
    "another coding": post(HOST + JSON + b"Transfer-Encoding: gzip\r\n", SMUGGLED),
    "two codings": post(HOST + JSON + b"Transfer-Encoding: gzip, chunked\r\n", SMUGGLED),
    "chunks twice": post(
        HOST + JSON + b"Transfer-Encoding: chunked, chunked\r\n", SMUGGLED
    ),
    "nearly chunks": post(HOST + JSON + b"Transfer-Encoding: xchunked\r\n", SMUGGLED),
    "coding after a tab": post(
        HOST + JSON + b"Transfer-Encoding:\tchunked, x\r\n", SMUGGLED
    ),
    "two coding headers": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        SMUGGLED,
    ),
    "chunks of 1.0": SMUGGLED.replace(b"1.1", b"1.0").replace(
        b"Content-Length: %d" % len(PUSH), b"Transfer-Encoding: chunked"
    ),
    "a bad chunk": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\n", b"g\r\nx\r\n0\r\n\r\n" + SMUGGLED
    ),
    "a chunk longer than it says": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\n",
        b"2\r\n{}{}\r\n0\r\n\r\n" + SMUGGLED,
    ),
    "an endless chunk size": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\n", b"f" * 20 + b"\r\n{}"
    ),
    "trailers": post(
        HOST + JSON + b"Transfer-Encoding: chunked\r\n",
        b"16\r\n" + PUSH + b"\r\n0\r\nHost: evil\r\n\r\n" + SMUGGLED,
    ),
    "bare line feeds": SMUGGLED.replace(b"\r\n", b"\n"),
    "a bare carriage return": post(HOST + b"X: a\rContent-Length: 3\r\n" + JSON, SMUGGLED),
    "a folded header": post(HOST + JSON + b"X: a\r\n b\r\n", SMUGGLED),
    "a space before the colon": post(HOST + JSON + b"Content-Length : 0\r\n", SMUGGLED),
    "a NUL": post(HOST + JSON + b"X: a\x00b\r\n", SMUGGLED),
    "an escape": post(HOST + JSON + b"X: a\x1b[2Jb\r\n", SMUGGLED),
    "a header without a name": post(HOST + JSON + b": x\r\n", SMUGGLED),
    "no Host": post(JSON + b"Content-Length: 0\r\n", SMUGGLED),
    "two Hosts": post(HOST * 2 + JSON + b"Content-Length: 0\r\n", SMUGGLED),
    "two tokens": post(
        HOST + JSON + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"
    ),
    "two kinds": post(HOST + JSON * 2 + b"Content-Length: 0\r\n", SMUGGLED),
    "HTTP/2": SMUGGLED.replace(b"1.1", b"2.0"),
    "HTTP/0.9": b"GET /v1/stats\r\n\r\n" + SMUGGLED,
    "HTTP/1.2": SMUGGLED.replace(b"1.1", b"1.2"),
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade": request("GET", "/v1/stats", Upgrade="h2c", Connection="Upgrade")
    + SMUGGLED,
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "a body of GET": request("GET", "/v1/stats", SMUGGLED),
    "a space in the path": b"GET /v1/ stats HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "a byte in the path": b"GET /v1/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW /v1/push HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
    "an expectation": post(
        HOST + JSON + b"Expect: wonders\r\nContent-Length: 0\r\n", SMUGGLED
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_refused_with_all_that_comes_behind(run: Run, name: str) -> None:
    async def scenario(app: App, http: Http) -> None:
        http.send(HEADS[name])
        answer = await http.answer()
        assert 400 <= answer.status < 600, answer
        assert answer.headers["connection"] == "close"
        assert await http.ends()
        async with await Http.connect(app) as other:
            assert (await other.get("/v1/stats")).json["pushed"] == 0
            assert app.engine.sessions.input_bytes == 0

    run(scenario)


def test_those_before_a_bad_one_are_answered(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        http.send(SMUGGLED * 3 + HEADS["two lengths"] + SMUGGLED)
        statuses = [(await http.answer()).status for _ in range(4)]
        assert statuses == [200, 200, 200, 400]
        assert await http.ends()
        async with await Http.connect(app) as other:
            assert (await other.get("/v1/stats")).json["pushed"] == 3

    run(scenario)


def test_chunks_as_they_may_be(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        head = HOST + JSON + b"Transfer-Encoding: Chunked\r\n"
        pieces = [b'{"queue":', b'"q",', b'"data":1}']
        body = b"".join(b"%x;name=value\r\n%b\r\n" % (len(p), p) for p in pieces)
        for size in (1, 7, 1000):
            whole = post(head, body + b"0\r\n\r\n")
            for at in range(0, len(whole), size):
                http.send(whole[at : at + size])
                await asyncio.sleep(0)
            assert (await http.answer()).status == 200

    run(scenario)


def test_old_clients(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        http.send(b"GET /v1/stats HTTP/1.0\r\n\r\n")
        assert (await http.answer()).headers["connection"] == "close"
        assert await http.ends()
        async with await Http.connect(app) as other:
            answer = await other.get("/v1/stats", Connection="close")
            assert answer.headers["connection"] == "close"
            assert await other.ends()
        async with await Http.connect(app) as other:
            other.send(SMUGGLED).writer.write_eof()
            assert (await other.answer()).status == 200
            assert await other.ends()

    run(scenario)


def test_an_expectation_is_met_when_the_head_may_ask(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        head = request("POST", "/v1/push", PUSH, Expect="100-continue")[: -len(PUSH)]
        http.send(head)
        assert await http.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await http.send(PUSH).answer()).status == 200
        async with await Http.connect(app) as other:
            other.send(head.replace(b"application/json", b"text/plain"))
            assert (await other.answer()).status == 415
            assert await other.ends()

    run(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
        (post(HOST + JSON + b"Content-Length: 99999999999\r\n"), 413),
        (
            post(
                HOST + JSON + b"Transfer-Encoding: chunked\r\n",
                b"fffff\r\n" + b"x" * 300_000,
            ),
            413,
        ),
        (
            post(
                HOST + JSON + b"Transfer-Encoding: chunked\r\n",
                b"1;" + b"x" * 100_000 + b"\r\n",
            ),
            413,
        ),
        (
            post(
                HOST + JSON + b"Transfer-Encoding: chunked\r\n",
                b"1;x=yyyyyyy\r\n1\r\n" * 9000,
            ),
            413,
        ),
    ],
)
def test_what_does_not_end(
    run: Run, data: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.05)
    monkeypatch.setattr("magicqueue_server.http.server._SWEEP_S", 0.05)

    async def scenario(app: App, http: Http) -> None:
        answer = await http.send(data).answer()
        assert answer.status == status
        assert await http.ends()
        await until(lambda: app.http is not None and not app.http.connections)
        assert app.engine.sessions.input_bytes == 0

    run(scenario, max_line="200KiB")


def test_bodies_of_all_together_are_bounded(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        head = request("POST", "/v1/push", b"x", Content_Length="150000")[:-1]
        async with await Http.connect(app) as one, await Http.connect(app) as two:
            one.send(head + b"x" * 140_000)
            await until(lambda: app.engine.sessions.input_bytes >= 140_000)
            two.send(head + b"x" * 140_000)
            full = await two.answer()
            assert (full.status, full.json["code"]) == (429, "FULL")
        await until(lambda: app.engine.sessions.input_bytes == 0)
        assert (await http.post("/v1/push", {"queue": "q", "data": 1})).status == 200

    run(scenario, max_input="200KiB", max_line="200KiB")


def test_slow_ones_are_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_S", "IDLE_S", "LINGER_S"):
        monkeypatch.setattr(connection, name, 0.05)
    monkeypatch.setattr("magicqueue_server.http.server._SWEEP_S", 0.05)

    async def scenario(app: App, _http: Http) -> None:
        head = request("POST", "/v1/push", PUSH)
        for begun, status in ((b"GET / HT", 408), (head[:-3], 408), (b"\r\n", None)):
            async with await Http.connect(app) as slow:
                slow.send(begun)
                if status is not None:
                    assert (await slow.answer()).status == status
                assert await slow.ends()
        async with await Http.connect(app) as silent:
            assert await silent.ends()
        async with await Http.connect(app) as idle:
            assert (await idle.get("/health")).status == 200
            assert await idle.ends()
        async with await Http.connect(app) as waiter:
            waiter.send(request("POST", "/v1/pull", b'{"queue":"q","timeout":500}'))
            assert (await waiter.answer()).json["job"] is None

    run(scenario)


def test_who_does_not_read_is_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.1)
    monkeypatch.setattr("magicqueue_server.http.server._SWEEP_S", 0.05)

    async def scenario(app: App, http: Http) -> None:
        for _ in range(30):
            await http.post("/v1/push", {"queue": "q", "data": "x" * 900_000})
        async with await Http.connect(app) as lazy:
            cast("asyncio.Transport", lazy.writer.transport).pause_reading()
            lazy.send(request("POST", "/v1/pullb", b'{"queue":"q","count":100}') * 3)
            assert app.http is not None
            there = app.http.connections
            await until(lambda: len(there) == 2)
            await until(lambda: len(there) == 1)
        assert app.engine.sessions.output_bytes == 0

    run(scenario)


def test_too_many_connections(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magicqueue_server.http.server.CONNECTIONS_MAX", 2)

    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as second:
            assert (await second.get("/health")).status == 200
            async with await Http.connect(app) as third:
                refused = await third.answer()
                assert (refused.status, refused.json["code"]) == (503, "FULL")
                assert await third.ends()
        assert (await http.get("/health")).status == 200

    run(scenario)


@pytest.mark.parametrize("seed", range(6))
def test_fuzz(run: Run, seed: int) -> None:
    """Requests with bytes changed, dropped, doubled: each ends in a response or a close."""
    rng = random.Random(seed)
    whole = [*HEADS.values(), SMUGGLED, request("GET", "/v1/queues?count=3"), SMUGGLED * 3]

    async def one(app: App) -> None:
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            change = rng.randrange(4)
            if change == 0:
                data[at] = rng.randrange(256)
            elif change == 1:
                del data[at : at + rng.randrange(1, 20)]
            elif change == 2:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
            else:
                data[at:at] = rng.choice(
                    [b"\r\n", b"\n", b"\x00", b": ", b"chunked", b"0\r\n"]
                )
            data = data or bytearray(b"x")
        async with await Http.connect(app) as http:
            http.send(bytes(data)).writer.write_eof()
            got = await http.reader.read()
            assert got == b"" or got.startswith(b"HTTP/1.1 "), data
            assert b" 500 " not in got, data

    async def scenario(app: App, http: Http) -> None:
        for _ in range(150):
            await one(app)
        assert (await http.get("/v1/stats")).status == 200
        await until(lambda: app.http is not None and len(app.http.connections) == 1)
        assert app.engine.sessions.input_bytes == 0
        assert app.engine.sessions.output_bytes == 0

    run(scenario)
