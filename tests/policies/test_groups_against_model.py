"""Hypothesis drives groups above a core and the naive model alike, through restarts.

A restart replays the log, or what a log has whose old records were left out, above any
core. Whoever waits for a queue must have been told of it whenever a pull would find a job.
"""

import gc
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, require_core
from machines import run_machine
from magicqueue_cores.contract import NewJobs
from magicqueue_cores.policies import Bounds, InGroups, PolicyOptions, Rate, Rule, Wishes
from policies.layered import Layered
from policies.naive_groups import ACTIVE, DEAD, DELAYED, READY, NaiveGroups

BOUNDS = PolicyOptions()
QUEUES = st.sampled_from(["a", "a", "b"])
NAMES = ["x", "y", "z"]
GROUPS = st.sampled_from([*NAMES, "x", None])
ITEMS = st.tuples(GROUPS, st.sampled_from([0, 0, 0, 1]), st.sampled_from([0, 0, 0, 7]))
RATES = st.builds(
    Rate,
    jobs=st.sampled_from([1, 3]),
    per_ms=st.sampled_from([5, 30]),
    burst=st.sampled_from([1, 2]),
)
RULES = st.builds(
    Bounds,
    concurrency=st.none() | st.none() | st.integers(1, 2),
    rate=st.none() | st.none() | RATES,
)
HELD_AS: dict[str, str] = {"held": READY}


