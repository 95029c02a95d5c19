"""Policies in an engine: stops, steps, memory, cores that answer later, orders."""

import json
from typing import Any

import pytest

from conformance.driver import CORES, require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.policies import PolicyOptions
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.turns import STEP_JOBS
from server.desk import Caller, Desk, code_of


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest) -> type[PythonCore] | type[ArrayCore]:
    name: str = request.param
    require_core(name)
    return {"python": PythonCore, "array": ArrayCore}[name]


def line(cmd: str, **fields: Any) -> bytes:
    return json.dumps({"cmd": cmd, **fields}, separators=(",", ":")).encode()


def ask(caller: Caller, cmd: str, **fields: Any) -> dict[str, Any]:
    (reply,) = caller.ask(line(cmd, **fields))
    told: dict[str, Any] = json.loads(reply)
    return told


def test_a_line_in_the_same_piece_ends_a_wait() -> None:
    desk = Desk()
    caller = desk.caller()
    told = caller.ask(
        line("PUSH", queue="q", data=1, keep_result=9),
        line("WAIT", ids=[1], rid=1),
        line("PING", rid=2),
        line("WAIT", ids=[1], rid=3),
    )
    assert told == [
        b'{"ok":true,"id":1}',
        b'{"ok":true,"jobs":[],"rid":1}',
        b'{"ok":true,"pong":true,"rid":2}',
    ]
    desk.engine.leave(caller.session, desk.now)
    assert caller.heard() == [b'{"ok":true,"jobs":[],"rid":3}']
    assert caller.hang_ups == 1


def test_one_that_sends_no_more_does_not_wait() -> None:
    desk = Desk()
    caller = desk.caller()
    ask(caller, "PUSH", queue="q", data=1, keep_result=9)
    caller.session.last_words = b""
    assert caller.ask(line("WAIT", ids=[1])) == [b'{"ok":true,"jobs":[]}']


def test_stopping_answers_those_who_wait(core: type[PythonCore]) -> None:
    desk = Desk(core=core)
    waiter, worker = desk.caller(), desk.caller()
    ask(worker, "PUSH", queue="q", data=1, keep_result=9)
    ask(worker, "PULL", queue="q")
    assert waiter.ask(line("WAIT", ids=[1])) == []
    assert worker.ask(line("HEARTBEAT", ids=[1], wait=10**6)) == []
    desk.engine.stop(desk.now)
    assert waiter.heard() == [b'{"ok":true,"jobs":[]}']
    assert worker.heard() == [b'{"ok":true,"extended":1,"missing":[]}']
    assert waiter.ask(line("WAIT", ids=[1])) == [b'{"ok":true,"jobs":[]}']
    assert ask(worker, "ACK", id=1, result=5) == {"ok": True}
    assert ask(waiter, "WAIT", ids=[1])["jobs"][0]["result"] == 5
    refused = waiter.ask(
        line("PUSH", queue="q", data=1, ttl=5),
        line("PUSHB", queue="q", jobs=[{"data": 1}], req_key="r"),
    )
    assert {code_of(reply) for reply in refused} == {"SHUTTING_DOWN"}


def test_time_that_does_not_count_lengthens_a_wait() -> None:
    desk = Desk()
    caller = desk.caller()
    ask(caller, "PUSH", queue="q", data=1, keep_result=10**6)
    caller.send(line("WAIT", ids=[1], timeout=100))
    desk.engine.postpone(50, desk.now)
    desk.tick(149)
    assert caller.heard() == []
    desk.tick(1)
    assert caller.heard() == [b'{"ok":true,"jobs":[]}']


def test_what_waits_keep_is_counted_and_given_back() -> None:
    desk = Desk()
    pusher = desk.caller()
    for _ in range(20):
        ask(pusher, "PUSH", queue="q", data=1, keep_result=10**6)
    before = ask(pusher, "STATS")["input_bytes"]
    waiters = [desk.caller() for _ in range(50)]
    for waiter in waiters:
        waiter.send(line("WAIT", ids=list(range(1, 21)), rid="r" * 5000))
    kept = ask(pusher, "STATS")["input_bytes"] - before
    assert kept > 50 * (5000 + 20 * 100)
    for waiter in waiters[:25]:
        waiter.close()
    for waiter in waiters[25:]:
        waiter.send(line("PING"))
    assert ask(pusher, "STATS")["input_bytes"] <= before
    assert ask(pusher, "STATS")["waiting"] == 0


