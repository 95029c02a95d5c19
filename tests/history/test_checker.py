"""The checker finds each kind of broken promise, and blames no history that can be right.

All by hand: pairs of histories that differ in one thing, of which one is wrong.
"""

from itertools import count

import pytest

from history.by_hand import (
    LOST,
    ack,
    at,
    closed,
    fail,
    killed,
    look,
    other_data,
    pull,
    push,
    refused,
)
from history.checker import BrokenPromise, check, violations
from history.operations import MS, Close, History, Look, Operation, Pause, Pull, Push, Seen

WRONG: dict[str, tuple[str, list[Operation]]] = {
    "a job nobody pushed": ("nowhere", [pull(0, 1, (1, 1))]),
    "a job before its push": ("nowhere", [pull(0, 1, (1, 1)), push(2, 3, 1)]),
    "a refused job": ("nowhere", [push(0, 1, 1, refused=True), pull(2, 3, (1, 1))]),
    "other data": ("nowhere", [push(0, 1, 1), other_data(pull(2, 3, (1, 1)), "x")]),
    "data of another job": (
        "twice, as 2 and 1",
        [push(0, 1, 1), push(2, 3, 2), other_data(pull(4, 5, (1, 1)), "2")],
    ),
    "a job of an unheard push as two": (
        "twice, as 1 and 9",
        [push(0, LOST, 1), pull(2, 3, (1, 1)), other_data(pull(4, 5, (9, 1)), "1")],
    ),
    "a job of another queue": (
        "another queue",
        [push(0, 1, 1), pull(2, 3, (1, 1), queue="r")],
    ),
    "a verdict on nothing": ("nobody saw", [ack(0, 1, 1)]),
    "ids that do not rise": ("given after 5", [push(0, 1, 5), push(2, 3, 4)]),
    "ids that do not rise in a push": ("do not rise", [push(0, 1, 2, 1)]),
    "a lost push": ("is lost", [push(0, 1, 1), look(2, 3, 1, None)]),
    "a lost job of an unheard push": (
        "is lost",
        [push(0, LOST, 1), pull(1, 2, (1, 1)), look(3, 4, 1, None)],
    ),
    "a failed job that is gone": (
        "is lost",
        [push(0, 1, 1), pull(1, 2, (1, 1)), fail(3, 4, 1), look(5, 6, 1, None)],
    ),
    "a pull after the ACK": (
        "pulled after its ACK",
        [push(0, 1, 1), pull(2, 3, (1, 1)), ack(4, 5, 1), pull(6, 7, (1, 2))],
    ),
    "an attempt above one that was acknowledged": (
        "attempt 1 at job 1 was taken",
        [
            push(0, 1, 1),
            pull(2, 3, (1, 1), lease_ms=1),
            pull(12, 20, (1, 2)),
            ack(13, 19, 1, 1),
        ],
    ),
    "a look after the ACK": (
        "there after its ACK",
        [push(0, 1, 1), pull(2, 3, (1, 1)), ack(4, 5, 1), look(6, 7, 1, "ready", 1)],
    ),
    "two ACKs": (
        "taken twice",
        [push(0, 1, 1), pull(2, 3, (1, 1)), ack(4, 5, 1), ack(6, 7, 1)],
    ),
    "a failure after the ACK": (
        "verdict was taken after",
        [push(0, 1, 1), pull(2, 3, (1, 1)), ack(4, 5, 1), fail(6, 7, 1)],
    ),
    "two leases": (
        "leased twice: attempt 2",
        [push(0, 1, 1), pull(2, 3, (1, 1)), pull(900, 990, (1, 2))],
    ),
    "one attempt twice": (
        "attempt 1 at job 1 was leased twice",
        [push(0, 1, 1), pull(2, 3, (1, 1)), pull(2000, 2001, (1, 1))],
    ),
    "attempts that go back": (
        "is forgotten",
        [push(0, 1, 1), pull(2, 3, (1, 2)), pull(2000, 2001, (1, 1))],
    ),
    "an attempt that a look does not know": (
        "is forgotten",
        [push(0, 1, 1), pull(2, 3, (1, 1)), look(4, 5, 1, "active", 0)],
    ),
    "a lease that a look does not know": (
        "lease of job 1 is forgotten",
        [push(0, 1, 1), pull(2, 3, (1, 1)), look(4, 5, 1, "ready", 1)],
    ),
    "a verdict that is refused": (
        "was refused",
        [push(0, 1, 1), pull(2, 3, (1, 1)), refused(ack(4, 5, 1))],
    ),
    "a stale failure that is taken": (
        "on attempt 1 at job 1 was taken",
        [
            push(0, 1, 1),
            pull(2, 3, (1, 1), lease_ms=1),
            pull(12, 13, (1, 2)),
            fail(14, 15, 1, 1),
        ],
    ),
    "the second before the first": (
        "job 2 was handed out before job 1",
        [push(0, 1, 1), push(2, 3, 2), pull(4, 5, (2, 1)), pull(6, 7, (1, 1))],
    ),
    "the second while the first stays": (
        "job 2 was handed out before job 1",
        [push(0, 1, 1), push(2, 3, 2), pull(4, 5, (2, 1)), look(6, 7, 1, "ready")],
    ),
    "the later item of a batch first": (
        "job 2 was handed out before job 1",
        [push(0, 1, 1, 2), pull(4, 5, (2, 1)), pull(6, 7, (1, 1))],
    ),
    "a delayed job of a batch before another": (
        "job 2 was handed out before job 1",
        [push(0, 1, 1, 2, delayed=[False, True]), pull(4, 5, (2, 1)), pull(6, 7, (1, 1))],
    ),
    "the less urgent first": (
        "job 1 was handed out before job 2",
        [
            push(0, 1, 1),
            push(2, 3, 2, priorities=[1]),
            pull(4, 5, (1, 1)),
            pull(6, 7, (2, 1)),
        ],
    ),
    "the less urgent of a batch first": (
        "job 1 was handed out before job 2",
        [push(0, 1, 1, 2, priorities=[0, 1]), pull(4, 5, (1, 1)), pull(6, 7, (2, 1))],
    ),
    "the second first in a reply": (
        "job 2 is in a reply before job 1",
        [push(0, 1, 1), push(2, 3, 2), pull(4, 5, (2, 1), (1, 1))],
    ),
    "the later item of a batch first in a reply": (
        "before an earlier one",
        [push(0, 1, 1, 2), pull(4, 5, (2, 1), (1, 1))],
    ),
    "the less urgent first in a reply": (
        "job 1 is in a reply before job 2",
        [push(0, 1, 1), push(0, 3, 2, priorities=[1]), pull(4, 5, (1, 1), (2, 1))],
    ),
    "a retried job before a fresh one": (
        "job 2 was handed out before job 1",
        [
            push(0, 1, 1),
            push(2, 3, 2),
            pull(4, LOST),
            fail(5, 6, 2),
            pull(7, 8, (2, 2)),
            pull(9, 10, (1, 1)),
        ],
    ),
    "a job that is hidden, as a look after a restart shows": (
        "found nothing, but job 1",
        [push(0, 1, 1), pull(2, 3), pull(4, LOST), killed(5), look(6, 7, 1, "ready")],
    ),
    "a job that is hidden": (
        "found nothing, but job 1",
        [push(0, 1, 1), pull(2, 3), pull(4, 5, (1, 1))],
    ),
}

