"""Flows over the wire: what is refused, what is told, and that every way takes part."""

from typing import Any

import pytest

from policies.wires import Fields, Wire


def item(
    ref: str | None = None, *after: int | str, queue: str = "x", **more: Any
) -> Fields:
    told: Fields = {"queue": queue, "data": 1, **more}
    if ref is not None:
        told["ref"] = ref
    if after:
        told["depends_on"] = list(after)
    return told


def push(wire: Wire, *jobs: Fields) -> list[int]:
    reply = wire.peer().ask("PUSHF", jobs=list(jobs))
    assert reply["ok"], reply
    ids: list[int] = reply["ids"]
    return ids


def test_a_chain_by_lines_alone(wire: Wire) -> None:
    peer = wire.peer()
    b, a = push(wire, item("b", "a", queue="y"), item("a"))
    assert peer.ask("PULL", queue="y", timeout=0)["job"] is None
    job = peer.ask("PULL", queue="x", timeout=0)["job"]
    assert job["id"] == a
    assert "parents" not in job
    assert peer.ask("ACK", id=a, attempt=1) == {"ok": True}
    job = peer.ask("PULLB", queue="y", count=9, timeout=0)["jobs"][0]
    assert (job["id"], job["parents"]) == (b, [a])
    assert peer.ask("ACKB", ids=[b])["acked"] == 1
    assert peer.ask("STATS")["blocked"] == 0


def test_who_waits_is_woken_by_the_last_parent(wire: Wire) -> None:
    a, b, c = push(wire, item("a"), item("b"), item(None, "a", "b", queue="y"))
    waiter, worker = wire.peer(), wire.peer()
    waiter.send("PULL", queue="y")
    assert len(worker.ask("PULLB", queue="x", count=2, timeout=0)["jobs"]) == 2
    worker.ask("ACK", id=b)
    assert waiter.heard() == []
    worker.ask("ACK", id=a)
    (heard,) = waiter.heard()
    assert heard["job"]["id"] == c
    assert heard["job"]["parents"] == [a, b]


def test_each_job_of_a_group_tells_its_own_parents(wire: Wire) -> None:
    peer = wire.peer()
    a, b, *after = push(
        wire,
        item("a", queue="y", group="g"),
        item("b", queue="y", group="g"),
        item(None, "a", queue="y", group="g"),
        item(None, "b", queue="y", group="g"),
    )
    first = peer.ask("PULLB", queue="y", count=9, timeout=0)["jobs"]
    assert [job["id"] for job in first] == [a, b]
    peer.ask("PUSH", queue="y", data=1, group="g")
    peer.ask("ACKB", ids=[a, b])
    jobs = peer.ask("PULLB", queue="y", count=9, timeout=0)["jobs"]
    assert [(job["group"], job.get("parents")) for job in jobs] == [
        ("g", None),
        ("g", [a]),
        ("g", [b]),
    ]
    assert [job["id"] for job in jobs[1:]] == after


def test_results_of_parents_are_read_by_getjob(wire: Wire) -> None:
    peer = wire.peer()
    a, _ = push(wire, item("a", keep_result=60_000), item(None, "a", queue="y"))
    peer.ask("PULL", queue="x", timeout=0)
    peer.ask("ACK", id=a, attempt=1, result={"n": 3})
    (parent,) = peer.ask("PULL", queue="y", timeout=0)["job"]["parents"]
    assert peer.ask("GETJOB", id=parent)["job"]["result"] == {"n": 3}


def test_what_getjob_stats_jobs_and_queues_tell(wire: Wire) -> None:
    peer = wire.peer()
    a, b, c = push(
        wire,
        item("a"),
        item("b", "a", queue="y", on_parent_failure="run"),
        item("c", "a", "b", queue="y"),
    )
    told = peer.ask("GETJOB", id=c)["job"]
    assert told["state"] == "blocked"
    assert (told["parents"], told["waits_for"]) == ([a, b], 2)
    assert peer.ask("GETJOB", id=b)["job"]["on_parent_failure"] == "run"
    assert peer.ask("GETJOB", id=a)["job"]["children"] == [b, c]
    assert peer.ask("STATS")["blocked"] == 2
    assert peer.ask("STATS", queue="y")["blocked"] == 2
    for queues in (peer.ask("QUEUES"), peer.ask("QUEUES", count=9)):
        assert [row["blocked"] for row in queues["queues"]] == [0, 2]
    jobs = peer.ask("JOBS", queue="y", state="blocked")["jobs"]
    assert [(job["id"], job["state"]) for job in jobs] == [(b, "blocked"), (c, "blocked")]
    assert peer.ask("BULK", do="cancel", queue="y", state="blocked")["done"] == 2
    assert peer.ask("STATS")["blocked"] == 0