def test_very_many_that_expire_are_not_handed_out(core: type[PythonCore]) -> None:
    desk = Desk(
        core=core, policy_options=PolicyOptions(step_jobs=STEP_JOBS), step_jobs=STEP_JOBS
    )
    desk.settle_checks = False
    caller = desk.caller()
    for _ in range(5):
        jobs = [{"data": n} for n in range(1000)]
        ask(caller, "PUSHB", queue="q", ttl=100, jobs=jobs)
    ask(caller, "PUSHB", queue="plain", jobs=[{"data": 1}, {"data": 2}])
    desk.now += 100
    pull = line("PULL", queue="q", timeout=0)
    (first,) = caller.ask(pull)
    assert first == b'{"ok":true,"job":null}'
    assert ask(caller, "PULLB", queue="q", count=9, timeout=0)["jobs"] == []
    assert ask(caller, "PULL", queue="plain")["job"]["data"] == 1
    while desk.engine.next_deadline_ms <= desk.now:
        assert caller.ask(pull, pull) == [first, first]
        desk.engine.advance(desk.now)
    stats = ask(caller, "STATS")
    assert (stats["expired"], stats["queued"], stats["marked"]) == (5000, 1, 0)
    assert ask(caller, "PULL", queue="plain")["job"]["data"] == 2
    desk.engine.core.check()


def test_bounds_are_kept_and_counted(core: type[PythonCore]) -> None:
    options = PolicyOptions(results_max=2, req_keys_max=2, windows_max=2)
    desk = Desk(core=core, policy_options=options)
    caller = desk.caller()
    for n in range(4):
        wishes = {"unique_key": f"k{n}", "unique_for": 10**6, "keep_result": 10**6}
        ask(caller, "PUSH", queue="q", data=n, req_key=f"r{n}", **wishes)
        ask(caller, "PULL", queue="q")
        ask(caller, "ACK", id=n + 1, result=n)
    stats = ask(caller, "STATS")
    for kind in ("results", "req_keys", "windows"):
        assert (stats[kind], stats[f"{kind}_dropped"]) == (2, 2)
    assert code_of(*caller.ask(line("GETJOB", id=2))) == "NOT_FOUND"
    assert ask(caller, "GETJOB", id=3)["job"]["result"] == 2


def test_what_is_kept_beside_jobs_counts_as_memory(core: type[PythonCore]) -> None:
    desk = Desk(core=core, memory_bytes_max=300_000)
    caller = desk.caller()
    empty = ask(caller, "STATS")["memory_bytes"]
    for n in range(300):
        reply = caller.ask(line("PUSH", queue="q", data=1, req_key=f"{n}" + "k" * 200))
        if b'"ok":false' in reply[0]:
            assert code_of(*reply) == "FULL"
            break
        ask(caller, "PULL", queue="q")
        ask(caller, "ACK", id=n + 1)
    else:
        assert ask(caller, "STATS")["memory_bytes"] > empty + 300 * 200
    assert ask(caller, "STATS")["req_keys"] > 100


def test_duplicates_and_repeats_are_answered_where_there_is_no_room(
    core: type[PythonCore],
) -> None:
    desk = Desk(core=core, jobs_max=1)
    caller = desk.caller()
    ask(caller, "PUSH", queue="q", data=1, unique_key="k", req_key="r")
    assert code_of(*caller.ask(line("PUSH", queue="q", data=1, ttl=5))) == "FULL"
    assert ask(caller, "PUSH", queue="q", data=1, unique_key="k")["duplicate"]
    assert ask(caller, "PUSH", queue="q", data=1, req_key="r")["repeated"]


WISHES: list[dict[str, Any]] = [
    {"unique_key": "k"},
    {"unique": "done"},
    {"unique_for": 5},
    {"on_conflict": "return"},
    {"ttl": 5},
    {"on_expire": "dead"},
    {"timeout": 5},
    {"keep_result": 5},
    {"req_key": "r"},
]


