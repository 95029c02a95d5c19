"""Ends that are kept, those who wait for them, progress, cancels."""

import pytest

from magicqueue_cores.contract import JobState
from magicqueue_cores.policies import PolicyOptions, Progress, TooLarge
from policies.layered import Layered


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


def test_a_result_is_kept_for_its_time(layer: Layered) -> None:
    job_id = layer.push_id(keep_result_ms=50)
    assert layer.policies.waits_for(job_id)
    layer.pull()
    layer.tick(5)
    layer.ack(job_id, results=[b'{"n":3}'])
    assert not layer.policies.waits_for(job_id)
    assert layer.ended == [job_id]
    done_at = layer.now
    layer.tick(49)
    for each in (layer, layer.restarted()):
        ending = each.policies.ending(job_id, each.now)
        assert ending is not None
        assert (ending.state, ending.result) == ("done", b'{"n":3}')
        assert (ending.finished_at_ms, ending.attempts, ending.queue) == (done_at, 1, "q")
        each.tick(1)
        assert each.policies.ending(job_id, each.now) is None
        assert each.policies.stats().results == 0


def test_without_the_wish_a_result_is_dropped(layer: Layered) -> None:
    job_id = layer.push_id(unique_key="k")
    layer.ack(*layer.pull(), results=[b"1"])
    assert layer.state(job_id) == "gone"
    assert layer.ended == []


def test_what_a_line_settled_is_kept_without_a_result(layer: Layered) -> None:
    job_id = layer.push_id(keep_result_ms=50)
    layer.pull()
    layer.core.ack([job_id], None, layer.now)
    assert layer.policies.pending
    layer.settle()
    ending = layer.policies.ending(job_id, layer.now)
    assert ending is not None
    assert (ending.state, ending.result) == ("done", None)


def test_too_large_a_result_leaves_all_active(core_name: str) -> None:
    layer = Layered(core_name, PolicyOptions(result_bytes_max=10))
    ids = [layer.push_id(keep_result_ms=50) for _ in range(2)]
    layer.pull(2)
    with pytest.raises(TooLarge) as caught:
        layer.ack(*ids, results=[b"1", b"1" * 11])
    assert caught.value.index == 1
    assert [layer.state(job_id) for job_id in ids] == ["active", "active"]
    layer.ack(*ids, results=[b"1" * 10, None])
    assert [layer.state(job_id) for job_id in ids] == ["done", "done"]


def test_of_two_verdicts_the_accepted_one_brings_the_result(layer: Layered) -> None:
    job_id = layer.push_id(keep_result_ms=50)
    layer.pull()
    layer.fail(job_id)
    layer.pull()
    settled = layer.ack(
        job_id, job_id, job_id, attempts=[1, 2, 2], results=[b"1", b"2", b"3"]
    )
    assert settled.missing == [job_id, job_id]
    assert settled.stale == [job_id]
    ending = layer.policies.ending(job_id, layer.now)
    assert ending is not None
    assert ending.result == b"2"


def test_results_are_bounded_by_count_and_bytes(core_name: str) -> None:
    bounds = PolicyOptions(results_max=3, results_bytes_max=1000)
    layer = Layered(core_name, bounds)
    ids = [layer.push_id(keep_result_ms=1000 - n) for n in range(5)]
    layer.pull(5)
    for job_id in ids:
        layer.ack(job_id, results=[b"1"])
    states = [layer.state(job_id) for job_id in ids]
    assert states == ["gone", "gone", "done", "done", "done"]
    assert [layer.restarted().state(job_id) for job_id in ids] == states
    large = layer.push_id(keep_result_ms=1000)
    layer.ack(*layer.pull(), results=[b"1" * 950])
    assert layer.policies.stats().results == 1
    assert layer.state(large) == "done"
    assert layer.policies.stats().results_dropped == 5


