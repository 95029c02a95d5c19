"""Pulls that wait: who is served when, and what becomes of those who leave."""

import pytest

from server.desk import START_MS, Caller, Desk, code_of, job, many, one

PULL = b'{"cmd":"PULL","queue":"q"}'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}'
NONE = one(b"null")


def _pushes(count: int) -> bytes:
    items = b",".join([b'{"data":1}'] * count)
    return b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}' % items


def _waiting(desk: Desk, count: int) -> list[Caller]:
    callers = [desk.caller() for _ in range(count)]
    for caller in callers:
        assert caller.ask(PULL) == []
    return callers


def test_a_blocked_pull_holds_back_its_own_session_and_no_other(desk: Desk) -> None:
    waiter, other = desk.caller(), desk.caller()
    assert waiter.ask(PING, PULL, PING, PUSH) == [PONG]
    assert other.ask(PING, PUSH) == [PONG, b'{"ok":true,"id":1}']
    assert waiter.heard() == [one(job(1)), PONG, b'{"ok":true,"id":2}']


def test_first_come_first_served(desk: Desk) -> None:
    callers = _waiting(desk, 5)
    pusher = desk.caller()
    for number, caller in enumerate(callers, 1):
        pusher.ask(PUSH)
        assert caller.heard() == [one(job(number))]
        assert not any(other.heard() for other in callers)


def test_a_push_wakes_as_many_as_it_can_feed(desk: Desk) -> None:
    callers = _waiting(desk, 6)
    desk.caller().ask(_pushes(4))
    served = [caller.heard() for caller in callers]
    assert served == [[one(job(n))] for n in (1, 2, 3, 4)] + [[], []]
    assert desk.engine.core.next_deadline_ms == START_MS + 300_000


def test_a_batch_pull_takes_what_is_there_and_does_not_wait_to_fill_up(desk: Desk) -> None:
    first, second = desk.caller(), desk.caller()
    first.ask(b'{"cmd":"PULLB","queue":"q","count":3}')
    second.ask(b'{"cmd":"PULLB","queue":"q","count":3}')
    desk.caller().ask(_pushes(4))
    assert first.heard() == [many(job(1), job(2), job(3))]
    assert second.heard() == [many(job(4))]


def test_a_waiter_whose_turn_it_was_not_keeps_its_turn(desk: Desk) -> None:
    a, b, c = _waiting(desk, 3)
    pusher = desk.caller()
    pusher.ask(PUSH)
    d = desk.caller()
    d.ask(PULL)
    pusher.ask(PUSH, PUSH)
    pusher.ask(PUSH)
    assert [caller.heard() for caller in (a, b, c, d)] == [
        [one(job(number))] for number in (1, 2, 3, 4)
    ]


def test_queues_do_not_wait_for_each_other(desk: Desk) -> None:
    (q,) = _waiting(desk, 1)
    r = desk.caller()
    r.ask(b'{"cmd":"PULL","queue":"r"}')
    desk.caller().ask(b'{"cmd":"PUSH","queue":"r","data":1}')
    assert r.heard() == [one(job(1, queue=b"r"))]
    assert q.heard() == []


def test_a_pull_times_out_on_time(desk: Desk) -> None:
    caller = desk.caller()
    line = b'{"cmd":"PULLB","queue":"q","count":2,"timeout":50,"rid":9}'
    assert caller.ask(line, PING) == []
    assert desk.engine.next_deadline_ms == START_MS + 50
    desk.tick(49)
    assert caller.heard() == []
    desk.tick(1)
    assert caller.heard() == [b'{"ok":true,"jobs":[],"rid":9}', PONG]
    desk.caller().ask(PUSH)
    assert caller.heard() == []
    assert caller.ask(PULL) == [one(job(1).replace(b"000,", b"050,"))]


