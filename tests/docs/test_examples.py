"""The examples with frameworks run, against a server in memory."""

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
import sentry_sdk

from docs.pages import DOCS
from magicqueue_server.testing import in_memory


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    yield import_module
    for name in ("fastapi_app", "flask_app", "sentry_app"):
        sys.modules.pop(name, None)


def test_fastapi(example: Any) -> None:
    shop = example("fastapi_app")

    async def visit() -> None:
        over = httpx.ASGITransport(shop.app)
        async with (
            httpx.AsyncClient(transport=over, base_url="http://shop") as client,
            shop.app.router.lifespan_context(shop.app),
        ):
            asked = await client.post("/reports/3")
            assert asked.status_code == 202
            place = f"/reports/{asked.json()['id']}"
            assert (await client.get(place)).status_code == 202
            await magicqueue.run_all(shop.tasks)
            assert (await client.get(place)).json() == {"report": "the report of month 3"}
            assert (await client.get("/reports/999")).status_code == 404

    with in_memory() as magicqueue:
        asyncio.run(visit())


def test_flask(example: Any) -> None:
    shop = example("flask_app")
    with in_memory() as magicqueue:
        answer = shop.app.test_client().post("/users/ada")
        assert answer.status_code == 202
        assert [call.args for call in magicqueue.calls(shop.welcome)] == [
            ("ada@example.org",)
        ]
        assert len(magicqueue.run_all_sync(shop.tasks)) == 1


def test_sentry(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[BaseException, str | None]] = []

    def note(error: BaseException) -> None:
        scope = sentry_sdk.get_isolation_scope()
        told.append((error, scope._transaction))

    shop = example("sentry_app")
    monkeypatch.setattr(sentry_sdk, "capture_exception", note)
    with in_memory() as magicqueue:
        shop.charge.push_sync(7)
        magicqueue.run_all_sync(shop.tasks, raises=False)
    assert [(str(error), name) for error, name in told] == [
        ("the bank does not answer about 7 cents", "charge")
    ]