def test_cancel_removes_what_waits_and_flags_what_is_at_work(layer: Layered) -> None:
    ready = layer.push_id(priority=-1)
    kept = layer.push_id(keep_result_ms=50, delay_ms=9)
    active = layer.push_id(priority=1)
    dead = layer.dead_one(priority=2)
    assert layer.pull() == [active]
    answer = layer.cancel(ready, kept, active, dead, 99, ready)
    assert (answer.cancelled, answer.cancelling) == ([ready, kept], [active])
    assert answer.missing == [dead, 99]
    assert layer.doomed == [active]
    assert layer.ended == [kept]
    assert layer.state(kept) == "cancelled"
    again = layer.cancel(ready, active)
    assert (again.cancelling, again.missing) == ([active], [ready])
    assert layer.doomed == [active]
    assert layer.heartbeat(active).cancelled == [active]
    assert layer.policies.known_of(active).cancelled
    assert layer.core.stats(layer.now).cancelled == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["fail", "release", "close", "lease", "time", "direct"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("lost_max", [0, 1])
def test_a_cancelled_job_ends_as_such_however_it_ends(
    core_name: str, end: str, *, again: bool, lost_max: int
) -> None:
    layer = Layered(core_name, lost_max=lost_max, dead_jobs_max=1)
    letter = layer.dead_one()
    job_id = layer.push_id(keep_result_ms=500, timeout_ms=100, unique_key="k")
    layer.pull()
    layer.close_session()
    layer.pull(lease_ms=50)
    layer.cancel(job_id)
    if again:
        layer = layer.restarted()
    if end == "fail":
        assert layer.fail(job_id, attempts=[1]).stale == [job_id]
        assert layer.fail(job_id, attempts=[2]).ended == {job_id: "cancelled"}
    elif end == "release":
        assert layer.release(job_id).missing == []
    elif end == "close":
        layer.close_session()
    elif end == "lease":
        layer.tick(49)
        assert layer.heartbeat(job_id, lease_ms=20).cancelled == [job_id]
        layer.tick(19)
        assert layer.state(job_id) == "active"
        layer.tick(1)
    elif end == "time":
        layer.heartbeat(job_id, lease_ms=1000)
        layer.tick(100)
    else:
        layer.core.close_session(1, layer.now)
        layer.settle()
    assert layer.state(job_id) == "cancelled"
    assert layer.ended[-1:] == [job_id]
    if end != "direct":
        assert layer.state(letter) == "dead", "it was no dead letter, even for a moment"
        assert layer.core.stats(layer.now).lost == 1  # type: ignore[union-attr]
    layer.push_id(unique_key="k")
    assert layer.restarted().state(job_id) == "cancelled"


def test_leases_of_cancelled_jobs_that_were_postponed_go_on(layer: Layered) -> None:
    job_id = layer.push_id(keep_result_ms=50)
    layer.pull(lease_ms=20)
    layer.cancel(job_id)
    layer.policies.end_leases(layer.now, layer.now)
    layer.core.postpone_leases(10, layer.now)
    layer.tick(29)
    assert layer.state(job_id) == "active"
    layer.tick(1)
    assert layer.state(job_id) == "cancelled"


def test_work_that_was_done_is_done(layer: Layered) -> None:
    job_id = layer.push_id(keep_result_ms=50)
    layer.pull()
    layer.cancel(job_id)
    assert layer.ack(job_id, results=[b"1"]).missing == []
    assert layer.state(job_id) == "done"
    assert layer.policies.stats().cancelling == 0


def test_progress_is_told_until_the_job_is_settled(layer: Layered) -> None:
    job_id = layer.push_id()
    say = layer.policies.progress
    assert say(job_id, 0, 10, None, None, layer.now).missing == [job_id]
    layer.pull(lease_ms=20)
    assert say(job_id, 1, 40, "half", 50, layer.now).missing == []
    assert layer.view(job_id).lease_until_ms == layer.now + 50  # type: ignore[union-attr]
    assert layer.policies.known_of(job_id).progress == Progress(40, "half")
    assert say(job_id, 2, 1, None, None, layer.now).missing == [job_id]
    layer.fail(job_id)
    layer.pull()
    assert say(job_id, 1, 1, None, None, layer.now).stale == [job_id]
    assert layer.policies.known_of(job_id).progress == Progress(40, "half")
    layer.ack(job_id)
    assert layer.policies.known_of(job_id).progress is None
    assert len(layer.policies._ground.marks.notebook) == 0
    kinds = {type(record).__name__ for record in layer.records}
    assert "Marked" not in kinds, "it is volatile"


def test_progress_is_bounded(core_name: str) -> None:
    bounds = PolicyOptions(progress_max=2, progress_bytes_max=10)
    layer = Layered(core_name, bounds)
    ids = [layer.push_id() for _ in range(3)]
    layer.pull(3)
    for job_id in ids:
        layer.policies.progress(job_id, 0, 1, "1", None, layer.now)
    told = [layer.policies.known_of(job_id).progress is not None for job_id in ids]
    assert told == [False, True, True]
    layer.policies.progress(ids[0], 0, 1, "1" * 10, None, layer.now)
    assert layer.policies.stats().progress_dropped == 3


def test_promoted_jobs_run_at_once(layer: Layered) -> None:
    first, second = layer.push_id(delay_ms=50, ttl_ms=99), layer.push_id()
    assert layer.policies.promote([first, second], layer.now).missing == [second]
    assert layer.pull(2) == [second, first]


def test_a_dead_job_is_told_as_an_end_and_told_again(layer: Layered) -> None:
    job_id = layer.dead_one(keep_result_ms=50)
    assert layer.ended == [job_id]
    layer.retry(job_id)
    assert layer.policies.waits_for(job_id)
    layer.pull()
    assert layer.fail(job_id).states == [JobState.DEAD]
    layer.purge(job_id)
    assert layer.state(job_id) == "gone"
    assert layer.ended == [job_id, job_id]
