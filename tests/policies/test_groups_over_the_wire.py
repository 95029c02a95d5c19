"""Groups as requests, over both cores, with and without a log."""

from typing import Any

from policies.wires import Fields, Peer, Wire


def push(peer: Peer, *groups: str | None, queue: str = "q", **options: Any) -> list[int]:
    """Push jobs of these groups in one batch; gives their ids."""
    jobs = [{"data": n, "group": group} for n, group in enumerate(groups)]
    ids: list[int] = peer.ask("PUSHB", queue=queue, jobs=jobs, **options)["ids"]
    return ids


def pulled(peer: Peer, count: int = 99, queue: str = "q") -> list[int]:
    reply = peer.ask("PULLB", queue=queue, count=count, timeout=0)
    return [job["id"] for job in reply["jobs"]]


def groups_of(peer: Peer, **fields: Any) -> list[Fields]:
    listed: list[Fields] = peer.ask("GROUPS", queue="q", **fields)["groups"]
    return listed


def got(peer: Peer) -> list[int]:
    """The ids of the one reply that came meanwhile."""
    (reply,) = peer.heard()
    return [job["id"] for job in reply["jobs"]]


def test_groups_take_turns_and_jobs_name_theirs(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, "a", "a", "a", "b", None, None, "b")
    reply = peer.ask("PULLB", queue="q", count=9, timeout=0)
    told = [(job["id"], job.get("group")) for job in reply["jobs"]]
    # Jobs without a group are in the round from the first pull on that finds them there.
    assert told == [(1, "a"), (4, "b"), (5, None), (2, "a"), (7, "b"), (6, None), (3, "a")]
    assert peer.ask("GETJOB", id=2)["job"]["group"] == "a"
    assert "group" not in peer.ask("GETJOB", id=5)["job"]
    peer.ask("PUSH", queue="q", data="x", group="ü")
    job = peer.ask("PULL", queue="q", timeout=0)["job"]
    assert (job["id"], job["group"], job["data"]) == (8, "ü", "x")


def test_a_batch_may_have_one_group(wire: Wire) -> None:
    peer = wire.peer()
    jobs: list[Fields] = [{"data": 1}, {"data": 2, "group": "b"}, {"data": 3}]
    peer.ask("PUSHB", queue="q", group="a", jobs=jobs)
    names = [(group["name"], group["queued"]) for group in groups_of(peer)]
    assert names == [("a", 2), ("b", 1)]
    assert pulled(peer) == [1, 2, 3]


def test_jobs_that_wait_for_their_turn_are_ready(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, "a", "b", None)
    push(peer, "a", delay=500)
    stats = peer.ask("STATS", queue="q")
    assert (stats["queued"], stats["delayed"], stats["processing"]) == (3, 1, 0)
    assert peer.ask("STATS")["queued"] == 3
    assert peer.ask("STATS")["groups"] == 2
    assert peer.ask("QUEUES")["queues"][0]["queued"] == 3
    assert peer.ask("QUEUES", count=5)["queues"][0]["queued"] == 3
    assert peer.ask("GETJOB", id=1)["job"]["state"] == "ready"
    listed = peer.ask("JOBS", queue="q", state="ready")["jobs"]
    assert [(job["id"], job["state"]) for job in listed] == [
        (1, "ready"),
        (2, "ready"),
        (3, "ready"),
    ]
    wire.tick(300)
    assert peer.ask("STATS", queue="q")["oldest_ready_ms"] == 300
    wire.tick(200)
    assert peer.ask("STATS", queue="q")["queued"] == 4
    assert peer.ask("DRAIN", queue="q")["removed"] == 4
    assert groups_of(peer) == []
    assert peer.ask("QUEUES")["queues"] == []


def test_the_order_of_turns_is_told_beforehand(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, "a", "a", "b", "c", "a", None)
    push(peer, "c", "c", priority=1)
    ahead: list[int] = []
    after = None
    while True:
        page = peer.ask("JOBS", queue="q", order="turn", count=3, after=after)
        ahead += [job["id"] for job in page["jobs"]]
        after = page["next"]
        if after is None:
            break
    assert ahead == [7, 8, 1, 3, 4, 6, 2, 5]
    assert pulled(peer) == ahead


def test_who_waits_is_served_by_a_push_a_retry_and_time(wire: Wire) -> None:
    worker, waiter = wire.peer(), wire.peer()
    waiter.send("PULLB", queue="q", count=9)
    push(worker, "a", "a")
    assert got(waiter) == [1, 2]
    worker.send("PULLB", queue="q", count=9)
    waiter.ask("FAIL", id=2)
    assert got(worker) == [2]
    worker.ask("FAIL", id=2, delay=50)
    worker.send("PULLB", queue="q", count=9)
    wire.tick(50)
    assert got(worker) == [2]
    waiter.send("PULLB", queue="q", count=9)
    worker.close()
    assert got(waiter) == [2]


