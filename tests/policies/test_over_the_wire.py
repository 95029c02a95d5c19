"""Each rule of docs/protocol.md on unique jobs, ttl, results, waits and cancels.

Where there is a log, the server is killed and started anew in the middle of it.
"""

from typing import Any

import pytest

from policies.wires import Fields, Peer, Wire


def again(wire: Wire) -> Peer:
    """Give a connection to the same server, restarted if it has a log."""
    if wire.restart is not None:
        wire.restart()
    return wire.peer()


def push(peer: Peer, **fields: Any) -> Fields:
    return peer.ask("PUSH", **{"queue": "q", "data": 1, **fields})


def pull(peer: Peer, queue: str = "q", **fields: Any) -> Fields | None:
    reply = peer.ask("PULL", queue=queue, timeout=0, **fields)
    assert reply["ok"]
    job: Fields | None = reply["job"]
    return job


def pulled(peer: Peer, **fields: Any) -> Fields:
    job = pull(peer, **fields)
    assert job is not None
    return job


def job(peer: Peer, job_id: int) -> Fields:
    reply = peer.ask("GETJOB", id=job_id)
    assert reply["ok"], reply
    told: Fields = reply["job"]
    return told


def code(reply: Fields) -> str:
    assert reply["ok"] is False
    assert reply["error"]
    text = reply["code"]
    assert isinstance(text, str)
    return text


def stats(peer: Peer, *names: str) -> tuple[int, ...]:
    """Give counts of the queue q, which are those of the server if it is the only one."""
    one, every = peer.ask("STATS", queue="q"), peer.ask("STATS")
    assert all(one[name] <= every[name] for name in names)
    return tuple(one[name] for name in names)


# unique jobs


def test_a_key_is_held_until_the_job_is_done(wire: Wire) -> None:
    peer = wire.peer()
    assert push(peer, unique_key="k") == {"ok": True, "id": 1}
    peer = again(wire)
    assert push(peer, unique_key="k") == {"ok": True, "id": 1, "duplicate": True}
    assert push(peer, unique_key="other") == {"ok": True, "id": 2}
    assert push(peer, queue="z", unique_key="k") == {"ok": True, "id": 3}
    assert stats(peer, "duplicates") == (1,)
    assert pulled(peer)["id"] == 1
    assert push(peer, unique_key="k")["duplicate"] is True
    assert job(peer, 1)["unique_key"] == "k"
    assert peer.ask("FAIL", id=1)["state"] == "ready"
    peer = again(wire)
    assert push(peer, unique_key="k")["duplicate"] is True
    assert [pulled(peer)["id"] for _ in range(2)] == [2, 1]
    assert peer.ask("ACK", id=1) == {"ok": True}
    peer = again(wire)
    reply = push(peer, unique_key="k")
    assert "duplicate" not in reply
    assert reply["id"] > 3


def test_a_key_until_the_start_is_not_taken_again(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, unique_key="k", unique="start")
    assert push(peer, unique_key="k", unique="start")["duplicate"] is True
    assert pulled(peer)["id"] == 1
    peer = again(wire)
    assert push(peer, unique_key="k", unique="start") == {"ok": True, "id": 2}
    assert peer.ask("FAIL", id=1)["state"] == "ready"
    assert push(peer, unique_key="k")["id"] == 2


def test_a_key_for_a_time_outlives_the_job(wire: Wire) -> None:
    peer = wire.peer()
    assert push(peer, unique_key="k", unique_for=1000)["id"] == 1
    pulled(peer)
    assert peer.ask("ACK", id=1)["ok"]
    peer = again(wire)
    wire.tick(999)
    assert push(peer, unique_key="k") == {"ok": True, "id": 1, "duplicate": True}
    wire.tick(1)
    assert "duplicate" not in push(peer, unique_key="k")


