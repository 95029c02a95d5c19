"""Crons above a core: when they fire, what is told of their jobs, what a restart keeps."""

import pytest

from conformance.driver import CORES, require_core
from magicqueue_cores.contract import NEVER_MS, Full, NotFound
from magicqueue_cores.policies import BadCron, Cron, CronPlan, CronSet, PolicyOptions
from magicqueue_cores.records import Kept, Marked, Pushed
from policies.layered import Layered, minutes_of

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.fixture(params=CORES)
def layer(request: pytest.FixtureRequest) -> Layered:
    require_core(request.param)
    return Layered(request.param)


def put(layer: Layered, name: str = "c", **asked: object) -> CronSet:
    if "every_ms" not in asked:
        asked = {"schedule": "0", **asked}
    plan = CronPlan(**{"queue": "q", "payload": b"1", **asked})  # type: ignore[arg-type]
    done = layer.policies.crons.set(name, plan, layer.now)
    layer.check()
    return done


def get(layer: Layered, name: str = "c") -> Cron:
    return layer.policies.crons.get(name)


def go_to_next(layer: Layered, name: str = "c") -> int:
    """Turn the clock to the next run of a cron, and return it."""
    run_ms = get(layer, name).run_ms
    layer.fire(run_ms - layer.now)
    return run_ms


def test_a_tick_is_one_job_and_one_group_of_records(layer: Layered) -> None:
    put(layer)
    layer.records.clear()
    run_ms = go_to_next(layer)
    assert [type(record) for record in layer.records] == [Pushed, Marked, Kept]
    delivery = layer.deliver(9)
    assert delivery.run_ats_ms == [run_ms]
    told = layer.policies.more_of("q", delivery.ids)
    assert told is not None
    assert told.crons == [("c", run_ms)]


def test_a_queue_is_ruled_as_long_as_it_has_such_jobs(layer: Layered) -> None:
    put(layer)
    assert not layer.policies.ruling.any
    go_to_next(layer)
    for each in (layer, layer.restarted()):
        assert each.policies.ruling.any
        [job_id] = each.pull()
        each.ack(job_id)
        assert not each.policies.ruling.any
        assert each.policies.more_of("q", [job_id]) is None


def test_a_limit_rules_a_queue_beside_its_crons(layer: Layered) -> None:
    put(layer)
    go_to_next(layer)
    layer.policies.limits.throttle("q", 500, layer.now)
    assert layer.pull() == []
    layer.tick(500)
    assert layer.policies.ruling.any
    layer.ack(*layer.pull())
    assert not layer.policies.ruling.any


def test_a_dead_job_is_no_overlap_and_its_revival_is(layer: Layered) -> None:
    put(layer, max_attempts=1)
    go_to_next(layer)
    layer.fail(*layer.pull())
    assert layer.policies.crons.live("c") == 0
    go_to_next(layer)
    assert get(layer).state.fired == 2
    layer.retry()
    layer.ack(layer.pull()[0])
    assert layer.policies.crons.live("c") == 1
    go_to_next(layer)
    assert (get(layer).state.fired, get(layer).state.skipped) == (2, 1)


def test_a_definition_that_says_something_else_about_when_begins_anew(
    layer: Layered,
) -> None:
    first = put(layer).cron.run_ms
    assert not put(layer).changed
    layer.tick(MINUTE)
    assert put(layer, payload=b"2").changed
    assert get(layer).run_ms == first
    other = put(layer, schedule="1").cron.run_ms
    assert other == minutes_of("1", "UTC").after(layer.now)


