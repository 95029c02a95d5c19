"""The files of the dashboard over HTTP: what protects them, and what they weigh."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

from http_client import Http, request
from magicqueue_server.app import App
from magicqueue_server.http import pages

UI = Path(pages.__file__).parent / "ui"
PAGE_BYTES_MAX = 100_000
FILES = sorted(
    path.relative_to(UI).as_posix() for path in UI.rglob("*.*") if path.suffix != ".LICENSE"
)


def test_the_page_and_all_its_files(run: Callable[..., None]) -> None:
    async def scenario(_: App, http: Http) -> None:
        first = await http.get("/")
        assert first.status == 200
        assert first.headers["content-type"] == "text/html; charset=utf-8"
        assert first.body == (UI / "index.html").read_bytes()
        for name in FILES:
            answer = await http.get(f"/ui/{name}")
            assert answer.status == 200, name
            assert answer.body == (UI / name).read_bytes()
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"

    run(scenario)


def test_all_of_it_is_small_when_compressed(run: Callable[..., None]) -> None:
    async def scenario(_: App, http: Http) -> None:
        total = 0
        for name in FILES:
            answer = await http.get(f"/ui/{name}", Accept_Encoding="br, gzip")
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["vary"] == "Accept-Encoding"
            assert gzip.decompress(answer.body) == (UI / name).read_bytes()
            total += len(answer.body)
        assert total <= PAGE_BYTES_MAX

    run(scenario)


def test_a_browser_that_has_it_is_told_so(run: Callable[..., None]) -> None:
    async def scenario(_: App, http: Http) -> None:
        tag = (await http.get("/ui/app.js")).headers["etag"]
        ask = request("GET", "/ui/app.js", If_None_Match=f'"other", W/{tag}')
        same = await http.send(ask).answer(head=True)
        assert (same.status, same.headers["etag"]) == (304, tag)
        assert same.headers["cache-control"] == "no-cache"
        changed = await http.get("/ui/app.js", If_None_Match='"other"')
        assert changed.status == 200
        head = await http.ask("HEAD", "/")
        assert (head.status, head.body) == (200, b"")

    run(scenario)


def test_nothing_else_is_given(run: Callable[..., None]) -> None:
    async def scenario(_: App, http: Http) -> None:
        for path in (
            "/ui/",
            "/ui/nothing.js",
            "/ui/../pages.py",
            "/ui/%2e%2e/pages.py",
            "/ui//etc/passwd",
            "/ui/vendor",
            "/ui/vendor/lit-html.LICENSE",
        ):
            answer = await http.get(path)
            assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND"), path
        posted = await http.post("/")
        assert posted.status == 405

    run(scenario)


def test_the_page_is_open_and_its_data_is_not(
    run: Callable[..., None], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        f'[tokens.eye]\nsha256 = "{"0" * 64}"\nscopes = ["read"]\n', encoding="ascii"
    )
    tokens.chmod(0o600)

    async def scenario(app: App, http: Http) -> None:
        assert (await http.get("/")).status == 200
        assert (await http.get("/ui/app.js")).status == 200
        for path in ("/v1/stats", "/v1/token", "/v1/queues"):
            async with await Http.connect(app) as stranger:
                assert (await stranger.get(path)).status == 401

    run(scenario, tokens=str(tokens))


def test_without_tokens_everything_is_allowed(run: Callable[..., None]) -> None:
    async def scenario(_: App, http: Http) -> None:
        answer = await http.get("/v1/token")
        assert answer.json == {
            "ok": True,
            "name": None,
            "scopes": ["admin"],
            "queues": None,
        }

    run(scenario)


def test_nothing_is_loaded_from_elsewhere_or_made_of_text() -> None:
    for name in FILES:
        text = (UI / name).read_text(encoding="utf-8")
        if "vendor" not in name:
            assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text), name
            assert "innerHTML" not in text, name
            assert "unsafeHTML" not in text, name
            assert not re.search(r"<\w[^>]*\sstyle=", text), name


def test_every_import_of_a_script_is_a_file() -> None:
    for name in FILES:
        if name.endswith(".js"):
            script = (UI / name).read_text(encoding="utf-8")
            for target in re.findall(r"(?:from|import)\s*[\"'](\.[^\"']+)[\"']", script):
                assert ((UI / name).parent / target).is_file(), (name, target)
