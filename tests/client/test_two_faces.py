"""What is there for asyncio code and for plain code is the same, and is said the same."""

import inspect
from typing import Any

import pytest

from magicqueue import Queue, SyncQueue, SyncWorker, Worker

NOT_FOR_USERS = {"forked"}
OWN_WORDS = {
    # how they are stopped and started differs: by an event loop, or by threads
    ("Worker", "start"),
    ("Worker", "stop"),
    ("Worker", "request_stop"),
    ("Queue", "close"),
    ("Queue", "pull"),
}
PAIRS = [(Queue, SyncQueue), (Worker, SyncWorker)]


def public(kind: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and name not in NOT_FOR_USERS
    }


def methods() -> list[tuple[type, type, str]]:
    return [(one, other, name) for one, other in PAIRS for name in sorted(public(one))]


def parameters(method: Any) -> list[tuple[Any, ...]]:
    only_async = " | collections.abc.AsyncIterable[typing.Any]"
    return [
        (p.name, p.kind, p.default, str(p.annotation).replace(only_async, ""))
        for p in inspect.signature(method).parameters.values()
    ]


def words(method: Any) -> str:
    return " ".join((inspect.getdoc(method) or "").split())


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_both_have_the_same_methods(one: type, other: type) -> None:
    assert public(one).keys() == public(other).keys()


@pytest.mark.parametrize(("one", "other", "name"), methods())
def test_a_method_takes_the_same_and_says_the_same(
    one: type, other: type, name: str
) -> None:
    mine, theirs = public(one)[name], public(other)[name]
    if isinstance(mine, property):
        assert words(mine) == words(theirs)
        return
    assert parameters(mine) == parameters(theirs)
    assert words(mine)
    assert (words(mine) == words(theirs)) == ((one.__name__, name) not in OWN_WORDS)


def test_what_they_are_made_with_is_the_same() -> None:
    assert parameters(Queue.__init__) == parameters(SyncQueue.__init__)
    mine = {one[0]: one for one in parameters(Worker.__init__)}
    theirs = {one[0]: one for one in parameters(SyncWorker.__init__)}
    assert mine.keys() - theirs.keys() == {"inline"}
    assert theirs.keys() <= mine.keys()
    for name in theirs.keys() - {"concurrency"}:
        assert mine[name] == theirs[name]
