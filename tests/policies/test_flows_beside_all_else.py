"""Flows of jobs that have groups, unique keys and times to live, as well, on both cores.

Two layers live the same life, each above a core of its own, and swap these at restarts.
They must tell the same, and what they tell is compared with what the test itself knows:
which job depends on which, what was acknowledged, and what came back from the dead.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, require_core
from machines import run_machine
from magicqueue_cores.contract import JobState, JobView, NewJobs, NotFound
from magicqueue_cores.policies import Duplicate, Wishes
from magicqueue_cores.policies.mark_texts import text_of
from policies.layered import Layered

T = TypeVar("T")
QUEUES = st.sampled_from("aab")
ITEM = st.fixed_dictionaries(
    {
        "queue": QUEUES,
        "delay_ms": st.sampled_from([0, 0, 0, 10]),
        "priority": st.sampled_from([0, 0, 1]),
        "parents": st.lists(st.integers(-6, 8), max_size=3),
        "on_parent_failure": st.sampled_from(["wait", "fail", "run"]),
        "group": st.sampled_from([None, "x", "x", "y"]),
        "unique_key": st.sampled_from([None, None, "k", "l"]),
        "ttl_ms": st.sampled_from([None, None, 35]),
        "on_expire": st.sampled_from(["remove", "dead"]),
        "keep_result_ms": st.sampled_from([None, 50]),
    }
)
WISHED = (
    *("on_parent_failure", "group", "unique_key", "ttl_ms", "on_expire"),
    "keep_result_ms",
)


def picture(layer: Layered) -> dict[str, Any]:
    """All that is durable, with marks as a log tells them."""
    image = layer.image()
    image["marks"] = {job_id: text_of(mark) for job_id, mark in image["marks"].items()}
    return image


class MixedMachine(RuleBasedStateMachine):
    """Two layers, and what is known of their jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [
            Layered(require_core(name), lost_max=1, dead_jobs_max=4) for name in CORES
        ]
        self.links: dict[int, tuple[tuple[int, ...], str]] = {}
        self.blocked: set[int] = set()
        self.done: set[int] = set()
        self.untraced: set[tuple[int, int]] = set()
        """Jobs, and parents that had left no trace by then, which count as done."""
        self.died: set[int] = set()
        """Jobs that were dead at some time."""
        self.revived: set[int] = set()
        """Jobs that depend on others and were retried: they run whoever is gone."""

    @property
    def now(self) -> int:
        return self.layers[0].now

    @property
    def last_id(self) -> int:
        return self.layers[0].core.last_id

    def both(self, do: Callable[[Layered], T]) -> T:
        """Do it with both layers, which must answer the same; and look at all jobs."""
        one, two = map(do, self.layers)
        assert one == two
        return one

    def some(self, data: st.DataObject, states: Sequence[JobState]) -> list[int]:
        ids = [job.id for job in self.jobs().values() if job.state in states]
        known = [*ids, self.last_id + 1]
        return data.draw(
            st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)
        )

    def jobs(self) -> dict[int, JobView]:
        views = map(self.layers[0].view, range(1, self.last_id + 1))
        return {view.id: view for view in views if view is not None}

    def compare(self) -> None:
        """Compare the layers with each other, and with what is known."""
        for layer in self.layers:
            layer.check()
        assert picture(self.layers[0]) == picture(self.layers[1])
        flows, groups = self.layers[0].policies.flows, self.layers[0].policies.groups
        jobs = self.jobs()
        self.died |= {i for i, job in jobs.items() if job.state is JobState.DEAD}
        blocked = set()
        for job_id, job in jobs.items():
            waits = groups.waits(job_id)
            if flows.waits_for(job_id):
                assert job.state is JobState.HELD
                assert not waits, "a blocked job takes no turns"
                blocked.add(job_id)
            elif job.state is JobState.HELD:
                assert waits, f"job {job_id} is held for nothing"
            if job.reason == "parent_failed":
                assert any(self.failed(one, jobs) for one in self.links[job_id][0])
                assert self.links[job_id][1] != "run"
        for job_id in blocked:
            assert flows.waits_for(job_id) == self.missing(job_id, jobs) > 0
        for job_id in self.blocked - blocked & jobs.keys():
            if job_id in jobs and jobs[job_id].state is not JobState.DEAD:
                assert self.missing(job_id, jobs) == 0, "it is free too soon"
        self.blocked = blocked

    def missing(self, job_id: int, jobs: dict[int, JobView]) -> int:
        """Count the parents that a job has to wait for, by what is known of it."""
        parents, on_failure = self.links[job_id]
        here = [jobs[parent] for parent in parents if parent in jobs]
        for parent in set(parents) - jobs.keys() - self.done:
            fine = (job_id, parent) in self.untraced or job_id in self.revived
            assert fine or on_failure == "run", (job_id, parent)
        if on_failure == "run":
            here = [parent for parent in here if parent.state is not JobState.DEAD]
        return len(here)

    def failed(self, job_id: int, jobs: dict[int, JobView]) -> bool:
        """Whether a job is dead, or was removed, now or before it came back."""
        dead = job_id in jobs and jobs[job_id].state is JobState.DEAD
        gone = job_id not in jobs and job_id not in self.done
        return dead or gone or job_id in self.revived or job_id in self.died

    @rule(items=st.lists(ITEM, min_size=1, max_size=5))
    def push_flow(self, items: list[dict[str, Any]]) -> None:
        wishes, last_id = list[Wishes](), self.last_id
        for index, item in enumerate(items):
            refs = [-1 - (-p % index) for p in item["parents"] if p < 0 < index]
            ids = [last_id - p for p in item["parents"] if 0 <= p < last_id]
            parents = tuple(dict.fromkeys([*ids, *refs]))
            wished = {name: item[name] for name in WISHED}
            wishes.append(Wishes(parents=parents, **wished))
        queues = [item["queue"] for item in items]

        def push(layer: Layered) -> list[int] | None:
            batch = NewJobs(
                payloads=[b"1"] * len(items),
                run_ats_ms=[self.now + item["delay_ms"] for item in items],
                priorities=[item["priority"] for item in items],
                max_attempts=2,
            )
            try:
                push = layer.policies.flow_pushes.push
                return list(push(queues, batch, wishes, self.now).ids)
            except Duplicate:
                return None

        gone = set(range(1, last_id + 1)) - self.jobs().keys()
        ending = self.layers[0].policies.ending
        untraced = {job_id for job_id in gone if ending(job_id, self.now) is None}
        new = self.both(push)
        if new is None:
            return
        for job_id, wish in zip(new, wishes, strict=True):
            parents = tuple(one if one > 0 else new[-1 - one] for one in wish.parents)
            self.links[job_id] = parents, wish.on_parent_failure
            self.untraced |= {(job_id, one) for one in untraced & set(parents)}
        self.compare()

    @rule(queue=QUEUES, count=st.integers(1, 4), session=st.integers(1, 2))
    def pull(self, queue: str, count: int, session: int) -> None:
        ids = self.both(lambda layer: layer.pull(count, queue, session=session))
        assert not self.blocked & set(ids)
        self.compare()

    @rule(data=st.data(), how=st.sampled_from(["ack", "ack", "ack", "fail", "release"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        ids = self.some(data, [JobState.ACTIVE])
        settled = self.both(lambda layer: getattr(layer, how)(*ids))
        if how == "ack":
            self.done |= set(ids) - set(settled.missing)
        self.compare()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = self.some(data, list(JobState))
        self.both(lambda layer: layer.cancel(*ids))
        self.compare()

    @rule(queue=QUEUES, what=st.sampled_from(["drain", "purge", "retry", "retry"]))
    def clear(self, queue: str, what: str) -> None:
        dead = {i for i, job in self.jobs().items() if job.state is JobState.DEAD}
        self.both(lambda layer: getattr(layer, what)(queue=queue))
        if what == "retry":
            self.revived |= dead
        self.compare()

    @rule(data=st.data())
    def retry_one(self, data: st.DataObject) -> None:
        job_id = self.some(data, [JobState.DEAD])[0]
        job = self.jobs().get(job_id)

        def retry(layer: Layered) -> int | None:
            try:
                return layer.retry(job_id, "a" if job is None else job.queue)
            except (NotFound, Duplicate):
                return None

        self.both(retry)
        self.revived.add(job_id)
        self.compare()

    @rule(span_ms=st.sampled_from([0, 1, 10, 35]))
    def pass_time(self, span_ms: int) -> None:
        self.both(lambda layer: layer.tick(span_ms))
        self.compare()

    @rule(session=st.integers(1, 2))
    def close(self, session: int) -> None:
        self.both(lambda layer: layer.close_session(session))
        self.compare()

    @rule()
    def restart_swapped(self) -> None:
        before = picture(self.layers[0])
        names = [layer.name for layer in self.layers]
        self.layers = [
            layer.restarted(name)
            for layer, name in zip(self.layers, reversed(names), strict=True)
        ]
        gc.collect()  # each array core takes much of the room for addresses
        for layer in self.layers:
            layer.policies.groups.begin(layer.now)
        assert picture(self.layers[0]) == before
        self.compare()

    @rule()
    def work_off(self) -> None:
        """Nobody waits for ever but for who is dead."""
        for session in (1, 2):
            self.close(session)
        while self.work_once():
            pass
        jobs = self.jobs()
        assert {job.state for job in jobs.values()} <= {JobState.DEAD, JobState.HELD}
        for job_id in self.blocked:
            here = [jobs[one].state for one in self.links[job_id][0] if one in jobs]
            assert here, f"job {job_id} waits for nobody"

    def work_once(self) -> bool:
        """Do all jobs that are ready; gives whether there were any."""
        self.both(lambda layer: layer.tick(10))
        ids = [i for name in "ab" for i in self.both(lambda one: one.pull(50, name))]  # noqa: B023 - called at once
        assert self.both(lambda layer: layer.ack(*ids)).missing == []
        self.done |= set(ids)
        self.compare()
        return bool(ids)

    def teardown(self) -> None:
        gc.collect()


def run(examples: int, steps: int) -> None:
    run_machine(MixedMachine, examples, steps)


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
def test_flows_beside_all_else() -> None:
    run(10, 25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_flows_beside_all_else_for_long() -> None:
    run(1_500, 60)
