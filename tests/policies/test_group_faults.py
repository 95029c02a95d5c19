"""The proof that the tests of groups bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from magicqueue_cores.policies.fronts import Fronts
from magicqueue_cores.policies.group import Group, Line
from magicqueue_cores.policies.groups import Groups
from magicqueue_cores.policies.lines import Lines
from magicqueue_cores.policies.rounds import Rounds
from magicqueue_cores.policies.seats import Seats
from magicqueue_cores.policies.wishes import GroupedMark
from policies import test_groups as groups
from policies.layered import Layered

Patch = pytest.MonkeyPatch
NAME = "python"
DETECTORS: tuple[Callable[[Layered], None], ...] = (
    groups.test_groups_take_turns_one_job_each,
    groups.test_priorities_come_before_turns,
    groups.test_a_lost_job_takes_its_old_place,
    groups.test_a_retry_comes_to_the_end_of_its_group,
    groups.test_a_delayed_job_enters_when_its_time_has_come,
    groups.test_a_group_at_its_limit_hides_nobody_and_goes_on,
    groups.test_a_rate_of_groups_is_each_ones_own,
    groups.test_a_drained_queue_has_no_groups,
    groups.test_who_waits_the_longest_is_known_of_each_queue_and_of_all,
)


def after_a_restart(_: Layered) -> None:
    for moved in (False, True):
        groups.test_a_restart_keeps_places_and_begins_with_the_first_jobs(NAME, moved=moved)


def a_group_keeps_its_turn(patch: Patch) -> None:
    real = Rounds._take

    def take(rounds: Rounds, *args: Any) -> Any:
        turn = real(rounds, *args)
        if turn[3]:
            turn[0].round.rotate(1)
        return turn

    patch.setattr(Rounds, "_take", take)


def who_comes_back_stands_at_the_end(patch: Patch) -> None:
    real = Lines.enter

    def come_back(lines: Lines, line: Line, job_id: int, mark: GroupedMark) -> None:
        mark.place += 1_000_000
        real(lines, line, job_id, mark)

    patch.setattr(Lines, "come_back", come_back)


def limits_of_groups_are_not_asked(patch: Patch) -> None:
    patch.setattr(Rounds, "room", lambda *_: 1)


def a_group_that_may_go_on_is_forgotten(patch: Patch) -> None:
    patch.setattr(Rounds, "let_in", lambda *_: False)


def a_drain_leaves_who_waits_for_turns(patch: Patch) -> None:
    def drain(one: Groups, queue: str, now_ms: int, upto: int | None) -> Any:
        return one._core.drain(queue, now_ms, upto)

    patch.setattr(Groups, "drain", drain)


def a_job_whose_time_has_come_is_not_held(patch: Patch) -> None:
    patch.setattr(Groups, "_hold", lambda one, _: one._seats.ready.clear())


def a_start_forgets_the_places(patch: Patch) -> None:
    real = Seats.rebuild

    def rebuild(seats: Seats) -> None:
        marks = [m for m in seats._by_id.values() if isinstance(m, GroupedMark) and m.waits]
        places = sorted((mark.place for mark in marks), reverse=True)
        for mark, place in zip(marks, places, strict=True):
            mark.place = place
        real(seats)

    patch.setattr(Seats, "rebuild", rebuild)


def an_empty_group_stays(patch: Patch) -> None:
    patch.setattr(Group, "drop", lambda *_: None)


def turns_of_jobs_without_a_group_are_taken_last(patch: Patch) -> None:
    real = Rounds.turns

    def turns(rounds: Rounds, *args: Any, **more: Any) -> Any:
        return sorted(real(rounds, *args, **more), key=lambda turn: not turn[2])

    patch.setattr(Rounds, "turns", turns)


def who_waits_the_longest_is_asked_once(patch: Patch) -> None:
    patch.setattr(Fronts, "first", lambda fronts: next(iter(fronts._listed), None))


FAULTS = (
    turns_of_jobs_without_a_group_are_taken_last,
    who_waits_the_longest_is_asked_once,
    a_group_keeps_its_turn,
    who_comes_back_stands_at_the_end,
    limits_of_groups_are_not_asked,
    a_group_that_may_go_on_is_forgotten,
    a_drain_leaves_who_waits_for_turns,
    a_job_whose_time_has_come_is_not_held,
    a_start_forgets_the_places,
    an_empty_group_stays,
)


@pytest.fixture
def patch() -> Iterator[Patch]:
    with Patch.context() as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault: Callable[[Patch], None], patch: Patch) -> None:
    fault(patch)
    for detect in (*DETECTORS, after_a_restart):
        try:
            detect(Layered(NAME))
        except (AssertionError, AttributeError, KeyError, IndexError):
            return
    pytest.fail("no test noticed")


def test_without_a_fault_nothing_is_noticed() -> None:
    for detect in (*DETECTORS, after_a_restart):
        detect(Layered(NAME))