def test_a_group_waits_for_its_limit_and_hides_nobody(wire: Wire) -> None:
    worker, waiter = wire.peer(), wire.peer()
    worker.ask("LIMIT", queue="q", group={"concurrency": 1})
    push(worker, "a", "a", "b", "b", None, None)
    assert pulled(worker) == [1, 3, 5, 6]
    waiter.send("PULLB", queue="q", count=9)
    worker.ask("ACK", id=5)
    assert waiter.heard() == []
    worker.ask("ACKB", ids=[3])
    assert got(waiter) == [4]
    waiter.send("PULLB", queue="q", count=9)
    worker.ask("LIMIT", queue="q", group=None)
    assert got(waiter) == [2]


def test_a_limit_of_the_queue_holds_beside(wire: Wire) -> None:
    worker, waiter = wire.peer(), wire.peer()
    worker.ask("LIMIT", queue="q", concurrency=2)
    push(worker, "a", "a", "b", "b")
    assert pulled(worker) == [1, 3]
    waiter.send("PULLB", queue="q", count=9)
    worker.ask("ACK", id=3)
    assert got(waiter) == [2]
    waiter.send("PULLB", queue="q", count=9)
    worker.ask("FAIL", id=1, delay=1000)
    assert got(waiter) == [4]


def test_a_group_is_throttled_and_the_others_go_on(wire: Wire) -> None:
    worker, waiter = wire.peer(), wire.peer()
    push(worker, "a", "a", "b")
    reply = worker.ask("THROTTLE", queue="q", group="a", **{"for": 300})
    until = reply["throttled_until"]
    assert (reply["group"], until) == ("a", wire.now + 300)
    assert groups_of(worker)[0] == {
        "name": "a",
        "queued": 2,
        "processing": 0,
        "throttled_until": until,
    }
    if wire.restart:
        wire.restart()
        worker, waiter = wire.peer(), wire.peer()
    assert pulled(worker) == [3]
    waiter.send("PULLB", queue="q", count=1)
    wire.tick(299)
    assert waiter.heard() == []
    wire.tick(1)
    assert got(waiter) == [1]
    worker.ask("THROTTLE", queue="q", group="a", **{"for": 300})
    assert pulled(worker) == []
    reply = worker.ask("THROTTLE", queue="q", group="a", **{"for": 0})
    assert reply["throttled_until"] is None
    assert pulled(worker) == [2]


def test_groups_are_listed_by_name_a_page_at_a_time(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, *"edcba")
    assert pulled(peer, 1) == [1]
    pages: list[list[Fields]] = []
    after = None
    while True:
        page = peer.ask("GROUPS", queue="q", count=2, after=after)
        pages.append(page["groups"])
        after = page["next"]
        if after is None:
            break
    assert [[group["name"] for group in page] for page in pages] == [
        ["a", "b"],
        ["c", "d"],
        ["e"],
    ]
    assert pages[2] == [{"name": "e", "queued": 0, "processing": 1}]
    assert peer.ask("GROUPS", queue="no")["groups"] == []


def test_what_is_no_group_is_refused(wire: Wire) -> None:
    peer = wire.peer()
    for group in ("", "x" * 256, "a\n"):
        assert peer.ask("PUSH", queue="q", data=1, group=group)["code"] == "BAD_REQUEST"
        reply = peer.ask(
            "PUSHB", queue="q", jobs=[{"data": 1}, {"data": 2, "group": group}]
        )
        assert "jobs[1]: group" in reply["error"]
        reply = peer.ask("THROTTLE", queue="q", group=group, **{"for": 1})
        assert reply["code"] == "BAD_REQUEST"
    assert peer.ask("PUSH", queue="q", data=1, group=5)["code"] == "BAD_REQUEST"
    assert "groups" in peer.ask("HELLO")["capabilities"]


def test_a_replaced_job_enters_its_line_anew(wire: Wire) -> None:
    peer = wire.peer()
    debounce = {"unique_key": "k", "on_conflict": "replace"}
    peer.ask("PUSH", queue="q", data=1, group="a", **debounce)
    push(peer, "a")
    assert peer.ask("PUSH", queue="q", data=2, **debounce)["replaced"]
    assert pulled(peer) == [2, 1]
    peer.ask("ACKB", ids=[1, 2])
    peer.ask("PUSH", queue="q", data=1, group="a", **debounce)
    push(peer, "a", "a")
    peer.ask("PUSH", queue="q", data=3, priority=5, **debounce)
    assert pulled(peer, 1) == [3]
    peer.ask("ACK", id=3)
    peer.ask("PUSH", queue="q", data=1, group="a", **debounce)
    peer.ask("PUSH", queue="q", data=4, delay=100, **debounce)
    assert pulled(peer) == [4, 5]
    wire.tick(100)
    reply = peer.ask("PULL", queue="q", timeout=0)
    assert (reply["job"]["id"], reply["job"]["data"]) == (6, 4)


def test_a_queue_is_plain_again_when_its_last_job_with_a_group_is_gone(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, "a", None)
    assert pulled(peer) == [1, 2]
    peer.ask("ACKB", ids=[1])
    assert groups_of(peer) == []
    declined = peer.ask("STATS").get("declined", {}).get("ruled", 0)
    push(peer, None)
    assert pulled(peer) == [3]
    assert peer.ask("STATS").get("declined", {}).get("ruled", 0) == declined