RIGHT: dict[str, list[Operation]] = {
    "a push that is under way": [push(0, 9, 1), pull(2, 3, (1, 1))],
    "a push nobody heard of": [push(0, LOST, 1), pull(2, 3, (1, 1)), look(4, 5, 2, None)],
    "a push nobody heard of that did not happen": [push(0, LOST, 1), look(4, 5, 1, None)],
    "a refused push": [push(0, 1, 1, refused=True), look(4, 5, 1, None)],
    "ids of pushes at one time": [push(0, 4, 5), push(2, 3, 4)],
    "an ACK nobody heard of, that happened": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        ack(4, LOST, 1),
        look(6, 7, 1, None),
    ],
    "an ACK nobody heard of, that did not happen": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        ack(4, LOST, 1),
        pull(2000, 2001, (1, 2)),
        ack(2002, 2003, 1, 2),
        look(2004, 2005, 1, None),
    ],
    "an ACK at the time of a pull": [push(0, 1, 1), pull(2, 8, (1, 1)), ack(3, 4, 1)],
    "a lease that is over": [push(0, 1, 1), pull(2, 3, (1, 1)), pull(1000, 1003, (1, 2))],
    "a connection that closed": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        closed(4),
        pull(5, 6, (1, 2)),
    ],
    "a failure between": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        fail(4, 5, 1, 1),
        pull(6, 7, (1, 2)),
        look(8, 9, 1, "active", 2),
    ],
    "a failure nobody heard of": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        fail(4, LOST, 1, 1),
        pull(6, 7, (1, 2)),
    ],
    "a late ACK before the next attempt": [
        push(0, 1, 1),
        pull(2, 3, (1, 1), lease_ms=1),
        look(20, 21, 1, "ready", 1),
        ack(30, 31, 1, 1),
        look(40, 41, 1, None),
    ],
    "a late ACK that is refused": [
        push(0, 1, 1),
        pull(2, 3, (1, 1), lease_ms=1),
        pull(20, 21, (1, 2)),
        refused(ack(30, 31, 1, 1)),
        ack(32, 33, 1, 2),
    ],
    "a verdict refused after one nobody heard of": [
        push(0, 1, 1),
        pull(2, 3, (1, 1)),
        ack(4, LOST, 1),
        refused(ack(5, 6, 1)),
    ],
    "a lost reply that had attempt 1": [
        push(0, 1, 1),
        push(2, 3, 2),
        pull(4, LOST),
        pull(5, 6, (2, 1)),
        pull(2000, 2001, (1, 2)),
    ],
    "two pushes at one time": [
        push(0, 3, 1),
        push(2, 4, 2),
        pull(5, 6, (2, 1)),
        pull(7, 8, (1, 1)),
    ],
    "two pulls at one time": [
        push(0, 1, 1),
        push(2, 3, 2),
        pull(4, 9, (2, 1)),
        pull(5, 8, (1, 1)),
    ],
    "a delayed job": [
        push(0, 1, 1, delayed=True),
        push(2, 3, 2),
        pull(4, 5, (2, 1)),
        pull(6, 7, (1, 1)),
    ],
    "a delayed job of a batch": [
        push(0, 1, 1, 2, delayed=[True, False]),
        pull(4, 5, (2, 1)),
        pull(6, 7, (1, 1)),
    ],
    "a job that failed comes later": [
        push(0, 1, 1, 2),
        pull(2, 3, (1, 1)),
        fail(4, 5, 1),
        pull(6, 7, (2, 1), (1, 2)),
    ],
    "a more urgent one that came too late": [
        push(0, 1, 1),
        push(2, 9, 2, priorities=[1]),
        pull(4, 5, (1, 1)),
        pull(6, 7, (2, 1)),
    ],
    "the more urgent first": [
        push(0, 1, 1),
        push(2, 3, 2, priorities=[1]),
        pull(4, 5, (2, 1), (1, 1)),
    ],
    "a job handed out by a server that was killed and forgot it": [
        push(0, 1, 1),
        push(2, 3, 2),
        pull(4, LOST),
        pull(5, 6, (2, 1)),
        pull(7, 8),
        killed(9),
        pull(10, 11, (1, 1)),
    ],
    "another queue": [
        push(0, 1, 1),
        push(2, 3, 2, queue="r"),
        pull(4, 5, (2, 1), queue="r"),
        pull(6, 7, (1, 1)),
    ],
    "nothing in a paused queue": [
        push(0, 1, 1),
        at(Pause(queue="q"), 2, 3),
        pull(4, 5),
        pull(6, 7, (1, 1)),
    ],
    "nothing before the push is answered": [push(0, 3, 1), pull(2, 4), pull(5, 6, (1, 1))],
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_found(case: str) -> None:
    phrase, operations = WRONG[case]
    with pytest.raises(BrokenPromise, match=phrase):
        check(History(operations=operations))