def test_a_conflict_may_be_refused(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, unique_key="k")
    reply = push(peer, unique_key="k", on_conflict="reject")
    assert code(reply) == "DUPLICATE"
    assert reply["id"] == 1
    assert reply["error"].startswith("PUSH: unique_key 'k'")
    assert stats(peer, "queued", "pushed") == (1, 1)


def test_a_conflict_may_replace_what_waits(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, unique_key="k", data="old", delay=500)
    push(peer, data="between")
    wire.tick(10)
    reply = push(peer, unique_key="k", on_conflict="replace", data="new", priority=0)
    assert reply == {"ok": True, "id": 1, "replaced": True}
    peer = again(wire)
    between, replaced = pulled(peer), pulled(peer)
    assert (between["data"], replaced["data"]) == ("between", "new")
    assert replaced["id"] == 1
    assert replaced["created_at"] == between["created_at"]
    reply = push(peer, unique_key="k", on_conflict="replace", data="late")
    assert reply == {"ok": True, "id": 1, "duplicate": True}


def test_items_count_as_pushed_in_turn(wire: Wire) -> None:
    peer = wire.peer()
    jobs = [{"data": n, "unique_key": key} for n, key in enumerate("aabca")]
    reply = peer.ask("PUSHB", queue="q", jobs=[*jobs, {"data": 9}])
    assert reply == {"ok": True, "ids": [1, 1, 2, 3, 1, 4], "duplicates": [1, 4]}
    reply = peer.ask("PUSHB", queue="q", on_conflict="replace", jobs=[jobs[2], {"data": 5}])
    assert reply == {"ok": True, "ids": [2, 5], "replaced": [0]}
    again(wire)
    assert stats(wire.peer(), "queued") == (5,)


def test_one_conflict_that_is_refused_refuses_the_batch(wire: Wire) -> None:
    peer = wire.peer()
    jobs = [{"data": 1}, {"data": 1, "unique_key": "k", "on_conflict": "reject"}]
    assert peer.ask("PUSHB", queue="q", jobs=jobs)["ids"] == [1, 2]
    reply = peer.ask("PUSHB", queue="q", jobs=jobs)
    assert code(reply) == "DUPLICATE"
    assert reply["id"] == 2
    assert reply["error"].startswith("PUSHB: jobs[1]: unique_key 'k' is held by job 2")
    twice = {"data": 1, "unique_key": "new", "on_conflict": "reject"}
    reply = peer.ask("PUSHB", queue="q", jobs=[twice, twice])
    assert code(reply) == "DUPLICATE"
    assert "id" not in reply
    assert reply["error"].startswith("PUSHB: jobs[1]: ")
    assert stats(peer, "queued") == (2,)


def test_dead_jobs_hold_no_key_and_take_it_again(wire: Wire) -> None:
    peer = wire.peer()
    for job_id in (1, 2):
        assert push(peer, unique_key="k", max_attempts=1)["id"] == job_id
        assert pulled(peer)["id"] == job_id
        assert peer.ask("FAIL", id=job_id)["state"] == "dead"
    peer = again(wire)
    assert peer.ask("RETRYDEAD", id=2) == {"ok": True, "retried": 1}
    reply = peer.ask("RETRYDEAD", id=1)
    assert code(reply) == "DUPLICATE"
    assert reply["id"] == 2
    assert peer.ask("RETRYDEAD", queue="q") == {"ok": True, "retried": 0}
    assert push(peer, unique_key="k")["id"] == 2
    assert peer.ask("DRAIN", queue="q")["removed"] == 1
    assert peer.ask("RETRYDEAD", queue="q") == {"ok": True, "retried": 1}
    assert push(again(wire), unique_key="k")["id"] == 1


