"""The proof that the tests of crons bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance.driver import require_core
from magicqueue_cores.policies import ticking
from magicqueue_cores.policies.cron_facts import Cron
from magicqueue_cores.policies.cron_table import CronTable
from magicqueue_cores.policies.crons import Crons
from magicqueue_cores.policies.marks import Marks
from magicqueue_cores.policies.ruling import Ruling
from magicqueue_cores.policies.schedules import Every
from magicqueue_server.calendars import Calendar
from policies import test_cron_rules as rules
from policies.layered import Layered
from server import test_calendars as calendars

Patch = pytest.MonkeyPatch
NAME = "python"


def of_ticks() -> None:
    rules.test_a_tick_is_one_job_and_one_group_of_records(Layered(NAME))
    rules.test_many_that_are_due_go_in_order_a_few_at_a_time(Layered(NAME))
    rules.test_a_dead_job_is_no_overlap_and_its_revival_is(Layered(NAME))
    rules.test_what_is_refused_stays_due_until_the_next_tick_is(Layered(NAME))
    rules.test_run_now_leaves_the_schedule_alone(Layered(NAME))
    rules.test_a_spread_is_the_same_whenever_it_is_asked(Layered(NAME))


def of_definitions() -> None:
    rules.test_a_definition_that_says_something_else_about_when_begins_anew(Layered(NAME))
    rules.test_a_tick_that_was_taken_never_comes_again(Layered(NAME))
    rules.test_a_limit_ends_a_cron_and_a_higher_one_begins_it_again(Layered(NAME))
    rules.test_what_is_too_much_is_refused(Layered(NAME))
    rules.test_its_jobs_stay_when_it_is_deleted(Layered(NAME))


def of_rules() -> None:
    rules.test_a_queue_is_ruled_as_long_as_it_has_such_jobs(Layered(NAME))
    rules.test_a_limit_rules_a_queue_beside_its_crons(Layered(NAME))


def of_calendars() -> None:
    calendars.test_a_time_that_is_skipped_runs_right_after_the_gap()
    calendars.test_a_time_that_comes_twice_runs_at_the_first()
    calendars.test_with_a_star_real_time_counts()
    calendars.test_seconds_are_first_and_follow_the_same_rules()


DETECTORS = (of_ticks, of_definitions, of_rules, of_calendars)


def states_are_not_recorded(patch: Patch) -> None:
    patch.setattr(CronTable, "keep_states", lambda *_: None)


def a_tick_does_not_move_on(patch: Patch) -> None:
    def move_on(cron: Cron, moment_ms: int) -> None:
        ticking.move_on(cron, moment_ms - 1)

    patch.setattr("magicqueue_cores.policies.crons.move_on", move_on)


def all_ticks_overlap(patch: Patch) -> None:
    patch.setattr(Crons, "live", lambda *_: 1)


def no_tick_overlaps(patch: Patch) -> None:
    patch.setattr(Crons, "live", lambda *_: 0)


def dead_jobs_overlap(patch: Patch) -> None:
    real = Marks.put

    def put(self: Marks, job_id: int, mark: Any) -> None:
        real(self, job_id, mark)
        if mark.cron is not None and mark.flags & 4:
            self.cron_jobs[mark.cron] = self.cron_jobs.get(mark.cron, 0) + 1

    patch.setattr(Marks, "put", put)


def a_refused_tick_is_dropped(patch: Patch) -> None:
    real = Crons._tick

    def tick(self: Crons, cron: Cron, tick_ms: int, now_ms: int, *, refused: bool) -> None:
        real(self, cron, tick_ms, now_ms, refused=refused)
        if refused:
            ticking.move_on(cron, tick_ms)

    patch.setattr(Crons, "_tick", tick)


def a_run_by_hand_is_a_tick(patch: Patch) -> None:
    real = Crons.run

    def run(self: Crons, name: str, now_ms: int) -> Any:
        ticking.move_on(self.get(name), now_ms + 3_600_000)
        return real(self, name, now_ms)

    patch.setattr(Crons, "run", run)


def a_spread_is_another_each_time(patch: Patch) -> None:
    numbers = iter(range(1000))
    patch.setattr(
        "magicqueue_cores.policies.crons._spread_ms", lambda *_: next(numbers) * 7
    )


def another_schedule_begins_before_the_last_tick(patch: Patch) -> None:
    def first_after(self: Cron, moment_ms: int) -> int:
        return self.schedule.after(moment_ms - 3_600_000) or 0

    patch.setattr(Cron, "first_after", first_after)


def limits_are_not_kept(patch: Patch) -> None:
    real = Cron.first_after

    def run_ms(self: Cron) -> int:
        return real(self, self.state.after_ms)

    patch.setattr(Cron, "run_ms", property(run_ms))


def more_than_the_most_are_taken(patch: Patch) -> None:
    patch.setattr(Crons, "_refuse_more", lambda *_: None)


def a_deletion_takes_the_name_alone(patch: Patch) -> None:
    patch.setattr(CronTable, "remove", lambda self, cron: self._forget(cron))


def queues_are_not_ruled(patch: Patch) -> None:
    patch.setattr(Ruling, "rule", lambda *_args, **_options: None)


def one_reason_ends_all(patch: Patch) -> None:
    def rule(self: Ruling, queue: str, why: int, *, holds: bool) -> None:
        self._reasons.pop(queue, None)
        if holds:
            self._reasons[queue] = why
        self._core.rule(queue, ruled=holds)

    patch.setattr(Ruling, "rule", rule)


def ticks_of_spans_are_counted_from_now(patch: Patch) -> None:
    patch.setattr(Every, "after", lambda self, moment_ms: moment_ms + self._every_ms)


def local_times_are_in_utc(patch: Patch) -> None:
    from datetime import UTC  # noqa: PLC0415 - for this fault alone

    patch.setattr("magicqueue_server.calendars.zone_of", lambda _: UTC)


def seconds_are_left_out(patch: Patch) -> None:
    real = Calendar.after
    patch.setattr(
        Calendar,
        "after",
        lambda self, moment_ms: (real(self, moment_ms) or 0) // 60_000 * 60_000,
    )


FAULTS: tuple[Callable[[Patch], None], ...] = (
    states_are_not_recorded,
    a_tick_does_not_move_on,
    all_ticks_overlap,
    no_tick_overlaps,
    dead_jobs_overlap,
    a_refused_tick_is_dropped,
    a_run_by_hand_is_a_tick,
    a_spread_is_another_each_time,
    another_schedule_begins_before_the_last_tick,
    limits_are_not_kept,
    more_than_the_most_are_taken,
    a_deletion_takes_the_name_alone,
    queues_are_not_ruled,
    one_reason_ends_all,
    ticks_of_spans_are_counted_from_now,
    local_times_are_in_utc,
    seconds_are_left_out,
)


def detections() -> Iterator[str]:
    require_core(NAME)
    for detector in DETECTORS:
        try:
            detector()
        except (AssertionError, LookupError, ValueError, pytest.fail.Exception) as caught:
            yield f"{detector.__name__}: {caught}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
