"""Every exit of a job from every state, with all fields set: nothing of it stays."""

from collections.abc import Callable
from typing import Any

import pytest

from policies.layered import Layered

EVERYTHING: dict[str, Any] = {
    "unique_key": "k",
    "ttl_ms": 100,
    "timeout_ms": 40,
    "keep_result_ms": 1000,
}


def everything(layer: Layered) -> dict[str, Any]:
    """All fields: it has come after a job that is done."""
    parent = layer.push_id()
    assert layer.pull() == [parent]
    layer.ack(parent)
    return {**EVERYTHING, "parents": (parent,), "group": "g"}


def ready(layer: Layered) -> int:
    return layer.push_id(max_attempts=2, **everything(layer))


def delayed(layer: Layered) -> int:
    return layer.push_id(delay_ms=90, max_attempts=2, **everything(layer))


def blocked(layer: Layered) -> int:
    parent = layer.push_id(queue="p")
    return layer.push_id(parents=(parent,), group="g", **EVERYTHING)


def free(layer: Layered) -> int:
    job_id = blocked(layer)
    layer.ack(*layer.pull(queue="p"))
    return job_id


def active(layer: Layered) -> int:
    job_id = ready(layer)
    assert layer.pull(lease_ms=30) == [job_id]
    layer.policies.progress(job_id, 1, 50, "half", None, layer.now)
    return job_id


def retried(layer: Layered) -> int:
    job_id = active(layer)
    layer.fail(job_id, delays_ms=[50])
    return job_id


def returned(layer: Layered) -> int:
    job_id = active(layer)
    layer.close_session()
    return job_id


def flagged(layer: Layered) -> int:
    job_id = active(layer)
    layer.cancel(job_id)
    return job_id


def dead(layer: Layered) -> int:
    job_id = retried(layer)
    layer.tick(50)
    layer.pull()
    layer.fail(job_id)
    return job_id


def expired_dead(layer: Layered) -> int:
    job_id = layer.push_id(on_expire="dead", **everything(layer))
    layer.tick(100)
    return job_id


def done(layer: Layered, job_id: int) -> None:
    attempt = layer.view(job_id).attempts  # type: ignore[union-attr]
    assert layer.ack(job_id, attempts=[attempt], results=[b"1"]).missing == []


def cancelled(layer: Layered, job_id: int) -> None:
    layer.cancel(job_id)


def expired(layer: Layered, _: int) -> None:
    layer.tick(100)


def drained(layer: Layered, _: int) -> None:
    assert layer.drain() == 1


def purged(layer: Layered, job_id: int) -> None:
    assert layer.purge(job_id) == 1


def all_purged(layer: Layered, _: int) -> None:
    assert layer.purge() == 1


def dropped(layer: Layered, _: int) -> None:
    layer.dead_one(priority=9)


def failed(layer: Layered, job_id: int) -> None:
    layer.fail(job_id)


def last_failure(layer: Layered, job_id: int) -> None:
    layer.fail(job_id, delays_ms=[2**63 - 1])


def given_back(layer: Layered, job_id: int) -> None:
    layer.release(job_id)


def timed_out(layer: Layered, job_id: int) -> None:
    layer.heartbeat(job_id, lease_ms=500)
    layer.tick(40)


def lease_over(layer: Layered, _: int) -> None:
    layer.tick(30)


def closed(layer: Layered, _: int) -> None:
    layer.close_session()


Make = Callable[[Layered], int]
Leave = Callable[[Layered, int], None]
WAITING = (ready, delayed, blocked, free, retried, returned)
WAYS: list[tuple[Make, Leave, str]] = [
    *((make, cancelled, "cancelled") for make in WAITING),
    *((make, expired, "expired") for make in WAITING),
    *((make, drained, "gone") for make in WAITING),
    *((make, done, "done") for make in (active, returned, flagged)),
    (active, last_failure, "dead"),
    *(
        (flagged, leave, "cancelled")
        for leave in (failed, last_failure, given_back, timed_out, lease_over, closed)
    ),
    *(
        (make, leave, "gone")
        for make in (dead, expired_dead)
        for leave in (purged, all_purged, dropped)
    ),
]


@pytest.mark.parametrize(
    ("make", "leave", "state"), WAYS, ids=lambda way: getattr(way, "__name__", way)
)
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted"])
def test_nothing_of_a_job_stays(
    core_name: str, make: Make, leave: Leave, state: str, *, restarts: bool
) -> None:
    layer = Layered(core_name, dead_jobs_max=1, lost_max=3)
    job_id = make(layer)
    if restarts:
        layer = layer.restarted()
    before = list(layer.ended)
    leave(layer, job_id)
    assert layer.state(job_id) == state
    told = [] if make in (dead, expired_dead) else [job_id]
    assert layer.ended[len(before) :] == told, "who waits is told once"
    for each in (layer, layer.restarted()):
        assert each.push_id(unique_key="k") > job_id, "the key is free"
        marks = each.policies._ground.marks
        assert marks.expiries.count == marks.attempt_ends.count == 0
        assert marks.by_id.keys() - {job_id} == {job_id + 1 + (leave is dropped)}
        assert (job_id in marks.by_id) is (state == "dead")
        assert not marks.notebook
        assert not marks.doomed
        assert not marks.timed
        assert marks.links == (state == "dead")
        assert not each.policies.flows.total
        assert not each.policies.groups.has("q")
        each.tick(2000)
        assert each.policies.stats().results == 0


@pytest.mark.parametrize(
    ("make", "leave", "state"), WAYS, ids=lambda way: getattr(way, "__name__", way)
)
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted"])
def test_whoever_comes_after_a_job_hears_of_its_end(
    core_name: str, make: Make, leave: Leave, state: str, *, restarts: bool
) -> None:
    layer = Layered(core_name, dead_jobs_max=1, lost_max=3)
    job_id = make(layer)
    child = layer.push_id(queue="c", parents=(job_id,))
    runs = layer.push_id(queue="c", parents=(job_id,), on_parent_failure="run")
    if restarts:
        layer = layer.restarted()
    leave(layer, job_id)
    expected = {"done": "ready", "dead": "held"}.get(state, "dead")
    for each in (layer, layer.restarted()):
        assert each.state(child) == expected
        assert each.state(runs) == "ready"


def test_a_revived_job_is_as_new(core_name: str) -> None:
    layer = Layered(core_name)
    job_id = dead(layer)
    layer.retry()
    for each in (layer.restarted(), layer):
        known = each.policies.known_of(job_id)
        assert known.expires_at_ms == each.now + 100
        assert known.progress is None
        assert each.push(unique_key="k").duplicates == [0]
        each.pull()
        each.tick(40)
        assert each.policies.groups.waits(job_id), "it is ready, and waits for its turn"
        each.tick(60)
        assert each.state(job_id) == "expired"