@pytest.mark.parametrize("how", ["cancel", "drain", "ttl", "purge", "dead"])
def test_whatever_ends_a_job_releases_its_key(wire: Wire, how: str) -> None:
    peer = wire.peer()
    push(peer, unique_key="k", ttl=50, max_attempts=1)
    if how == "cancel":
        peer.ask("CANCEL", id=1)
    elif how == "drain":
        peer.ask("DRAIN", queue="q")
    elif how == "ttl":
        wire.tick(50)
    else:
        pulled(peer)
        peer.ask("FAIL", id=1)
        if how == "purge":
            assert peer.ask("PURGEDEAD", id=1)["removed"] == 1
    assert "duplicate" not in push(again(wire), unique_key="k")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"unique_key": ""}, "PUSH: unique_key is empty"),
        ({"unique_key": "k" * 256}, "PUSH: unique_key is a key of 256 bytes"),
        ({"unique_key": "a\nb"}, "PUSH: unique_key has a control character"),
        ({"unique": "done"}, "PUSH: unique is about unique_key"),
        ({"unique_for": 5}, "PUSH: unique_for is about unique_key"),
        ({"on_conflict": "return"}, "PUSH: on_conflict is about unique_key"),
        (
            {"unique_key": "k", "unique": "done", "unique_for": 5},
            "PUSH: give unique or unique_for, not both",
        ),
        ({"on_expire": "dead"}, "PUSH: on_expire is about ttl"),
        ({"ttl": 5, "delay": 5}, "PUSH: "),
        ({"req_key": ""}, "PUSH: req_key is empty"),
    ],
)
def test_wishes_that_cannot_be(wire: Wire, fields: Fields, sentence: str) -> None:
    peer = wire.peer()
    reply = push(peer, **fields)
    assert code(reply) == "BAD_REQUEST"
    assert reply["error"].startswith(sentence)
    if "req_key" not in fields:
        batch = peer.ask("PUSHB", queue="q", jobs=[{"data": 1}, {"data": 2, **fields}])
        assert code(batch) == "BAD_REQUEST"
        said = batch["error"]
        assert said.startswith(sentence.replace("PUSH: ", "PUSHB: jobs[1]: "))
    assert stats(peer, "queued", "delayed") == (0, 0)


def test_what_a_batch_says_holds_for_jobs_that_do_not(wire: Wire) -> None:
    peer = wire.peer()
    reply = peer.ask(
        "PUSHB",
        queue="q",
        ttl=60,
        timeout=7,
        keep_result=1000,
        unique="start",
        on_conflict="reject",
        jobs=[{"data": 1}, {"data": 2, "unique_key": "k", "ttl": 90, "keep_result": 0}],
    )
    assert reply == {"ok": True, "ids": [1, 2]}
    one, two = job(peer, 1), job(peer, 2)
    assert (one["timeout"], one["keep_result"]) == (7, 1000)
    assert one["expires_at"] == wire.now + 60
    assert two["expires_at"] == wire.now + 90
    assert "keep_result" not in two
    pulled(peer)
    assert pulled(peer)["id"] == 2
    assert push(peer, unique_key="k")["id"] == 3


# pushes that may be repeated


def test_a_push_with_the_same_key_again_makes_no_job(wire: Wire) -> None:
    peer = wire.peer()
    assert push(peer, req_key="r") == {"ok": True, "id": 1}
    again_ = {"ok": True, "id": 1, "repeated": True}
    assert push(peer, req_key="r") == again_
    peer = again(wire)
    assert push(peer, req_key="r", data="else") == again_
    assert push(peer, queue="z", req_key="r")["id"] == 2
    batch = {"queue": "q", "req_key": "b", "jobs": [{"data": 1}, {"data": 2}]}
    assert peer.ask("PUSHB", **batch) == {"ok": True, "ids": [3, 4]}
    peer = again(wire)
    assert peer.ask("PUSHB", **batch) == {"ok": True, "ids": [3, 4], "repeated": True}
    assert code(peer.ask("PUSHB", **batch | {"jobs": [{"data": 1}]})) == "BAD_REQUEST"
    assert stats(peer, "queued") == (3,)