def test_what_a_push_says(wire: Wire) -> None:
    peer = wire.peer()
    a = peer.ask("PUSH", queue="x", data=1)["id"]
    b = peer.ask("PUSH", queue="y", data=1, depends_on=[str(a)], priority=4)["id"]
    ids = peer.ask(
        "PUSHB",
        queue="y",
        depends_on=[a],
        on_parent_failure="fail",
        jobs=[{"data": 1}, {"data": 2, "depends_on": []}, {"data": 3, "depends_on": [b]}],
    )["ids"]
    states = [peer.ask("GETJOB", id=job_id)["job"]["state"] for job_id in (b, *ids)]
    assert states == ["blocked", "blocked", "ready", "blocked"]
    peer.ask("PULL", queue="x", timeout=0)
    peer.ask("FAIL", id=a, retry=False, error="no")
    told = peer.ask("GETJOB", id=ids[0])["job"]
    assert (told["state"], told["reason"]) == ("dead", "parent_failed")
    assert told["error"] == f"job {a}, which it depends on, died"
    assert peer.ask("GETJOB", id=b)["job"]["state"] == "blocked"
    assert peer.ask("DRAIN", queue="y")["removed"] == 3
    assert peer.ask("DEAD", queue="y")["jobs"][0]["id"] == ids[0]


@pytest.mark.parametrize(
    ("jobs", "code", "sentence"),
    [
        (
            [item("a", "b")],
            "BAD_REQUEST",
            "jobs[0]: depends_on names 'b', which is the ref",
        ),
        ([item("a"), item("a")], "BAD_REQUEST", "jobs[1].ref is that of jobs[0]"),
        ([item("a", 7)], "BAD_REQUEST", "jobs[0]: depends_on names job 7, which was never"),
        ([item("a", -1)], "BAD_REQUEST", "jobs[0]: depends_on names -1"),
        ([item("a", "a")], "BAD_REQUEST", "jobs[0]: depends_on leads in a circle"),
        (
            [item("a"), item("b", "c"), item("c", "b")],
            "BAD_REQUEST",
            "jobs[1]: depends_on leads in a circle (by way of jobs[1], jobs[2])",
        ),
        ([item("a", on_parent_failure="run")], "BAD_REQUEST", "is about depends_on"),
        (
            [item("a", on_conflict="return", unique_key="k")],
            "BAD_REQUEST",
            "on_conflict is",
        ),
        ([item("a", unique_key="k"), item("b", unique_key="k")], "DUPLICATE", "jobs[1]"),
        ([item("a"), item("b", "a", ttl=5, delay=9)], "BAD_REQUEST", "jobs[1]"),
        ([item(str(n)) for n in range(10_001)], "TOO_LARGE", "the limit is 10,000 a flow"),
        (
            [*(item(str(n)) for n in range(1001)), item(None, *map(str, range(1001)))],
            "BAD_REQUEST",
            "jobs[1001]: depends_on names 1,001 jobs: the limit is 1,000",
        ),
    ],
)
def test_what_is_refused_whole(
    wire: Wire, jobs: list[Fields], code: str, sentence: str
) -> None:
    peer = wire.peer()
    reply = peer.ask("PUSHF", jobs=jobs)
    assert reply["code"] == code
    assert reply["error"].startswith("PUSHF: ")
    assert sentence in reply["error"]
    assert peer.ask("STATS")["pushed"] == 0


def test_pushes_that_depend_on_nothing_that_was(wire: Wire) -> None:
    peer = wire.peer()
    for wrong in ([9], ["9"], [0], [-1]):
        reply = peer.ask("PUSH", queue="x", data=1, depends_on=wrong)
        assert reply["code"] == "BAD_REQUEST"
    assert peer.ask("PUSHF", jobs=[]) == {"ok": True, "ids": []}


def test_a_flow_may_be_sent_twice_and_is_stored_once(wire: Wire) -> None:
    jobs = [item("a", queue="y"), item("b", "a")]
    first = wire.peer().ask("PUSHF", jobs=jobs, req_key="r")
    assert len(first["ids"]) == 2
    assert "repeated" not in first
    for _ in range(2):
        peer = wire.peer()
        again = peer.ask("PUSHF", jobs=jobs, req_key="r")
        assert again == {"ok": True, "ids": first["ids"], "repeated": True}
        assert peer.ask("GETJOB", queue="y", req_key="r")["code"] == "NOT_FOUND"
        other = peer.ask("PUSHF", jobs=jobs[:1], req_key="r")
        assert other["code"] == "BAD_REQUEST"
        assert "req_key 'r' was used for a push of 2 jobs" in other["error"]
        counts = peer.ask("STATS")
        assert (counts["queued"], counts["blocked"]) == (1, 1)
        if wire.restart is None:
            return
        wire.restart()
    ids = wire.peer().ask("PUSHF", jobs=jobs, req_key="s")["ids"]
    assert min(ids) > max(first["ids"])


def test_flows_outlive_a_kill(wire: Wire) -> None:
    if wire.restart is None:
        pytest.skip("it keeps no log")
    a, b, c = push(wire, item("a"), item("b", "a", queue="y"), item("c", "b", queue="y"))
    wire.restart()
    peer = wire.peer()
    told = peer.ask("GETJOB", id=b)["job"]
    assert (told["state"], told["parents"], told["waits_for"]) == ("blocked", [a], 1)
    peer.ask("PULL", queue="x", timeout=0)
    peer.ask("ACK", id=a, attempt=1)
    wire.restart()
    peer = wire.peer()
    job = peer.ask("PULL", queue="y", timeout=0)["job"]
    assert (job["id"], job["parents"]) == (b, [a])
    assert peer.ask("GETJOB", id=c)["job"]["state"] == "blocked"
