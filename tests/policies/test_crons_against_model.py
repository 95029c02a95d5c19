"""Hypothesis drives crons above a core and the naive model alike, through restarts."""

import gc

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import CORES, START_MS, require_core
from machines import run_machine
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies import CronPlan, PolicyOptions
from policies.layered import Layered
from policies.naive_crons import NaiveCrons

MINUTE = 60_000
NAMES = st.sampled_from(["a", "b", "c"])
ABOUT_NOW = st.sampled_from([0, 0, 0, START_MS + 5 * MINUTE, START_MS + 90 * MINUTE])
TIMES = st.sampled_from(
    [
        {"schedule": "0,7,30"},
        {"schedule": "59"},
        {"every_ms": 17_000},
        {"every_ms": 61_000, "offset_ms": 500},
        {"every_ms": 25 * MINUTE},
    ]
)
PLANS = st.builds(
    lambda times, payload, **more: CronPlan(payload=b"%d" % payload, **times, **more),
    times=TIMES,
    payload=st.integers(0, 2),
    queue=st.sampled_from(["q", "r"]),
    start_ms=ABOUT_NOW,
    end_ms=ABOUT_NOW.map(lambda at_ms: at_ms + MINUTE if at_ms else 0),
    limit=st.sampled_from([0, 0, 2]),
    missed=st.sampled_from(["one", "skip", "all"]),
    catchup_ms=st.sampled_from([3 * MINUTE, 24 * 60 * MINUTE]),
    overlap=st.sampled_from(["skip", "allow"]),
)
SPANS = st.sampled_from([0, 1, 999, 1_000, 30_000, 61_000, 5 * MINUTE, 40 * MINUTE])


class CronMachine(RuleBasedStateMachine):
    """A layer beside the model."""

    name = "python"
    other = "python"

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layered(self.name, PolicyOptions())
        self.model = NaiveCrons()

    @rule(name=NAMES, plan=PLANS)
    def set(self, name: str, plan: CronPlan) -> None:
        if plan.end_ms and plan.end_ms < plan.start_ms:
            return
        done = self.layer.policies.crons.set(name, plan, self.layer.now)
        wanted = self.model.set(name, plan, self.layer.now)
        assert (done.created, done.changed) == wanted
        self.compare()

    @rule(name=NAMES, paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        if name in self.model.crons:
            self.layer.policies.crons.pause(name, paused=paused)
            self.model.pause(name, paused=paused)
            self.compare()

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        """Its jobs stay, and are those of a new cron of this name."""
        if self.model.crons.get(name) and not self.model.crons[name].jobs:
            self.layer.policies.crons.delete(name)
            del self.model.crons[name]
            self.compare()

    @rule(span_ms=SPANS, refused=st.sampled_from([False, False, True]))
    def go_on(self, span_ms: int, refused: bool) -> None:  # noqa: FBT001 - as above
        self.layer.tick(span_ms)
        self.model.fire(self.layer.now, refused=refused)
        self.layer.fire(refused=refused)
        self.compare()

    @rule(queue=st.sampled_from(["q", "r"]))
    def work(self, queue: str) -> None:
        """Do all that is there: each tick has one job, which tells of it."""
        delivery = self.layer.deliver(5_000, queue)
        told = self.layer.policies.more_of(queue, delivery.ids)
        assert told is not None or not delivery.ids
        for cron in () if told is None else told.crons or ():
            assert cron is not None
            name, tick_ms = cron
            self.model.crons[name].jobs.remove(tick_ms)
        self.layer.ack(*delivery.ids)
        self.compare()

    @rule(swap=st.booleans())
    def restart(self, swap: bool) -> None:  # noqa: FBT001 - as above
        before = self.layer.image()
        self.layer = self.layer.restarted(self.other if swap else self.name)
        assert self.layer.image() == before
        self.model.restart()
        self.compare()

    def compare(self) -> None:
        found = {
            cron.name: (
                cron.plan,
                None if cron.run_ms == NEVER_MS else cron.run_ms,
                cron.state.paused,
                cron.state.last_tick_ms,
                [getattr(cron.state, name) for name in self.counted],
                self.layer.policies.crons.live(cron.name),
            )
            for cron in self.layer.policies.crons.page(None)
        }
        wanted = {
            cron.name: (
                cron.plan,
                cron.tried_ms or cron.next_ms,
                cron.paused,
                cron.last_tick_ms,
                [cron.counts[name] for name in self.counted],
                len(cron.jobs),
            )
            for cron in self.model.crons.values()
        }
        assert found == wanted

    counted = ("fired", "skipped", "missed", "refused")

    def teardown(self) -> None:
        self.layer.check()


def machine(core: str, swapped: str) -> type[CronMachine]:
    return type("Machine", (CronMachine,), {"name": core, "other": swapped})


def run(core: str, swapped: str, examples: int, steps: int) -> None:
    for name in (core, swapped):
        require_core(name)
    run_machine(machine(core, swapped), examples, steps)
    gc.collect()


@pytest.mark.parametrize("core_name", CORES)
def test_crons_are_as_the_model_says(core_name: str) -> None:
    run(core_name, CORES[-1], 8, 25)


@pytest.mark.slow
@pytest.mark.parametrize("core_name", CORES)
def test_crons_are_as_the_model_says_at_length(core_name: str) -> None:
    for swapped in CORES:
        run(core_name, swapped, 400, 60)
