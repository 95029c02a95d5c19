"""What moves very many jobs leaves others their turn: counted in their requests."""

import itertools
import json

import pytest

from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.python_core import PythonCore
from magicqueue_server import named_jobs
from server.desk import Caller, Desk

STEP, JOBS = 10, 300
PUSHB = b'{"cmd":"PUSHB","queue":"q","jobs":[%s]}'
PULLB = b'{"cmd":"PULLB","queue":"q","count":10}'


@pytest.fixture(params=[PythonCore, ArrayCore], ids=["python", "array"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(core=request.param, step_jobs=STEP, lost_max=0)


def push(desk: Desk, job: bytes) -> Caller:
    caller = Caller(desk)
    caller.ask(PUSHB % b",".join([job] * JOBS))
    return caller


def rounds(desk: Desk, other: Caller) -> list[int]:
    """Let the loop go round, with a PING in each; gives how many jobs are back."""
    counts: list[int] = []
    while desk.soon:
        desk.soon.popleft()()
        other.send(b'{"cmd":"PING"}', settle=False)
        assert len(other.heard()) == 1
        stats = desk.engine.core.queue_stats("q", desk.now)
        counts.append(stats.queued)  # type: ignore[union-attr]  # it answers at once
    return counts


def test_a_session_with_many_jobs_closes_while_others_are_answered(desk: Desk) -> None:
    worker = push(desk, b'{"data":1}')
    for _ in range(JOBS // 10):
        worker.ask(PULLB)
    other = Caller(desk)
    desk.engine.close(worker.session, desk.now)
    counts = rounds(desk, other)
    assert len(counts) >= JOBS / STEP - 1
    assert counts[-1] == JOBS
    assert max(after - before for before, after in itertools.pairwise(counts)) <= STEP
    desk.engine.core.check()


def test_a_request_waits_for_two_steps_of_due_jobs_at_most(desk: Desk) -> None:
    push(desk, b'{"data":1,"delay":5}')
    other = Caller(desk)
    desk.now += 5
    desk.settle_checks = False
    answers = 0
    while desk.engine.core.next_deadline_ms <= desk.now:
        other.send(b'{"cmd":"PING"}', settle=False)
        answers += len(other.heard())
    assert answers >= JOBS / STEP / 2, "one step as time passes, one before its command"
    desk.engine.core.check()


def test_a_pushed_job_waits_behind_those_that_are_due(desk: Desk) -> None:
    pusher = push(desk, b'{"data":1,"delay":5}')
    desk.now += 5
    pusher.send(b'{"cmd":"PUSH","queue":"q","data":"last"}')
    desk.now += 1
    while desk.engine.core.next_deadline_ms <= desk.now:
        desk.engine.advance(desk.now)
    for _ in range(JOBS):
        assert b'"data":1,' in pusher.ask(b'{"cmd":"PULL","queue":"q"}')[-1]
    assert b'"data":"last"' in pusher.ask(b'{"cmd":"PULL","queue":"q"}')[-1]


def go_on(desk: Desk, other: Caller) -> int:
    """Let the loop go round with a PING in each; gives how many rounds there were."""
    count = 0
    while desk.soon:
        desk.soon.popleft()()
        other.send(b'{"cmd":"PING"}', settle=False)
        assert len(other.heard()) == 1
        count += 1
    return count


def test_a_drain_of_many_jobs_is_one_reply_and_lets_others_in(desk: Desk) -> None:
    asking, other = push(desk, b'{"data":1}'), Caller(desk)
    asking.send(b'{"cmd":"DRAIN","queue":"q","rid":7}', b'{"cmd":"PING"}', settle=False)
    other.send(PUSHB % b'{"data":2}', settle=False)
    assert len(other.heard()) == 1
    assert go_on(desk, other) >= JOBS / STEP - 1
    drained, pong = asking.heard()
    assert drained == b'{"ok":true,"removed":%d,"rid":7}' % JOBS
    assert b"pong" in pong
    assert b'"queued":1,' in other.ask(b'{"cmd":"STATS","queue":"q"}')[0]


def test_a_second_drain_waits_for_the_first_and_finds_what_came_between(
    desk: Desk,
) -> None:
    first, other, second = push(desk, b'{"data":1}'), Caller(desk), Caller(desk)
    first.send(b'{"cmd":"DRAIN","queue":"q"}', settle=False)
    other.send(PUSHB % b'{"data":2}', settle=False)
    assert len(other.heard()) == 1
    second.send(b'{"cmd":"DRAIN","queue":"q"}', settle=False)
    go_on(desk, other)
    assert first.heard() == [b'{"ok":true,"removed":%d}' % JOBS]
    assert second.heard() == [b'{"ok":true,"removed":1}']


def test_a_drain_goes_on_when_its_connection_closes(desk: Desk) -> None:
    asking, other = push(desk, b'{"data":1}'), Caller(desk)
    asking.send(b'{"cmd":"DRAIN","queue":"q"}', settle=False)
    asking.close()
    go_on(desk, other)
    assert b'"queued":0,' in other.ask(b'{"cmd":"STATS","queue":"q"}')[0]


def fail_all(worker: Caller) -> None:
    """Pull all jobs and fail them."""
    for _ in range(JOBS // 10):
        (reply,) = worker.ask(PULLB)
        ids = [b'{"id":%d}' % job["id"] for job in json.loads(reply)["jobs"]]
        worker.ask(b'{"cmd":"FAILB","jobs":[%s]}' % b",".join(ids))


def test_dead_letters_are_revived_and_purged_in_turns(desk: Desk) -> None:
    worker = push(desk, b'{"data":1,"max_attempts":1}')
    waiting, other = Caller(desk), Caller(desk)
    fail_all(worker)
    waiting.send(b'{"cmd":"PULL","queue":"q"}', settle=False)
    worker.send(b'{"cmd":"RETRYDEAD","queue":"q"}', settle=False)
    assert len(waiting.heard()) == 1, "the first step serves who waits"
    assert go_on(desk, other) >= JOBS / STEP - 1
    assert worker.heard() == [b'{"ok":true,"retried":%d}' % JOBS]
    fail_all(worker)
    worker.send(b'{"cmd":"PURGEDEAD","queue":"q"}', settle=False)
    assert go_on(desk, other) >= (JOBS - 1) / STEP - 1
    assert worker.heard() == [b'{"ok":true,"removed":%d}' % (JOBS - 1)]


def test_all_queues_are_listed_in_turns(desk: Desk) -> None:
    """The list is the same, byte for byte, as that of pages joined."""
    asking, other = Caller(desk), Caller(desk)
    for number in range(700):
        asking.ask(b'{"cmd":"PUSH","queue":"n%d","data":1}' % number)
    asking.send(b'{"cmd":"QUEUES","rid":"x"}', settle=False)
    assert go_on(desk, other) >= 2
    (whole,) = asking.heard()
    (page,) = asking.ask(b'{"cmd":"QUEUES","count":1000,"rid":"x"}')
    assert whole == page.replace(b',"next":null', b"")
    assert len(json.loads(whole)["queues"]) == 700


@pytest.mark.parametrize("cmd", [b'"JOBS"', b'"BULK","do":"cancel","queue":"q"'])
def test_a_search_goes_on_while_others_are_answered(desk: Desk, cmd: bytes) -> None:
    asker = Caller(desk)
    for _ in range(30):
        asker.ask(PUSHB % b",".join([b'{"data":1}'] * JOBS))
    asker.send(b'{"cmd":%b,"contains":"nothing"}' % cmd, settle=False)
    assert asker.heard() == [], "it takes more than one step"
    assert len(rounds(desk, Caller(desk))) >= 8
    (reply,) = asker.heard()
    assert json.loads(reply)["scanned"] == 30 * JOBS


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("PROMOTE", {"ok": True, "promoted": JOBS - 10, "missing": [*range(1, 11), 999]}),
        (
            "CANCEL",
            {
                "ok": True,
                "cancelled": list(range(11, JOBS + 1)),
                "cancelling": list(range(1, 11)),
                "missing": [999],
            },
        ),
    ],
)
def test_very_many_named_jobs_are_one_reply_and_let_others_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, command: str, reply: dict[str, object]
) -> None:
    monkeypatch.setattr(named_jobs, "STEP_JOBS", STEP)
    asking, other = push(desk, b'{"data":1,"delay":1000}'), Caller(desk)
    ids = [*range(1, JOBS + 1), 999]
    asking.ask(json.dumps({"cmd": "PROMOTE", "ids": ids[:10]}).encode())
    other.ask(PULLB)
    asking.send(json.dumps({"cmd": command, "ids": ids}).encode(), settle=False)
    assert asking.heard() == []
    assert go_on(desk, other) >= JOBS / STEP - 1
    (heard,) = asking.heard()
    assert json.loads(heard) == reply
    desk.engine.core.check()
