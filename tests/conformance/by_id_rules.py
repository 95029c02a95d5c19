"""Rules about jobs that are named, whatever their state, and about who observes them.

They are a part of the state machine in `test_against_model`.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from conformance.driver import Driver
from conformance.naive_core import NaiveCore
from magicqueue_cores.contract import LIVE, WAITING, Core, Full, JobState
from magicqueue_cores.records import Record

STATES = st.sampled_from(
    [LIVE, WAITING, frozenset(JobState), *(frozenset((state,)) for state in JobState)]
)


HOLDING = ("hold", "unhold")


class ByIdRules(RuleBasedStateMachine):
    """A part of `CoreMachine`, which sets the driver and the model."""

    driver: Driver
    model: NaiveCore

    def __init__(self) -> None:
        super().__init__()
        self.observed: Core | None = None
        self.marked: set[int] = set()
        self.told: dict[int, list[str]] = {}
        """What the observer heard of each marked job in the last verb, by name."""

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        raise NotImplementedError

    def listen(self) -> None:
        """Begin to note what is told, of a new core or of the one as before."""
        core = self.driver.core
        self.marked = {job.view.id for job in self.model.all if job.marked}
        if core is not self.observed:
            self.observed = core
            core.observe(self.hear)
            core.mark(sorted(self.marked), marked=True)
        self.told = {}
        self.model.notes = {}

    def hear(self, record: Record) -> None:
        ids: Sequence[int] = getattr(record, "ids", ())
        for job_id in ids:
            if job_id in self.marked:
                self.told.setdefault(job_id, []).append(type(record).__name__)

    def any_ids(self, data: st.DataObject) -> list[int]:
        """Ids of jobs in all states, and one that is not here."""
        by_state = [[job.view.id for job in self.model.some(state)] for state in JobState]
        known = [job_id for ids in by_state for job_id in (*ids[:2], *ids[-4:])]
        choice = st.sampled_from([*known, self.model.last_id + 1])
        return data.draw(st.lists(choice, min_size=1, max_size=5))

    @precondition(lambda self: self.model.all)
    @rule(
        verb=st.sampled_from(["remove", "bury", "promote", "revive", *(HOLDING * 2)]),
        data=st.data(),
        states=STATES,
        cause=st.sampled_from(["cancelled", "expired", "purged"]),
        error=st.none() | st.text(max_size=3),
    )
    def settle_by_id(
        self,
        verb: str,
        data: st.DataObject,
        states: frozenset[JobState],
        cause: str,
        error: str | None,
    ) -> None:
        ids = self.any_ids(data)
        more: dict[str, list[Any]] = {
            "remove": [states, cause],
            "bury": ["expired", [error] * len(ids)],
        }
        self.both(verb, ids, *more.get(verb, []), self.driver.now)

    @precondition(lambda self: self.model.some(JobState.READY) or self.waiting())
    @rule(
        data=st.data(),
        payload=st.binary(min_size=1, max_size=20),
        priority=st.sampled_from([-1, 0, 0, 1]),
        delay_ms=st.sampled_from([-10, 0, 0, 3, 20]),
    )
    def replace(
        self, data: st.DataObject, payload: bytes, priority: int, delay_ms: int
    ) -> None:
        here = [*self.model.some(JobState.READY), *self.waiting()]
        chosen = st.sampled_from([job.view.id for job in here])
        job_id = data.draw(chosen) if data.draw(st.booleans()) else self.any_ids(data)[0]
        now = self.driver.now
        job = self.model.find(job_id)
        if job is not None and data.draw(st.booleans()):
            run_at_ms = job.view.run_at_ms
        else:
            run_at_ms = now + delay_ms
        if job is not None and self.model.options.memory_bytes_max:
            self.both("advance", now)  # what is held is asked of the core, with the time
            more = len(payload) - len(job.view.payload)
            self.both("refuse_more", more)
            if not self.has_room(more):
                return
        self.both("replace", job_id, payload, priority, run_at_ms, now)

    def has_room(self, more: int) -> bool:
        try:
            self.model.refuse_more(more)
        except Full:
            return False
        return True

    def waiting(self) -> list[Any]:
        return [*self.model.some(JobState.DELAYED), *self.model.some(JobState.HELD)]

    @precondition(lambda self: self.model.some(JobState.HELD))
    @rule(
        data=st.data(),
        queue=st.sampled_from("aab"),
        bytes_max=st.sampled_from([1, 10, 2**30]),
        lease_ms=st.sampled_from([10, 200, 0]),
        session=st.integers(0, 3),
    )
    def take(
        self, data: st.DataObject, queue: str, bytes_max: int, lease_ms: int, session: int
    ) -> None:
        held = [job.view.id for job in self.model.some(JobState.HELD, queue)]
        ids = data.draw(st.permutations(held[:4])) + self.any_ids(data)[:2]
        self.both("take", queue, ids, bytes_max, lease_ms, session, self.driver.now)

    @precondition(lambda self: self.model.some(JobState.HELD))
    @rule(data=st.data(), cause=st.sampled_from(["drained", "cancelled"]))
    def remove_held(self, data: st.DataObject, cause: str) -> None:
        held = [job.view.id for job in self.model.some(JobState.HELD)]
        ids = data.draw(st.lists(st.sampled_from(held), min_size=1, max_size=3))
        states = frozenset((JobState.HELD,))
        self.both("remove", ids, states, cause, self.driver.now)

    @precondition(lambda self: self.model.all)
    @rule(data=st.data(), marked=st.sampled_from([True, True, False]))
    def mark(self, data: st.DataObject, *, marked: bool) -> None:
        self.both("mark", self.any_ids(data), marked=marked)

    @rule(queue=st.sampled_from("abc"), count=st.integers(1, 3))
    def count_duplicates(self, queue: str, count: int) -> None:
        self.both("count_duplicates", queue, count)

    @rule(size=st.sampled_from([0, 0, 300]))
    def keep_outside(self, size: int) -> None:
        self.driver.core.outside_bytes = size
