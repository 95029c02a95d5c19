"""Groups above a core: turns, old places, limits of single groups, restarts."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import CORES, require_core
from magicqueue_cores.policies import Bounds, Rate, Rule
from magicqueue_cores.records import Marked
from policies.layered import Layered

MOVES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 4)) | st.integers(1, 6), max_size=30
)


def push(layer: Layered, groups: str, **options: Any) -> list[int]:
    """Push a job of each of these groups, or of none for a dot."""
    return [
        layer.push_id(group=group, **options) if group != "." else layer.push_id(**options)
        for group in groups
    ]


def layered(name: str) -> Layered:
    return Layered(require_core(name))


@pytest.fixture(params=CORES)
def layer(request: pytest.FixtureRequest) -> Layered:
    return layered(request.param)


def test_groups_take_turns_one_job_each(layer: Layered) -> None:
    push(layer, "aaab.b.")
    assert layer.pull(99) == [1, 4, 5, 2, 6, 7, 3]


def test_priorities_come_before_turns(layer: Layered) -> None:
    push(layer, "aab")
    push(layer, "aa", priority=1)
    assert layer.pull(99) == [4, 5, 1, 3, 2]


def test_a_lost_job_takes_its_old_place(layer: Layered) -> None:
    push(layer, "aaab")
    assert layer.pull(2) == [1, 4]
    layer.close_session()
    assert layer.pull(99) == [1, 4, 2, 3]


def test_a_retry_comes_to_the_end_of_its_group(layer: Layered) -> None:
    push(layer, "aab")
    assert layer.pull(1) == [1]
    layer.fail(1)
    assert layer.pull(99) == [3, 2, 1]


def test_a_delayed_job_enters_when_its_time_has_come(layer: Layered) -> None:
    push(layer, "a", delay_ms=10)
    push(layer, "a")
    layer.tick(10)
    push(layer, "a")
    assert layer.pull(99) == [2, 1, 3]


def test_a_group_at_its_limit_hides_nobody_and_goes_on(layer: Layered) -> None:
    layer.policies.limits.limit("q", Rule(group=Bounds(1)), layer.now)
    push(layer, "aab.")
    assert layer.pull(99) == [1, 3, 4]
    layer.woken.clear()
    layer.ack(1)
    assert "q" in layer.woken
    assert layer.pull(99) == [2]


@pytest.mark.parametrize("per_group", [None, 1, 2])
@pytest.mark.parametrize("groups", ["a", "aa", "aab", "aabb", "aab.b", ".aab", "a.bbaa."])
def test_turns_of_jobs_that_are_not_handed_out_are_undone(
    layer: Layered, groups: str, per_group: int | None
) -> None:
    """A paused queue gives none, and a reply that is full ends before the others."""
    layer.policies.limits.limit("q", Rule(group=Bounds(per_group)), layer.now)
    push(layer, groups)
    control = Layered(layer.core.name)
    control.policies.limits.limit("q", Rule(group=Bounds(per_group)), control.now)
    push(control, groups)
    expected = control.pull(99)
    layer.core.pause("q", paused=True, now_ms=layer.now)
    assert layer.pull(99) == []
    layer.check()
    layer.core.pause("q", paused=False, now_ms=layer.now)
    got = [job_id for _ in expected for job_id in layer.pull(99, payload_bytes_max=1)]
    assert got == expected
    layer.check()
    assert layer.pull(99) == []


@pytest.mark.parametrize("name", CORES)
@given(
    jobs=st.lists(
        st.tuples(st.sampled_from("ab.."), st.sampled_from([1, 4, 9]), st.integers(0, 1)),
        min_size=1,
        max_size=12,
    ),
    bounds=st.lists(
        st.tuples(st.sampled_from([1, 3, 9]), st.sampled_from([1, 5, 12, 40])), min_size=1
    ),
)
@settings(max_examples=60, deadline=None)
def test_whatever_bounds_a_pull_has_it_gives_the_first_ones(
    name: str, jobs: list[tuple[str, int, int]], bounds: list[tuple[int, int]]
) -> None:
    """So pulls one after the other give all in the order that one pull would."""
    both = layered(name), layered(name)
    for each in both:
        for group, size, priority in jobs:
            wish: dict[str, Any] = {} if group == "." else {"group": group}
            each.push(b"1" * size, priority=priority, **wish)
    layer, control = both
    expected, got = control.pull(99), list[int]()
    for count, bytes_max in itertools.cycle(bounds):
        part = layer.pull(count, payload_bytes_max=bytes_max)
        assert len(part) <= count
        if not part:
            break
        got += part
        layer.check()
    assert got == expected


def test_a_rate_of_groups_is_each_ones_own(layer: Layered) -> None:
    rate = Rate(1, 10, 1)
    layer.policies.limits.limit("q", Rule(group=Bounds(None, rate)), layer.now)
    push(layer, "aabb")
    assert layer.pull(99) == [1, 3]
    layer.tick(9)
    assert layer.pull(99) == []
    layer.woken.clear()
    layer.tick(1)
    assert "q" in layer.woken
    assert layer.pull(99) == [2, 4]


def test_who_waits_the_longest_is_known_of_each_queue_and_of_all(layer: Layered) -> None:
    def waited() -> list[int]:
        oldest_ms = layer.policies.groups.oldest_ms
        return [oldest_ms(queue, layer.now) for queue in (None, "q", "r")]

    first = layer.push_id(group="a")
    layer.tick(10)
    layer.push_id(group="a", queue="r")
    layer.tick(5)
    assert waited() == [15, 15, 5]
    assert layer.pull() == [first]
    assert waited() == [5, 0, 5]
    layer.release(first)
    assert waited() == [15, 15, 5]
    assert layer.restarted().policies.groups.oldest_ms(None, layer.now) == 15
    layer.pull()
    layer.ack(first)
    layer.tick(1)
    assert waited() == [6, 0, 6]
    layer.drain("r")
    assert waited() == [0, 0, 0]


def test_a_drained_queue_has_no_groups(layer: Layered) -> None:
    push(layer, "ab.a")
    push(layer, "a", delay_ms=50)
    assert layer.drain() == 5
    assert not layer.policies.groups.any
    assert layer.policies.stats().groups == 0


@pytest.mark.parametrize("also", ["", "a"], ids=["alone", "with a live one"])
def test_the_mark_of_a_dead_job_may_be_told_again(layer: Layered, also: str) -> None:
    """As a log does whose server was killed while it told old jobs anew."""
    dead = layer.dead_one(group="a")
    push(layer, also)
    again = layer.moved()
    for record in layer.policies.export([dead]):
        if isinstance(record, Marked):
            again.policies.replay(record)
    again.check()
    again.retry(dead)
    assert sorted(again.pull(9)) == list(range(1, 2 + len(also)))


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("moved", [False, True], ids=["whole log", "moved"])
def test_a_restart_keeps_places_and_begins_with_the_first_jobs(
    name: str, *, moved: bool
) -> None:
    layer = layered(name)
    push(layer, "aabbc")
    assert layer.pull(2) == [1, 3]
    layer.release(1)
    layer.fail(3)
    again = layer.moved() if moved else layer.restarted()
    again.policies.advance(again.now)
    assert again.pull(99) == [1, 4, 5, 2, 3]


def fair(layer: Layered, moves: list[tuple[str, int] | int]) -> None:
    """Between two jobs of a group that had more, each other is served at most once."""
    waiting, group_of = Counter[str](), dict[int, str]()
    since: dict[str, Counter[str]] = {}
    for move in moves:
        if isinstance(move, tuple):
            name, count = move
            group_of |= dict.fromkeys(push(layer, name * count), name)
            waiting[name] += count
            continue
        ready = sum(waiting.values())
        ids = layer.pull(move)
        assert len(ids) == min(move, ready), "somebody starves"
        for job_id in ids:
            name = group_of[job_id]
            for others in since.values():
                others[name] += 1
            passed = since.pop(name, Counter[str]())
            passed.pop(name, None)
            assert max(passed.values(), default=0) <= 1, f"{name} was passed twice"
            waiting[name] -= 1
            if waiting[name]:
                since[name] = Counter()


@settings(max_examples=30, deadline=None)
@given(MOVES)
def test_turns_are_fair(moves: list[tuple[str, int] | int]) -> None:
    fair(Layered("python"), moves)


def test_a_small_group_does_not_wait_for_a_large_one(layer: Layered) -> None:
    layer.push_items(*[{"group": "large"}] * 500)
    push(layer, "s")
    assert 501 in layer.pull(2)
