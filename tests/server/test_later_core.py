"""What can only happen with a core that answers later, step by step."""

import random

import pytest

from magicqueue_cores.contract import NewJobs
from magicqueue_cores.pending import Pending
from server.desk import Desk, code_of, job, one

PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'


def test_the_core_answers_later_indeed() -> None:
    desk = Desk(1)
    caller = desk.caller()
    caller.send(PUSH, PING, settle=False)
    assert caller.heard() == []
    assert isinstance(
        desk.engine.core.push("q", NewJobs(payloads=(b"1",), run_ats_ms=0), desk.now),
        Pending,
    )
    desk.settle()
    assert caller.heard() == [b'{"ok":true,"id":1}', PONG]


def test_one_session_waits_for_the_core_and_others_go_on() -> None:
    desk = Desk(1)
    slow, quick = desk.caller(), desk.caller()
    slow.send(PUSH, PING, settle=False)
    assert quick.send(PING, settle=False).heard() == [PONG]
    assert slow.heard() == []
    desk.settle()
    assert slow.heard() == [b'{"ok":true,"id":1}', PONG]


@pytest.mark.parametrize("seed", range(20))
def test_a_session_that_closes_while_its_pull_is_under_way_gives_the_job_back(
    seed: int,
) -> None:
    desk = Desk(seed)
    desk.caller().ask(PUSH)
    gone = desk.caller()
    gone.send(PULL, settle=False)
    later = desk.later
    assert later is not None
    for _ in range(random.Random(seed).randrange(3)):
        if later.busy:
            later.step()
    desk.engine.close(gone.session, desk.now)
    there = desk.caller()
    there.send(PULL)
    (reply,) = there.heard()
    assert reply in {one(job(1)), one(job(1, attempts=2))}


@pytest.mark.parametrize("seed", range(20))
def test_a_waiter_that_closes_while_it_is_being_served_leaves_the_job_to_the_next(
    seed: int,
) -> None:
    desk = Desk(seed)
    gone, there, pusher = desk.caller(), desk.caller(), desk.caller()
    assert gone.ask(PULL) == there.ask(PULL) == []
    pusher.send(PUSH, settle=False)
    later = desk.later
    assert later is not None
    for _ in range(random.Random(seed).randrange(5)):
        if later.busy:
            later.step()
    desk.engine.close(gone.session, desk.now)
    desk.settle()
    (reply,) = there.heard()
    assert reply in {one(job(1)), one(job(1, attempts=2))}


@pytest.mark.parametrize("seed", range(20))
def test_waiters_keep_their_turns_while_the_core_looks(seed: int) -> None:
    desk = Desk(seed)
    waiters = [desk.caller() for _ in range(6)]
    for waiter in waiters:
        assert waiter.ask(PULL) == []
    pushers = [desk.caller() for _ in range(6)]
    for pusher in pushers:
        pusher.send(PUSH, settle=False)
        for _ in range(random.Random(seed).randrange(4)):
            if desk.later is not None and desk.later.busy:
                desk.later.step()
    desk.settle()
    assert [waiter.heard() for waiter in waiters] == [
        [one(job(number))] for number in range(1, 7)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_job_that_comes_while_a_pull_is_under_way_is_not_missed(seed: int) -> None:
    desk = Desk(seed)
    puller, pusher = desk.caller(), desk.caller()
    puller.send(PULL, PING, settle=False)
    pusher.send(PUSH, settle=False)
    desk.settle()
    assert puller.heard() == [one(job(1)), PONG]


@pytest.mark.parametrize("seed", range(10))
def test_replies_keep_their_order_when_a_queue_is_ready_as_it_is_watched(seed: int) -> None:
    desk = Desk(seed)
    puller, pusher = desk.caller(), desk.caller()
    puller.send(PING, PULL, PING, PULL, PING, settle=False)
    pusher.send(PUSH, PUSH, settle=False)
    desk.settle()
    assert puller.heard() == [PONG, one(job(1)), PONG, one(job(2)), PONG]


@pytest.mark.parametrize("seed", range(10))
def test_a_pull_times_out_while_the_core_looks(seed: int) -> None:
    desk = Desk(seed)
    puller = desk.caller()
    puller.send(b'{"cmd":"PULL","queue":"q","timeout":5}', PING, settle=False)
    desk.now += 10
    desk.engine.advance(desk.now)
    desk.settle()
    assert puller.heard() == [one(b"null"), PONG]


@pytest.mark.parametrize("seed", range(10))
def test_stopping_while_the_core_looks(seed: int) -> None:
    desk = Desk(seed)
    waiter, puller = desk.caller(), desk.caller()
    assert waiter.ask(PULL) == []
    puller.send(PULL, settle=False)
    desk.engine.stop(desk.now)
    desk.settle()
    assert waiter.heard() == puller.heard() == [one(b"null")]
    assert code_of(puller.ask(PULL)[0]) == "SHUTTING_DOWN"


def test_a_refusal_that_comes_later_has_its_code_and_rid() -> None:
    caller = Desk(3, jobs_max=1).caller()
    line = b'{"cmd":"PUSH","queue":"q","data":1,"rid":"x"}'
    stored, refused = caller.ask(line, line)
    assert stored == b'{"ok":true,"id":1,"rid":"x"}'
    assert code_of(refused) == "FULL"
    assert refused.endswith(b',"rid":"x"}')
    assert code_of(caller.ask(b'{"cmd":"ACK","id":9}')[0]) == "NOT_FOUND"


@pytest.mark.parametrize("seed", range(30))
def test_many_sessions_at_once_get_every_reply_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    desk = Desk(seed)
    callers = [desk.caller() for _ in range(8)]
    sent: list[list[int]] = [[] for _ in callers]
    verbs = (
        b'"PUSH","data":1',
        b'"PUSHB","jobs":[{"data":1},{"data":2}]',
        b'"PULL","timeout":0',
        b'"PULLB","count":3,"timeout":5',
        b'"PULL","timeout":9',
        b'"ACKB","ids":[1,2,3]',
        b'"STATS"',
        b'"PING"',
    )
    for number in range(300):
        who = rng.randrange(len(callers))
        verb, queue = rng.choice(verbs), rng.choice((b"a", b"b"))
        line = b'{"cmd":%b,"queue":"%b","rid":%d}' % (verb, queue, number)
        callers[who].send(line, settle=False)
        sent[who].append(number)
        if rng.random() < 0.3 and desk.later is not None and desk.later.busy:
            desk.later.step()
        if rng.random() < 0.1:
            desk.now += 1
            desk.engine.advance(desk.now)
    desk.settle()
    while len(desk.engine._blocked):
        desk.tick(10)
    for caller, numbers in zip(callers, sent, strict=True):
        rids = [int(reply.rsplit(b'"rid":', 1)[1][:-1]) for reply in caller.heard()]
        assert rids == numbers
    assert desk.later is not None
    assert desk.later.pending_count_max > 1