def test_a_pull_without_timeout_waits_for_ever(desk: Desk) -> None:
    (caller,) = _waiting(desk, 1)
    desk.tick(10**9)
    assert caller.heard() == []
    desk.caller().ask(PUSH)
    assert len(caller.heard()) == 1


def test_a_job_that_comes_at_the_last_moment_is_not_missed(desk: Desk) -> None:
    desk.caller().ask(b'{"cmd":"PUSH","queue":"q","data":1,"delay":50}')
    caller = desk.caller()
    caller.ask(b'{"cmd":"PULL","queue":"q","timeout":51}')
    desk.tick(50)
    (reply,) = caller.heard()
    assert b'"id":1' in reply


def test_a_closed_sessions_pull_takes_no_job(desk: Desk) -> None:
    gone, there = _waiting(desk, 2)
    gone.close()
    desk.caller().ask(PUSH)
    assert there.heard() == [one(job(1))]
    assert gone.heard() == []


def test_a_pull_whose_session_closes_as_a_job_matures_takes_no_job(desk: Desk) -> None:
    pusher = desk.caller()
    pusher.ask(b'{"cmd":"PUSH","queue":"q","data":1,"delay":5}')
    gone, there = _waiting(desk, 2)
    desk.now += 5
    gone.close()
    assert b'"attempts":1' in there.heard()[0]
    assert b'"lost":0' in pusher.ask(b'{"cmd":"GETJOB","id":1}')[0]


def test_a_pull_of_one_who_leaves_is_forgotten_and_he_is_hung_up_on(desk: Desk) -> None:
    leaver, there = _waiting(desk, 2)
    leaver.send(PING)
    desk.engine.leave(leaver.session, desk.now)
    desk.settle()
    assert (leaver.heard(), leaver.hang_ups) == ([], 1)
    desk.caller().ask(PUSH)
    assert there.heard() == [one(job(1))]


def test_one_who_leaves_gets_the_replies_to_what_he_sent(desk: Desk) -> None:
    leaver = desk.caller()
    leaver.send(PUSH, PULL, PING, settle=False)
    desk.engine.leave(leaver.session, desk.now)
    desk.settle()
    assert leaver.heard() == [b'{"ok":true,"id":1}', one(job(1)), PONG]
    assert leaver.hang_ups == 1


def test_one_who_leaves_and_would_have_to_wait_is_hung_up_on(desk: Desk) -> None:
    leaver = desk.caller()
    leaver.send(PING, PULL, PING, settle=False)
    desk.engine.leave(leaver.session, desk.now)
    desk.settle()
    assert leaver.heard() == [PONG]
    assert leaver.hang_ups == 1


def test_jobs_of_a_closed_session_come_back_to_those_who_wait(desk: Desk) -> None:
    holder = desk.caller()
    holder.ask(_pushes(2), b'{"cmd":"PULLB","queue":"q","count":2}')
    first, second, third = _waiting(desk, 3)
    holder.close()
    assert first.heard() == [one(job(1, attempts=2))]
    assert second.heard() == [one(job(2, attempts=2))]
    assert third.heard() == []


def test_a_lease_that_ends_feeds_those_who_wait(desk: Desk) -> None:
    holder = desk.caller()
    holder.ask(PUSH, b'{"cmd":"PULL","queue":"q","lease":100}')
    (waiter,) = _waiting(desk, 1)
    assert desk.engine.next_deadline_ms == START_MS + 100
    desk.tick(99)
    assert waiter.heard() == []
    desk.tick(1)
    assert waiter.heard() == [one(job(1, attempts=2))]
    assert code_of(holder.ask(b'{"cmd":"ACK","id":1,"attempt":1}')[0]) == "STALE"


def test_the_default_lease_ends_too(seed: int | None) -> None:
    desk = Desk(seed)
    holder = desk.caller()
    holder.ask(PUSH, PULL)
    (waiter,) = _waiting(desk, 1)
    desk.tick(300_000)
    assert waiter.heard() == [one(job(1, attempts=2))]


