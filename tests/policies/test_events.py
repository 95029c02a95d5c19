"""Events: each turn of each job is told once, in order, to those who asked for it."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import CORES, require_core
from magicqueue_cores import turns
from magicqueue_cores.policies import PolicyOptions
from magicqueue_cores.policies.events import KINDS
from magicqueue_cores.records import Lost
from magicqueue_cores.turns import Ears, Turn
from policies import heard
from policies.heard import Oracle
from policies.layered import Layered
from policies.test_cron_rules import go_to_next, put
from policies.test_exits import WAYS, Leave, Make, dead, expired_dead
from policies.wires import DeskWire, LogWire, Peer, Wire

QUEUES: Final = ("a", "é 'b'\"\\")


@pytest.mark.parametrize(
    ("make", "leave", "state"), WAYS, ids=lambda way: getattr(way, "__name__", way)
)
def test_each_exit_is_told_once(
    core_name: str, make: Make, leave: Leave, state: str
) -> None:
    layer = Layered(core_name, dead_jobs_max=1, lost_max=3)
    job_id = make(layer)
    told: list[Turn] = []
    layer.policies.events.listen(told.append)
    leave(layer, job_id)
    mine = [turn for turn in told if job_id in turn.ids]
    if state == "done":
        assert mine == [], "WAIT and counts tell of these"
        return
    last = mine[-1]
    ways = [turn for turn in mine if turn.kind not in {"failed", "lost"}]
    assert len(ways) == 1, "its end is told once"
    if state == "gone":
        cause = leave.__name__.removeprefix("all_")
        assert last == Turn("removed", "q", [job_id], cause)
    else:
        assert (last.kind, list(last.ids)) == (state, [job_id])


@pytest.mark.parametrize(("rule", "kinds"), [("wait", []), ("run", []), ("fail", ["dead"])])
def test_of_a_flow_its_failures_are_told(
    core_name: str, rule: Any, kinds: list[str]
) -> None:
    layer = Layered(core_name)
    parent = layer.push_id(max_attempts=1)
    child = layer.push_id(queue="c", parents=(parent,), on_parent_failure=rule)
    last = layer.push_id(queue="c", parents=(child,), on_parent_failure="fail")
    told: list[Turn] = []
    layer.policies.events.listen(told.append)
    layer.pull()
    layer.fail(parent)
    mine = [turn for turn in told if turn.queue == "c"]
    assert [turn.kind for turn in mine] == kinds
    for turn in mine:
        assert (list(turn.ids), turn.reason) == ([child, last], "parent_failed")


def test_that_a_job_of_a_flow_is_free_is_told_to_nobody(core_name: str) -> None:
    layer = Layered(core_name)
    parent = layer.push_id()
    child = layer.push_id(parents=(parent,))
    told: list[Turn] = []
    layer.policies.events.listen(told.append)
    layer.ack(*layer.pull())
    assert layer.pull() == [child]
    assert told == []


def wire_of(core: str, *, log: bool, **options: Any) -> Wire:
    require_core(core)
    kind = LogWire if log else DeskWire
    return kind(core, PolicyOptions(**options))


PLACES: Final = [(core, log) for core in CORES for log in (False, True)]
COMMANDS: Final = st.one_of(
    st.tuples(
        st.just("push"),
        st.sampled_from(QUEUES),
        st.integers(0, 60),
        st.integers(1, 2),
        st.sampled_from([None, 90]),
        st.sampled_from(["remove", "dead"]),
    ),
    st.tuples(st.just("pull"), st.sampled_from(QUEUES), st.integers(0, 1)),
    st.tuples(st.just("job"), st.sampled_from(["ACK", "FAIL"]), st.integers(1, 9)),
    st.tuples(st.just("jobs"), st.sampled_from(["CANCEL", "RELEASE"]), st.integers(1, 9)),
    st.tuples(
        st.just("queue"),
        st.sampled_from(["DRAIN", "RETRYDEAD", "PURGEDEAD", "PAUSE", "RESUME"]),
        st.sampled_from(QUEUES),
    ),
    st.tuples(st.just("tick"), st.integers(0, 120)),
    st.tuples(st.just("close"), st.integers(0, 1)),
)


def play(oracle: Oracle, commands: list[tuple[Any, ...]]) -> None:
    workers: list[Peer] = [oracle.wire.peer(), oracle.wire.peer()]
    for name, *rest in commands:
        if name == "push":
            queue, delay, attempts, ttl, on_expire = rest
            wishes: dict[str, Any] = {}
            if ttl is not None:
                wishes = {"ttl": ttl, "on_expire": on_expire}
            fields = {"delay": delay, "max_attempts": attempts, **wishes}
            oracle.ask(workers[0], "PUSH", queue=queue, data=1, **fields)
        elif name == "pull":
            worker = workers[rest[1]]
            oracle.ask(worker, "PULLB", queue=rest[0], count=2, timeout=0, lease=50)
        elif name == "job":
            oracle.ask(workers[0], rest[0], id=rest[1])
        elif name == "jobs":
            oracle.ask(workers[0], rest[0], ids=[rest[1], rest[1] + 1])
        elif name == "queue":
            oracle.ask(workers[0], rest[0], queue=rest[1])
        elif name == "tick":
            oracle.tick(rest[0])
        else:
            oracle.close(workers[rest[0]])
            workers[rest[0]] = oracle.wire.peer()


@pytest.mark.parametrize(("core", "log"), PLACES)
@settings(max_examples=15, deadline=None)
@given(commands=st.lists(COMMANDS, max_size=25))
def test_what_is_told_is_what_became_of_jobs(
    core: str, *, log: bool, commands: list[tuple[Any, ...]]
) -> None:
    oracle = Oracle(wire_of(core, log=log), QUEUES)
    play(oracle, commands)
    oracle.tick(500)


A, B = QUEUES
DAY: Final[list[tuple[Any, ...]]] = [
    *(("push", queue, 0, 2, None, "remove") for queue in (A, B, A, A)),
    ("push", A, 0, 2, 90, "remove"),
    ("push", B, 30, 1, 90, "dead"),
    ("pull", A, 0),
    ("job", "FAIL", 1),
    ("pull", A, 0),
    ("pull", B, 1),
    ("close", 1),
    ("queue", "PAUSE", B),
    ("jobs", "CANCEL", 3),
    ("tick", 60),
    ("pull", A, 0),
    ("job", "FAIL", 1),
    ("job", "FAIL", 3),
    ("tick", 60),
    ("queue", "RETRYDEAD", A),
    ("queue", "PURGEDEAD", B),
    ("queue", "RESUME", B),
    ("queue", "DRAIN", A),
    ("tick", 500),
]


@pytest.mark.parametrize(("core", "log"), PLACES)
def test_a_day_with_every_kind(core: str, *, log: bool) -> None:
    oracle = Oracle(wire_of(core, log=log), QUEUES)
    play(oracle, DAY)
    assert oracle.kinds.keys() == KINDS - {"cron"}


def _twice(real: Callable[..., None]) -> Callable[..., None]:
    def tell(*arguments: Any) -> None:
        real(*arguments)
        real(*arguments)

    return tell


FAULTS: Final[dict[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "told twice": lambda m: m.setattr(Ears, "tell", _twice(Ears.tell)),
    "drained is not told": lambda m: m.setattr(Ears, "hear_of", lambda *_: None),
    "losses are no turns": lambda m: m.delitem(turns.KIND_OF, Lost),
    "expired as removed": lambda m: m.setitem(turns.KIND_OF_CAUSE, "expired", "removed"),
    "no cause at all": lambda m: m.delitem(turns.KIND_OF_CAUSE, "purged"),
    "the reason is left out": lambda m: m.setattr(turns, "_why", lambda _: None),
    "always another queue": lambda m: m.setattr(
        Ears,
        "tell_of",
        lambda self, kind, _, ids, why: self.sink(Turn(kind, "x", ids, why)),
    ),
}


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_oracle_catches(core: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    oracle = Oracle(wire_of(core, log=False), QUEUES)
    with pytest.raises((AssertionError, KeyError)):
        play(oracle, DAY)


def test_failures_in_lines_are_told_of_jobs_that_are_gone_by_then(wire: Wire) -> None:
    """One piece of lines fails a job, takes it again and settles it."""
    listener, worker = wire.peer(), wire.peer()
    listener.ask("SUBSCRIBE", kinds=["failed"])
    worker.ask("PUSHB", queue="q", jobs=[{"data": 1}, {"data": 2}])
    worker.ask("PULLB", queue="q", count=2)
    worker.send_all(
        ("FAIL", {"id": 1, "error": "x"}),
        ("PULL", {"queue": "q"}),
        ("ACK", {"id": 1}),
        ("FAIL", {"id": 2}),
    )
    assert all(reply["ok"] for reply in worker.heard())
    told = [job_id for event in listener.heard() for job_id in event["ids"]]
    assert told == [1, 2]


def test_only_what_was_asked_for_is_told(wire: Wire) -> None:
    some, every, worker = wire.peer(), wire.peer(), wire.peer()
    some.ask("SUBSCRIBE", kinds=["dead"], queues=["a"])
    every.ask("SUBSCRIBE", kinds=["dead", "paused"])
    for queue in ("a", "b"):
        job_id = worker.ask("PUSH", queue=queue, data=1, max_attempts=1)["id"]
        worker.ask("PULL", queue=queue)
        worker.ask("FAIL", id=job_id)
        worker.ask("PAUSE", queue=queue)
    assert [event["queue"] for event in some.heard()] == ["a"]
    assert [event["event"] for event in every.heard()] == ["dead", "paused"] * 2
    some.ask("SUBSCRIBE", kinds=["paused"])
    worker.ask("RESUME", queue="b")
    (event,) = some.heard()
    assert (event["event"], event["paused"]) == ("paused", False)


def test_nobody_is_told_and_nothing_is_made_when_all_have_gone(wire: Wire) -> None:
    one, worker = wire.peer(), wire.peer()
    one.ask("SUBSCRIBE", kinds=["failed"])
    policies = wire.engine.policies
    assert policies is not None
    assert policies.events._sink is not None
    one.close()
    assert policies.events._sink is None
    other = wire.peer()
    other.send("SUBSCRIBE", kinds=["stats"])
    assert policies.events._sink is None, "counts need nobody to listen"
    worker.ask("PING")


def test_counts_come_at_once_and_by_time(wire: Wire) -> None:
    listener, worker = wire.peer(), wire.peer()
    listener.send("SUBSCRIBE", kinds=["stats"], queues=["q", "p"], every=200)
    ok, *first = listener.heard()
    assert ok == {"ok": True}
    assert [event["queue"] for event in first] == ["p", "q"]
    assert all("rates" not in event for event in first)
    worker.ask("PUSHB", queue="q", jobs=[{"data": 1}] * 5)
    wire.tick(199)
    assert listener.heard() == []
    wire.tick(1)
    p, q = listener.heard()
    assert p["counts"]["queued"] == p["rates"]["pushed"] == 0
    assert q["counts"] == without_ok(worker.ask("STATS", queue="q"))
    assert q["rates"]["pushed"] == 25
    wire.tick(5000)
    assert len(listener.heard()) == 2, "not as many as were missed"


def without_ok(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name != "ok"}


def test_the_servers_counts_are_those_of_stats(wire: Wire) -> None:
    listener, worker = wire.peer(), wire.peer()
    worker.ask("PUSH", queue="q", data=1)
    listener.send("SUBSCRIBE", kinds=["stats"])
    event = listener.heard()[1]
    assert "queue" not in event
    assert event["counts"].keys() == without_ok(worker.ask("STATS")).keys()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "BAD_REQUEST"),
        ({"kinds": []}, "BAD_REQUEST"),
        ({"kinds": ["pushed"]}, "BAD_REQUEST"),
        ({"kinds": ["dead"], "queues": []}, "BAD_REQUEST"),
        ({"kinds": ["dead"], "queues": ["\n"]}, "BAD_REQUEST"),
        ({"kinds": ["dead"], "queues": ["x" * 256]}, "BAD_REQUEST"),
        ({"kinds": ["dead"], "queues": ["q"] * 65}, "TOO_LARGE"),
        ({"kinds": ["stats"], "every": 99}, "BAD_REQUEST"),
    ],
)
def test_what_cannot_be_asked_for(wire: Wire, fields: dict[str, Any], code: str) -> None:
    peer = wire.peer()
    reply = peer.ask("SUBSCRIBE", **fields)
    assert reply["code"] == code
    assert peer.ask("STATS")["ok"], "it is no subscriber"


def test_a_subscriber_says_nothing_else(wire: Wire) -> None:
    peer = wire.peer()
    peer.ask("SUBSCRIBE", kinds=["dead"])
    for cmd in ("STATS", "HELLO", "PUSH"):
        fields = {"queue": "q", "data": 1} if cmd == "PUSH" else {}
        assert peer.ask(cmd, **fields)["code"] == "BAD_REQUEST"
    assert peer.ask("PING")["pong"]
    assert wire.peer().ask("STATS")["pushed"] == 0


def test_one_too_many(wire: Wire) -> None:
    subscriptions = wire.engine._blocked.subscriptions
    assert subscriptions is not None
    subscriptions._most = 2
    peers = [wire.peer() for _ in range(3)]
    assert [peer.ask("SUBSCRIBE", kinds=["dead"])["ok"] for peer in peers] == [
        True,
        True,
        False,
    ]
    assert peers[1].ask("SUBSCRIBE", kinds=["failed"])["ok"], "it is one already"
    peers[0].close()
    assert peers[2].ask("SUBSCRIBE", kinds=["dead"])["ok"]


def test_many_jobs_are_told_in_several_events(wire: Wire) -> None:
    listener, worker = wire.peer(), wire.peer()
    listener.ask("SUBSCRIBE", kinds=["removed"])
    worker.ask("PUSHB", queue="q", jobs=[{"data": 1}] * 2500)
    assert worker.ask("DRAIN", queue="q")["removed"] == 2500
    events = listener.heard()
    assert all(len(event["ids"]) <= 1000 for event in events)
    told = [job_id for event in events for job_id in event["ids"]]
    assert sorted(told) == list(range(1, 2501))


def test_the_ways_out_of_exits_cover_dead_letters() -> None:
    assert {leave.__name__ for make, leave, _ in WAYS if make in (dead, expired_dead)} == {
        "purged",
        "all_purged",
        "dropped",
    }


def test_the_oracle_subscribes_to_every_kind() -> None:
    assert set(heard.KINDS) == KINDS


def test_a_tick_is_told_with_its_job_or_that_it_was_skipped(core_name: str) -> None:
    layer, told = Layered(core_name), list[Turn]()
    layer.policies.events.listen(told.append)
    put(layer, "report", schedule="0")
    go_to_next(layer, "report")
    go_to_next(layer, "report")
    assert told == [
        Turn("cron", "q", (1,), name="report"),
        Turn("cron", "q", (), "skipped", name="report"),
    ]
