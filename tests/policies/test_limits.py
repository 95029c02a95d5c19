"""Limits of queues: how many are at work, how many a time, and throttles."""

from collections.abc import Callable

import pytest

from conformance.driver import CORES
from magicqueue_cores.contract import LIVE, Full
from magicqueue_cores.policies import Bounds, PolicyOptions, Rate, Rule
from policies.layered import Layered

EVERY_10_MS = Rate(jobs=100, per_ms=1000, burst=1)


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


def limit(layer: Layered, queue: str = "q", rule: Rule | None = None, **of: object) -> None:
    layer.policies.limits.limit(queue, rule or Rule(**of), layer.now)  # type: ignore[arg-type]
    layer.check()


def throttle(layer: Layered, for_ms: int, queue: str = "q") -> None:
    layer.policies.limits.throttle(queue, for_ms, layer.now)
    layer.check()


def fill(layer: Layered, count: int = 50) -> None:
    for _ in range(count):
        layer.push_id()


def end_of_lease(layer: Layered) -> None:
    layer.tick(10_000)


LEAVE: dict[str, Callable[[Layered, int], object]] = {
    "ack": lambda layer, job_id: layer.ack(job_id),
    "fail": lambda layer, job_id: layer.fail(job_id, delays_ms=[10**6]),
    "die": lambda layer, job_id: layer.fail(job_id, delays_ms=[2**63 - 1]),
    "release": lambda layer, job_id: layer.release(job_id, delay_ms=10**6),
    "session": lambda layer, _: layer.close_session(),
    "lease": lambda layer, _: end_of_lease(layer),
    "remove": lambda layer, job_id: layer.core.remove((job_id,), LIVE, "purged", layer.now),
    "bury": lambda layer, job_id: layer.core.bury((job_id,), "expired", (None,), layer.now),
}


@pytest.mark.parametrize("way", LEAVE)
def test_no_more_are_at_work_than_may_be(layer: Layered, way: str) -> None:
    limit(layer, concurrency=2)
    fill(layer, 5)
    assert layer.pull(5) == [1, 2]
    assert layer.pull(5) == []
    LEAVE[way](layer, 1)
    freed = 2 if way in {"session", "lease"} else 1
    assert len(layer.pull(5)) == freed
    assert layer.core.processing("q") == 2


@pytest.mark.parametrize("way", LEAVE)
def test_who_waits_hears_of_whatever_ends_a_lease(core_name: str, way: str) -> None:
    layer = Layered(core_name)
    limit(layer, concurrency=1)
    fill(layer, 3)
    layer.pull()
    layer.core.watch("q", watching=True)
    layer.woken.clear()
    LEAVE[way](layer, 1)
    assert "q" in layer.woken
    layer.core.watch("q", watching=False)
    layer.pull()
    layer.woken.clear()
    LEAVE["ack"](layer, 2)
    assert layer.woken == []


def test_a_lower_bound_revokes_nothing(layer: Layered) -> None:
    limit(layer, concurrency=3)
    fill(layer, 9)
    assert layer.pull(9) == [1, 2, 3]
    limit(layer, concurrency=1)
    assert not layer.heartbeat(1, 2, 3).missing
    layer.ack(1, 2)
    assert layer.pull(9) == []
    layer.ack(3)
    assert layer.pull(9) == [4]


def test_a_rate_is_kept_to_the_token(layer: Layered) -> None:
    limit(layer, rate=Rate(jobs=3, per_ms=1000, burst=5))
    fill(layer)
    assert len(layer.pull(50)) == 5
    pulled = 0
    for _ in range(1000):
        layer.now += 7
        pulled += len(layer.pull(50))
    assert pulled == 21


def test_a_bucket_holds_no_more_than_its_burst(layer: Layered) -> None:
    limit(layer, rate=EVERY_10_MS)
    fill(layer)
    layer.tick(10**6)
    assert len(layer.pull(50)) == 1
    layer.tick(9)
    assert layer.pull(50) == []
    layer.tick(1)
    assert len(layer.pull(50)) == 1


def test_each_hand_out_takes_a_token(layer: Layered) -> None:
    limit(layer, rate=Rate(jobs=1, per_ms=1000, burst=2))
    fill(layer, 1)
    assert layer.pull() == [1]
    layer.release(1)
    assert layer.pull() == [1]
    layer.release(1)
    assert layer.pull() == []


def test_a_pull_of_nothing_takes_no_token(layer: Layered) -> None:
    limit(layer, rate=EVERY_10_MS)
    assert layer.pull(5) == []
    fill(layer, 2)
    assert layer.pull(5) == [1]


def test_who_waits_is_told_when_a_token_is_due(layer: Layered) -> None:
    limit(layer, rate=EVERY_10_MS)
    fill(layer)
    layer.pull()
    assert layer.pull() == []
    layer.woken.clear()
    assert layer.policies.next_deadline_ms == layer.now + 10
    layer.tick(9)
    assert layer.woken == []
    layer.tick(1)
    assert layer.woken == ["q"]
    layer.woken.clear()
    layer.tick(100)
    assert layer.woken == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_bucket_is_empty_after_a_start(core_name: str, *, swapped: bool) -> None:
    layer = Layered(core_name)
    limit(layer, rate=Rate(jobs=1, per_ms=100, burst=10))
    fill(layer)
    other = next((name for name in CORES if name != core_name), core_name)
    again = layer.restarted(other if swapped else core_name)
    again.now += 5
    again.policies.advance(again.now)
    assert again.pull(50) == []
    again.tick(99)
    assert again.pull(50) == []
    again.tick(1)
    assert len(again.pull(50)) == 1