def test_a_tick_that_was_taken_never_comes_again(layer: Layered) -> None:
    put(layer, every_ms=HOUR)
    run_ms = go_to_next(layer)
    put(layer, every_ms=HOUR, spread_ms=5)
    put(layer, every_ms=HOUR // 2)
    assert get(layer).run_ms == run_ms + HOUR // 2
    assert layer.restarted().policies.crons.get("c").run_ms == run_ms + HOUR // 2


def test_a_limit_ends_a_cron_and_a_higher_one_begins_it_again(layer: Layered) -> None:
    put(layer, limit=1, overlap="allow")
    go_to_next(layer)
    assert get(layer).run_ms == NEVER_MS
    layer.tick(10 * HOUR)
    put(layer, limit=2, overlap="allow")
    assert layer.now < get(layer).run_ms <= layer.now + HOUR
    go_to_next(layer)
    assert get(layer).run_ms == NEVER_MS


def test_what_is_refused_stays_due_until_the_next_tick_is(layer: Layered) -> None:
    run_ms = put(layer, every_ms=HOUR, overlap="allow").cron.run_ms
    layer.fire(run_ms - layer.now, refused=True)
    layer.fire(HOUR // 2, refused=True)
    assert (get(layer).run_ms, get(layer).state.fired) == (run_ms, 0)
    layer.fire(1000)
    assert (get(layer).state.last_tick_ms, get(layer).state.fired) == (run_ms, 1)
    layer.fire(get(layer).run_ms - layer.now, refused=True)
    layer.fire(HOUR, refused=False)
    assert (get(layer).state.last_tick_ms, get(layer).state.fired) == (run_ms + 2 * HOUR, 2)
    assert get(layer).state.refused == 1


def test_a_server_that_is_full_refuses_ticks_likewise(layer: Layered) -> None:
    full = Layered(layer.name, jobs_max=1)
    run_ms = put(full, every_ms=HOUR).cron.run_ms
    full.push()
    full.fire(run_ms - full.now)
    assert get(full).state.fired == 0
    full.ack(*full.pull())
    full.fire(1000)
    assert (get(full).state.last_tick_ms, get(full).state.fired) == (run_ms, 1)


def test_run_now_leaves_the_schedule_alone(layer: Layered) -> None:
    run_ms = put(layer).cron.run_ms
    ids = layer.policies.crons.run("c", layer.now).ids
    layer.check()
    assert (get(layer).run_ms, layer.pull()) == (run_ms, list(ids))


def test_a_spread_is_the_same_whenever_it_is_asked(layer: Layered) -> None:
    put(layer, spread_ms=1000)
    run_ms = get(layer).run_ms
    other = layer.restarted()
    for each in (layer, other):
        go_to_next(each)
    views = [each.view(get(each).state.last_job) for each in (layer, other)]
    assert views[0] == views[1]
    assert views[0] is not None
    assert run_ms <= views[0].run_at_ms <= run_ms + 1000


def test_its_jobs_stay_when_it_is_deleted(layer: Layered) -> None:
    put(layer)
    go_to_next(layer)
    layer.policies.crons.delete("c")
    layer.check()
    with pytest.raises(NotFound):
        get(layer)
    assert layer.restarted().policies.crons.page(None) == []
    assert len(layer.pull()) == 1


def test_many_that_are_due_go_in_order_a_few_at_a_time(layer: Layered) -> None:
    for name in ("b", "a", "c"):
        put(layer, name, payload=name.encode())
    layer.tick(get(layer).run_ms - layer.now)
    crons = layer.policies.crons
    for due in (3, 1, 0):
        assert due == sum(cron.state.fired == 0 for cron in crons.page(None))
        crons.fire(layer.now, 2)
    layer.fire(1)
    assert crons.due_ms > layer.now
    assert layer.deliver(9).payloads == [b"a", b"b", b"c"]


def test_what_is_too_much_is_refused(layer: Layered) -> None:
    small = Layered(layer.name, PolicyOptions(crons_max=1, crons_bytes_max=300))
    put(small, "a")
    with pytest.raises(Full, match="crons_max"):
        put(small, "b")
    with pytest.raises(Full, match="crons_bytes_max"):
        put(small, "a", payload=b"1" * 500)
    assert get(small, "a").plan.payload == b"1"


def test_a_zone_that_is_not_known_any_more_stops_its_cron_and_no_other(
    layer: Layered, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(layer, "a", schedule="5")
    put(layer, "b", schedule="7")
    with monkeypatch.context() as patch:
        patch.setattr("policies.layered.minutes_of", _knows_no_five)
        after = layer.restarted()
        assert "no five" in str(get(after, "a").trouble)
        assert get(after, "a").run_ms == NEVER_MS
        go_to_next(after, "b")
        assert get(after, "b").state.fired == 1
        with pytest.raises(BadCron):
            put(after, "a", schedule="5")
    assert get(layer.restarted(), "a").trouble is None


def _knows_no_five(text: str, tz: str) -> object:
    if text == "5":
        raise BadCron("no five")
    return minutes_of(text, tz)