def test_a_request_key_is_known_for_its_time(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, req_key="r")
    pulled(peer)
    peer.ask("ACK", id=1)
    wire.tick(86_400_000 - 1)
    peer = again(wire)
    assert push(peer, req_key="r")["id"] == 1
    wire.tick(1)
    assert "repeated" not in push(peer, req_key="r")


def test_jobs_are_found_by_request_key(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, req_key="r", keep_result=1000)
    peer = again(wire)
    assert peer.ask("GETJOB", queue="q", req_key="r")["job"]["id"] == 1
    assert code(peer.ask("GETJOB", queue="z", req_key="r")) == "NOT_FOUND"
    wrongs: list[Fields] = [{}, {"queue": "q"}, {"id": 1, "queue": "q", "req_key": "r"}]
    for wrong in wrongs:
        assert code(peer.ask("GETJOB", **wrong)) == "BAD_REQUEST"
    pulled(peer)
    peer.ask("ACK", id=1, result=[1])
    reply = peer.ask("WAIT", queue="q", req_key="r")
    assert [one["result"] for one in reply["jobs"]] == [[1]]
    assert code(peer.ask("WAIT", queue="q", req_key="x")) == "NOT_FOUND"


# time to live, time-outs


def test_a_job_is_not_handed_out_when_its_time_is_over(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, ttl=100)
    push(peer, ttl=101)
    peer.ask("PAUSE", queue="q")
    peer = again(wire)
    wire.tick(100)
    peer.ask("RESUME", queue="q")
    assert pulled(peer)["id"] == 2
    assert pull(peer) is None
    assert stats(peer, "expired") == (1,)
    assert code(peer.ask("GETJOB", id=1)) == "NOT_FOUND"
    wire.tick(100)
    assert peer.ask("ACK", id=2) == {"ok": True}


def test_a_job_that_expires_may_be_dead(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, ttl=100, on_expire="dead")
    wire.tick(100)
    peer = again(wire)
    told = job(peer, 1)
    assert (told["state"], told["reason"]) == ("dead", "expired")
    assert peer.ask("RETRYDEAD", id=1)["retried"] == 1
    assert job(peer, 1)["expires_at"] == wire.now + 100
    wire.tick(99)
    assert pulled(again(wire))["id"] == 1


def test_a_job_does_not_come_again_after_its_time(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, ttl=100)
    pulled(peer)
    wire.tick(100)
    assert job(peer, 1)["state"] == "active"
    assert peer.ask("FAIL", id=1) == {"ok": True, "state": "expired"}
    assert pull(again(wire)) is None


def test_an_attempt_times_out_whatever_its_lease(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, timeout=1000, max_attempts=2)
    assert pulled(peer, lease=10_000)["attempts"] == 1
    until = wire.now + 1000
    wire.tick(500)
    peer = again(wire)
    assert peer.ask("HEARTBEAT", ids=[1], lease=10_000)["extended"] == 1
    assert job(peer, 1)["attempt_until"] == until
    wire.tick(500)
    assert peer.ask("HEARTBEAT", ids=[1], lease=10_000)["missing"] == [1]
    assert code(peer.ask("ACK", id=1, attempt=1)) in {"NOT_FOUND", "STALE"}
    told = job(peer, 1)
    assert (told["state"], told["error"]) == ("ready", "timed out after 1000 ms")
    assert pulled(peer)["attempts"] == 2
    wire.tick(1000)
    told = job(again(wire), 1)
    assert (told["state"], told["reason"]) == ("dead", "timeout")


# results and waits


