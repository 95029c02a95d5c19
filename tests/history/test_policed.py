"""The checker of keys, results and cancels finds what is wrong, and blames nothing else."""

from typing import Any

import pytest

from history.by_hand import LOST, at
from history.operations import History, Operation
from history.policed import Cancel, Done, Ends, KeyedPush, Taken, broken


def push(
    start: int, end: int | None, job_id: int, key: str | None = "k", **more: Any
) -> KeyedPush:
    made = KeyedPush(queue="q", key=key, id=0 if end is None else job_id, **more)
    return at(made, start, end)  # type: ignore[no-any-return]  # what it was given


def taken(start: int, job_id: int) -> Taken:
    return at(Taken(ids=[job_id]), start, start + 1)  # type: ignore[no-any-return]


def done(start: int, end: int | None, job_id: int, result: object = 7) -> Done:
    made = Done(id=job_id, result=result, taken=end is not None)
    return at(made, start, end)  # type: ignore[no-any-return]


def cancel(start: int, end: int | None, job_id: int, word: str = "cancelled") -> Cancel:
    made = Cancel(id=job_id, word="" if end is None else word)
    return at(made, start, end)  # type: ignore[no-any-return]


def look(start: int, job_id: int, state: str | None, result: object = None) -> Ends:
    row = None if state is None else (state, result)
    return at(Ends(rows={job_id: row}), start, start + 1)  # type: ignore[no-any-return]


WRONG: dict[str, tuple[str, list[Operation]]] = {
    "one id for two pushes": ("two pushes", [push(0, 1, 1), push(2, 3, 1, "l")]),
    "two jobs with a key": ("held by job 1 and by 2", [push(0, 1, 1), push(2, 3, 2)]),
    "two, the end of one too late": (
        "held by job 1 and by 2",
        [push(0, 1, 1), push(2, 3, 2), done(4, 5, 1)],
    ),
    "another key's job": (
        "another's",
        [push(0, 1, 1, "l"), push(2, 3, 1, duplicate=True)],
    ),
    "a repeat that was answered with another key's job": (
        "another's",
        [push(0, 1, 1, "l"), push(2, 3, 1, unsure=True)],
    ),
    "a repeat that was answered with a job that had ended": (
        "has ended",
        [push(0, 1, 1), done(2, 3, 1), push(4, 5, 1, unsure=True)],
    ),
    "two repeats with different keys for one job": (
        "another's",
        [push(0, 5, 1, unsure=True), push(1, 6, 1, "l", unsure=True)],
    ),
    "a key held by a repeat's job and by another": (
        "held by job 1 and by 2",
        [push(0, 1, 1, unsure=True), push(2, 3, 2)],
    ),
    "a job that has ended": (
        "has ended",
        [push(0, 1, 1), done(2, 3, 1), push(4, 5, 1, duplicate=True)],
    ),
    "a job that was cancelled": (
        "has ended",
        [push(0, 1, 1), cancel(2, 3, 1), push(4, 5, 1, duplicate=True)],
    ),
    "two ACKs": ("twice", [push(0, 1, 1), done(2, 3, 1), done(4, 5, 1)]),
    "back after its ACK": ("is back", [push(0, 1, 1), done(2, 3, 1), taken(4, 1)]),
    "a result that is lost": (
        "not 7",
        [push(0, 1, 1), done(2, 3, 1), look(4, 1, "active")],
    ),
    "another result": ("not 7", [push(0, 1, 1), done(2, 3, 1), look(4, 1, "done", 8)]),
    "a result from nowhere": ("nobody sent", [push(0, 1, 1), look(4, 1, "done", 8)]),
    "an end that is not kept": ("lost", [push(0, 1, 1), look(2, 1, None)]),
    "handed out after a cancel": (
        "handed out after",
        [push(0, 1, 1), cancel(2, 3, 1, "cancelling"), taken(4, 1)],
    ),
    "ready after a cancel": (
        "is ('ready'",
        [push(0, 1, 1), cancel(2, 3, 1, "cancelling"), look(4, 1, "ready")],
    ),
    "active after a cancel": (
        "is ('active'",
        [push(0, 1, 1), cancel(2, 3, 1), look(4, 1, "active")],
    ),
    "cancelled by nobody": (
        "nobody asked",
        [push(0, 1, 1), cancel(2, 3, 1, "missing"), look(4, 1, "cancelled")],
    ),
}

RIGHT: dict[str, list[Operation]] = {
    "a key that was given back": [push(0, 1, 1), done(2, 3, 1), push(4, 5, 2)],
    "a key that may have been given back": [push(0, 1, 1), done(2, LOST, 1), push(4, 5, 2)],
    "pushes at the same time": [push(0, 9, 1), push(2, 3, 2)],
    "a duplicate": [push(0, 1, 1), push(2, 3, 1, duplicate=True)],
    "repeats of which nobody knows whose the job is": [
        push(0, 9, 1, unsure=True),
        push(1, 2, 1, duplicate=True),
        push(3, 8, 1, unsure=True),
        push(4, 5, 1, duplicate=True),
    ],
    "a repeat beside who is sure": [push(0, 9, 1, unsure=True), push(1, 2, 1)],
    "a duplicate of an end that was not heard": [
        push(0, 1, 1),
        done(2, LOST, 1),
        push(4, 5, 1, duplicate=True),
    ],
    "a result": [push(0, 1, 1), taken(2, 1), done(4, 5, 1), look(6, 1, "done", 7)],
    "a result that nobody heard of": [
        push(0, 1, 1),
        done(2, LOST, 1),
        look(4, 1, "done", 7),
    ],
    "no result, as nobody heard of it": [
        push(0, 1, 1),
        done(2, LOST, 1),
        look(4, 1, "active"),
    ],
    "done after a cancel": [
        push(0, 1, 1),
        cancel(2, 3, 1, "cancelling"),
        done(4, 5, 1),
        look(6, 1, "done", 7),
    ],
    "a cancel that nobody heard of": [
        push(0, 1, 1),
        cancel(2, LOST, 1),
        look(4, 1, "cancelled"),
    ],
    "keys of nobody": [push(0, 1, 1, None), push(2, 3, 2, None)],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str) -> None:
    sentence, operations = WRONG[name]
    assert any(sentence in found for found in broken(History(operations=operations)))


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be_right_is_not_blamed(name: str) -> None:
    assert broken(History(operations=RIGHT[name])) == []
