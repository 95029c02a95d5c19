"""Commands over HTTP: each path, each status, and that they mean the same as on lines."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from http_client import Http, request
from magicqueue.errors import ERROR_CODES
from magicqueue.wire.requests import COMMANDS
from magicqueue_server.app import App
from magicqueue_server.http.messages import STATUS_OF
from magicqueue_server.http.routes import ALL, NOT_HERE
from magicqueue_server.options import http_place
from magicqueue_server.safekeeping import Safekeeping
from server.process import environment
from server.running import Peer, until

Run = Callable[..., None]


def test_nothing_of_it_is_imported_without_the_option() -> None:
    code = (
        "import sys, asyncio\n"
        "from magicqueue_server.app import App\n"
        "from magicqueue_server.config import load\n"
        "async def main():\n"
        "    app = App(load({'port': '0', 'http': sys.argv[1]}, {}, None), version='1')\n"
        "    await app.serve(lambda app: app.stop())\n"
        "asyncio.run(main())\n"
        "ours = 'magicqueue_server.http'\n"
        "print(sorted(m for m in sys.modules\n"
        "    if m in ('httptools', 'http', 'ipaddress') or m.startswith(ours)))\n"
    )
    for place, wanted in (("", False), ("127.0.0.1:0", True)):
        done = subprocess.run(
            [sys.executable, "-c", code, place],
            env=environment() | {"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("httptools" in done.stdout) is wanted
        assert ("magicqueue_server.http" in done.stdout) is wanted


def test_every_command_has_its_path() -> None:
    commands = {t.command for t in ALL if t.route.count("/") == 2 and t.method == "POST"}
    assert commands == set(COMMANDS) - NOT_HERE


def test_every_code_has_its_status() -> None:
    assert set(STATUS_OF) >= set(ERROR_CODES)


def test_the_life_of_a_job(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        pushed = await http.post("/v1/push", {"queue": "q", "data": {"a": 1.50}})
        assert (pushed.status, pushed.body) == (200, b'{"ok":true,"id":1}\n')
        assert pushed.headers["content-type"] == "application/json"
        assert pushed.headers["cache-control"] == "no-store"
        pulled = await http.post("/v1/pull", {"queue": "q", "lease": 5000})
        assert pulled.json["job"]["data"] == {"a": 1.5}
        assert (await http.get("/v1/jobs/1")).json["job"]["state"] == "active"
        failed = await http.post("/v1/fail", {"id": 1, "error": "why", "retry": False})
        assert failed.json["state"] == "dead"
        assert (await http.post("/v1/retrydead", {"queue": "q"})).json["retried"] == 1
        again = await http.post("/v1/queues/q/pull", {"timeout": 0})
        done = {"ids": [{"id": 1, "attempt": again.json["job"]["attempts"]}]}
        assert (await http.post("/v1/ackb", done)).json["acked"] == 1
        missing = await http.get("/v1/jobs/1")
        assert (missing.status, missing.json["code"]) == (404, "NOT_FOUND")
        stats = await http.get("/v1/stats?queue=q")
        assert (stats.json["pushed"], stats.json["completed"]) == (1, 1)

    run(scenario)


def test_bytes_of_data_stay_but_for_line_ends(run: Run) -> None:
    body = (
        b'{\r\n "queue" : "q",\n\n"data":\r{"n":123456789012345678901234567890,\n"x":1.50}}'
    )

    async def scenario(app: App, http: Http) -> None:
        assert (await http.post("/v1/push", body)).status == 200
        peer = await Peer.connect(app)
        line = await peer.send(b'{"cmd":"PULL","queue":"q"}').line()
        assert b'{"n":123456789012345678901234567890, "x":1.50}' in line
        await peer.close()

    run(scenario)


def test_short_ways_to_say_it(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        for name in ("a/b", "ä c", "x?y", "%41"):
            path = "".join(f"%{byte:02X}" for byte in name.encode())
            pushed = await http.post(f"/v1/queues/{path}/push", {"data": name})
            assert pushed.status == 200
            paused = await http.post(f"/v1/queues/{path}/pause")
            assert paused.json == {"ok": True}
            counts = (await http.get(f"/v1/stats?queue={path}")).json
            assert (counts["queued"], counts["paused"]) == (1, True)
            assert (await http.post(f"/v1/queues/{path}/resume")).status == 200
            got = await http.post(f"/v1/queues/{path}/pull", {"timeout": 0})
            assert (got.json["job"]["queue"], got.json["job"]["data"]) == (name, name)
            await http.post(f"/v1/queues/{path}/push", {"data": 1, "queue": "other"})
            assert (await http.post(f"/v1/queues/{path}/drain")).json["removed"] == 1
        page = (await http.get("/v1/queues?count=2")).json
        assert [row["name"] for row in page["queues"]] == ["%41", "a/b"]
        more = (await http.get("/v1/queues?count=2&after=a%2Fb")).json
        assert [row["name"] for row in more["queues"]] == ["x?y", "ä c"]
        assert (await http.get("/v1/queues")).json["queues"][0]["name"] == "%41"
        head = await http.ask("HEAD", "/v1/stats")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 100

    run(scenario)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/push", b"{", 400, "BAD_JSON"),
        ("POST", "/v1/push", b"[]", 400, "BAD_JSON"),
        ("POST", "/v1/push", b'{"queue":"q","data":"\n"}', 400, "BAD_JSON"),
        ("POST", "/v1/push", b"", 400, "BAD_REQUEST"),
        ("POST", "/v1/push", b'{"queue":"q"}', 400, "BAD_REQUEST"),
        ("POST", "/v1/push", b'{"queue":"q","data":"\\ud800"}', 400, "BAD_JSON"),
        ("POST", "/v1/push", b'{"queue":"q","data":[' + b"[" * 600, 400, "BAD_JSON"),
        ("POST", "/v1/pull", b'{"queue":"q","timeout":-1}', 400, "BAD_REQUEST"),
        ("POST", "/v1/pull", b'{"queue":"q","timeout":"x"}', 400, "BAD_REQUEST"),
        ("POST", "/v1/pull", b'{"queue":"q","timeout":1.5}', 400, "BAD_REQUEST"),
        ("POST", "/v1/pull", b'{"queue":"","timeout":0}', 400, "BAD_REQUEST"),
        ("POST", "/v1/ack", b'{"id":7}', 404, "NOT_FOUND"),
        ("POST", "/v1/nothing", b"{}", 404, "NOT_FOUND"),
        ("POST", "/v1/auth", b'{"token":"x"}', 404, "NOT_FOUND"),
        ("POST", "/v1/queues/q/nothing", b"{}", 404, "NOT_FOUND"),
        ("POST", "/v1/queues/%FF/pause", b"{}", 400, "BAD_REQUEST"),
        ("POST", "/v1/queues//pause", b"{}", 400, "BAD_REQUEST"),
        ("GET", "/v1/jobs/x", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/jobs/99999999999999999999", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/queues?count=0", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/queues?count=x", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/queues?count=99999999999999999999", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/queues?prefix=%FF", None, 400, "BAD_REQUEST"),
        ("GET", "/v1/queues?" + "a=1&" * 101, None, 400, "BAD_REQUEST"),
        ("GET", "/v2", None, 404, "NOT_FOUND"),
        ("GET", "/../etc/passwd", None, 404, "NOT_FOUND"),
        ("GET", "/v1/push", None, 405, "BAD_REQUEST"),
        ("POST", "/v1/stats", b'{"queue":5}', 400, "BAD_REQUEST"),
        ("PUT", "/v1/push", b"{}", 405, "BAD_REQUEST"),
        ("DELETE", "/v1/jobs/1", None, 405, "BAD_REQUEST"),
        ("OPTIONS", "/v1/push", None, 405, "BAD_REQUEST"),
        ("POST", "/health", b"{}", 405, "BAD_REQUEST"),
        ("GET", "http://evil/v1/stats", None, 400, "BAD_REQUEST"),
        ("GET", "*", None, 400, "BAD_REQUEST"),
    ],
)
def test_refusals(
    run: Run, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async def scenario(app: App, http: Http) -> None:
        answer = await http.ask(method, path, body)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert answer.json["ok"] is False
        assert answer.json["error"]
        async with await Http.connect(app) as other:
            assert (await other.get("/v1/stats")).json["pushed"] == 0

    run(scenario)


def test_states_of_the_server_as_statuses(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        assert (await http.post("/v1/push", {"queue": "q", "data": 1})).status == 200
        full = await http.post("/v1/push", {"queue": "q", "data": 1})
        assert (full.status, full.json["code"]) == (429, "FULL")
        await http.post("/v1/pull", {"queue": "q", "lease": 1})
        while (await http.get("/v1/stats?queue=q")).json["processing"]:
            pass
        await http.post("/v1/pull", {"queue": "q"})
        stale = await http.post("/v1/ack", {"id": 1, "attempt": 1})
        assert (stale.status, stale.json["code"]) == (409, "STALE")
        large = await http.post("/v1/push", {"queue": "q", "data": "x" * 3000})
        assert (large.status, large.json["code"]) == (413, "TOO_LARGE")
        assert (await http.get("/ready")).status == 200
        app.engine.stop(0)
        late = await http.post("/v1/push", {"queue": "q", "data": 1})
        assert (late.status, late.json["code"]) == (503, "SHUTTING_DOWN")
        assert (await http.get("/ready")).status == 503
        assert (await http.get("/health")).status == 200

    run(scenario, max_jobs="1", max_job="2KiB")


def test_a_body_says_neither_command_nor_token(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        body = b'{"queue":"q","data":1,"cmd":"DRAIN","cmd":"PAUSE"}'
        assert (await http.post("/v1/push", body)).json == {"ok": True, "id": 1}
        assert (await http.post("/v1/hello", {"token": "x", "rid": 7})).json["rid"] == 7

    run(scenario)


def test_a_pull_waits_and_lasts_beyond_its_connection(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as other:
            other.send(request("POST", "/v1/pull", b'{"queue":"q"}'))
            await _waiting(http, 1)
            await http.post("/v1/push", {"queue": "q", "data": 1})
            assert (await other.answer()).json["job"]["id"] == 1
        await until(lambda: len(_http(app)) == 1)
        assert (await http.get("/v1/jobs/1")).json["job"]["state"] == "active"
        assert (await http.post("/v1/ack", {"id": 1})).status == 200

    run(scenario)


def test_a_pull_whose_client_goes_takes_no_job(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        for half in (False, True):
            async with await Http.connect(app) as other:
                other.send(request("POST", "/v1/pullb", b'{"queue":"q","count":5}'))
                await _waiting(http, 1)
                if half:
                    other.writer.write_eof()
                    assert await other.ends()
            await _waiting(http, 0)
        await http.post("/v1/push", {"queue": "q", "data": 1})
        assert (await http.get("/v1/stats?queue=q")).json["queued"] == 1

    run(scenario)


def test_a_pull_waits_a_minute_at_most(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magicqueue_server.http.routes.PULL_WAIT_MS", 20)

    async def scenario(_app: App, http: Http) -> None:
        for fields in ({}, {"timeout": None}, {"timeout": 10**7}, {"timeout": 10**30}):
            answer = await http.post("/v1/pull", {"queue": "q", **fields})
            assert answer.body == b'{"ok":true,"job":null}\n'

    run(scenario)


async def _waiting(http: Http, count: int) -> None:
    while (await http.get("/v1/stats")).json["waiting"] != count:
        pass


def _http(app: App) -> set[object]:
    assert app.http is not None
    return set(app.http.connections)


def test_requests_of_one_connection_come_one_after_the_other(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        many = [
            request("POST", "/v1/push", json.dumps({"queue": "q", "data": n}).encode())
            for n in range(500)
        ]
        pull = request("POST", "/v1/pull", b'{"queue":"w"}')
        http.send(b"".join([*many[:100], pull, *many[100:]]))
        for n in range(100):
            assert (await http.answer()).json["id"] == n + 1
        async with await Http.connect(app) as other:
            await _waiting(other, 1)
            assert (await other.get("/v1/stats")).json["pushed"] == 100
            await other.post("/v1/push", {"queue": "w", "data": 1})
        assert (await http.answer()).json["job"]["data"] == 1
        for n in range(100, 500):
            assert (await http.answer()).json["id"] == n + 2

    run(scenario)


def test_large_responses_to_one_who_reads_late(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        for _ in range(12):
            await http.post("/v1/push", {"queue": "q", "data": "x" * 900_000})
        http.send(request("POST", "/v1/pull", b'{"queue":"q"}') * 12)
        http.send(request("GET", "/v1/stats"))
        await asyncio.sleep(0.05)
        for n in range(12):
            assert (await http.answer()).json["job"]["id"] == n + 1
        assert (await http.answer()).json["processing"] == 12

    run(scenario)


def test_with_a_log_a_response_waits_for_it(run: Run, tmp_path: Path) -> None:
    async def scenario(_app: App, http: Http) -> None:
        for n in range(20):
            assert (await http.post("/v1/push", {"queue": "q", "data": n})).status == 200

    run(scenario, persist="true", data_dir=str(tmp_path / "data"), fsync="always")


def test_at_a_unix_socket(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"

    async def scenario(_app: App, http: Http) -> None:
        assert (await http.get("/v1/stats", Host="whatever.example")).status == 200
        assert (path.stat().st_mode & 0o777) == 0o600

    run(scenario, http=f"unix:{path}")
    assert not path.exists()


def test_a_stop_answers_those_who_wait_and_ends_large_responses(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        for _ in range(12):
            await http.post("/v1/push", {"queue": "q", "data": "x" * 900_000})
        waiter, reader = await Http.connect(app), await Http.connect(app)
        waiter.send(request("POST", "/v1/pull", b'{"queue":"w"}'))
        await _waiting(http, 1)
        reader.send(request("POST", "/v1/pullb", b'{"queue":"q","count":20}'))
        while (await http.get("/v1/stats")).json["processing"] != 12:
            pass
        app.stop()
        assert (await waiter.answer()).json == {"ok": True, "job": None}
        assert len((await reader.answer()).json["jobs"]) == 12
        assert await waiter.ends()
        assert await reader.ends()
        for other in (waiter, reader):
            other.writer.close()

    run(scenario)


def test_a_server_that_cannot_write_is_not_ready(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(_app: App, http: Http) -> None:
        monkeypatch.setattr(Safekeeping, "is_broken", True)
        answer = await http.get("/ready")
        assert (answer.status, answer.json["code"]) == (503, "READ_ONLY")
        assert b"magicqueue_read_only 1" in (await http.get("/metrics")).body
        assert (await http.get("/health")).status == 200
        monkeypatch.undo()
        assert (await http.get("/ready")).status == 200

    run(scenario)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        *((":80", "127.0.0.1:80"), ("80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80")),
        *(("h:0", "h:0"), ("unix:/x", "unix:/x"), ("", "")),
    ],
)
def test_places(text: str, place: str) -> None:
    assert http_place(text) == place


@pytest.mark.parametrize("text", ["h", "h:x", "::1:80", "unix:", "h:99999", "http://h:1"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        http_place(text)