def test_the_end_is_kept_for_its_time(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    pulled(peer)
    assert peer.ask("ACK", id=1, attempt=1, result={"n": 3}) == {"ok": True}
    ended = wire.now
    peer = again(wire)
    expected = {"id": 1, "queue": "q", "state": "done", "result": {"n": 3}}
    assert job(peer, 1) == {**expected, "finished_at": ended, "attempts": 1}
    assert stats(peer, "queued", "processing") == (0, 0)
    assert peer.ask("STATS")["results"] == 1
    wire.tick(999)
    assert job(peer, 1)["state"] == "done"
    wire.tick(1)
    assert code(peer.ask("GETJOB", id=1)) == "NOT_FOUND"
    assert code(again(wire).ask("GETJOB", id=1)) == "NOT_FOUND"


def test_results_of_a_batch(wire: Wire) -> None:
    peer = wire.peer()
    jobs = [{"data": 1}, {"data": 2}, {"data": 3, "keep_result": 0}]
    peer.ask("PUSHB", queue="q", keep_result=9999, jobs=jobs)
    peer.ask("PULLB", queue="q", count=3)
    ids = [1, {"id": 2, "attempt": 1, "result": [2.50]}, {"id": 3, "result": 7}, 9]
    reply = peer.ask("ACKB", ids=ids)
    assert reply == {"ok": True, "ids": [3], "acked": 3, "missing": [9]}
    peer = again(wire)
    assert job(peer, 1)["result"] is None
    assert job(peer, 2)["result"] == [2.5]
    assert code(peer.ask("GETJOB", id=3)) == "NOT_FOUND"


def test_too_large_a_result_leaves_the_job_active(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    pulled(peer)
    large = "x" * 65_535
    assert code(peer.ask("ACK", id=1, result=large)) == "TOO_LARGE"
    reply = peer.ask("ACKB", ids=[{"id": 1, "result": large}])
    assert code(reply) == "TOO_LARGE"
    assert "ids[0].result" in reply["error"]
    assert job(peer, 1)["state"] == "active"
    assert peer.ask("ACK", id=1, result=large[:-1])["ok"]


def test_a_wait_is_answered_when_the_first_ends(wire: Wire) -> None:
    peer, worker = wire.peer(), wire.peer()
    for _ in range(3):
        push(peer, keep_result=60_000)
    for _ in range(3):
        pulled(worker)
    peer.send("WAIT", ids=[1, 2, 3], rid="w")
    assert peer.heard() == []
    assert wire.peer().ask("STATS")["waiting"] == 1
    worker.ask("ACKB", ids=[{"id": 3, "result": "c"}, 2])
    (reply,) = peer.heard()
    assert reply["rid"] == "w"
    told = [(one["id"], one["state"], one["result"]) for one in reply["jobs"]]
    assert told == [(2, "done", None), (3, "done", "c")]
    assert peer.ask("WAIT", ids=[3])["jobs"][0]["finished_at"] == wire.now
    peer.send("WAIT", ids=[1])
    worker.ask("FAIL", id=1, error="no", retry=False)
    (reply,) = peer.heard()
    (dead,) = reply["jobs"]
    assert (dead["state"], dead["error"], dead["reason"]) == ("dead", "no", "failed")
    assert again(wire).ask("WAIT", ids=[1])["jobs"][0]["state"] == "dead"
    assert wire.peer().ask("STATS")["waiting"] == 0


def test_waits_for_what_will_not_end(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    push(peer)
    assert peer.ask("WAIT", ids=[1, 9]) == {
        "ok": True,
        "jobs": [{"id": 9, "state": "unknown"}],
    }
    reply = peer.ask("WAIT", ids=[1, 2])
    assert code(reply) == "BAD_REQUEST"
    assert "ids[1]" in reply["error"]
    wrongs: list[Fields] = [{}, {"ids": []}, {"ids": [1], "queue": "q", "req_key": "r"}]
    for wrong in wrongs:
        assert code(peer.ask("WAIT", **wrong)) == "BAD_REQUEST"
    assert code(peer.ask("WAIT", ids=list(range(1001)))) == "TOO_LARGE"
    assert peer.ask("WAIT", ids=[1], timeout=0) == {"ok": True, "jobs": []}


def test_a_wait_times_out(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    peer.send("WAIT", ids=[1], timeout=50)
    wire.tick(49)
    assert peer.heard() == []
    wire.tick(1)
    assert peer.heard() == [{"ok": True, "jobs": []}]


def test_a_further_line_ends_a_wait(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    peer.send("WAIT", ids=[1])
    assert peer.heard() == []
    peer.send("PING")
    assert peer.heard() == [{"ok": True, "jobs": []}, {"ok": True, "pong": True}]
    pulled(peer)
    peer.send("HEARTBEAT", ids=[1], wait=5000)
    assert peer.heard() == []
    peer.send("PING")
    assert peer.heard() == [
        {"ok": True, "extended": 1, "missing": []},
        {"ok": True, "pong": True},
    ]


@pytest.mark.parametrize(("how", "state"), [("cancel", "cancelled"), ("ttl", "expired")])
def test_jobs_that_end_otherwise_are_told_too(wire: Wire, how: str, state: str) -> None:
    peer = wire.peer()
    push(peer, keep_result=9999, ttl=100)
    waiter = wire.peer()
    waiter.send("WAIT", ids=[1])
    if how == "cancel":
        peer.ask("CANCEL", ids=[1])
    wire.tick(100)
    (reply,) = waiter.heard()
    assert [(one["id"], one["state"]) for one in reply["jobs"]] == [(1, state)]
    assert job(again(wire), 1)["state"] == state


def test_progress_is_shown_until_the_end(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    job_id = push(peer, queue="plain")["id"]
    for queue, one in (("q", 1), ("plain", job_id)):
        pulled(peer, queue=queue)
        assert peer.ask("PROGRESS", id=one, attempt=1, percent=40)["ok"]
        assert peer.ask("PROGRESS", id=one, note="half", lease=123)["ok"]
        told = job(peer, one)
        assert told["progress"]["note"] == "half"
        assert told["lease_until"] == wire.now + 123
    assert code(peer.ask("PROGRESS", id=1, attempt=2, percent=1)) in {"STALE", "NOT_FOUND"}
    assert code(peer.ask("PROGRESS", id=99, percent=1)) == "NOT_FOUND"
    assert code(peer.ask("PROGRESS", id=1)) == "BAD_REQUEST"
    assert code(peer.ask("PROGRESS", id=1, note="é" * 513)) == "TOO_LARGE"
    assert "progress" not in job(again(wire), 1) or wire.restart is None


# cancelled jobs


def test_jobs_that_wait_are_cancelled_at_once(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    push(peer, delay=1000)
    push(peer)
    reply = peer.ask("CANCEL", ids=[1, 2, 99])
    assert reply == {"ok": True, "cancelled": [1, 2], "cancelling": [], "missing": [99]}
    assert stats(peer, "cancelled", "queued", "delayed") == (2, 1, 0)
    peer = again(wire)
    assert job(peer, 1)["state"] == "cancelled"
    assert code(peer.ask("CANCEL", id=1)) == "NOT_FOUND"
    assert peer.ask("CANCEL", id=3)["cancelled"] == [3]
    assert pull(peer) is None


def test_an_active_job_is_flagged_and_told(wire: Wire) -> None:
    peer = wire.peer()
    push(peer)
    pulled(peer, lease=10_000)
    for _ in range(2):
        assert peer.ask("CANCEL", ids=[1])["cancelling"] == [1]
    peer = again(wire)
    assert job(peer, 1)["cancelled"] is True
    reply = peer.ask("HEARTBEAT", ids=[1], lease=10_000)
    assert reply == {"ok": True, "extended": 1, "missing": [], "cancelled": [1]}
    assert peer.ask("ACK", id=1) == {"ok": True}
    assert stats(peer, "cancelled") == (0,)


@pytest.mark.parametrize("how", ["fail", "release", "timeout", "lease", "close"])
def test_a_flagged_job_does_not_run_again(wire: Wire, how: str) -> None:
    peer, worker = wire.peer(), wire.peer()
    push(peer, keep_result=60_000, timeout=500)
    pulled(worker, lease=400 if how == "lease" else 10_000)
    peer.ask("CANCEL", id=1)
    if how == "fail":
        assert worker.ask("FAIL", id=1) == {"ok": True, "state": "cancelled"}
    elif how == "release":
        assert worker.ask("RELEASE", ids=[1])["released"] == 1
    elif how == "close":
        worker.close()
    else:
        wire.tick(500)
    assert pull(peer) is None
    assert stats(peer, "cancelled", "dead", "failed", "queued") == (1, 0, 0, 0)
    assert job(again(wire), 1)["state"] == "cancelled"


def test_a_waiting_heartbeat_hears_of_a_cancel_at_once(wire: Wire) -> None:
    peer, worker = wire.peer(), wire.peer()
    push(peer)
    push(peer)
    pulled(worker)
    pulled(worker)
    worker.send("HEARTBEAT", ids=[1, 2], lease=10_000, wait=5000, rid=1)
    assert worker.heard() == []
    wire.tick(100)
    peer.ask("CANCEL", ids=[2])
    reply = {"ok": True, "extended": 2, "missing": [], "cancelled": [2], "rid": 1}
    assert worker.heard() == [reply]
    assert job(peer, 1)["lease_until"] == wire.now + 10_000
    worker.send("HEARTBEAT", ids=[1, 2], wait=5000)
    assert worker.heard()[0]["cancelled"] == [2]
    worker.send("HEARTBEAT", ids=[1, 9], wait=5000)
    assert worker.heard()[0]["missing"] == [9]
    worker.send("HEARTBEAT", ids=[1], wait=5000, lease=10_000)
    wire.tick(5000)
    assert worker.heard() == [{"ok": True, "extended": 1, "missing": []}]
    assert job(peer, 1)["lease_until"] == wire.now + 10_000


def test_a_waiting_heartbeat_hears_of_a_time_out(wire: Wire) -> None:
    peer, worker = wire.peer(), wire.peer()
    push(peer, timeout=1000, keep_result=1000, max_attempts=1)
    pulled(worker)
    worker.send("HEARTBEAT", ids=[1], wait=5000)
    wire.tick(1000)
    assert worker.heard() == [{"ok": True, "extended": 0, "missing": [1]}]


def test_delayed_jobs_are_promoted(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, delay=1000)
    push(peer, delay=500, ttl=5000)
    push(peer)
    reply = peer.ask("PROMOTE", ids=[2, 1, 3, 99])
    assert reply == {"ok": True, "promoted": 2, "missing": [3, 99]}
    peer = again(wire)
    assert [pulled(peer)["id"] for _ in range(3)] == [3, 2, 1]
    assert code(peer.ask("PROMOTE", id=3)) == "NOT_FOUND"
    push(peer, delay=1000)
    reply = peer.ask("PROMOTE", id=job_of_last(peer))
    assert reply == {"ok": True, "promoted": 1, "missing": []}


def job_of_last(peer: Peer) -> int:
    """Give the id of the last job that was pushed."""
    last = push(peer, queue="other")["id"]
    assert isinstance(last, int)
    return last - 1


def test_a_session_that_closes_waits_no_more(wire: Wire) -> None:
    peer = wire.peer()
    push(peer, keep_result=1000)
    waiters = [wire.peer() for _ in range(1000)]
    for waiter in waiters:
        waiter.send("WAIT", ids=[1])
    assert peer.ask("STATS")["waiting"] == 1000
    for waiter in waiters[:999]:
        waiter.close()
    assert peer.ask("STATS")["waiting"] == 1
    pulled(peer)
    peer.ask("ACK", id=1)
    assert [waiter.heard() == [] for waiter in waiters] == [True] * 999 + [False]
    assert peer.ask("STATS")["waiting"] == 0
