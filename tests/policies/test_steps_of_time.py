"""Time in one leap, or in many: the same comes of it. And it comes in steps."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.driver import require_core
from later_core import LaterCore
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.policies import Policies, PolicyOptions
from policies.layered import Layered

SPANS = st.integers(1, 20)
JOBS = st.lists(
    st.fixed_dictionaries(
        {"delay_ms": st.sampled_from([0, 0, 3]), "max_attempts": st.integers(1, 2)},
        optional={
            "ttl_ms": st.integers(4, 20),
            "on_expire": st.sampled_from(["remove", "dead"]),
            "timeout_ms": SPANS,
            "keep_result_ms": SPANS,
            "unique_key": st.sampled_from("abcdefgh"),
            "unique_for_ms": SPANS,
        },
    ),
    min_size=1,
    max_size=8,
)


def prepared(name: str, jobs: list[dict[str, Any]], pulls: int) -> Layered:
    bounds = PolicyOptions(req_key_ttl_ms=10)
    layer = Layered(name, bounds)
    for number, job in enumerate(jobs):
        layer.push(queue="ab"[number % 2], req_key=f"{number % 3}", backoff_ms=4, **job)
    for queue in "ab":
        layer.pull(pulls, queue, lease_ms=1000)
    return layer


@settings(max_examples=60, deadline=None)
@given(jobs=JOBS, pulls=st.integers(0, 3), leaps=st.lists(SPANS, max_size=3))
def test_one_leap_is_as_many(
    jobs: list[dict[str, Any]], pulls: int, leaps: list[int]
) -> None:
    at_once, slowly, leaping = (prepared("python", jobs, pulls) for _ in range(3))
    at_once.policies.advance(at_once.now + 30)
    for span_ms in range(31):
        slowly.policies.advance(slowly.now + span_ms)
    for span_ms in sorted(leaps):
        leaping.policies.advance(leaping.now + span_ms)
    leaping.policies.advance(leaping.now + 30)
    for layer in (at_once, slowly, leaping):
        layer.now += 30
        layer.check()
    assert at_once.image() == slowly.image() == leaping.image()
    assert at_once.ended == slowly.ended == leaping.ended
    for queue in "ab":
        expected = at_once.pull(9, queue)
        assert slowly.pull(9, queue) == leaping.pull(9, queue) == expected


@pytest.mark.parametrize("step_jobs", [1, 3])
def test_what_ends_at_once_goes_in_steps(core_name: str, step_jobs: int) -> None:
    layer = Layered(core_name, step_jobs=step_jobs)
    wishes: dict[str, Any] = {"keep_result_ms": 50, "unique_key": "x"}
    for number in range(4):
        layer.push(ttl_ms=10, **{**wishes, "unique_key": f"{number}"})
        layer.push(queue="t", timeout_ms=10, req_key=f"{number}")
        layer.push(queue="w", unique_key=f"{number}", unique_for_ms=10)
    layer.pull(4, "t")
    layer.now += 10
    steps = 0
    while layer.policies.next_deadline_ms <= layer.now:
        before = layer.policies.stats()
        done = len(layer.records)
        layer.policies.advance(layer.now)
        layer.check()
        steps += 1
        ended = before.windows - layer.policies.stats().windows
        assert ended <= step_jobs
        assert len(layer.records) - done <= 4 * step_jobs
    assert steps >= 12 // step_jobs
    assert layer.policies.stats().results == 4
    assert layer.policies.stats().windows == 0
    assert layer.core.stats(layer.now).failed == 4  # type: ignore[union-attr]


def test_a_core_that_answers_later_is_refused() -> None:
    core = LaterCore(make_core(require_core("python"), CoreOptions()), 1)
    assert not Policies.available(core)
    with pytest.raises(ValueError, match="answers later"):
        Policies(core, PolicyOptions())
