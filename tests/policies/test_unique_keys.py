"""Unique keys: who holds one, for how long, and what a push gets that wants it."""

import pytest

from conformance.driver import require_core
from magicqueue_cores.contract import Full
from magicqueue_cores.policies import BadWish, Duplicate, PolicyOptions
from policies.layered import Layered


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


def test_the_holder_answers_for_a_duplicate(layer: Layered) -> None:
    first = layer.push_id(unique_key="k")
    again = layer.push(unique_key="k")
    assert list(again.ids) == [first]
    assert again.duplicates == [0]
    assert layer.push_id(queue="other", unique_key="k") == first + 1
    assert layer.core.queue_stats("q", layer.now).duplicates == 1  # type: ignore[union-attr]


def test_reject_names_the_holder(layer: Layered) -> None:
    first = layer.push_id(unique_key="k")
    with pytest.raises(Duplicate) as caught:
        layer.push(unique_key="k", on_conflict="reject")
    assert (caught.value.index, caught.value.holder) == (0, first)
    with pytest.raises(Duplicate) as caught:
        layer.push_items(
            {}, {"unique_key": "new"}, {"unique_key": "new", "on_conflict": "reject"}
        )
    assert (caught.value.index, caught.value.holder) == (2, None)
    assert layer.push_id() == first + 1, "the batch was refused whole"


@pytest.mark.parametrize("until", ["done", "start"])
def test_a_key_is_held_through_retries_or_until_the_start(
    layer: Layered, until: str
) -> None:
    first = layer.push_id(unique_key="k", until=until, delay_ms=5)
    assert layer.push(unique_key="k").duplicates == [0]
    layer.tick(5)
    assert layer.pull() == [first]
    held = until == "done"
    assert bool(layer.push(unique_key="k").duplicates) is held
    layer.fail(first, delays_ms=[100])
    assert layer.restarted().push(unique_key="k").duplicates == [0]
    holder = layer.push(unique_key="k").ids[0]
    assert (holder == first) is held
    layer.tick(100)
    assert layer.push(unique_key="k").ids[0] == holder, "a retry takes no key again"
    while layer.pull():
        layer.close_session()
        assert layer.push(unique_key="k").ids[0] in range(first, first + 9)
        layer.ack(*layer.pull(9))
    layer.push_id(unique_key="k")


@pytest.mark.parametrize("back", ["fail", "release", "close"])
def test_a_job_that_was_started_takes_its_key_no_more(layer: Layered, back: str) -> None:
    first = layer.push_id(unique_key="k", until="start")
    layer.pull()
    if back == "close":
        layer.close_session()
    else:
        getattr(layer, back)(first)
    assert layer.state(first) == "ready"
    assert layer.policies.stats().unique_keys == 0
    assert layer.restarted().push_id(unique_key="k") == first + 1
    assert layer.push_id(unique_key="k") == first + 1


def test_a_key_can_be_held_for_a_time_of_its_own(layer: Layered) -> None:
    first = layer.push_id(unique_key="k", unique_for_ms=50)
    layer.ack(*layer.pull())
    layer.tick(49)
    for each in (layer, layer.restarted()):
        again = each.push(unique_key="k")
        assert (list(again.ids), again.duplicates) == ([first], [0])
        replacing = each.push(unique_key="k", on_conflict="replace")
        assert replacing.duplicates == [0], "what is gone cannot be replaced"
    other = layer.restarted()
    for each in (layer, other):
        each.tick(1)
        each.push_id(unique_key="k")


def test_windows_are_bounded_the_oldest_goes_first(core_name: str) -> None:
    layer = Layered(core_name, PolicyOptions(windows_max=2))
    for key in "abc":
        layer.push_id(unique_key=key, unique_for_ms=50)
    assert layer.policies.stats().windows_dropped == 1
    assert layer.push(unique_key="c").duplicates
    assert layer.push(unique_key="b").duplicates
    layer.push_id(unique_key="a")


def test_replace_gives_a_waiting_holder_new_data_at_the_end(layer: Layered) -> None:
    first = layer.push_id(b"old", unique_key="k")
    second = layer.push_id()
    answer = layer.push(b"new", unique_key="k", on_conflict="replace")
    assert (list(answer.ids), answer.replaced) == ([first], [0])
    delivery = layer.deliver(2)
    assert delivery.ids == [second, first]
    assert delivery.payloads[1] == b"new"
    answer = layer.push(b"late", unique_key="k", on_conflict="replace")
    assert (answer.replaced, answer.duplicates) == ([], [0]), "an active one is left alone"
    assert layer.view(first).payload == b"new"  # type: ignore[union-attr]


