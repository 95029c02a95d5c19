"""LIMIT, THROTTLE and pulls of several queues as requests, over both cores."""

from typing import Any

import pytest

from policies.wires import Fields, Peer, Wire

NONE: Fields = {"concurrency": None, "rate": None, "group": None}


def fill(peer: Peer, queue: str = "q", count: int = 5) -> None:
    peer.ask("PUSHB", queue=queue, jobs=[{"data": n} for n in range(count)])


def pulled(peer: Peer, **fields: Any) -> list[tuple[str, int]]:
    fields = {"count": 9, "timeout": 0, **fields}
    return [(job["queue"], job["id"]) for job in peer.ask("PULLB", **fields)["jobs"]]


def got(peer: Peer) -> list[int]:
    """The ids of the one reply that came meanwhile."""
    (reply,) = peer.heard()
    return [job["id"] for job in reply["jobs"]]


def test_what_is_not_given_stays_and_null_removes(wire: Wire) -> None:
    peer = wire.peer()
    assert peer.ask("LIMIT", queue="q") == {"ok": True, "queue": "q", **NONE}
    rate = {"jobs": 100, "per": 60_000, "burst": 20}
    told = peer.ask("LIMIT", queue="q", concurrency=10, rate=rate, group={"concurrency": 1})
    group = {"concurrency": 1, "rate": None}
    expected = {"concurrency": 10, "rate": rate, "group": group}
    assert told == {"ok": True, "queue": "q", **expected}
    told = peer.ask("LIMIT", queue="q", concurrency=None, rate={"jobs": 5, "per": 1})
    expected |= {"concurrency": None, "rate": {"jobs": 5, "per": 1, "burst": 5}}
    assert told == {"ok": True, "queue": "q", **expected}
    if wire.restart:
        wire.restart()
        peer = wire.peer()
    stats = peer.ask("STATS", queue="q")
    assert (stats["limits"], stats["throttled_until"]) == (expected, None)
    assert peer.ask("STATS")["limited"] == 1
    for fields in ({}, {"count": 9}):
        peer.ask("PAUSE", queue="other")
        listed = {row.pop("name"): row for row in peer.ask("QUEUES", **fields)["queues"]}
        assert listed["q"] == {k: v for k, v in stats.items() if k not in {"ok", "name"}}
        assert "limits" not in listed["other"]
        peer.ask("RESUME", queue="other")
    peer.ask("LIMIT", queue="q", rate=None, group={})
    assert "limits" not in peer.ask("STATS", queue="q")
    assert peer.ask("QUEUES")["queues"] == []


def test_who_waits_is_served_at_once_when_a_lease_ends(wire: Wire) -> None:
    worker, first, second = wire.peer(), wire.peer(), wire.peer()
    worker.ask("LIMIT", queue="q", concurrency=2)
    fill(worker)
    assert pulled(worker, queue="q") == [("q", 1), ("q", 2)]
    first.send("PULLB", queue="q", count=9)
    second.send("PULLB", queue="q", count=9)
    worker.ask("ACKB", ids=[2])
    assert got(first) == [3]
    assert second.heard() == []
    first.close()
    assert got(second) == [3]
    assert worker.ask("FAIL", id=1, delay=5)["state"] == "delayed"
    assert pulled(worker, queue="q") == [("q", 4)]


def test_lines_of_a_ruled_queue_are_served_in_turn(wire: Wire) -> None:
    worker, waiter = wire.peer(), wire.peer()
    worker.ask("LIMIT", queue="q", concurrency=1)
    fill(worker)
    for job_id in range(1, 6):
        assert worker.ask("PULL", queue="q", timeout=0)["job"]["id"] == job_id
        assert worker.ask("PULL", queue="q", timeout=0)["job"] is None
        worker.ask("ACK", id=job_id)
    fill(worker)
    waiter.send("PULLB", queue="q", count=1)
    assert got(waiter) == [6]
    worker.send("PULLB", queue="q", count=1)
    waiter.ask("ACK", id=6)
    assert got(worker) == [7]


def test_a_token_that_is_due_serves_the_first_who_waits(wire: Wire) -> None:
    peers = [wire.peer() for _ in range(3)]
    peers[0].ask("LIMIT", queue="q", rate={"jobs": 1, "per": 10, "burst": 1})
    fill(peers[0])
    for peer in peers:
        peer.send("PULLB", queue="q", count=2)
    assert got(peers[0]) == [1]
    wire.tick(9)
    assert peers[1].heard() == []
    wire.tick(1)
    assert got(peers[1]) == [2]
    assert peers[2].heard() == []
    wire.tick(10)
    assert got(peers[2]) == [3]


