"""What moves very many jobs leaves others their turn: counted in their requests."""

import itertools

import pytest

from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.python_core import PythonCore
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
