"""The proof that the tests of flows bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from conformance.driver import require_core
from magicqueue_cores.policies import flows as module
from magicqueue_cores.policies import links
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.linked_pushes import LinkedPushes
from magicqueue_cores.policies.links import Edges, Fate, Link
from magicqueue_cores.policies.outcomes import Outcomes
from policies import test_flows as hand
from policies.layered import Layered
from seeded import noticed

Patch = pytest.MonkeyPatch
NAME = "python"


def of_blocking() -> None:
    hand.test_a_chain_runs_one_after_the_other(Layered(NAME))
    hand.test_a_fan_in_waits_for_all(Layered(NAME))
    hand.test_a_freed_job_enters_anew_and_waits_for_its_time(Layered(NAME))
    hand.test_a_push_may_depend_on_dead_jobs(Layered(NAME))
    hand.test_parents_that_are_gone_count_as_done_and_cancelled_ones_do_not(Layered(NAME))
    hand.test_queues_are_ruled_while_they_have_such_jobs(Layered(NAME))


def of_failures() -> None:
    for rule, expected in (("wait", "held"), ("fail", "dead"), ("run", "ready")):
        hand.test_what_a_parents_death_means(Layered(NAME), rule, expected)
    for remove in hand.REMOVALS:
        for rule, expected in (("wait", "dead"), ("run", "ready")):
            hand.test_a_parent_that_can_never_be_done(Layered(NAME), remove, rule, expected)
    hand.test_it_goes_on_down_the_flow_in_one_call(Layered(NAME))
    hand.test_a_revived_parent_mends_the_flow(Layered(NAME))
    hand.test_a_drain_leaves_no_letters_of_its_own_queue(NAME)
    hand.test_a_dead_letter_that_is_dropped_fails_who_waited(NAME)


def of_ends() -> None:
    hand.test_a_blocked_job_may_expire_be_cancelled_or_replaced(Layered(NAME))
    hand.test_what_cannot_be_is_refused_whole(Layered(NAME))
    hand.test_there_is_room_for_all_or_for_none(NAME)
    hand.test_links_count_as_memory(NAME)


DETECTORS = (of_blocking, of_failures, of_ends)


def one_parent_is_enough(patch: Patch) -> None:
    real = links.waits

    def waits(link: Link, fates: Mapping[int, Fate]) -> int:
        return min(real(link, fates), 1)

    patch.setattr(module, "waits", waits)


def a_removed_parent_counts_as_done(patch: Patch) -> None:
    real = Flows._note

    def note(flows: Flows, parent: int, fate: Fate, how: str) -> None:
        real(flows, parent, Fate.DONE if fate is Fate.LOST else fate, how)

    patch.setattr(Flows, "_note", note)


def a_death_is_not_noticed(patch: Patch) -> None:
    real = Flows._note

    def note(flows: Flows, parent: int, fate: Fate, how: str) -> None:
        if fate is not Fate.DEAD:
            real(flows, parent, fate, how)

    patch.setattr(Flows, "_note", note)


def it_goes_down_one_step_only(patch: Patch) -> None:
    real = Flows._doom

    def doom(flows: Flows, child: int, why: str, dying: Any, _events: Any) -> None:
        real(flows, child, why, dying, [])

    patch.setattr(Flows, "_doom", doom)


def edges_of_those_that_left_stay(patch: Patch) -> None:
    patch.setattr(Edges, "discard", lambda *_: False)


def a_replay_forgets_who_waits(patch: Patch) -> None:
    patch.setattr(Flows, "rebuild", lambda _: None)


def a_revived_job_runs_at_once(patch: Patch) -> None:
    def block_again(flows: Flows, _now_ms: int) -> None:
        flows._revived = []

    patch.setattr(Flows, "_block_again", block_again)


def a_drain_leaves_letters(patch: Patch) -> None:
    patch.setattr(Flows, "_is_drained", lambda *_: False)


def a_drain_leaves_the_blocked(patch: Patch) -> None:
    def drain(_: Flows, queue: str, now_ms: int, upto: int | None, rest: Any) -> Any:
        return rest(queue, now_ms, upto)

    patch.setattr(Flows, "drain", drain)


def circles_are_stored(patch: Patch) -> None:
    patch.setattr(LinkedPushes, "check", lambda *_: None)


def a_job_before_its_time_is_ready(patch: Patch) -> None:
    real = LinkedPushes.store

    def store(pushes: LinkedPushes, queues: Any, jobs: Any, *rest: Any) -> list[int]:
        jobs.run_ats_ms = 0
        return real(pushes, queues, jobs, *rest)

    patch.setattr(LinkedPushes, "store", store)


def queues_stay_ruled(patch: Patch) -> None:
    patch.setattr(Outcomes, "rule_telling", lambda *_: None)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    one_parent_is_enough,
    a_removed_parent_counts_as_done,
    a_death_is_not_noticed,
    it_goes_down_one_step_only,
    edges_of_those_that_left_stay,
    a_replay_forgets_who_waits,
    a_revived_job_runs_at_once,
    a_drain_leaves_letters,
    a_drain_leaves_the_blocked,
    circles_are_stored,
    a_job_before_its_time_is_ready,
    queues_stay_ruled,
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