def test_items_of_a_batch_come_in_turn(layer: Layered) -> None:
    holder = layer.push_id(b"0", unique_key="h")
    key = {"unique_key": "k"}
    answer = layer.push_items(
        {"payload": b"a", **key},
        {"payload": b"b"},
        {"payload": b"c", **key},
        {"payload": b"d", "unique_key": "h"},
        {"payload": b"e", **key, "on_conflict": "replace"},
        {"payload": b"f", "unique_key": "h", "on_conflict": "replace"},
    )
    a, b = holder + 1, holder + 2
    assert list(answer.ids) == [a, b, a, holder, a, holder]
    assert (answer.duplicates, answer.replaced) == ([2, 3], [4, 5])
    delivery = layer.deliver(9)
    assert delivery.ids == [b, a, holder]
    assert delivery.payloads == [b"b", b"e", b"f"]


def test_a_duplicate_takes_no_room(core_name: str) -> None:
    layer = Layered(core_name, jobs_max=1)
    first = layer.push_id(unique_key="k")
    assert layer.push(unique_key="k").ids[0] == first
    assert layer.push(b"x", unique_key="k", on_conflict="replace").replaced == [0]
    with pytest.raises(Full):
        layer.push_items({"unique_key": "k"}, {"unique_key": "new"})
    assert layer.view(first).payload == b"x"  # type: ignore[union-attr]
    layer.ack(*layer.pull())
    layer.push_id(unique_key="new")


def test_replacements_that_are_too_large_together_change_nothing(core_name: str) -> None:
    require_core(core_name)
    layer = Layered(core_name)
    for key in "ab":
        layer.push_id(unique_key=key)
    used = layer.core.stats(layer.now).memory_bytes  # type: ignore[union-attr]
    small = Layered(core_name, memory_bytes_max=used + 3_000)
    ids = [small.push_id(unique_key=key) for key in "ab"]
    before = len(small.records)
    for size in (2_000, 1, 0):  # also where the first one alone takes nothing more
        first = {"payload": b"2" * size, "on_conflict": "replace"}
        large = {"payload": b"1" * (3_100 - size), "on_conflict": "replace"}
        with pytest.raises(Full):
            small.push_items({"unique_key": "a", **first}, {"unique_key": "b", **large})
    assert len(small.records) == before
    assert [small.view(i).payload for i in ids] == [b"1", b"1"]  # type: ignore[union-attr]
    fits = {"payload": b"1" * 2_000, "on_conflict": "replace"}
    assert small.push_items({"unique_key": "a", **fits}).replaced == [0]


def test_keys_count_as_memory(core_name: str) -> None:
    layer = Layered(core_name)
    for number in range(100):
        layer.push_id(unique_key=f"{number:0255}")
    outside = layer.core.outside_bytes
    assert outside > 100 * 255
    layer.drain()
    assert layer.core.outside_bytes == 0


def test_a_dead_job_holds_no_key_and_takes_it_again(layer: Layered) -> None:
    dead = layer.dead_one(unique_key="k")
    holder = layer.push_id(unique_key="k")
    with pytest.raises(Duplicate) as caught:
        layer.retry(dead)
    assert caught.value.holder == holder
    assert layer.state(dead) == "dead"
    layer.ack(*layer.pull())
    assert layer.retry(dead) == 1
    assert layer.push(unique_key="k").ids[0] == dead
    assert layer.restarted().push(unique_key="k").ids[0] == dead


@pytest.mark.parametrize("step_jobs", [0, 1, 2])
def test_of_a_queue_those_stay_dead_whose_key_is_held(
    core_name: str, step_jobs: int
) -> None:
    layer = Layered(core_name, step_jobs=step_jobs)
    dead = [layer.dead_one(unique_key=key) for key in "abcd"]
    twice = layer.dead_one(unique_key="d")
    plain = layer.dead_one()
    holder = layer.push_id(unique_key="b")
    assert layer.retry() == 4
    states = [layer.state(job_id) for job_id in (*dead, twice, plain, holder)]
    assert states == ["ready", "dead", "ready", "ready", "dead", "ready", "ready"]
    assert layer.retry() == 0


def test_a_job_that_would_expire_before_it_runs_is_refused(layer: Layered) -> None:
    with pytest.raises(BadWish) as caught:
        layer.push_items({}, {"ttl_ms": 10, "delay_ms": 10})
    assert caught.value.index == 1
    layer.push_id(ttl_ms=10, delay_ms=9, unique_key="k")
    with pytest.raises(BadWish):
        layer.push(unique_key="k", on_conflict="replace", delay_ms=10)
