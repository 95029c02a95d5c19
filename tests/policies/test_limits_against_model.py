"""Hypothesis drives limits above a core and the naive model alike, through restarts.

Whoever waits for a queue must have been told of it whenever a pull would find a job.
"""

import gc
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, require_core
from conformance.naive_core import NaiveCore
from machines import run_machine
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.policies import PolicyOptions, Rate, Rule
from policies.layered import Layered
from policies.naive_limits import NaiveLimits

OPTIONS = {"lost_max": 1}
QUEUES = st.sampled_from(["a", "a", "b"])
RATES = st.builds(
    Rate,
    jobs=st.sampled_from([1, 3, 7]),
    per_ms=st.sampled_from([5, 10, 30]),
    burst=st.sampled_from([1, 2, 5]),
)
RULES = st.builds(
    Rule,
    concurrency=st.none() | st.integers(1, 3),
    rate=st.none() | RATES,
)


class LimitMachine(RuleBasedStateMachine):
    """A layer beside the model."""

    name = "python"

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layered(self.name, PolicyOptions(), **OPTIONS)
        self.core = NaiveCore(CoreOptions(**OPTIONS), 0)
        self.model = NaiveLimits(self.core)
        self.waiting: set[str] = set()

    @property
    def now(self) -> int:
        return self.layer.now

    def active(self) -> list[int]:
        return [job.view.id for job in self.core.all if job.view.state.name == "ACTIVE"]

    def some(self, data: st.DataObject) -> list[int]:
        ids = [*self.active(), self.core.last_id + 1]
        return data.draw(
            st.lists(st.sampled_from(ids), min_size=1, max_size=3, unique=True)
        )

    def compare(self) -> None:
        self.layer.check()
        for queue in "ab":
            ours = self.layer.core.queue_stats(queue, self.now)
            assert ours == self.core.queue_stats(queue, self.now)
        told = set(self.layer.woken)
        for queue in sorted(self.waiting):
            if self.model.gives(queue, self.now):
                assert queue in told, f"nobody was told of {queue}"
                self.waiting.discard(queue)
                self.layer.core.watch(queue, watching=False)
            elif queue in told:
                assert not self.layer.pull(1, queue), "who is told asks again, in vain here"
        self.layer.woken.clear()

    @rule(queue=QUEUES, priorities=st.lists(st.integers(0, 1), min_size=1, max_size=4))
    def push(self, queue: str, priorities: Sequence[int]) -> None:
        batch = NewJobs(
            payloads=[b"1"] * len(priorities),
            run_ats_ms=[self.now] * len(priorities),
            priorities=list(priorities),
            max_attempts=[2] * len(priorities),
        )
        self.layer.policies.push(queue, batch, None, None, self.now)
        self.core.push(queue, batch, self.now)
        self.compare()

    @rule(queue=QUEUES, count=st.integers(1, 4), session=st.integers(1, 2))
    def pull(self, queue: str, count: int, session: int) -> None:
        ours = self.layer.pull(count, queue, lease_ms=25, session=session)
        assert ours == self.model.pull(queue, count, session, self.now)
        if not ours:
            self.waiting.add(queue)
            self.layer.core.watch(queue, watching=True)
            self.layer.woken.clear()
        self.compare()

    @rule(verb=st.sampled_from(["ack", "ack", "fail", "release", "cancel"]), data=st.data())
    def settle(self, verb: str, data: st.DataObject) -> None:
        ids = self.some(data)
        if verb == "ack":
            self.layer.ack(*ids)
            self.core.ack(ids, None, self.now)
        elif verb == "fail":
            self.layer.fail(*ids)
            self.core.fail(ids, None, ["broken"] * len(ids), self.now)
        elif verb == "release":
            self.layer.release(*ids)
            self.core.release(ids, None, 0, self.now)
        else:
            ids = [job_id for job_id in ids if job_id in self.active()]
            states = frozenset(job.view.state for job in self.core.all)
            self.layer.core.remove(ids, states, "cancelled", self.now)
            self.core.remove(ids, states, "cancelled", self.now)
        self.compare()

    @rule(queue=QUEUES, limits=RULES)
    def limit(self, queue: str, limits: Rule) -> None:
        self.layer.policies.limits.limit(queue, limits, self.now)
        self.model.limit(queue, limits, self.now)
        self.compare()

    @rule(queue=QUEUES, for_ms=st.sampled_from([0, 5, 40]))
    def throttle(self, queue: str, for_ms: int) -> None:
        self.layer.policies.limits.throttle(queue, for_ms, self.now)
        self.model.throttle(queue, for_ms, self.now)
        self.compare()

    @rule(session=st.integers(1, 2))
    def close(self, session: int) -> None:
        self.layer.close_session(session)
        self.core.close_session(session, self.now)
        self.compare()

    @rule(span_ms=st.sampled_from([0, 1, 2, 5, 10, 30]))
    def tick(self, span_ms: int) -> None:
        self.layer.tick(span_ms)
        self.core.advance(self.now)
        self.core.end_leases(self.now, self.now)
        self.compare()

    @rule(name=st.sampled_from(CORES))
    def restart(self, name: str) -> None:
        records = self.layer.records
        self.layer = self.layer.restarted(require_core(name))
        assert self.layer.records == records
        self.layer.policies.advance(self.now)
        self.model.restart(self.now)
        self.waiting.clear()  # nobody is connected yet
        for queue in "ab":
            rule_ = self.layer.policies.limits.rule_of(queue)
            assert rule_ == self.model.of(queue).rule

    def teardown(self) -> None:
        gc.collect()


def run(name: str, examples: int) -> None:
    require_core(name)
    machine = type("Machine", (LimitMachine,), {"name": name})
    run_machine(machine, examples, 30)


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
@pytest.mark.parametrize("name", CORES)
def test_limits_against_the_model(name: str) -> None:
    run(name, 15)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CORES)
def test_limits_against_the_model_for_long(name: str) -> None:
    run(name, 1_000)