def test_a_throttle_holds_back_and_may_be_ended(wire: Wire) -> None:
    peer, waiter = wire.peer(), wire.peer()
    fill(peer)
    told = peer.ask("THROTTLE", queue="q", **{"for": 50})
    assert told == {"ok": True, "queue": "q", "throttled_until": wire.now + 50}
    if wire.restart:
        wire.restart()
        peer, waiter = wire.peer(), wire.peer()
    assert peer.ask("STATS", queue="q")["throttled_until"] is not None
    waiter.send("PULLB", queue="q", count=1)
    assert waiter.heard() == []
    wire.tick(50)
    assert got(waiter) == [1]
    assert "throttled_until" not in peer.ask("STATS", queue="q")
    peer.ask("THROTTLE", queue="q", **{"for": 10**15})
    waiter.send("PULLB", queue="q", count=1)
    assert waiter.heard() == []
    peer.ask("THROTTLE", queue="q", **{"for": 0})
    assert got(waiter) == [2]
    told = peer.ask("THROTTLE", queue="q", group="g", **{"for": 10**6})
    assert told["throttled_until"] == wire.now + 10**6
    assert [one for _, one in pulled(peer, queue="q")] == [3, 4, 5], (
        "a group's throttle is its own"
    )


def test_a_paused_queue_that_is_limited_waits(wire: Wire) -> None:
    peer = wire.peer()
    peer.ask("LIMIT", queue="q", concurrency=1)
    fill(peer)
    peer.ask("PAUSE", queue="q")
    assert pulled(peer, queue="q") == []
    peer.ask("RESUME", queue="q")
    assert pulled(peer, queue="q") == [("q", 1)]


def test_several_queues_are_tried_as_listed(wire: Wire) -> None:
    peer = wire.peer()
    fill(peer, "a", 2)
    fill(peer, "b", 2)
    assert pulled(peer, queues=["b", "a"], count=3) == [("b", 3), ("b", 4), ("a", 1)]
    assert pulled(peer, queues=["none", "a", "b"]) == [("a", 2)]
    assert peer.ask("PULL", queues=["a", "b"], timeout=0)["job"] is None


def test_queues_take_turns_by_connection(wire: Wire) -> None:
    peer, other = wire.peer(), wire.peer()
    for queue in "abc":
        fill(peer, queue)
    named = {"queues": ["a", "b", "a", "c"], "order": "turns", "count": 1}
    assert [pulled(peer, **named)[0][0] for _ in range(5)] == ["a", "b", "a", "c", "a"]
    assert pulled(other, **named)[0][0] == "a"


def test_who_waits_for_several_is_served_once(wire: Wire) -> None:
    peer, several, single = wire.peer(), wire.peer(), wire.peer()
    several.send("PULLB", queues=["a", "b"], count=9)
    single.send("PULLB", queue="b", count=9)
    fill(peer, "b", 1)
    assert got(several) == [1]
    fill(peer, "b", 1)
    assert got(single) == [2]
    fill(peer, "a", 1)
    assert several.heard() == []
    assert pulled(peer, queues=["a", "b"]) == [("a", 3)]


def test_nobody_is_passed_who_waited_for_longer(wire: Wire) -> None:
    peer, single, several = wire.peer(), wire.peer(), wire.peer()
    single.send("PULLB", queue="a", count=1)
    several.send("PULLB", queues=["a", "b"], count=9)
    fill(peer, "a", 2)
    assert got(single) == [1]
    assert got(several) == [2]
    several.send("PULLB", queues=["a", "b"], count=9, timeout=20)
    wire.tick(20)
    assert got(several) == []
    several.send("PULLB", queues=["a", "b"], count=9)
    several.close()
    fill(peer, "a", 1)
    assert pulled(peer, queue="a") == [("a", 2), ("a", 3)]


def test_limits_hold_for_each_of_several_queues(wire: Wire) -> None:
    peer, waiter = wire.peer(), wire.peer()
    peer.ask("LIMIT", queue="a", concurrency=1)
    peer.ask("PAUSE", queue="c")
    for queue in "abc":
        fill(peer, queue, 2)
    named = {"queues": ["a", "c", "b"]}
    assert pulled(peer, **named) == [("a", 1), ("b", 3), ("b", 4)]
    waiter.send("PULLB", **named, count=9)
    peer.ask("ACK", id=1)
    assert got(waiter) == [2]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "PULL: give queue, or queues"),
        ({"queue": "a", "queues": ["b"]}, "PULL: give queue or queues, not both"),
        ({"queue": "a", "order": "turns"}, "PULL: give queue, or queues"),
        ({"queues": []}, "queues has 0 names"),
        ({"queues": ["a"] * 65}, "queues has 65 names"),
        ({"queues": ["a", ""]}, "queues[1] is empty"),
        ({"queues": ["a"], "order": "x"}, "order must be strict or turns"),
    ],
)
def test_pulls_that_are_refused(wire: Wire, fields: Fields, sentence: str) -> None:
    reply = wire.peer().ask("PULL", timeout=0, **fields)
    assert reply["code"] == "BAD_REQUEST"
    assert sentence in reply["error"]