def test_a_rule_said_again_changes_nothing(layer: Layered) -> None:
    rule = Rule(2, EVERY_10_MS, Bounds(1, EVERY_10_MS))
    limit(layer, rule=rule)
    fill(layer)
    layer.pull()
    records = len(layer.records)
    limit(layer, rule=rule)
    assert len(layer.records) == records
    assert layer.pull() == []
    for each in (layer, layer.restarted()):
        assert each.policies.limits.rule_of("q") == rule


def test_another_rate_keeps_the_tokens_that_fit(layer: Layered) -> None:
    limit(layer, rate=Rate(jobs=1, per_ms=100, burst=10))
    fill(layer)
    assert len(layer.pull(4)) == 4
    limit(layer, rate=Rate(jobs=1, per_ms=7, burst=100))
    assert len(layer.pull(50)) == 6
    limit(layer, rate=Rate(jobs=1, per_ms=1000, burst=3))
    assert layer.pull(50) == []
    layer.tick(1000)
    assert len(layer.pull(50)) == 1


def test_a_token_half_way_stays_half_way(layer: Layered) -> None:
    limit(layer, rate=Rate(jobs=1, per_ms=100, burst=1))
    fill(layer)
    layer.pull()
    layer.tick(50)
    limit(layer, rate=Rate(jobs=1, per_ms=1000, burst=1))
    layer.tick(499)
    assert layer.pull() == []
    layer.tick(1)
    assert len(layer.pull()) == 1


def test_time_that_does_not_count_brings_no_tokens(layer: Layered) -> None:
    limit(layer, rate=EVERY_10_MS)
    fill(layer)
    layer.pull()
    layer.policies.limits.postpone(100)
    layer.tick(109)
    assert layer.pull() == []
    layer.tick(1)
    assert len(layer.pull()) == 1


def test_nothing_is_handed_out_while_throttled(layer: Layered) -> None:
    fill(layer)
    throttle(layer, 50)
    for each in (layer, layer.restarted()):
        assert each.pull() == []
        each.tick(49)
        assert each.pull() == []
        each.woken.clear()
        each.tick(1)
        assert "q" in each.woken
        assert each.pull() == [1]
        assert not each.policies.ruling.any


def test_the_later_end_of_a_throttle_wins_and_0_ends_it(layer: Layered) -> None:
    fill(layer)
    throttle(layer, 50)
    records = len(layer.records)
    throttle(layer, 20)
    assert len(layer.records) == records
    assert layer.policies.limits.throttled_until_ms("q") == layer.now + 50
    throttle(layer, 80)
    assert layer.policies.limits.throttled_until_ms("q") == layer.now + 80
    throttle(layer, 0)
    throttle(layer, 0)
    assert layer.policies.limits.throttled_until_ms("q") is None
    assert layer.pull() == [1]
    assert layer.restarted().policies.limits.throttled_until_ms("q") is None


def test_a_throttled_queue_keeps_its_rule(layer: Layered) -> None:
    limit(layer, concurrency=1)
    fill(layer)
    throttle(layer, 50)
    layer.tick(50)
    assert layer.pull(9) == [1]
    limit(layer, concurrency=None)
    assert layer.pull(2) == [2, 3]
    assert not layer.policies.ruling.any


def test_a_rule_makes_the_queue_known_and_keeps_it(layer: Layered) -> None:
    limit(layer, concurrency=1)
    for each in (layer, layer.restarted()):
        each.drain()
        assert [one.name for one in each.core.queues(each.now)] == ["q"]  # type: ignore[union-attr]
        limit(each, rule=Rule())
        assert each.core.queues(each.now) == []


def test_ruled_queues_are_bounded(core_name: str) -> None:
    layer = Layered(core_name, PolicyOptions(limits_max=2))
    limit(layer, "a", concurrency=1)
    throttle(layer, 5, "b")
    with pytest.raises(Full, match="limits_max"):
        limit(layer, "c", concurrency=1)
    with pytest.raises(Full, match="limits_max"):
        throttle(layer, 5, "c")
    limit(layer, "b", concurrency=1)
    limit(layer, "a", rule=Rule())
    limit(layer, "c", concurrency=1)


def test_a_queue_too_many_gets_no_rule(core_name: str) -> None:
    layer = Layered(core_name, queues_max=1)
    fill(layer, 1)
    with pytest.raises(Full, match="queues_max"):
        limit(layer, "other", concurrency=1)
    assert not layer.policies.ruling.any
    assert [type(record).__name__ for record in layer.records] == ["Pushed"]


def test_limited_jobs_stay_in_their_order_and_expire(layer: Layered) -> None:
    limit(layer, concurrency=1)
    first, late = layer.push_id(), layer.push_id(ttl_ms=30)
    urgent, last = layer.push_id(priority=1), layer.push_id()
    assert layer.pull(9) == [urgent]
    layer.ack(urgent)
    assert layer.pull(9) == [first]
    layer.tick(30)
    layer.ack(first)
    assert layer.state(late) == "gone"
    assert layer.pull(9) == [last]
