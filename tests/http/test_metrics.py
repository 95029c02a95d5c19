"""What a scrape is told, read by Prometheus's own parser."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_client import Http
from magicqueue_server.app import App
from magicqueue_server.http import metrics
from scraped import of, read

Run = Callable[..., None]


def test_counts_of_queues_and_of_the_server(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        hostile = 'a"b\\c'
        for name in ("q", hostile):
            jobs = [{"data": n, "delay": 60_000 if n == 4 else 0} for n in range(5)]
            await http.post("/v1/pushb", {"queue": name, "jobs": jobs})
        await http.post("/v1/pullb", {"queue": "q", "count": 3})
        await http.post("/v1/ack", {"id": 1})
        await http.post("/v1/fail", {"id": 2, "retry": False})
        await http.post("/v1/queues/q/pause")
        found = read(await http.get("/metrics"))
        states = {
            state: of(found, "magicqueue_jobs", queue="q", state=state)
            for state in ("ready", "delayed", "active", "dead")
        }
        assert states == {"ready": 1, "delayed": 1, "active": 1, "dead": 1}
        assert of(found, "magicqueue_jobs_pushed_total", queue="q") == 5
        assert of(found, "magicqueue_jobs_completed_total", queue="q") == 1
        assert of(found, "magicqueue_jobs_failed_total", queue="q") == 1
        assert of(found, "magicqueue_queue_paused", queue="q") == 1
        assert of(found, "magicqueue_queue_paused", queue=hostile) == 0
        assert of(found, "magicqueue_jobs", queue=hostile, state="ready") == 4
        assert of(found, "magicqueue_jobs", queue="", state="ready") is None
        assert of(found, "magicqueue_queues") == 2
        assert of(found, "magicqueue_queues_not_exported") == 0
        assert of(found, "magicqueue_connections") == 1
        assert (of(found, "magicqueue_memory_bytes") or 0) > 0
        assert of(found, "magicqueue_memory_limit_bytes") == 2**30
        assert of(found, "magicqueue_read_only") == 0
        pushes = of(found, "magicqueue_http_requests_total", route="/v1/pushb", code="200")
        assert pushes == 2
        assert (of(found, "process_resident_memory_bytes") or 0) > 10**6
        assert (of(found, "process_start_time_seconds") or 0) > 10**9
        assert (of(found, "process_open_fds") or 0) > 5
        (about,) = [labels for name, labels in found if name == "magicqueue_build_info"]
        assert dict(about)["persistence"] == "off"
        page = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
        assert {name for name, _ in found if f"`{name}`" not in page} == set()

    run(scenario, max_memory="1GiB")


def test_queues_beyond_the_bound_are_summed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_STEP_QUEUES", 3)

    async def scenario(_app: App, http: Http) -> None:
        for n in range(12):
            jobs = [{"data": 0}] * (n + 1)
            await http.post("/v1/pushb", {"queue": f"q{n:02}", "jobs": jobs})
        found = read(await http.get("/metrics"))
        assert _named(found) == {"q08", "q09", "q10", "q11", ""}
        assert of(found, "magicqueue_queues_not_exported") == 8
        rest = sum(n + 1 for n in range(8))
        assert of(found, "magicqueue_jobs", queue="", state="ready") == rest
        assert of(found, "magicqueue_jobs_pushed_total", queue="") == rest

    run(scenario, metrics_queues="4")


def _named(found: Any) -> set[str]:
    return {
        dict(labels)["queue"]
        for name, labels in found
        if name == "magicqueue_jobs_pushed_total"
    }


def test_a_queue_keeps_its_lines_for_an_hour(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        assert app.http is not None
        mine = app.http.metrics
        for name, count in (("a", 3), ("b", 2), ("c", 1)):
            await http.post("/v1/pushb", {"queue": name, "jobs": [{"data": 0}] * count})
        assert _named(read(await http.get("/metrics"))) == {"a", "b", ""}
        await http.post("/v1/pushb", {"queue": "c", "jobs": [{"data": 0}] * 9})
        assert _named(read(await http.get("/metrics"))) == {"a", "b", ""}
        mine._looked_s -= metrics._LOOK_S
        assert _named(read(await http.get("/metrics"))) == {"a", "b", ""}
        mine._named["b"] -= metrics._STICKY_S
        mine._looked_s -= metrics._LOOK_S
        assert _named(read(await http.get("/metrics"))) == {"a", "c", ""}

    run(scenario, metrics_queues="2")


def test_counters_never_fall_while_jobs_come(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        for n in range(30):
            await http.post("/v1/push", {"queue": f"q{n}", "data": 0})

        async def push() -> None:
            async with await Http.connect(app) as other:
                while True:
                    for n in range(30):
                        await other.post("/v1/push", {"queue": f"q{n}", "data": 0})

        pushing = asyncio.create_task(push())
        last: dict[Any, float] = {}
        for _ in range(20):
            found = read(await http.get("/metrics"))
            for key, value in last.items():
                assert found[key] >= value, key
            last = {k: v for k, v in found.items() if k[0].startswith("magicqueue_jobs_p")}
        pushing.cancel()
        await asyncio.wait([pushing])

    run(scenario, metrics_queues="5")


def test_those_who_ask_at_once_get_the_same(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        await http.post("/v1/push", {"queue": "q", "data": 0})
        others = [await Http.connect(app) for _ in range(5)]
        answers = await asyncio.gather(*[other.get("/metrics") for other in others])
        assert all(read(answer) for answer in answers)
        for other in others:
            other.writer.close()

    run(scenario)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say(run: Run) -> None:
    texts: list[bytes] = []

    async def scenario(_app: App, http: Http) -> None:
        await http.post("/v1/push", {"queue": "q", "data": 0})
        text = (await http.get("/metrics")).body
        texts.append(text)

    run(scenario)
    for text in texts:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
