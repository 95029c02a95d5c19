"""Crons by the wire: when they tick, what a tick makes, and what a restart keeps."""

import pytest

from policies.wires import Wire

HOUR_MS = 3_600_000


def test_the_same_again_changes_nothing(wire: Wire) -> None:
    peer = wire.peer()
    asked = {"name": "c", "queue": "q", "data": {"n": 1}, "schedule": "0 * * * *"}
    first = peer.ask("CRON", **asked)
    assert (first["created"], first["changed"]) == (True, True)
    assert [run % HOUR_MS for run in first["next_runs"]] == [0, 0, 0]
    wire.tick(1000)
    again = peer.ask("CRON", **asked)
    assert (again["created"], again["changed"]) == (False, False)
    assert again["next_run"] == first["next_run"]


def test_a_tick_pushes_one_job_and_survives_a_restart(wire: Wire) -> None:
    peer = wire.peer()
    run = peer.ask("CRON", name="c", queue="q", data=7, every=HOUR_MS)["next_run"]
    wire.tick(run - wire.now - 1)
    assert peer.ask("PULL", queue="q", timeout=0)["job"] is None
    wire.tick(1)
    if wire.restart is not None:
        wire.restart()
        peer = wire.peer()
        wire.tick(1)
    cron = peer.ask("CRONLIST")["crons"][0]
    assert (cron["last_tick"], cron["next_run"]) == (run, run + HOUR_MS)
    job = peer.ask("GETJOB", id=cron["last_job"])["job"]
    assert job["cron"] == {"name": "c", "tick": run}
    assert (job["data"], job["run_at"], cron["live"]) == (7, run, 1)
    peer.ask("PUSH", queue="q", data=8)
    pulled, plain = peer.ask("PULLB", queue="q", count=9, timeout=0)["jobs"]
    assert pulled["cron"] == job["cron"]
    assert "cron" not in plain


def test_who_waits_is_told_of_the_tick_and_later_pulls_are_plain(wire: Wire) -> None:
    waiter, peer = wire.peer(), wire.peer()
    run = peer.ask("CRON", name="c", queue="q", data=7, every=HOUR_MS)["next_run"]
    waiter.send("PULL", queue="q")
    wire.tick(run - wire.now)
    [reply] = waiter.heard()
    job = reply["job"]
    assert job["cron"] == {"name": "c", "tick": run}
    waiter.ask("ACK", id=job["id"])
    peer.ask("PUSH", queue="q", data=8)
    assert "cron" not in peer.ask("PULL", queue="q")["job"]


def test_a_listing_goes_by_name_in_pages_and_one_is_told_with_its_runs(wire: Wire) -> None:
    peer = wire.peer()
    for name in ("b", "a", "c"):
        peer.ask("CRON", name=name, queue="q", every=HOUR_MS)
    page = peer.ask("CRONLIST", count=2)
    assert [cron["name"] for cron in page["crons"]] == ["a", "b"]
    page = peer.ask("CRONLIST", after=page["next"])
    assert ([cron["name"] for cron in page["crons"]], page["next"]) == (["c"], None)
    assert "next_runs" not in page["crons"][0]
    [one] = peer.ask("CRONLIST", name="b", runs=2)["crons"]
    assert one["next_runs"] == [one["next_run"], one["next_run"] + HOUR_MS]
    assert peer.ask("CRONLIST", name="d")["code"] == "NOT_FOUND"
    assert peer.ask("CRONLIST", name="b", count=2)["code"] == "BAD_REQUEST"
    assert peer.ask("CRONLIST", runs=2)["code"] == "BAD_REQUEST"


def test_a_tick_is_dropped_while_an_earlier_job_lives(wire: Wire) -> None:
    peer = wire.peer()
    for name, overlap in (("skips", "skip"), ("allows", "allow")):
        peer.ask("CRON", name=name, queue=name, every=HOUR_MS, overlap=overlap)
    first = peer.ask("CRONLIST")["crons"][0]["next_run"]
    for tick in range(first, first + 3 * HOUR_MS, HOUR_MS):
        wire.tick(tick - wire.now)
    told = {cron["name"]: cron["ticks"] for cron in peer.ask("CRONLIST")["crons"]}
    assert (told["skips"]["fired"], told["skips"]["skipped"]) == (1, 2)
    assert (told["allows"]["fired"], told["allows"]["skipped"]) == (3, 0)


@pytest.mark.parametrize(("missed", "jobs"), [("one", 1), ("skip", 0), ("all", 5)])
def test_ticks_missed_while_it_was_paused(wire: Wire, missed: str, jobs: int) -> None:
    peer = wire.peer()
    run = peer.ask(
        "CRON", name="c", queue="q", every=HOUR_MS, missed=missed, overlap="allow"
    )["next_run"]
    assert peer.ask("CRONPAUSE", name="c")["next_run"] is None
    wire.tick(run - wire.now + 4 * HOUR_MS + HOUR_MS // 2)
    peer.ask("CRONRESUME", name="c")
    for _ in range(9):
        wire.tick(1)
    found = peer.ask("PULLB", queue="q", count=99, timeout=0)["jobs"]
    assert len(found) == jobs


def test_run_now_and_delete(wire: Wire) -> None:
    peer = wire.peer()
    peer.ask("CRON", name="c", queue="q", schedule="@daily", tz="Asia/Kolkata")
    before = peer.ask("CRONLIST")["crons"][0]["next_run"]
    job_id = peer.ask("CRONRUN", name="c")["id"]
    assert peer.ask("CRONLIST")["crons"][0]["next_run"] == before
    assert peer.ask("CRONDELETE", name="c")["ok"]
    assert peer.ask("CRONDELETE", name="c")["code"] == "NOT_FOUND"
    assert peer.ask("CRONLIST")["crons"] == []
    assert peer.ask("GETJOB", id=job_id)["job"]["state"] == "ready"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"every": 999},
        {"every": 1000, "tz": "UTC"},
        {"every": 1000, "delay": 1},
        {"every": 1000, "schedule": "* * * * *"},
        {"schedule": "* * * *"},
        {"schedule": "0 0 31 2 *"},
        {"schedule": "0 0 */30 2 1#5"},
        {"schedule": "@often"},
        {"schedule": "* * * * *", "tz": "../etc/passwd"},
        {"schedule": "* * * * *", "offset": 5},
        {"every": 1000, "ttl": 5, "spread": 5},
        {"every": 1000, "start": 9, "end": 8},
    ],
)
def test_what_cannot_be_is_refused(wire: Wire, fields: dict[str, object]) -> None:
    peer = wire.peer()
    reply = peer.ask("CRON", name="c", queue="q", **fields)
    assert reply["code"] == "BAD_REQUEST"
    assert reply["error"].startswith("CRON: ")
    assert peer.ask("CRONLIST")["crons"] == []
