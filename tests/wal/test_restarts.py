"""The state machine of the conformance tests, with restarts that may change the core.

All that the core reports goes through a log of very small segments, which are freed all
the time; a restart reads it back, after an orderly end, a kill or a power cut. Above the
core stands what keeps marks and facts there, too.
"""

import gc
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from conformance.driver import CORES, Driver, pull_order, require_core
from conformance.naive_jobs import COUNTERS
from conformance.test_against_model import ROOMY, CoreMachine
from machines import run_machine
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.reclaim import Reclaimer
from magicqueue_server.wal.recovery import recover
from wal.memory_disk import MemoryFolder
from wal.simulated import HeldTasks
from wal.stub_policies import StubPolicies

SEGMENT_BYTES = 500
RESTARTS = ("clean", "kill", "power")
OPENED_A_COLLECTION = 8
"""An array core reserves so much of the address space that only so many fit in it."""


class EagerReclaimer(Reclaimer):
    """Frees segments also where it does not pay, `budget` of them."""

    budget = 0

    def _pays(self) -> bool:
        self.budget -= 1
        return super()._pays() or (self.budget > 0 and len(self._log.journal.segments) > 2)


class LoggedDriver(Driver):
    """A core whose records are kept in a log in memory, with marks and facts."""

    opened: ClassVar[Iterator[int]] = count(1)

    def __init__(self, name: str, **options: int) -> None:
        super().__init__(name, **options)
        self.options = CoreOptions(**options)
        self.folder = MemoryFolder()
        self.freed = self.moved = self.moved_facts = 0
        self.restarts: Counter[str] = Counter()
        self.salts = count(1)
        self.open(name)

    def open(self, name: str) -> None:
        """Make a core of what the log holds, and go on with it."""
        if next(self.opened) % OPENED_A_COLLECTION == 0:
            gc.collect()
        self.tasks = HeldTasks()
        self.log = Log(self.tasks, "always", lambda: self.now)
        self.policies = StubPolicies(self.log.record)
        self.core = self.policies.core = make_core(
            name, self.options, on_ready=self.woken.append, record=self.policies.see
        )
        found = recover(self.folder, self.policies)
        journal = LocalJournal(
            self.folder,
            found.segments,
            lsn=found.lsn,
            segment_bytes=SEGMENT_BYTES,
            salts=lambda: next(self.salts),
            now_ms=lambda: self.now,
            manifest=found.manifest,
            mode="always",
        )
        journal.begin(found.last_id, found.sequence)
        self.log.begin(journal, found.last_id, found.sequence)
        self.reclaimer = EagerReclaimer(
            self.log,
            self.core,
            self.tasks,
            found,
            segment_bytes=SEGMENT_BYTES,
            now_ms=self._time_of_the_core,
            source=self.policies,
        )
        self.log.prepare()
        self.pump()

    def pump(self) -> None:
        self.reclaimer.budget = 3
        self.tasks.pump()
        assert self.log.failure is None

    def restart(self, name: str, how: str, rng: random.Random) -> None:
        self.restarts[how] += 1
        self.restarts["another core"] += name != self.core.name
        self.freed += self.reclaimer.freed
        self.moved += self.reclaimer.moved_jobs
        self.moved_facts += self.reclaimer.moved_facts
        before = self.policies
        if how == "clean":
            self.log.journal.close(clean=True)
        self.folder = (
            self.folder.after_power_cut(rng) if how == "power" else self.folder.after_kill()
        )
        self.open(name)
        assert self.policies.marks == before.marks
        assert self.policies.facts == before.facts

    def _time_of_the_core(self) -> int:
        """Ask for counts without letting time pass behind the model's back."""
        return min(self.now, self.core.next_deadline_ms - 1)


