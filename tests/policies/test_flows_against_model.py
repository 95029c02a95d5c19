"""Hypothesis drives flows above a core and the naive model alike, through restarts.

A restart is a replay of all records, or of what a log has from which all old records were
left out, by a new layer above either core; and the run goes on with that one.
"""

import gc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, require_core
from machines import run_machine
from magicqueue_cores.contract import CoreOptions, JobState, NewJobs, NotFound
from magicqueue_cores.policies import PolicyOptions, Wishes
from magicqueue_cores.records import Origin, Restarted, sequence_span
from policies.layered import Layered
from policies.naive_flows import NaiveFlows

OPTIONS = {"lost_max": 1, "dead_jobs_max": 4}
BOUNDS = PolicyOptions()
QUEUES = st.sampled_from("aab")
ITEM = st.fixed_dictionaries(
    {
        "queue": QUEUES,
        "delay_ms": st.sampled_from([0, 0, 0, 10]),
        "parents": st.lists(st.integers(-6, 8), max_size=3),
        "rule": st.sampled_from(["wait", "fail", "run"]),
    }
)


class FlowMachine(RuleBasedStateMachine):
    """A layer beside the model."""

    name = "python"

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layered(self.name, BOUNDS, **OPTIONS)
        self.model = NaiveFlows(CoreOptions(**OPTIONS))

    @property
    def now(self) -> int:
        return self.layer.now

    def some(self, data: st.DataObject, ids: Sequence[int]) -> list[int]:
        known = [*ids, self.model.core.last_id + 1]
        return data.draw(
            st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)
        )

    def compare(self) -> None:
        self.layer.check()
        flows, model = self.layer.policies.flows, self.model
        for job_id in range(1, model.core.last_id + 1):
            assert self.layer.view(job_id) == model.core.job(job_id, self.now), job_id
            waits = flows.waits_for(job_id) > 0
            assert waits is (model.state(job_id) == "held"), job_id
        for queue in "ab":
            held = [j for j in model.watched if model.core.find(j).view.queue == queue]  # type: ignore[union-attr]
            assert flows.count(queue) == len(held)
            ours = self.layer.core.queue_stats(queue, self.now)
            assert ours == model.core.queue_stats(queue, self.now)

    def push_all(self, items: list[dict[str, Any]], queue: str | None) -> None:
        """Push a flow, or jobs of one queue that depend on others by id alone."""
        last_id, wishes = self.model.core.last_id, []
        for index, item in enumerate(items):
            refs = [-1 - (-p % index) for p in item["parents"] if p < 0 < index]
            ids = [last_id - p for p in item["parents"] if 0 <= p < last_id]
            parents = tuple(dict.fromkeys([*ids, *(refs if queue is None else [])]))
            wish = Wishes(parents=parents, on_parent_failure=item["rule"])
            wishes.append(wish if parents else None)
        batch = NewJobs(
            payloads=[b"1"] * len(items),
            run_ats_ms=[self.now + item["delay_ms"] for item in items],
            max_attempts=2,
        )
        queues = [queue or item["queue"] for item in items]
        expected = self.model.push(queues, batch, wishes, self.now)
        policies = self.layer.policies
        if queue is None:
            answer = policies.flow_pushes.push(queues, batch, wishes, self.now)
        else:
            answer = policies.push(queue, batch, wishes, None, self.now)
        assert list(answer.ids) == expected
        self.compare()

    @rule(items=st.lists(ITEM, min_size=1, max_size=6))
    def push_flow(self, items: list[dict[str, Any]]) -> None:
        self.push_all(items, None)

    @rule(items=st.lists(ITEM, min_size=1, max_size=3), queue=QUEUES)
    def push_batch(self, items: list[dict[str, Any]], queue: str) -> None:
        self.push_all(items, queue)

    @rule(queue=QUEUES, count=st.integers(1, 4), session=st.integers(1, 2))
    def pull(self, queue: str, count: int, session: int) -> None:
        ours = self.layer.pull(count, queue, lease_ms=20, session=session)
        assert ours == self.model.pull(queue, count, session, self.now)
        self.compare()

    @rule(data=st.data(), by_core=st.booleans())
    def ack(self, data: st.DataObject, *, by_core: bool) -> None:
        ids = self.some(data, self.model.active())
        if by_core:
            self.layer.core.ack(ids, None, self.now)
            self.layer.settle()
        else:
            self.layer.ack(*ids)
        self.model.ack(ids, self.now)
        self.compare()

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        ids = self.some(data, self.model.active())
        self.layer.fail(*ids)
        self.model.fail(ids, self.now)
        self.compare()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        here = [job.view.id for job in self.model.core.all]
        ids = [i for i in self.some(data, here) if i not in self.model.active()]
        self.layer.cancel(*ids)
        self.model.cancel(ids, self.now)
        self.compare()

    @rule(queue=QUEUES, what=st.sampled_from(["drain", "purge", "retry", "retry"]))
    def clear(self, queue: str, what: str) -> None:
        if what == "retry":
            expected = self.model.retry(queue, None, self.now)
        else:
            expected = getattr(self.model, what)(queue, self.now)
        assert getattr(self.layer, what)(queue=queue) == expected
        self.compare()

    @rule(data=st.data())
    def retry_one(self, data: st.DataObject) -> None:
        job_id = self.some(data, self.model.letters())[0]
        view = self.layer.view(job_id)
        if view is None or view.state is not JobState.DEAD:
            with pytest.raises(NotFound):
                self.layer.retry(job_id, "a")
            return
        assert self.layer.retry(job_id, view.queue) == 1
        self.model.retry(view.queue, job_id, self.now)
        self.compare()

    @rule(span_ms=st.sampled_from([0, 1, 10, 20]))
    def pass_time(self, span_ms: int) -> None:
        self.layer.tick(span_ms)
        self.model.pass_time(self.now)
        self.compare()

    @rule(session=st.integers(1, 2))
    def close(self, session: int) -> None:
        self.layer.close_session(session)
        self.model.core.close_session(session, self.now)
        self.model.look(self.now)
        self.compare()

    @rule(name=st.sampled_from(CORES), moved=st.booleans())
    def restart(self, name: str, *, moved: bool) -> None:
        records, image = self.layer.records, self.layer.image()
        totals = [self.layer.core.queue_stats(queue, self.now) for queue in "ab"]
        again = self.layer.restarted(require_core(name))
        assert again.image() == image
        assert again.records == records, "nothing is decided twice"
        if moved:
            other = self.left_out(require_core(name))
            assert other.image() == image
            assert other.policies.flows._blocked == self.layer.policies.flows._blocked
        assert [again.core.queue_stats(queue, self.now) for queue in "ab"] == totals
        self.layer = again
        self.compare()

    def left_out(self, name: str) -> Layered:
        """A layer that was told what a log has from which all old records were left out."""
        last_id, policies = self.model.core.last_id, self.layer.policies
        other = Layered(name, BOUNDS, **OPTIONS)
        other.now = self.now
        sequence = sum(map(sequence_span, self.layer.records))
        other.policies.replay(Origin(last_id, sequence))
        for record in policies.export(range(last_id, 0, -1)):
            other.policies.replay(record)
        other.policies.replay(Restarted())
        other.check()
        return other

    def teardown(self) -> None:
        gc.collect()


def run(name: str, examples: int, steps: int = 30) -> None:
    machine = type("Machine", (FlowMachine,), {"name": require_core(name)})
    run_machine(machine, examples, steps)


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
def test_flows_against_the_model(core_name: str) -> None:
    run(core_name, 20, 20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_flows_against_the_model_for_long(core_name: str) -> None:
    run(core_name, 2_000, 60)
