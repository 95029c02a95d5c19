"""The proof that the tests of crons bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from magicqueue_cores.contract import NEVER_MS, CoreError
from magicqueue_cores.policies import Cron, CronPlan, Crons, PolicyOptions, ticking
from magicqueue_cores.policies import cron_table as tables
from magicqueue_cores.policies import crons as firing
from magicqueue_cores.policies.cron_facts import UNKNOWN_MS
from magicqueue_cores.policies.cron_plans import CronState, encode_state
from magicqueue_cores.policies.cron_table import CronTable, key_of
from magicqueue_cores.policies.ground import CRON_STATE
from magicqueue_cores.policies.ticking import move_on
from magicqueue_server import calendars
from magicqueue_server.calendars import Calendar
from policies import test_cron_rules as rules
from policies import test_crons as wired
from policies.layered import Layered
from policies.test_cron_rules import HOUR, MINUTE, get, go_to_next, put
from policies.wires import DeskWire, LogWire
from server import test_calendars as dates

Patch = pytest.MonkeyPatch
NAME = "python"
NOTICED = (AssertionError, CoreError, KeyError, pytest.fail.Exception)


def after_a_downtime(layer: Layered) -> None:
    """No server ran for three ticks, of which the first is too old to be made up."""
    for missed, fired in (("one", 1), ("skip", 0), ("all", 2)):
        catchup_ms = 2 * HOUR
        put(
            layer,
            missed,
            every_ms=HOUR,
            missed=missed,
            catchup_ms=catchup_ms,
            overlap="allow",
        )
        first = get(layer, missed).run_ms
        after = layer.restarted()
        after.fire(first - after.now + 2 * HOUR + HOUR // 2)
        state = get(after, missed).state
        assert (state.fired, state.missed) == (fired, 1), missed
        assert get(after, missed).run_ms == first + 3 * HOUR
        if fired:
            assert state.last_tick_ms == first + 2 * HOUR
        layer.policies.crons.delete(missed)


def a_pause_outlasts_a_restart(layer: Layered) -> None:
    run_ms = put(layer, missed="skip").cron.run_ms
    layer.policies.crons.pause("c", paused=True)
    for each in (layer, layer.restarted()):
        each.fire(run_ms - each.now)
        assert (get(each).run_ms, get(each).state.fired) == (NEVER_MS, 0)


def a_restart_fires_no_tick_again(layer: Layered) -> None:
    put(layer, overlap="allow")
    go_to_next(layer)
    after = layer.restarted()
    after.fire(1)
    assert len(after.pull(9)) == get(after).state.fired == 1


def no_tick_is_beyond_start_and_end(layer: Layered) -> None:
    first = put(layer, "free", every_ms=HOUR).cron.run_ms
    start_ms, end_ms = first + HOUR, first + HOUR + MINUTE
    cron = put(layer, every_ms=HOUR, start_ms=start_ms, end_ms=end_ms).cron
    assert cron.run_ms == start_ms
    layer.policies.crons.delete("free")
    go_to_next(layer)
    assert get(layer).run_ms == NEVER_MS


def a_tick_that_is_due_outlasts_another_payload_and_no_other_times(layer: Layered) -> None:
    run_ms = put(layer, every_ms=HOUR).cron.run_ms
    layer.tick(run_ms + MINUTE // 2 - layer.now)
    assert put(layer, every_ms=HOUR, payload=b"2").cron.run_ms == run_ms
    assert put(layer, every_ms=HOUR // 2).cron.run_ms == run_ms + HOUR // 2


def on_the_wire(_: Layered) -> None:
    for test in (
        wired.test_the_same_again_changes_nothing,
        wired.test_a_tick_pushes_one_job_and_survives_a_restart,
        wired.test_a_tick_is_dropped_while_an_earlier_job_lives,
        wired.test_run_now_and_delete,
    ):
        for made in (DeskWire, LogWire):
            wire = made(NAME, PolicyOptions())
            test(wire)
            wire.check()
    for missed, jobs in (("one", 1), ("skip", 0), ("all", 5)):
        wired.test_ticks_missed_while_it_was_paused(
            DeskWire(NAME, PolicyOptions()), missed, jobs
        )


def by_the_calendar(_: Layered) -> None:
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        dates.test_a_year_of_ticks_is_as_the_oracle_says(zone)
    dates.test_a_time_that_is_skipped_runs_right_after_the_gap()
    dates.test_a_time_that_comes_twice_runs_at_the_first()
    dates.test_with_a_star_real_time_counts()
    dates.test_seconds_are_first_and_follow_the_same_rules()


DETECTORS: tuple[Callable[[Layered], None], ...] = (
    rules.test_a_tick_is_one_job_and_one_group_of_records,
    rules.test_a_dead_job_is_no_overlap_and_its_revival_is,
    rules.test_a_definition_that_says_something_else_about_when_begins_anew,
    rules.test_a_tick_that_was_taken_never_comes_again,
    rules.test_a_limit_ends_a_cron_and_a_higher_one_begins_it_again,
    rules.test_what_is_refused_stays_due_until_the_next_tick_is,
    rules.test_a_server_that_is_full_refuses_ticks_likewise,
    rules.test_run_now_leaves_the_schedule_alone,
    rules.test_a_spread_is_the_same_whenever_it_is_asked,
    rules.test_its_jobs_stay_when_it_is_deleted,
    rules.test_many_that_are_due_go_in_order_a_few_at_a_time,
    after_a_downtime,
    a_pause_outlasts_a_restart,
    a_restart_fires_no_tick_again,
    no_tick_is_beyond_start_and_end,
    a_tick_that_is_due_outlasts_another_payload_and_no_other_times,
    on_the_wire,
    by_the_calendar,
)


def a_tick_is_not_in_the_log(patch: Patch) -> None:
    """So it fires again after a restart."""
    patch.setattr(CronTable, "keep_states", lambda table, _: table._settled())


def a_tick_comes_again(patch: Patch) -> None:
    patch.setattr(firing, "move_on", lambda cron, at_ms: move_on(cron, at_ms - 1))


def a_start_looks_for_the_next_tick_from_then_on(patch: Patch) -> None:
    """So what was missed meanwhile never fires."""
    real = ticking.tick_of

    def tick_of(cron: Cron, wall_ms: int) -> int | None:
        if cron.run_ms < wall_ms - ticking.FRESH_MS:
            cron.state.missed += 1
            move_on(cron, wall_ms)
            return None
        return real(cron, wall_ms)

    patch.setattr(firing, "tick_of", tick_of)


def _made_up_as(patch: Patch, **other: Any) -> None:
    """Have missed ticks be made up as if a cron had been asked for something else."""
    real = ticking._made_up

    def made_up(cron: Cron, *bounds: int) -> list[int]:
        plan = msgspec.structs.replace(cron.plan, **other)
        return real(msgspec.structs.replace(cron, plan=plan), *bounds)

    patch.setattr(ticking, "_made_up", made_up)


def missed_ticks_fire_though_they_are_to_be_skipped(patch: Patch) -> None:
    _made_up_as(patch, missed="one")


def all_missed_ticks_are_skipped(patch: Patch) -> None:
    _made_up_as(patch, missed="skip")


def ticks_fire_however_old_they_are(patch: Patch) -> None:
    _made_up_as(patch, catchup_ms=1 << 40)


def all_zones_are_utc(patch: Patch) -> None:
    patch.setattr(calendars, "zone_of", lambda _: UTC)


def a_zone_is_as_far_from_utc_as_in_winter(patch: Patch) -> None:
    def zone_of(tz: str) -> timezone:
        return timezone(
            ZoneInfo(tz).utcoffset(datetime(2025, 1, 15, tzinfo=UTC)) or timedelta()
        )

    patch.setattr(calendars, "zone_of", zone_of)


def seconds_are_left_out(patch: Patch) -> None:
    real = Calendar.__init__

    def start(one: Calendar, text: str, tz: str) -> None:
        real(one, text, tz)
        one._seconds_ms = 0

    patch.setattr(Calendar, "__init__", start)


def a_job_that_lives_is_no_overlap(patch: Patch) -> None:
    patch.setattr(Crons, "live", lambda *_: 0)


def a_job_that_is_done_is_an_overlap(patch: Patch) -> None:
    patch.setattr(Crons, "live", lambda one, name: one.get(name).state.fired)


def a_pause_is_ignored(patch: Patch) -> None:
    patch.setattr(Crons, "pause", lambda one, name, **_: one.get(name))


def a_pause_ends_with_a_restart(patch: Patch) -> None:
    def encode(state: CronState) -> bytes:
        return encode_state(msgspec.structs.replace(state, paused=False))

    patch.setattr(tables, "encode_state", encode)


def each_definition_begins_anew(patch: Patch) -> None:
    patch.setattr(CronPlan, "times", property(lambda _: object()))


def no_definition_begins_anew(patch: Patch) -> None:
    patch.setattr(CronPlan, "times", property(lambda _: None))


def a_limit_is_ignored(patch: Patch) -> None:
    def run_ms(cron: Cron) -> int:
        if cron.next_ms == UNKNOWN_MS:
            after_ms = cron.first_after(cron.state.after_ms)
            cron.next_ms = NEVER_MS if cron.state.paused else after_ms
        return cron.next_ms

    patch.setattr(Cron, "run_ms", property(run_ms))


def an_end_is_ignored(patch: Patch) -> None:
    def first_after(cron: Cron, moment_ms: int) -> int:
        tick_ms = cron.schedule.after(max(moment_ms, cron.plan.start_ms - 1))
        return NEVER_MS if tick_ms is None else tick_ms

    patch.setattr(Cron, "first_after", first_after)


def a_refused_tick_is_dropped(patch: Patch) -> None:
    real = Crons._tick

    def tick(one: Crons, cron: Cron, tick_ms: int, *rest: Any, **more: Any) -> None:
        real(one, cron, tick_ms, *rest, **more)
        if cron.tried_ms:
            move_on(cron, tick_ms)

    patch.setattr(Crons, "_tick", tick)


def a_run_now_is_the_next_tick(patch: Patch) -> None:
    real = Crons.run

    def run(one: Crons, name: str, now_ms: int) -> Any:
        answer = real(one, name, now_ms)
        cron = one.get(name)
        move_on(cron, cron.run_ms)
        return answer

    patch.setattr(Crons, "run", run)


def a_spread_is_another_each_time(patch: Patch) -> None:
    spreads = iter(range(1_000))
    patch.setattr(firing, "_spread_ms", lambda *_: next(spreads))


def a_deleted_cron_comes_back(patch: Patch) -> None:
    def remove(table: CronTable, cron: Cron) -> None:
        table._forget(cron)
        table._ground.shelves[CRON_STATE].remove(key_of(cron.name))
        table._settled()

    patch.setattr(CronTable, "remove", remove)


def a_job_does_not_know_its_cron(patch: Patch) -> None:
    patch.setattr(Crons, "_mark", lambda *_: None)


FAULTS = (
    a_tick_is_not_in_the_log,
    a_tick_comes_again,
    a_start_looks_for_the_next_tick_from_then_on,
    missed_ticks_fire_though_they_are_to_be_skipped,
    all_missed_ticks_are_skipped,
    ticks_fire_however_old_they_are,
    all_zones_are_utc,
    a_zone_is_as_far_from_utc_as_in_winter,
    seconds_are_left_out,
    a_job_that_lives_is_no_overlap,
    a_job_that_is_done_is_an_overlap,
    a_pause_is_ignored,
    a_pause_ends_with_a_restart,
    each_definition_begins_anew,
    no_definition_begins_anew,
    a_limit_is_ignored,
    an_end_is_ignored,
    a_refused_tick_is_dropped,
    a_run_now_is_the_next_tick,
    a_spread_is_another_each_time,
    a_deleted_cron_comes_back,
    a_job_does_not_know_its_cron,
)


@pytest.fixture
def patch() -> Iterator[Patch]:
    with Patch.context() as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault: Callable[[Patch], None], patch: Patch) -> None:
    fault(patch)
    for detect in DETECTORS:
        try:
            detect(Layered(NAME))
        except NOTICED:
            return
    pytest.fail("no test noticed")


def test_without_a_fault_nothing_is_noticed() -> None:
    for detect in DETECTORS:
        detect(Layered(NAME))
