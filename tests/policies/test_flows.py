"""Flows: who is blocked, what frees it, and what becomes of it when a parent fails."""

from collections.abc import Callable, Sequence

import pytest

from conformance.driver import require_core
from magicqueue_cores.contract import Full, NewJobs
from magicqueue_cores.policies import BadWish, Duplicate, PolicyOptions, Wishes
from magicqueue_cores.policies.ruling import TELLING
from policies.layered import Layered

Rows = Sequence[tuple[str, Wishes | None]]


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


def flow(
    layer: Layered, *rows: tuple[str, Wishes | None], max_attempts: int = 1
) -> list[int]:
    """Push a flow of (queue, wishes); a parent in it is -1 less its place."""
    jobs = NewJobs(
        payloads=[b"1"] * len(rows), run_ats_ms=layer.now, max_attempts=max_attempts
    )
    wishes = [wish for _, wish in rows]
    answer = layer.policies.flow_pushes.push(
        [queue for queue, _ in rows], jobs, wishes, layer.now
    )
    layer.check()
    return list(answer.ids)


def after(*parents: int, rule: str = "wait", **more: object) -> Wishes:
    return Wishes(parents=parents, on_parent_failure=rule, **more)  # type: ignore[arg-type]


def states(layer: Layered, *ids: int) -> list[str]:
    return [layer.state(job_id) for job_id in ids]


def test_a_chain_runs_one_after_the_other(layer: Layered) -> None:
    a, b, c = flow(layer, ("x", None), ("y", after(-1)), ("x", after(-2)))
    assert states(layer, a, b, c) == ["ready", "held", "held"]
    assert layer.pull(9, "x") == [a]
    assert layer.pull(9, "y") == []
    layer.ack(a)
    assert layer.pull(9, "y") == [b]
    layer.ack(b)
    assert layer.pull(9, "x") == [c]
    layer.ack(c)
    assert not layer.policies._ground.marks.links


def test_a_fan_in_waits_for_all(layer: Layered) -> None:
    rows = [("x", None)] * 4
    *parents, last = flow(layer, *rows, ("x", after(-1, -2, -3, -4)))
    assert layer.pull(9, "x") == parents
    for left, parent in zip((3, 2, 1, 0), parents, strict=True):
        assert layer.pull(9, "x") == []
        layer.ack(parent)
        assert layer.policies.flows.waits_for(last) == left
    assert layer.pull(9, "x") == [last]


def test_kernels_and_verbs_free_alike(layer: Layered) -> None:
    a, b = flow(layer, ("x", None), ("x", after(-1)))
    assert layer.pull(1, "x") == [a]
    layer.core.ack([a], None, layer.now)
    assert layer.policies.pending
    layer.settle()
    assert layer.state(b) == "ready"


def test_a_freed_job_enters_anew_and_waits_for_its_time(layer: Layered) -> None:
    (a,) = flow(layer, ("x", None))
    b = layer.push_id(queue="x", parents=(a,))
    late = layer.push_id(queue="x", parents=(a,), delay_ms=50)
    other = layer.push_id(queue="x")
    layer.pull(1, "x")
    layer.ack(a)
    assert layer.pull(9, "x") == [other, b], "behind what came meanwhile"
    assert layer.state(late) == "delayed"
    layer.tick(50)
    assert layer.pull(9, "x") == [late]


@pytest.mark.parametrize(
    ("rule", "expected"), [("wait", "held"), ("fail", "dead"), ("run", "ready")]
)
def test_what_a_parents_death_means(layer: Layered, rule: str, expected: str) -> None:
    a, b = flow(layer, ("x", None), ("y", after(-1, rule=rule)))
    layer.pull(1, "x")
    layer.fail(a)
    assert states(layer, a, b) == ["dead", expected]
    assert states(layer.restarted(), a, b) == ["dead", expected]
    view = layer.view(b)
    assert view is not None
    if expected == "dead":
        assert view.reason == "parent_failed"
        assert view.error == f"job {a}, which it depends on, died"


def by_purge(layer: Layered, job_id: int) -> None:
    layer.pull(1, "x")
    layer.fail(job_id)
    layer.purge(job_id, "x")


