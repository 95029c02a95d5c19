"""Each rule of docs/protocol.md on JOBS and BULK: over both cores, and logs."""

from collections.abc import Iterator
from typing import Any

import pytest

from magicqueue.wire.limits import BULK_JOBS_MAX, JOBS_PAGE, JOBS_PAGE_MAX
from policies.test_over_the_wire import again, code, job, pull, push
from policies.wires import Fields, Peer, Wire


def push_many(peer: Peer, count: int, queue: str = "q", **fields: Any) -> list[int]:
    jobs = [{"data": {"n": n}} for n in range(count)]
    reply = peer.ask("PUSHB", queue=queue, jobs=jobs, **fields)
    ids: list[int] = reply["ids"]
    return ids


def answer(wire: Wire, peer: Peer, cmd: str, **fields: Any) -> Fields:
    """Ask, and let as much time pass as steps may take."""
    peer.send(cmd, **fields)
    for _ in range(30):
        if heard := peer.heard():
            (reply,) = heard
            return reply
        wire.tick(0)
    raise AssertionError(f"{cmd} is not answered")


def pages(wire: Wire, peer: Peer, cmd: str = "JOBS", **fields: Any) -> Iterator[Fields]:
    """Follow `next` to its end."""
    after = None
    while True:
        reply = answer(wire, peer, cmd, after=after, **fields)
        assert reply["ok"], reply
        yield reply
        after = reply["next"]
        if after is None:
            return


def listed(wire: Wire, peer: Peer, **fields: Any) -> list[int]:
    return [job["id"] for page in pages(wire, peer, **fields) for job in page["jobs"]]


def fail(peer: Peer, *ids: int) -> None:
    for _ in ids:
        pull(peer)
    for job_id in ids:
        assert peer.ask("FAIL", id=job_id, retry=False)["ok"]


def test_jobs_are_listed_as_getjob_tells_of_them(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, unique_key="k", ttl=60_000)
    push_many(peer, 2, delay=500)
    push(peer, queue="other", data="x" * 5000)
    pull(peer)
    peer = again(wire)
    reply = answer(wire, peer, "JOBS")
    assert (reply["next"], reply["scanned"]) == (None, 4)
    assert reply["jobs"][:3] == [job(peer, job_id) for job_id in (1, 2, 3)]
    assert reply["jobs"][0]["unique_key"] == "k"
    long = reply["jobs"][3]
    assert (long["data"], long["data_bytes"]) == (None, 5002)
    reply = answer(wire, peer, "JOBS", queue="other", data_max=5002)
    assert reply["jobs"] == [job(peer, 4)]
    assert listed(wire, peer, state="delayed", count=1) == [2, 3]
    assert listed(wire, peer, queue="q", state="active") == [1]
    assert listed(wire, peer, queue="nobody's") == []


def test_a_text_is_found_in_data_as_it_was_sent(wire: Wire) -> None:
    peer = wire.peer()
    for data in ("ada@example.org", "bob", {"to": "Ada"}, ["ü"]):
        push(peer, data=data)
    assert listed(wire, peer, contains="ada@") == [1]
    assert listed(wire, peer, contains='"to":"A') == [3]
    assert listed(wire, peer, contains="ü") == [4]
    assert code(answer(wire, peer, "JOBS", contains="ü" * 128)) == "BAD_REQUEST"


def test_one_request_looks_at_so_many_jobs_and_no_more(wire: Wire) -> None:
    peer = wire.peer()
    push_many(peer, 12_000)
    push(peer, data="needle")
    found = list(pages(wire, peer, contains="needle"))
    assert [page["scanned"] for page in found] == [10_000, 2001]
    assert [len(page["jobs"]) for page in found] == [0, 1]
    assert len(answer(wire, peer, "JOBS")["jobs"]) == JOBS_PAGE
    assert len(answer(wire, peer, "JOBS", count=5000)["jobs"]) == JOBS_PAGE_MAX
    assert len(set(listed(wire, peer, count=1000))) == 12_001