@pytest.mark.parametrize("wish", WISHES, ids=[*map(str, WISHES)])
def test_a_core_that_answers_later_refuses_what_it_cannot_do(wish: dict[str, Any]) -> None:
    caller = Desk(1).caller()
    replies = [*caller.ask(line("PUSH", queue="q", data=1, **wish))]
    replies += caller.ask(line("PUSHB", queue="q", jobs=[{"data": 1}], **wish))
    if "req_key" not in wish:
        replies += caller.ask(
            line("PUSHB", queue="q", jobs=[{"data": 1}, {"data": 1, **wish}])
        )
    assert {code_of(reply) for reply in replies} == {"BAD_REQUEST"}
    assert all(next(iter(wish)).encode() in reply for reply in replies)


def test_a_core_that_answers_later_has_no_commands_of_policies() -> None:
    caller = Desk(1).caller()
    commands = [
        line("WAIT", ids=[1]),
        line("CANCEL", ids=[1]),
        line("PROMOTE", ids=[1]),
        line("PROGRESS", id=1, percent=5),
    ]
    assert {code_of(reply) for reply in caller.ask(*commands)} == {"UNKNOWN_COMMAND"}
    assert code_of(*caller.ask(line("GETJOB", queue="q", req_key="r"))) == "BAD_REQUEST"
    caller.ask(line("PUSH", queue="q", data=1, new_field=1), line("PULL", queue="q"))
    assert ask(caller, "HEARTBEAT", id=1, wait=5000) == {
        "ok": True,
        "extended": 1,
        "missing": [],
    }
    assert ask(caller, "ACK", id=1, result=[1]) == {"ok": True}


def test_a_wait_with_more_results_than_a_reply_holds_tells_some_of_them() -> None:
    desk = Desk()
    caller = desk.caller()
    for n in range(1, 301):
        ask(caller, "PUSH", queue="q", data=1, keep_result=10**6)
        ask(caller, "PULL", queue="q")
        ask(caller, "ACK", id=n, result="x" * 65_000)
    told = ask(caller, "WAIT", ids=list(range(1, 301)))["jobs"]
    assert [one["id"] for one in told] == list(range(1, len(told) + 1))
    assert 200 < len(told) < 300
    rest = list(range(len(told) + 1, 301))
    assert len(ask(caller, "WAIT", ids=rest)["jobs"]) == len(rest)


@pytest.mark.parametrize("ms", [2**53 - 1])
def test_the_longest_spans_are_taken(core: type[PythonCore], ms: int) -> None:
    desk = Desk(core=core)
    caller = desk.caller()
    wishes = {"ttl": ms, "timeout": ms, "keep_result": ms}
    ask(caller, "PUSH", queue="q", data=1, **wishes)
    ask(caller, "PUSH", queue="q", data=1, unique_key="k", unique_for=ms)
    told = ask(caller, "GETJOB", id=1)["job"]
    assert told["expires_at"] == 2**53 - 1
    assert ask(caller, "PULL", queue="q", lease=ms)["job"]["id"] == 1
    assert ask(caller, "GETJOB", id=1)["job"]["attempt_until"] == 2**53 - 1
    assert caller.ask(line("HEARTBEAT", ids=[1], lease=ms, wait=ms)) == []
    assert caller.ask(line("PING"))[1] == b'{"ok":true,"pong":true}'
    assert ask(caller, "ACK", id=1) == {"ok": True}
    assert ask(caller, "GETJOB", id=1)["job"]["state"] == "done"


def test_keys_are_any_text(core: type[PythonCore]) -> None:
    desk = Desk(core=core)
    caller = desk.caller()
    for key in ("é" * 127, "😀", "a b", "\\", '"', "\u2028"):
        first = ask(caller, "PUSH", queue="q", data=1, unique_key=key, req_key=key)
        same = ask(caller, "PUSH", queue="q", data=1, unique_key=key)
        assert same == {"ok": True, "id": first["id"], "duplicate": True}
        again = ask(caller, "PUSH", queue="q", data=1, req_key=key)
        assert again == {"ok": True, "id": first["id"], "repeated": True}
