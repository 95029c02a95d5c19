"""The proof that the tests of limits bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator

import pytest

from conformance.driver import require_core
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.policies.gates import Bucket, Gate
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.rules import Rate
from magicqueue_cores.python_core import PythonCore
from magicqueue_cores.python_fates import Fates
from policies import test_limits as limits
from policies.layered import Layered
from seeded import noticed

Patch = pytest.MonkeyPatch
NAME = "python"


def of_concurrency() -> None:
    for way in limits.LEAVE:
        limits.test_no_more_are_at_work_than_may_be(Layered(NAME), way)
        limits.test_who_waits_hears_of_whatever_ends_a_lease(NAME, way)
    limits.test_a_lower_bound_revokes_nothing(Layered(NAME))


def of_rates() -> None:
    limits.test_a_rate_is_kept_to_the_token(Layered(NAME))
    limits.test_a_bucket_holds_no_more_than_its_burst(Layered(NAME))
    limits.test_each_hand_out_takes_a_token(Layered(NAME))
    limits.test_a_pull_of_nothing_takes_no_token(Layered(NAME))
    limits.test_who_waits_is_told_when_a_token_is_due(Layered(NAME))
    limits.test_a_bucket_is_empty_after_a_start(NAME, swapped=False)
    limits.test_another_rate_keeps_the_tokens_that_fit(Layered(NAME))
    limits.test_a_token_half_way_stays_half_way(Layered(NAME))
    limits.test_time_that_does_not_count_brings_no_tokens(Layered(NAME))


def of_facts() -> None:
    limits.test_a_rule_said_again_changes_nothing(Layered(NAME))
    limits.test_nothing_is_handed_out_while_throttled(Layered(NAME))
    limits.test_the_later_end_of_a_throttle_wins_and_0_ends_it(Layered(NAME))
    limits.test_a_throttled_queue_keeps_its_rule(Layered(NAME))
    limits.test_a_rule_makes_the_queue_known_and_keeps_it(Layered(NAME))
    limits.test_ruled_queues_are_bounded(NAME)


DETECTORS = (of_concurrency, of_rates, of_facts)


def an_end_of_a_lease_wakes_nobody(patch: Patch) -> None:
    patch.setattr(Fates, "freed_by", lambda *_: [])


def who_waits_for_room_is_forgotten(patch: Patch) -> None:
    patch.setattr(JobTable, "watch_room", lambda *_: None)


def one_more_is_at_work(patch: Patch) -> None:
    real = PythonCore.processing
    patch.setattr(PythonCore, "processing", lambda core, name: real(core, name) - 1)


def a_token_is_free(patch: Patch) -> None:
    real = Bucket.spend
    patch.setattr(Bucket, "spend", lambda b, count, now_ms: real(b, count - 1, now_ms))


def tokens_are_rounded_up(patch: Patch) -> None:
    def tokens(bucket: Bucket, now_ms: int) -> int:
        rate = bucket.rate
        missing = max(bucket._full_at - now_ms * rate.jobs, 0)
        return max(rate.burst - missing // rate.per_ms, 0)

    patch.setattr(Bucket, "tokens", tokens)


def a_bucket_fills_beyond_its_burst(patch: Patch) -> None:
    def tokens(bucket: Bucket, now_ms: int) -> int:
        rate = bucket.rate
        missing = bucket._full_at - now_ms * rate.jobs
        return max(rate.burst - -(-missing // rate.per_ms), 0)

    patch.setattr(Bucket, "tokens", tokens)


def a_bucket_is_full_after_a_start(patch: Patch) -> None:
    patch.setattr(Limits, "begin", lambda one, _: setattr(one, "unbegun", False))
    patch.setattr(Bucket, "shut", lambda _: None)


def another_rate_fills_the_bucket(patch: Patch) -> None:
    def change(bucket: Bucket, rate: Rate, now_ms: int) -> None:
        bucket.rate, bucket._full_at = rate, now_ms * rate.jobs

    patch.setattr(Bucket, "change", change)


def another_rate_empties_the_bucket(patch: Patch) -> None:
    def change(bucket: Bucket, rate: Rate, now_ms: int) -> None:
        bucket.rate = rate
        bucket.empty(now_ms)

    patch.setattr(Bucket, "change", change)


def nobody_is_told_of_a_token(patch: Patch) -> None:
    patch.setattr(Limits, "_ask_later", lambda *_: None)


def stalls_bring_tokens(patch: Patch) -> None:
    patch.setattr(Limits, "postpone", lambda *_: None)


def a_throttle_is_not_seen(patch: Patch) -> None:
    real = Gate.room

    def room(gate: Gate, active: int, now_ms: int) -> int:
        shut_ms = gate.shut_until_ms
        gate.shut_until_ms = 0
        answer = real(gate, active, now_ms)
        gate.shut_until_ms = shut_ms
        return answer

    patch.setattr(Gate, "room", room)


def the_last_throttle_wins(patch: Patch) -> None:
    real = Limits.throttle

    def throttle(one: Limits, queue: str, for_ms: int, now_ms: int) -> None:
        real(one, queue, 0, now_ms)
        real(one, queue, for_ms, now_ms)

    patch.setattr(Limits, "throttle", throttle)


def rules_are_not_replayed(patch: Patch) -> None:
    patch.setattr(Limits, "follow", lambda *_: None)


def an_end_of_a_throttle_takes_the_rule(patch: Patch) -> None:
    real = Limits._shut

    def shut(one: Limits, queue: str, until_ms: int) -> None:
        if not until_ms:
            one._rules.pop(queue, None)
        real(one, queue, until_ms)

    patch.setattr(Limits, "_shut", shut)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    an_end_of_a_lease_wakes_nobody,
    who_waits_for_room_is_forgotten,
    one_more_is_at_work,
    a_token_is_free,
    tokens_are_rounded_up,
    a_bucket_fills_beyond_its_burst,
    a_bucket_is_full_after_a_start,
    another_rate_fills_the_bucket,
    another_rate_empties_the_bucket,
    nobody_is_told_of_a_token,
    stalls_bring_tokens,
    a_throttle_is_not_seen,
    the_last_throttle_wins,
    rules_are_not_replayed,
    an_end_of_a_throttle_takes_the_rule,
)


def detections() -> Iterator[str]:
    require_core(NAME)
    yield from noticed(DETECTORS, pytest.fail.Exception)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