def test_jobs_are_listed_in_the_order_they_will_come(wire: Wire) -> None:
    peer = wire.peer()
    push_many(peer, 3)
    push_many(peer, 2, priority=5)
    push(peer, delay=300)
    push(peer, delay=100)
    turn = {"queue": "q", "order": "turn"}
    assert listed(wire, peer, **turn, count=2) == [4, 5, 1, 2, 3]
    assert listed(wire, peer, **turn, state="delayed", count=1) == [7, 6]
    first = pull(peer, lease=5000)
    second = pull(peer, lease=90)
    assert first is not None
    assert second is not None
    assert listed(wire, peer, **turn, state="active") == [second["id"], first["id"]]
    fail(peer, 1, 2)
    assert listed(wire, peer, **turn, state="dead") == [1, 2]
    assert code(answer(wire, peer, "JOBS", order="turn")) == "BAD_REQUEST"
    assert code(answer(wire, peer, "JOBS", **turn, contains="x")) == "BAD_REQUEST"


@pytest.mark.parametrize("order", ["id", "turn"])
@pytest.mark.parametrize("after", ["", "5", "i", "i-1", "t1.x", "i" + "9" * 17, "i5\n"])
def test_what_is_no_cursor_is_refused(wire: Wire, order: str, after: str) -> None:
    reply = answer(wire, wire.peer(), "JOBS", queue="q", order=order, after=after)
    assert code(reply) == "BAD_REQUEST"
    assert "after" in reply["error"]


def test_jobs_are_cancelled_in_bulk(wire: Wire) -> None:
    peer = wire.peer()
    ids = push_many(peer, 40)
    push_many(peer, 5, delay=100)
    push_many(peer, 5, queue="other")
    pull(peer)
    what = {"queue": "q", "contains": '"n":3'}
    (dry,) = pages(wire, peer, "BULK", do="cancel", **what, dry=True)
    assert (dry["done"], dry["scanned"]) == (12, 50)
    assert stats(peer) == (39, 5)
    (done,) = pages(wire, peer, "BULK", do="cancel", **what)
    assert done["done"] == 12
    assert peer.ask("STATS", queue="q")["cancelled"] == 12
    peer = again(wire)
    gone = {3, *range(30, 40), 43}
    assert listed(wire, peer, queue="q") == [i for i in range(1, 46) if i - 1 not in gone]
    (done,) = pages(wire, peer, "BULK", do="cancel", queue="q", state="active")
    assert (done["done"], job(peer, ids[0])["cancelled"]) == (1, True)


def stats(peer: Peer) -> tuple[int, int]:
    counts = peer.ask("STATS", queue="q")
    return counts["queued"], counts["delayed"]


def test_one_request_does_it_to_so_many_jobs_and_no_more(wire: Wire) -> None:
    peer = wire.peer()
    push_many(peer, 2300, delay=60_000)
    replies = list(pages(wire, peer, "BULK", do="promote", queue="q"))
    assert [reply["done"] for reply in replies] == [BULK_JOBS_MAX, BULK_JOBS_MAX, 300]
    assert stats(again(wire)) == (2300, 0)


def test_dead_jobs_are_retried_and_purged_in_bulk(wire: Wire) -> None:
    peer = wire.peer()
    push_many(peer, 4)
    push(peer, unique_key="held")
    fail(peer, 1, 2, 3, 4, 5)
    push(peer, unique_key="held")
    (purged,) = pages(wire, peer, "BULK", do="purge", queue="q", contains='"n":1')
    (retried,) = pages(wire, peer, "BULK", do="retry", queue="q")
    assert (purged["done"], retried["done"]) == (1, 3)
    peer = again(wire)
    assert [job(peer, i)["state"] for i in (1, 3, 4, 5)] == ["ready"] * 3 + ["dead"]
    assert code(peer.ask("GETJOB", id=2)) == "NOT_FOUND"


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "promote", "state": "ready"},
        {"do": "retry", "state": "active"},
        {"do": "cancel", "state": "dead"},
        {"do": "explode"},
        {"do": "cancel", "after": "t1.1"},
        {"do": "cancel", "queue": ""},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(wire: Wire, fields: Fields) -> None:
    reply = answer(wire, wire.peer(), "BULK", **{"queue": "q", **fields})
    assert code(reply) == "BAD_REQUEST"
