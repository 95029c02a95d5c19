"""Times to live and time-outs: when jobs leave by themselves."""

import pytest

from conformance.driver import BYTES_MAX
from magicqueue_cores.contract import JobState
from policies.layered import Layered


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


@pytest.mark.parametrize("delay_ms", [0, 9])
def test_a_job_expires_at_its_moment(layer: Layered, delay_ms: int) -> None:
    job_id = layer.push_id(ttl_ms=10, delay_ms=delay_ms)
    layer.tick(9)
    assert layer.state(job_id) == "ready"
    for each in (layer.restarted(), layer):
        each.tick(1)
        assert each.state(job_id) == "gone"
        assert each.core.queue_stats("q", each.now).expired == 1  # type: ignore[union-attr]


def test_an_expired_job_may_be_a_dead_letter(layer: Layered) -> None:
    job_id = layer.push_id(ttl_ms=10, on_expire="dead", unique_key="k")
    layer.tick(30)
    view = layer.view(job_id)
    assert view is not None
    assert (view.state, view.reason) == (JobState.DEAD, "expired")
    assert view.died_at_ms == layer.now - 20
    layer.push_id(unique_key="k", ttl_ms=1)
    layer.tick(1)
    assert layer.retry(job_id) == 1
    layer.tick(9)
    for each in (layer.restarted(), layer):
        assert each.state(job_id) == "ready"
        each.tick(1)
        assert each.state(job_id) == "dead", "the time to live began anew"


@pytest.mark.parametrize("back", ["fail", "later", "release", "close", "lease"])
def test_a_job_at_work_is_left_alone_and_does_not_run_again(
    layer: Layered, back: str
) -> None:
    job_id = layer.push_id(ttl_ms=10, keep_result_ms=1000)
    layer.pull(lease_ms=50)
    layer.tick(10)
    assert layer.state(job_id) == "active"
    if back == "fail":
        assert layer.fail(job_id).ended == {job_id: "expired"}
    elif back == "later":
        assert layer.fail(job_id, delays_ms=[100]).states == [None]
    elif back == "release":
        layer.release(job_id)
    elif back == "close":
        layer.close_session()
    else:
        layer.tick(40)
    assert layer.state(job_id) == "expired"
    assert layer.ended == [job_id]
    assert layer.restarted().state(job_id) == "expired"


def test_a_failure_of_an_expired_job_may_be_its_death(layer: Layered) -> None:
    job_id = layer.push_id(ttl_ms=10, on_expire="dead")
    layer.pull()
    layer.tick(10)
    assert layer.fail(job_id).states == [JobState.DEAD]
    assert layer.view(job_id).reason == "expired"  # type: ignore[union-attr]


def test_what_comes_back_in_time_still_expires(layer: Layered) -> None:
    job_id = layer.push_id(ttl_ms=10)
    layer.pull()
    layer.tick(5)
    layer.fail(job_id, delays_ms=[20])
    layer.tick(4)
    assert layer.state(job_id) == "delayed"
    layer.tick(1)
    assert layer.state(job_id) == "gone"


def test_paused_jobs_expire(layer: Layered) -> None:
    job_id = layer.push_id(ttl_ms=10)
    layer.core.pause("q", paused=True, now_ms=layer.now)
    layer.tick(10)
    assert layer.state(job_id) == "gone"


def test_no_job_is_handed_out_after_its_time_while_steps_lag(core_name: str) -> None:
    layer = Layered(core_name, step_jobs=2)
    for _ in range(7):
        layer.push_id(ttl_ms=10)
    alive = layer.push_id()
    other = layer.push_id(queue="other")
    layer.now += 10
    pulled = layer.policies.pull("q", 9, BYTES_MAX, 100, 1, layer.now)
    assert pulled.ids == []
    assert layer.policies.lagging
    assert layer.policies.next_deadline_ms <= layer.now
    assert layer.policies.pull("other", 9, BYTES_MAX, 100, 1, layer.now).ids == [other]
    rounds = 0
    while layer.policies.lagging:
        layer.policies.advance(layer.now)
        rounds += 1
    assert rounds >= 1
    assert layer.pull(9) == [alive]


def test_a_key_is_free_at_the_expiry_while_steps_lag(core_name: str) -> None:
    layer = Layered(core_name, step_jobs=1)
    for number in range(5):
        layer.push_id(ttl_ms=10, unique_key=f"{number}")
    layer.now += 10
    layer.push_id(unique_key="4")
    layer.tick(0)
    assert layer.policies.stats().unique_keys == 1


@pytest.mark.parametrize("keyed", [True, False])
def test_dead_letters_wait_behind_jobs_that_are_due(core_name: str, *, keyed: bool) -> None:
    layer = Layered(core_name, step_jobs=2)
    dead = layer.push_id(max_attempts=1, unique_key="k" if keyed else None)
    layer.fail(*layer.pull())
    late = [layer.push_id(delay_ms=5) for _ in range(6)]
    layer.now += 10
    step = layer.policies.retry_dead("q", None, layer.now)
    assert step.count == 0
    assert step.upto is not None
    assert layer.retry() == 1
    assert layer.pull(9) == [*late, dead]


def test_an_attempt_that_takes_too_long_failed(layer: Layered) -> None:
    job_id = layer.push_id(timeout_ms=20, backoff_ms=10)
    layer.tick(5)
    layer.pull(lease_ms=1000)
    layer.tick(15)
    assert layer.heartbeat(job_id, lease_ms=1000).missing == []
    layer.tick(4)
    assert layer.state(job_id) == "active"
    for each in (layer.restarted(), layer):
        each.tick(1)
        view = each.view(job_id)
        assert view is not None
        assert (view.state, view.error) == (JobState.DELAYED, "timed out after 20 ms")
        assert view.run_at_ms == each.now + 10
        assert each.heartbeat(job_id).missing == [job_id]
        assert each.ack(job_id, attempts=[1]).missing == [job_id]
        each.tick(10)
        assert each.pull() == [job_id]
        assert each.ack(job_id, attempts=[1]).stale == [job_id]
        each.tick(19)
        assert each.state(job_id) == "active", "each attempt has its time"
        assert each.ack(job_id, attempts=[2]).missing == []


def test_the_last_time_out_is_a_death(layer: Layered) -> None:
    job_id = layer.push_id(timeout_ms=20, max_attempts=1, keep_result_ms=9)
    layer.pull()
    layer.tick(20)
    view = layer.view(job_id)
    assert view is not None
    assert (view.state, view.reason) == (JobState.DEAD, "timeout")
    assert layer.ended == [job_id]
    ending = layer.policies.ending(job_id, layer.now)
    assert ending is not None
    assert (ending.state, ending.finished_at_ms) == ("dead", layer.now)


def test_a_time_out_is_of_its_attempt_alone(layer: Layered) -> None:
    job_id = layer.push_id(timeout_ms=20)
    layer.pull()
    layer.tick(10)
    layer.release(job_id)
    layer.tick(5)
    layer.pull()
    layer.tick(19)
    assert layer.state(job_id) == "active"
    layer.tick(1)
    assert layer.state(job_id) == "ready"


def test_entries_of_settled_jobs_do_not_pile_up(layer: Layered) -> None:
    for _ in range(300):
        job_id = layer.push_id(ttl_ms=10**9, timeout_ms=10**9)
        layer.pull()
        layer.ack(job_id)
    marks = layer.policies._ground.marks
    assert len(marks.expiries._heap) <= 65
    assert len(marks.attempt_ends._heap) <= 65