def test_a_delayed_job_is_handed_out_when_it_is_due(desk: Desk) -> None:
    desk.caller().ask(b'{"cmd":"PUSH","queue":"q","data":1,"delay":30}')
    (waiter,) = _waiting(desk, 1)
    assert desk.engine.next_deadline_ms == START_MS + 30
    desk.tick(29)
    assert waiter.heard() == []
    desk.tick(1)
    assert len(waiter.heard()) == 1


def test_a_failed_job_goes_to_those_who_wait(desk: Desk) -> None:
    holder = desk.caller()
    holder.ask(PUSH, PULL)
    (waiter,) = _waiting(desk, 1)
    assert holder.ask(b'{"cmd":"FAIL","id":1}') == [b'{"ok":true,"state":"ready"}']
    assert waiter.heard() == [one(job(1, attempts=2))]


def test_a_revived_job_goes_to_those_who_wait(desk: Desk) -> None:
    holder = desk.caller()
    holder.ask(b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":1}', PULL)
    holder.ask(b'{"cmd":"FAIL","id":1}')
    (waiter,) = _waiting(desk, 1)
    holder.ask(b'{"cmd":"RETRYDEAD","queue":"q"}')
    assert waiter.heard() == [one(job(1))]


def test_those_who_wait_at_a_paused_queue_go_on_waiting(desk: Desk) -> None:
    admin = desk.caller()
    admin.ask(b'{"cmd":"PAUSE","queue":"q"}')
    waiters = _waiting(desk, 2)
    admin.ask(_pushes(3))
    assert [waiter.heard() for waiter in waiters] == [[], []]
    assert admin.ask(b'{"cmd":"RESUME","queue":"q"}') == [b'{"ok":true}']
    assert [waiter.heard() for waiter in waiters] == [[one(job(1))], [one(job(2))]]


def test_pausing_with_somebody_waiting(desk: Desk) -> None:
    (waiter,) = _waiting(desk, 1)
    admin = desk.caller()
    admin.ask(b'{"cmd":"PAUSE","queue":"q"}', PUSH)
    assert waiter.heard() == []
    admin.ask(b'{"cmd":"RESUME","queue":"q"}')
    assert waiter.heard() == [one(job(1))]


def test_a_thousand_waiters_cost_no_depth_of_stack(desk: Desk) -> None:
    callers = _waiting(desk, 1500)
    for caller in callers:
        caller.send(PUSH, PING)
    callers[0].close()
    desk.caller().ask(PUSH)
    served = [caller.heard() for caller in callers[1:]]
    assert all(len(replies) == 3 for replies in served)


def test_stopping_answers_those_who_wait_and_refuses_new_jobs(desk: Desk) -> None:
    holder = desk.caller()
    holder.ask(PUSH, PULL)
    (waiter,) = _waiting(desk, 1)
    batch = desk.caller()
    batch.ask(b'{"cmd":"PULLB","queue":"z","count":1,"rid":4}')
    desk.engine.stop(desk.now)
    desk.settle()
    assert waiter.heard() == [NONE]
    assert batch.heard() == [b'{"ok":true,"jobs":[],"rid":4}']
    refused = holder.ask(PUSH, _pushes(1), PULL, b'{"cmd":"PULLB","queue":"q","count":1}')
    assert {code_of(reply) for reply in refused} == {"SHUTTING_DOWN"}
    assert holder.ask(b'{"cmd":"ACK","id":1}', PING) == [b'{"ok":true}', PONG]


@pytest.mark.parametrize("held", [False, True])
def test_waiting_is_counted(desk: Desk, *, held: bool) -> None:
    waiters = _waiting(desk, 3)
    if held:
        waiters[0].close()
    (reply,) = desk.caller().ask(b'{"cmd":"STATS"}')
    assert b'"connections":%d,"waiting":%d' % (4 - held, 3 - held) in reply