@pytest.mark.parametrize("case", RIGHT)
def test_what_can_be_right_is_not_blamed(case: str) -> None:
    check(History(operations=RIGHT[case]))


def test_the_same_data_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="pushed twice"):
        check(History(operations=[push(0, 1, 1), push(2, 3, 1)]))


def test_a_history_notes_moments_and_cuts() -> None:
    moments = count()
    history = History(clock=lambda: next(moments))
    first = history.begin(Push(connection=4, queue="q", data=["x"]))
    history.end(first, ids=[1])
    second = history.begin(Pull(connection=4, queue="q", lease_ms=9))
    assert (first.start, first.end, first.ids) == (0, 1, [1])
    assert (second.start, second.answered) == (2, False)
    history.cut(4)
    history.cut(5)
    (end,) = [one for one in history.operations if isinstance(one, Close)]
    assert (end.connection, end.start) == (4, 0)


def test_of_a_copy_only_what_came_before_is_certain() -> None:
    history = History(operations=[push(0, 1, 1), push(2, 5, 2), push(7, 8, 3)])
    copy = history.of_a_copy(4 * MS, 6 * MS)
    copy.operations.append(
        at(Look(jobs={1: Seen("1", "ready", 0), 2: None, 3: None}), 9, 10)
    )
    check(copy)
    copy.operations.append(look(11, 12, 3, "ready"))
    copy.operations.append(look(13, 14, 1, None))
    assert [text.split(":")[0] for text in violations(copy)] == [
        "job 3 comes from nowhere",
        "job 1 is lost",
    ]
