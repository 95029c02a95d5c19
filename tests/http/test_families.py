"""Metrics of limits, of the log, of deaths, of events, and of what is kept."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_client import Http
from magicqueue_server.app import App
from magicqueue_server.wal.sync_times import BOUNDS_S, SyncTimes
from scraped import of, read
from server.running import until

Run = Callable[..., None]
HOSTILE = 'a"b\\c\u2028'


async def die(http: Http, queue: str, **more: Any) -> None:
    await http.post("/v1/push", {"queue": queue, "data": 1, **more})
    job = (await http.post("/v1/pull", {"queue": queue})).json["job"]
    await http.post("/v1/fail", {"id": job["id"], "retry": False})


def test_deaths_are_counted_by_what_of(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        none = read(await http.get("/metrics"))
        assert of(none, "magicqueue_jobs_died_total", reason="failed") == 0
        for _ in range(3):
            await die(http, "q")
        late = {"queue": "q", "data": 1, "ttl": 1, "on_expire": "dead"}
        await http.post("/v1/push", late)
        await until_dead(http, 4)
        found = read(await http.get("/metrics"))
        assert of(found, "magicqueue_jobs_died_total", reason="failed") == 3
        assert of(found, "magicqueue_jobs_died_total", reason="expired") == 1

    run(scenario)


async def until_dead(http: Http, number: int) -> None:
    for _ in range(500):
        if (await http.get("/v1/stats")).json["dead"] == number:
            return
    raise AssertionError("it did not die")


def test_limits_are_told_of_queues_that_have_some(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        await http.post("/v1/push", {"queue": "plain", "data": 1})
        assert b"limit_concurrency" not in (await http.get("/metrics")).body
        rate = {"jobs": 30, "per": 60_000}
        await http.post("/v1/limit", {"queue": HOSTILE, "concurrency": 7, "rate": rate})
        await http.post("/v1/throttle", {"queue": "slow", "for": 60_000})
        found = read(await http.get("/metrics"))
        names = {
            "magicqueue_queue_limit_concurrency": 7,
            "magicqueue_queue_limit_jobs_per_second": 0.5,
        }
        for name, value in names.items():
            assert [key for key in found if key[0] == name] == [
                (name, (("queue", HOSTILE),))
            ]
            assert of(found, name, queue=HOSTILE) == value
        left = of(found, "magicqueue_queue_throttled_seconds", queue="slow")
        assert left is not None
        assert 0 < left <= 60

    run(scenario)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_the_log_is_told_of(run: Run, tmp_path: Path, fsync: str) -> None:
    async def scenario(app: App, http: Http) -> None:
        empty = of(read(await http.get("/metrics")), "magicqueue_wal_bytes")
        await http.post("/v1/push", {"queue": "q", "data": "x" * 5000})
        times = app._safekeeping.log.journal.sync_times  # type: ignore[union-attr]  # there
        before = sum(times.counts)
        await http.post("/v1/push", {"queue": "q", "data": "x" * 5000})
        await until(lambda: sum(times.counts) > before)
        found = read(await http.get("/metrics"))
        used, live = (of(found, f"magicqueue_wal_{of_}bytes") for of_ in ("", "live_"))
        assert used is not None
        assert live is not None
        assert empty is not None
        assert used - empty > 10_000
        assert live > 10_000
        name = "magicqueue_wal_sync_duration_seconds"
        buckets = [of(found, f"{name}_bucket", le=str(bound)) for bound in BOUNDS_S]
        assert buckets == sorted(buckets)  # type: ignore[type-var]  # none is None
        total = of(found, f"{name}_bucket", le="+Inf")
        assert total == of(found, f"{name}_count")
        assert total is not None
        assert total > 0
        assert (of(found, f"{name}_sum") or 0) > 0

    place = tmp_path / "data"
    run(scenario, persist="1", data_dir=str(place), fsync=fsync)


def test_a_server_without_a_log_tells_of_none(run: Run) -> None:
    async def scenario(_app: App, http: Http) -> None:
        assert b"_wal_" not in (await http.get("/metrics")).body

    run(scenario)


def test_syncs_are_counted_by_time() -> None:
    times, now_ns = SyncTimes(), 0

    def sync() -> None:
        nonlocal now_ns
        now_ns += 100_000

    times.now_ns = lambda: now_ns
    times.timed(sync)
    assert times.counts[0] == 1, "a bound belongs to its bucket"
    times.now_ns = iter([0, 9_000_000_000, 0]).__next__
    times.timed(lambda: None)
    assert times.counts[-1] == 1
    assert times.sum_s == pytest.approx(9.0001)
    with pytest.raises(OSError, match="broken"):
        times.timed(_break)
    assert sum(times.counts) == 2


def _break() -> None:
    raise OSError("broken")


def test_subscribers_and_what_is_kept(run: Run) -> None:
    async def scenario(app: App, http: Http) -> None:
        async with await Http.connect(app) as other:
            other.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await other.reader.readuntil(b"\r\n\r\n")
            more = {"unique_key": "k", "keep_result": 60_000}
            await http.post("/v1/push", {"queue": "q", "data": 1, **more})
            found = read(await http.get("/metrics"))
            assert of(found, "magicqueue_event_subscribers") == 1
            assert of(found, "magicqueue_events_dropped_total") == 0
            assert of(found, "magicqueue_kept", kind="unique_keys") == 1
            assert of(found, "magicqueue_kept_dropped_total", kind="results") == 0

    run(scenario)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say_of_all_of_them(run: Run, tmp_path: Path) -> None:
    texts: list[bytes] = []

    async def scenario(_app: App, http: Http) -> None:
        await http.post("/v1/limit", {"queue": HOSTILE, "concurrency": 7})
        await http.post("/v1/throttle", {"queue": "slow", "for": 60_000})
        await die(http, "q")
        found = await http.get("/metrics")
        page = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
        suffixes = ("_bucket", "_sum", "_count")
        for name in {name for name, _ in read(found)}:
            family = name
            for suffix in suffixes:
                family = family.removesuffix(suffix)
            assert f"`{family}`" in page, family
        texts.append(found.body)

    run(scenario, persist="1", data_dir=str(tmp_path / "data"))
    for text in texts:
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
