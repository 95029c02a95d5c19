"""What strangers try over HTTP: from a page in a browser, with no token or a wrong one."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from http_client import Http, request
from magicqueue_server.app import App
from magicqueue_server.http.guards import is_of_here
from magicqueue_server.tokens import SCOPES, digest_of
from security.test_access import LINES, MAY
from server.process import run_serve
from server.running import Peer

Run = Callable[..., None]
PUSH = {"queue": "q", "data": 1}


def row(secret: str, scopes: str, more: str = "") -> str:
    digest = digest_of(secret).hex()
    return f'[tokens.{secret}]\nsha256 = "{digest}"\nscopes = {scopes}\n{more}\n'


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(
        row("boss", '["admin"]')
        + row("web", '["produce"]')
        + row("some", '["admin"]', 'queues = ["q"]')
        + row("reader", '["read"]')
    )
    return path


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((b"localhost", True), (b"LOCALHOST:80", True), (b"a.localhost", True)),
        *((b"127.0.0.1", True), (b"127.0.0.1:6790", True), (b"[::1]:80", True)),
        *((b"10.1.2.3", True), (b"[fe80::1]", True), (b"evil.example", False)),
        *((b"evil.example:80", False), (b"localhost.evil.example", False)),
        *((b"127.0.0.1.evil.example", False), (b"localhost:x", False), (b"", False)),
        *((b"[::1", False), (b"[::1]x", False), ("ä".encode(), False)),
        *((b"localhost@evil", False), (b"127.0.0.1/evil", False), (b"x" * 400, False)),
    ],
)
def test_names_of_this_machine(host: bytes, *, here: bool) -> None:
    assert is_of_here(host) is here


def test_a_name_that_was_pointed_here(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        assert (await http.get("/v1/stats", Host="127.0.0.1:80")).status == 200
        for path in ("/v1/stats", "/health", "/metrics", "/"):
            async with await Http.connect(app) as other:
                assert (await other.get(path, Host="evil.example")).status == 403
                assert await other.ends()

    run(scenario)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://evil.example"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Content_Type": "text/plain; application/json"}, 415),
        ({"Content_Type": "Application/JSON ; charset=utf-8"}, 200),
    ],
)
def test_requests_of_other_sites(run: Run, headers: dict[str, str], status: int) -> None:
    async def scenario(app: App, http: Http) -> None:
        answer = await http.post("/v1/push", PUSH, **headers)
        assert answer.status == status
        assert not {name for name in answer.headers if name.startswith("access-control")}
        async with await Http.connect(app) as other:
            pushed = (await other.get("/v1/stats")).json["pushed"]
        assert pushed == (1 if status == 200 else 0)

    run(scenario)


def test_nothing_answers_before_it_is_authorised(run: Run, tokens: Path) -> None:
    paths = [
        *("/v2", "/metrics", "/v1/stats", "/v1/token", "/v1/openapi.json", "/v1/queues"),
        "/v1/jobs/1",
    ]

    async def scenario(app: App, http: Http) -> None:
        for path in ("/health", "/ready", "/", "/ui/app.js"):  # none of them has data
            assert (await http.get(path)).status == 200
        for path, wrong in product(
            paths, ("", "Bearer x", "Basic boss", "boss", "Bearer ")
        ):
            async with await Http.connect(app) as other:
                answer = await other.get(path, Authorization=wrong)
                assert answer.status == (404 if path == "/v2" else 401), path
                if path != "/v2":
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                assert await other.ends()
        async with await Http.connect(app) as other:
            assert (await other.post("/v1/push", PUSH)).status == 401

    run(scenario, tokens=str(tokens))


def test_a_body_of_somebody_unknown_is_not_read(run: Run, tokens: Path) -> None:
    async def scenario(app: App, http: Http) -> None:
        head = request("POST", "/v1/push", b"x", Content_Length="60000000")[:-1]
        http.send(head + b"x" * 1000)
        assert (await http.answer()).status == 401
        assert app.engine.sessions.input_bytes == 0
        with contextlib.suppress(ConnectionError):
            http.send(b"x" * 1000)
            assert await http.ends()

    run(scenario, tokens=str(tokens))


def test_each_request_has_the_rights_of_its_own_token(run: Run, tokens: Path) -> None:
    """Also where several with different tokens arrive in one piece."""

    async def scenario(_app: App, http: Http) -> None:
        push = request(
            "POST", "/v1/push", b'{"queue":"q","data":1}', Authorization="Bearer web"
        )
        drain = b'{"queue":"q"}'
        asks = [
            (push, 200),
            (request("POST", "/v1/drain", drain, Authorization="Bearer web"), 403),
            (request("POST", "/v1/drain", drain, Authorization="bearer boss"), 200),
            (request("POST", "/v1/drain", drain, Authorization="Bearer web"), 403),
            (push, 200),
            (request("GET", "/v1/stats", Authorization="Bearer reader"), 200),
            (request("POST", "/v1/pull", drain, Authorization="Bearer reader"), 403),
            (request("POST", "/v1/pull", drain, Authorization="Bearer some"), 200),
            (request("GET", "/v1/stats", Authorization="Bearer some"), 403),
            (request("GET", "/metrics", Authorization="Bearer reader"), 200),
            (request("GET", "/metrics", Authorization="Bearer web"), 403),
            (request("GET", "/metrics", Authorization="Bearer some"), 403),
            (request("GET", "/v1/openapi.json", Authorization="Bearer web"), 200),
            (request("GET", "/health"), 200),
        ]
        http.send(b"".join(line for line, _ in asks))
        for line, status in asks:
            answer = await http.answer()
            assert answer.status == status, line
        http.send(push + request("POST", "/v1/drain", drain) + push)
        assert (await http.answer()).status == 200
        assert (await http.answer()).status == 401
        assert await http.ends()

    run(scenario, tokens=str(tokens))


@pytest.mark.parametrize("scope", SCOPES)
def test_every_command_with_every_scope(run: Run, tmp_path: Path, scope: str) -> None:
    tokens = tmp_path / "one.toml"
    tokens.write_text(row("one", f'["{scope}"]'))

    async def scenario(_app: App, http: Http) -> None:
        allowed = set()
        for name, line in LINES.items():
            if name == "SUBSCRIBE":
                continue  # it is GET /v1/events
            body = json.loads(line)
            del body["cmd"]
            answer = await http.post(
                f"/v1/{name.lower()}", body, Authorization="Bearer one"
            )
            assert (answer.status == 403) == (answer.json.get("code") == "FORBIDDEN"), name
            if answer.status != 403:
                allowed.add(name)
        assert allowed == MAY[scope] - {"SUBSCRIBE"}

    run(scenario, tokens=str(tokens))


def test_an_expired_token_is_as_good_as_none(run: Run, tmp_path: Path) -> None:
    tokens = tmp_path / "old.toml"
    tokens.write_text(row("old", '["admin"]', "expires = 2020-01-31T00:00:00Z"))

    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as other:
            wrong = await other.get("/v1/stats", Authorization="Bearer none")
        answer = await http.get("/v1/stats", Authorization="Bearer old")
        assert (answer.status, wrong.status) == (401, 401)
        assert answer.json == wrong.json
        assert await http.ends()

    run(scenario, tokens=str(tokens))


def test_a_token_that_is_taken_back(run: Run, tokens: Path) -> None:
    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as waiter, await Http.connect(app) as idle:
            assert (
                await idle.post("/v1/push", PUSH, Authorization="Bearer boss")
            ).status == 200
            body = b'{"queue":"w"}'
            waiter.send(request("POST", "/v1/pull", body, Authorization="Bearer boss"))
            await http.get("/v1/stats", Authorization="Bearer reader")
            while True:
                stats = await http.get("/v1/stats", Authorization="Bearer reader")
                if stats.json["waiting"]:
                    break
            tokens.write_text(row("reader", '["read"]'))
            app.reload()
            assert (await waiter.answer()).status == 401
            assert await waiter.ends()
            assert await idle.ends()
        assert (await http.get("/v1/stats", Authorization="Bearer reader")).status == 200
        assert (await http.get("/v1/stats", Authorization="Bearer boss")).status == 401

    run(scenario, tokens=str(tokens))


def test_any_host_with_a_token(run: Run, tokens: Path) -> None:
    async def scenario(_app: App, http: Http) -> None:
        answer = await http.get(
            "/v1/stats", Host="queue.example", Authorization="Bearer reader"
        )
        assert answer.status == 200

    run(scenario, tokens=str(tokens))


def test_the_two_protocols_do_not_mistake_each_other(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        http.send(b'{"cmd":"PUSH","queue":"q","data":1}\n')
        assert (await http.answer()).status == 400
        assert await http.ends()
        peer = await Peer.connect(app)
        peer.send(b"POST /v1/push HTTP/1.1", b'{"cmd":"PUSH","queue":"q","data":1}')
        assert (await peer.reply())["code"] == "BAD_JSON"
        assert await peer.line() == b""
        await peer.close()
        async with await Http.connect(app) as other:
            assert (await other.get("/v1/stats")).json["pushed"] == 0

    run(scenario)


def test_others_do_not_reach_it_without_tokens() -> None:
    done = run_serve("--port", "0", "--http", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--tokens" in done.stderr


def test_queue_names_stay_text(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        name = '<img src=x onerror="alert(1)">\u202e'
        await http.post("/v1/push", {"queue": name, "data": name})
        listed = await http.get("/v1/queues")
        assert listed.json["queues"][0]["name"] == name
        assert listed.headers["content-type"] == "application/json"
        assert listed.headers["x-content-type-options"] == "nosniff"
        await asyncio.sleep(0)

    run(scenario)