def by_drop(layer: Layered, job_id: int) -> None:
    layer.pull(1, "x")
    layer.fail(job_id)
    layer.dead_one(queue="x")


def by_cancel(layer: Layered, job_id: int) -> None:
    layer.cancel(job_id)


def by_cancel_at_work(layer: Layered, job_id: int) -> None:
    layer.pull(1, "x")
    layer.cancel(job_id)
    layer.fail(job_id)


def by_drain(layer: Layered, _: int) -> None:
    layer.drain("x")


def by_expiry(layer: Layered, _: int) -> None:
    layer.tick(100)


REMOVALS = (by_purge, by_cancel, by_cancel_at_work, by_drain, by_expiry)


@pytest.mark.parametrize("remove", REMOVALS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(("rule", "expected"), [("wait", "dead"), ("run", "ready")])
def test_a_parent_that_can_never_be_done(
    layer: Layered, remove: Callable[[Layered, int], None], rule: str, expected: str
) -> None:
    a, b, c = flow(
        layer, ("x", Wishes(ttl_ms=100)), ("y", after(-1, rule=rule)), ("y", after(-2))
    )
    remove(layer, a)
    assert states(layer, a, b, c) == ["gone", expected, "held"]
    if expected == "dead":
        assert layer.retry(b, "y") == 1
        assert layer.state(b) == "ready", "who revives it wants it to run"
    assert layer.pull(1, "y") == [b]
    layer.ack(b)
    assert layer.pull(1, "y") == [c]


def test_a_dead_letter_that_is_dropped_fails_who_waited(core_name: str) -> None:
    layer = Layered(core_name, dead_jobs_max=1)
    a, b = flow(layer, ("q", None), ("y", after(-1)))
    layer.pull(1)
    layer.fail(a)
    assert layer.state(b) == "held"
    layer.dead_one()
    assert states(layer, a, b) == ["gone", "dead"]


def test_it_goes_on_down_the_flow_in_one_call(layer: Layered) -> None:
    rows = [("x", after(-n, rule="fail") if n else None) for n in range(50)]
    ids = flow(layer, *rows, ("x", after(-50, rule="run")))
    layer.cancel(ids[0])
    assert set(states(layer, *ids[1:-1])) == {"dead"}
    assert layer.pull(9, "x") == [ids[-1]]


def test_a_revived_parent_mends_the_flow(layer: Layered) -> None:
    a, b, c = flow(layer, ("x", None), ("y", after(-1)), ("z", after(-1, rule="fail")))
    layer.pull(1, "x")
    layer.fail(a)
    assert layer.retry(c, "z") == 1
    assert states(layer, a, b, c) == ["dead", "held", "held"], "it waits for the mending"
    layer = layer.restarted()
    assert layer.retry(a, "x") == 1
    assert layer.pull(1, "x") == [a]
    layer.ack(a)
    assert states(layer, b, c) == ["ready", "ready"]


def test_parents_that_are_gone_count_as_done_and_cancelled_ones_do_not(
    layer: Layered,
) -> None:
    done, cancelled = layer.push_id(keep_result_ms=99), layer.push_id(keep_result_ms=99)
    layer.pull(1)
    layer.ack(done)
    layer.cancel(cancelled)
    a = layer.push_id(parents=(done,))
    b = layer.push_id(parents=(cancelled,))
    c = layer.push_id(parents=(cancelled,), on_parent_failure="run")
    assert states(layer, a, b, c) == ["ready", "dead", "ready"]
    layer.tick(99)
    assert layer.state(layer.push_id(parents=(cancelled,))) == "ready", "it left no trace"


def test_a_push_may_depend_on_dead_jobs(layer: Layered) -> None:
    dead = layer.dead_one()
    a = layer.push_id(parents=(dead,))
    b = layer.push_id(parents=(dead,), on_parent_failure="fail")
    c = layer.push_id(parents=(dead,), on_parent_failure="run")
    assert states(layer, a, b, c) == ["held", "dead", "ready"]


def test_a_drain_leaves_no_letters_of_its_own_queue(core_name: str) -> None:
    layer = Layered(core_name, step_jobs=3)
    rows = [("x", after(-n) if n else None) for n in range(20)]
    ids = flow(layer, *rows, ("y", after(-20)))
    step = layer.policies.drain("x", layer.now, None)
    late = layer.push_id(queue="x", parents=(ids[-1],))
    count = step.count
    while step.upto is not None:
        step = layer.policies.drain("x", layer.now, step.upto)
        count += step.count
    assert count == 20
    assert set(states(layer, *ids[:-1])) == {"gone"}
    assert states(layer, ids[-1], late) == ["dead", "held"]


def test_a_blocked_job_may_expire_be_cancelled_or_replaced(layer: Layered) -> None:
    a = layer.push_id()
    expires = layer.push_id(parents=(a,), ttl_ms=10)
    dies = layer.push_id(parents=(a,), ttl_ms=10, on_expire="dead")
    cancelled = layer.push_id(parents=(a,))
    keyed = layer.push_id(parents=(a,), unique_key="k")
    again = layer.push(b"new", unique_key="k", on_conflict="replace")
    assert (list(again.ids), again.replaced) == ([keyed], [0])
    layer.cancel(cancelled)
    layer.tick(10)
    assert states(layer, expires, dies, cancelled, keyed) == [
        "gone",
        "dead",
        "gone",
        "held",
    ]
    assert layer.policies.flows.children_of(a) == [keyed]
    assert layer.retry(dies) == 1
    assert layer.state(dies) == "held"


def test_what_cannot_be_is_refused_whole(layer: Layered) -> None:
    with pytest.raises(BadWish, match="job 7, which was never pushed"):
        layer.push(parents=(7,))
    with pytest.raises(BadWish, match=r"circle \(by way of jobs\[1\], jobs\[2\]\)") as bad:
        flow(layer, ("x", None), ("x", after(-3)), ("x", after(-2)), ("x", after(-2)))
    assert bad.value.index in {1, 2}
    with pytest.raises(BadWish, match="circle"):
        flow(layer, ("x", after(-1)))
    holder = layer.push_id(queue="x", unique_key="k")
    with pytest.raises(Duplicate) as held:
        flow(layer, ("x", None), ("x", after(-1, unique_key="k")))
    assert (held.value.index, held.value.holder) == (1, holder)
    with pytest.raises(Duplicate) as twice:
        flow(layer, ("x", Wishes(unique_key="l")), ("x", after(-1, unique_key="l")))
    assert (twice.value.index, twice.value.holder) == (1, None)
    assert layer.core.last_id == holder


def test_there_is_room_for_all_or_for_none(core_name: str) -> None:
    layer = Layered(core_name, jobs_max=3)
    with pytest.raises(Full):
        flow(layer, *[("x", None)] * 2, *[("y", after(-1))] * 2)
    assert layer.core.outside_bytes == 0
    assert len(flow(layer, *[("x", None)] * 2, ("y", after(-1)))) == 3


def test_links_count_as_memory(core_name: str) -> None:
    require_core(core_name)
    layer = Layered(core_name, PolicyOptions(), memory_bytes_max=2**20)
    parents = flow(layer, *[("x", None)] * 100)
    batch = NewJobs(payloads=[b"1"] * 100, run_ats_ms=layer.now)
    wishes = [Wishes(parents=tuple(parents))] * 100
    with pytest.raises(Full):
        layer.policies.push("q", batch, wishes, None, layer.now)
    assert layer.core.outside_bytes == 0
    layer.push(parents=tuple(parents))
    assert layer.core.outside_bytes > 10_000
    layer.drain()
    assert layer.core.outside_bytes == 0


def test_queues_are_ruled_while_they_have_such_jobs(layer: Layered) -> None:
    a, b = flow(layer, ("x", None), ("y", after(-1)))
    for each in (layer, layer.restarted()):
        each.policies.ruling.check(TELLING, {"y"})
    layer.pull(1, "x")
    layer.ack(a)
    assert layer.pull(1, "y") == [b]
    layer.core.ack([b], None, layer.now)
    layer.settle()
    assert not layer.policies.ruling.any
