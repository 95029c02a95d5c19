"""The waiting room alone: turns, deadlines, and that its size follows the waiters."""

import random

from magicqueue.wire.requests import NO_RID
from magicqueue_cores.contract import NEVER_MS
from magicqueue_server.session import Session
from magicqueue_server.waiting import Waiter, WaitingRoom


def _waiter(session_id: int, queue: str = "q", deadline_ms: int = NEVER_MS) -> Waiter:
    session = Session(session_id, lambda _: None, lambda: None, lambda: None)
    return Waiter(
        session=session,
        queues=(queue,),
        count=1,
        lease_ms=1,
        deadline_ms=deadline_ms,
        batch=False,
        rid=NO_RID,
    )


def test_turns_are_taken_in_order_of_arrival() -> None:
    room = WaitingRoom()
    waiters = [_waiter(number) for number in range(5)]
    for waiter in waiters:
        room.add(waiter)
    assert room.remove(2) is waiters[2]
    room.add(waiters[2], first=True)
    turns = []
    while (first := room.first("q")) is not None:
        turns.append(first.session.id)
        assert room.has(first.session.id)
        room.remove(first.session.id)
        assert not room.has(first.session.id)
    assert turns == [2, 0, 1, 3, 4]
    assert "q" not in room
    assert len(room) == 0


def test_nobody_waits_in_an_empty_room() -> None:
    room = WaitingRoom()
    assert room.first("q") is None
    assert room.remove(1) is None
    assert room.overdue(10**15) == []
    assert room.everyone() == []
    assert room.next_deadline_ms == NEVER_MS


def test_the_overdue_come_in_order_of_their_deadlines() -> None:
    room = WaitingRoom()
    for number, deadline_ms in enumerate((50, 10, 30, 10, 70)):
        room.add(_waiter(number, queue=f"q{number % 2}", deadline_ms=deadline_ms))
    assert room.next_deadline_ms == 10
    assert [waiter.session.id for waiter in room.overdue(50)] == [1, 3, 2, 0]
    assert len(room) == 1
    assert room.next_deadline_ms == 70
    assert [waiter.session.id for waiter in room.everyone()] == [4]
    assert room.next_deadline_ms == NEVER_MS


def test_a_session_that_waits_anew_is_not_timed_out_by_its_old_deadline() -> None:
    room = WaitingRoom()
    room.add(_waiter(1, deadline_ms=10))
    room.remove(1)
    again = _waiter(1, deadline_ms=90)
    room.add(again)
    assert room.overdue(50) == []
    assert room.overdue(90) == [again]


def test_deadlines_of_those_who_left_do_not_pile_up() -> None:
    room = WaitingRoom()
    rng = random.Random(5)
    staying = [_waiter(number, deadline_ms=10**9) for number in range(100)]
    for waiter in staying:
        room.add(waiter)
    for number in range(20_000):
        room.add(_waiter(1000 + number, deadline_ms=rng.randrange(1, 10**6)))
        room.remove(1000 + number)
        assert len(room.deadlines) <= 2 * (len(room) + 1) + 64
    assert room.overdue(10**8) == []
    assert room.overdue(10**9) == staying