class GroupMachine(RuleBasedStateMachine):
    """A layer beside the model."""

    name = "python"
    made = 0

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layered(self.name, BOUNDS)
        self.model = NaiveGroups()
        self.waiting: set[str] = set()

    @property
    def now(self) -> int:
        return self.layer.now

    def some(self, data: st.DataObject) -> list[int]:
        ids = [*self.model.jobs, self.model.last_id + 1]
        return data.draw(
            st.lists(st.sampled_from(ids), min_size=1, max_size=4, unique=True)
        )

    def compare(self) -> None:
        self.model.tidy()
        self.layer.check()
        states = {job.id: job.state for job in self.model.jobs.values()}
        ours = {i: self.layer.state(i) for i in range(1, self.model.last_id + 1)}
        gone = dict.fromkeys(ours.keys() - states.keys(), "gone")
        assert {i: HELD_AS.get(s, s) for i, s in ours.items()} == states | gone
        for queue in sorted(self.waiting):
            if self.model.gives(queue, self.now):
                assert queue in self.layer.woken, f"nobody was told of {queue}"
                self.waiting.discard(queue)
                self.layer.core.watch(queue, watching=False)
        self.layer.woken.clear()

    @rule(queue=QUEUES, items=st.lists(ITEMS, min_size=1, max_size=4), singly=st.booleans())
    def push(
        self, queue: str, items: Sequence[tuple[str | None, int, int]], *, singly: bool
    ) -> None:
        """Push jobs, each with its own wishes, or all alike but for their groups."""
        batch = NewJobs(
            payloads=[b"1"] * len(items),
            run_ats_ms=[self.now + delay for _, _, delay in items],
            priorities=[priority for _, priority, _ in items],
            max_attempts=2,
        )
        names = [group for group, _, _ in items if group is not None]
        wishes: list[Wishes | None] | InGroups
        if singly or len(names) < len(items):
            wishes = [None if name is None else Wishes(group=name) for name, _, _ in items]
        else:
            wishes = InGroups(Wishes(group=names[0]), names)
        self.layer.policies.push(queue, batch, wishes, None, self.now)
        self.model.push(queue, items, self.now)
        self.compare()

    @rule(
        queue=QUEUES,
        count=st.integers(1, 5),
        lease_ms=st.sampled_from([3, 25]),
        session=st.integers(1, 2),
    )
    def pull(self, queue: str, count: int, lease_ms: int, session: int) -> None:
        ours = self.layer.pull(count, queue, lease_ms=lease_ms, session=session)
        assert ours == self.model.pull(queue, count, lease_ms, session, self.now)
        if not ours:
            self.waiting.add(queue)
            self.layer.core.watch(queue, watching=True)
            self.layer.woken.clear()
        self.compare()

    @rule(verb=st.sampled_from(["ack", "ack", "fail", "release", "later"]), data=st.data())
    def settle(self, verb: str, data: st.DataObject) -> None:
        ids = self.some(data)
        active = self.model.active(ids)
        if verb == "ack":
            self.layer.ack(*ids)
            self.model.remove(ids, [ACTIVE])
        elif verb == "fail":
            self.layer.fail(*ids)
            self.model.fail(ids)
        elif verb == "release":
            self.layer.release(*ids)
            self.model.lose(active)
        else:
            self.layer.release(*ids, delay_ms=7)
            for job in active:
                job.state, job.run_at = DELAYED, self.now + 7
            self.model.end(active)
        self.compare()

    @rule(data=st.data())
    def acknowledge_late(self, data: st.DataObject) -> None:
        """A job that came back, and was not handed out again, is done all the same."""
        ids = [i for i in self.some(data) if i in self.model.jobs]
        for job_id in ids:
            job = self.model.jobs[job_id]
            attempts = job.attempts or 1
            if not self.layer.ack(job_id, attempts=[attempts]).missing:
                assert job.state in {READY, ACTIVE}
                self.model.remove([job_id], [READY, ACTIVE])
        self.compare()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = [i for i in self.some(data) if i in self.model.jobs]
        ids = [i for i in ids if self.model.jobs[i].state != ACTIVE]
        self.layer.cancel(*ids)
        self.model.remove(ids, [READY, DELAYED])
        self.compare()

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        ids = self.some(data)
        self.layer.policies.promote(ids, self.now)
        self.model.promote(ids, self.now)
        self.compare()

    @rule(queue=QUEUES)
    def drain(self, queue: str) -> None:
        ids = [job.id for job in self.model.jobs.values() if job.queue == queue]
        assert self.layer.drain(queue) == self.model.remove(ids, [READY, DELAYED])
        self.compare()

    @rule(queue=QUEUES)
    def revive(self, queue: str) -> None:
        page = self.layer.core.dead(queue, 100, 2**20, None, self.now)
        ids = [job.id for job in page.jobs]  # type: ignore[union-attr]  # at once
        assert self.layer.retry(queue=queue) == len(ids)
        assert all(self.model.jobs[job_id].state == DEAD for job_id in ids)
        self.model.revive(ids)
        self.compare()

    @rule(queue=QUEUES, bounds=RULES)
    def limit(self, queue: str, bounds: Bounds) -> None:
        of_rule = None if bounds == Bounds() else bounds
        self.layer.policies.limits.limit(queue, Rule(group=of_rule), self.now)
        self.model.limit(queue, bounds, self.now)
        self.compare()

    @rule(queue=QUEUES, name=st.sampled_from(NAMES), for_ms=st.sampled_from([0, 5, 40]))
    def throttle(self, queue: str, name: str, for_ms: int) -> None:
        self.layer.policies.groups.limits.throttle(queue, name, for_ms, self.now)
        self.model.throttle(queue, name, for_ms, self.now)
        self.compare()

    @rule(session=st.integers(1, 2))
    def close(self, session: int) -> None:
        self.layer.close_session(session)
        self.model.close(session)
        self.compare()

    @rule(span_ms=st.sampled_from([0, 1, 2, 5, 10, 30]))
    def tick(self, span_ms: int) -> None:
        self.layer.tick(span_ms)
        self.model.tick(self.now)
        self.compare()

    @rule(name=st.sampled_from(CORES), moved=st.booleans())
    def restart(self, name: str, *, moved: bool) -> None:
        again = self.layer.moved if moved else self.layer.restarted
        self.layer = again(require_core(name))
        records = list(self.layer.records)
        self.layer.policies.advance(self.now)
        assert self.layer.records == records, "a replay is followed by no decision"
        self.model.restart(self.now)
        self.waiting.clear()
        self.compare()

    def teardown(self) -> None:
        for queue in "ab":
            ours = self.layer.pull(99, queue)
            assert ours == self.model.pull(queue, 99, 10_000, 1, self.now)
        self.compare()
        GroupMachine.made += 1
        if GroupMachine.made % 10 == 0:
            gc.collect()  # array cores reserve address space until they are


def run(name: str, examples: int, steps: int) -> None:
    machine = type("Machine", (GroupMachine,), {"name": require_core(name)})
    run_machine(machine, examples, steps)


@pytest.mark.parametrize("name", CORES)
def test_groups_against_the_model(name: str) -> None:
    run(name, 30, 30)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CORES)
def test_groups_against_the_model_for_long(name: str) -> None:
    run(name, 1_500, 60)