class RestartMachine(CoreMachine):
    """`names`: the cores that are changed between."""

    names = CORES
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.logged = LoggedDriver(self.name, **self.options)
        self.driver = self.logged

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        answer = super().both(verb, *arguments, **named)
        self.logged.pump()
        return answer

    @rule(
        space=st.sampled_from(["result", "window"]),
        facts=st.dictionaries(
            st.sampled_from([b"a", b"b", b"\xff"]), st.binary(max_size=9)
        ),
        kept=st.sampled_from([True, True, False]),
    )
    def keep(self, space: str, facts: dict[bytes, bytes], *, kept: bool) -> None:
        policies = self.logged.policies
        if kept:
            policies.keep(space, facts)
        else:
            policies.drop(space, list(facts))
        self.logged.pump()

    @precondition(lambda self: self.model.all)
    @rule(data=st.data(), text=st.binary(max_size=9))
    def tell_of(self, data: st.DataObject, text: bytes) -> None:
        ids = [job.view.id for job in self.model.all]
        some = data.draw(st.lists(st.sampled_from(ids), max_size=3, unique=True))
        self.logged.policies.mark("a", dict.fromkeys(some, text))
        self.logged.pump()

    @rule(
        data=st.data(),
        how=st.sampled_from(RESTARTS),
        seed=st.integers(0, 2**32),
    )
    def restart(self, data: st.DataObject, how: str, seed: int) -> None:
        self.reopen(data.draw(st.sampled_from(self.names)), how, seed)

    def reopen(self, name: str, how: str, seed: int) -> None:
        self.logged.restart(name, how, random.Random(seed))
        core, now = self.logged.core, self.logged.now
        for watched in self.model.watched:
            core.watch(watched, watching=True)
        self.model.overhead_bytes = core.capabilities.job_overhead_bytes
        for queue in (*self.model.by_name.values(), self.model.forgotten):
            queue.counts = dict.fromkeys(COUNTERS, 0)
        if self.model.due_ms() > now:
            known = {queue.name for queue in core.queues(now)}  # type: ignore[union-attr]
            for name_of in list(self.model.by_name):
                if name_of not in known:
                    held = [job for job in self.model.all if job.view.queue == name_of]
                    assert not held
                    assert not self.model.by_name.pop(name_of).paused
        else:
            self.model.advance(now)
            core.advance(now)
            self.logged.pump()
            self.reopen(core.name, "kill", seed)
        self.compare()

    def teardown(self) -> None:
        self.both("advance", self.driver.now)
        self.move_some()
        for how, name in zip(RESTARTS, cycle(self.names[::-1]), strict=False):
            self.reopen(name, how, 1)
        self.seen.update(self.logged.restarts)
        self.seen["freed"] += self.logged.freed
        self.seen["moved"] += self.logged.moved
        self.seen["moved facts"] += self.logged.moved_facts
        expected = {
            queue: [job.view.id for job in self.model.in_order(queue)]
            for queue in sorted(self.model.by_name)
        }
        assert pull_order(self.driver, list(expected)) == expected

    def move_some(self) -> None:
        """See to it that a segment goes whose jobs and facts have to move."""
        self.push_scalars("q", 2, 0, 0, held=False, admitted=False)
        self.logged.policies.keep("window", {b"old": b"1", b"older": b"2"})
        for number in range(SEGMENT_BYTES // 9):
            self.keep("result", {b"a": b"%d" % number}, kept=True)


def run(names: tuple[str, ...], examples: int, steps: int = 60) -> None:
    RestartMachine.seen.clear()
    machine = type(
        "Machine", (RestartMachine,), {"name": names[0], "names": names, "options": ROOMY}
    )
    run_machine(machine, examples, steps)
    for how in RESTARTS:
        assert RestartMachine.seen[how] >= examples
    assert (RestartMachine.seen["another core"] >= examples) == (len(names) > 1)
    assert RestartMachine.seen["freed"] > examples
    assert RestartMachine.seen["moved"] > examples
    assert RestartMachine.seen["moved facts"] > examples


@pytest.mark.timeout(600)
def test_restarts_change_nothing(core_name: str) -> None:
    run((core_name,), 12)


@pytest.mark.timeout(600)
def test_restarts_with_another_core_change_nothing() -> None:
    names = tuple(require_core(name) for name in CORES)
    run(names, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_restarts_change_nothing(core_name: str) -> None:
    run((core_name,), 3000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_restarts_with_another_core_change_nothing() -> None:
    run(tuple(require_core(name) for name in CORES), 1000)
