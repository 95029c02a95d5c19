"""Hypothesis drives a core and the naive model alike: same answers, same state, always.

At the end of each run all its records are replayed by a new core of every kind, which
must show the same and hand out the same jobs in the same order.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from conformance.browse_rules import BrowseRules
from conformance.by_id_rules import ByIdRules
from conformance.driver import (
    BYTES_MAX,
    CORES,
    Driver,
    answered,
    assert_same,
    pull_order,
    without_memory,
)
from conformance.naive_core import NaiveCore
from machines import run_machine
from magicqueue_cores import make_core
from magicqueue_cores.contract import (
    NEVER_MS,
    CoreError,
    CoreOptions,
    CoreStats,
    Full,
    JobState,
    NewJobs,
    Step,
)

ROOMY = {"lost_max": 1, "dead_jobs_max": 4, "dead_bytes_max": 30, "backoff_ms_max": 50}
TIGHT = {**ROOMY, "jobs_max": 12, "queues_max": 2}
STEPWISE = {**ROOMY, "lost_max": 0, "step_jobs": 2}
"""No job dies of a loss: the order of such deaths follows from the steps."""
IN_STEPS = {"end_leases", "close_session"}
"""Verbs that the model does at once."""
MEMORY_BYTES_MAX = {"python": 7000, "array": 4500}
"""Two queues, and some of the jobs that `TIGHT` allows for."""

QUEUES = st.sampled_from(["a", "a", "a", "b", "b", "c"])
SPANS_MS = st.sampled_from([0, 1, 5, 20, 100, 300])
SESSIONS = st.integers(0, 3)
PRIORITIES = st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1])
NEW_JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "payload": st.binary(min_size=1, max_size=12),
            "delay_ms": st.sampled_from([-10, 0, 0, 0, 3, 20]),
            "priority": PRIORITIES,
            "max_attempts": st.integers(0, 3),
            "backoff_ms": st.sampled_from([0, 0, 10]),
            "jitter": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


class CoreMachine(ByIdRules, BrowseRules):
    """One core beside the model; `options` and `name` are set by the tests below."""

    name = "python"
    options = ROOMY

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(self.name, **self.options)
        overhead = self.driver.core.capabilities.job_overhead_bytes
        self.model = NaiveCore(CoreOptions(**self.options), overhead)
        self.model.held_bytes = lambda: self.held().memory_bytes

    def held(self) -> CoreStats:
        return answered(self.driver.core.stats(self.driver.now))

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """Call a verb on both: the same answer, or the same refusal."""
        available = self.available()
        del self.driver.woken[:]
        self.listen()
        try:
            expected = getattr(self.model, verb)(*arguments, **named)
        except CoreError as refusal:
            with pytest.raises(type(refusal), match=r"\w+ \w+"):
                getattr(self.driver.core, verb)(*arguments, **named)
            expected = None
        else:
            got = answered(getattr(self.driver.core, verb)(*arguments, **named))
            if isinstance(got, Step):
                got = self.rest_of(verb, arguments, got)
            while got is False and verb in IN_STEPS:
                got = answered(getattr(self.driver.core, verb)(*arguments, **named))
                self.model.advance(self.driver.now)
            assert got == expected
        for queue in self.available() - available:
            if queue in self.model.watched:
                assert queue in self.driver.woken, f"{verb} woke nobody for {queue!r}"
        assert set(self.driver.woken) <= self.model.watched
        assert self.told == self.model.notes
        self.compare()
        return expected

    def rest_of(self, verb: str, arguments: Sequence[Any], step: Step) -> int:
        """Go on with a verb to its end; gives how many jobs it was about."""
        count = step.count
        while step.upto is not None:
            self.driver.core.check()
            step = answered(getattr(self.driver.core, verb)(*arguments, step.upto))
            count += step.count
        return count

    def let_all_mature(self) -> None:
        """Leave nothing due: what matures between steps would come before their rest."""
        while self.model.due_ms() <= self.driver.now:
            self.both("advance", self.driver.now)

    def available(self) -> set[str]:
        return {
            name
            for name, queue in self.model.by_name.items()
            if not queue.paused and self.model.in_order(name)
        }

    def compare(self) -> None:
        """Same counts, jobs and deadline. Nothing here lets time pass."""
        core, now = self.driver.core, self.driver.now
        core.check()
        if self.model.due_ms() > now:
            for job_id in range(1, self.model.last_id + 2):
                assert answered(core.job(job_id, now)) == self.model.job(job_id, now)
            stats = answered(core.stats(now))
            assert without_memory(stats) == self.model.stats(now)
            assert stats.memory_bytes >= stats.content_bytes
            assert answered(core.queues(now)) == self.model.queues(now)
        for queue in (None, *"abc"):
            assert core.held(queue) == len(self.model.some(JobState.HELD, queue))
        assert core.next_deadline_ms <= self.model.earliest_ms()

    @rule(
        names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4),
        jobs=st.integers(1, 4),
    )
    def admit(self, names: list[str], jobs: int) -> None:
        self.both("advance", self.driver.now)  # what is held is asked of the core
        verbs = {"core": self.driver.core.admit, "model": self.model.admit_names}
        refused = {}
        for whose, verb in verbs.items():
            try:
                verb(names, jobs, 10 * jobs)
            except Full:
                refused[whose] = True
        assert len(refused) in {0, 2}, "only one of them refuses"
        self.compare()

    def some_ids(self, data: st.DataObject) -> list[int]:
        """Ids of jobs in all states, most of them active, and one that is not here."""
        active = [job.view.id for job in self.model.some(JobState.ACTIVE)]
        others = [job.view.id for job in self.model.all][-6:]
        known = active * 3 + others + [self.model.last_id + 1]
        return data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=5))

    def some_attempts(self, data: st.DataObject, ids: list[int]) -> list[int] | None:
        """No column, or one that is right for most jobs."""
        right = [job.view.attempts if (job := self.model.find(i)) else 1 for i in ids]
        wrong = [max(0, n + data.draw(st.sampled_from([0, 0, 0, -1, 1]))) for n in right]
        return data.draw(st.sampled_from([right, right, None, wrong]))

    @rule(queue=QUEUES, jobs=NEW_JOBS)
    def push_columns(self, queue: str, jobs: list[dict[str, Any]]) -> None:
        now = self.driver.now
        batch = NewJobs(
            payloads=[job["payload"] for job in jobs],
            run_ats_ms=[now + job["delay_ms"] for job in jobs],
            priorities=[job["priority"] for job in jobs],
            max_attempts=[job["max_attempts"] for job in jobs],
            backoffs_ms=[job["backoff_ms"] for job in jobs],
            jitters=[job["jitter"] for job in jobs],
        )
        self.both("push", queue, batch, now)

    @rule(
        queue=QUEUES,
        count=st.integers(1, 4),
        delay_ms=SPANS_MS,
        priority=PRIORITIES,
        held=st.booleans(),
        admitted=st.sampled_from([False, False, False, True]),
    )
    def push_scalars(
        self,
        queue: str,
        count: int,
        delay_ms: int,
        priority: int,
        *,
        held: bool,
        admitted: bool,
    ) -> None:
        now = self.driver.now
        batch = NewJobs(
            payloads=[b"x" * n for n in range(count)],
            run_ats_ms=now + delay_ms,
            priorities=priority,
            max_attempts=2,
            held=held,
            admitted=admitted and "memory_bytes_max" not in self.options,
        )
        self.both("push", queue, batch, now)

    @precondition(lambda self: self.available())
    @rule(
        queue=QUEUES,
        count=st.integers(1, 6),
        bytes_max=st.sampled_from([1, 10, BYTES_MAX]),
        lease_ms=st.sampled_from([10, 50, 200, 1000, 0]),
        session=SESSIONS,
    )
    def pull(
        self, queue: str, count: int, bytes_max: int, lease_ms: int, session: int
    ) -> None:
        self.both("pull", queue, count, bytes_max, lease_ms, session, self.driver.now)

    @precondition(lambda self: any(job.view.attempts for job in self.model.all))
    @rule(
        verb=st.sampled_from(["ack", "fail", "fail", "heartbeat", "release"]),
        data=st.data(),
        error=st.none() | st.text(max_size=3),
        span_ms=SPANS_MS,
    )
    def settle(
        self, verb: str, data: st.DataObject, error: str | None, span_ms: int
    ) -> None:
        ids = self.some_ids(data)
        attempts = self.some_attempts(data, ids)
        more: dict[str, list[Any]] = {
            "ack": [],
            "fail": [[error] * len(ids)],
            "heartbeat": [span_ms],
            "release": [span_ms],
        }
        last: list[Any] = []
        if verb == "fail" and data.draw(st.booleans()):
            waits = st.sampled_from([None, None, 0, span_ms, NEVER_MS])
            last = [data.draw(st.lists(waits, min_size=len(ids), max_size=len(ids)))]
            last.append(data.draw(st.sampled_from(["failed", "timeout"])))
        self.both(verb, ids, attempts, *more[verb], self.driver.now, *last)

    @rule(
        span_ms=SPANS_MS,
        what=st.sampled_from(["unseen", "advance", "end", "end", "end late", "postpone"]),
    )
    def let_time_pass(self, span_ms: int, what: str) -> None:
        before_ms = self.driver.now
        self.driver.now = now_ms = before_ms + span_ms
        if what == "advance":
            self.both("advance", now_ms)
        elif what == "postpone":
            self.both("postpone_leases", span_ms, now_ms)
        elif what != "unseen":
            until_ms = before_ms if what == "end late" else now_ms
            self.both("end_leases", until_ms, now_ms)

    @rule(
        what=st.sampled_from(
            ["close_session", "close_session", "pause", "resume", "resume", "drain"]
        ),
        queue=QUEUES,
        session=SESSIONS,
    )
    def disturb(self, what: str, queue: str, session: int) -> None:
        if what == "close_session":
            self.both("close_session", session, self.driver.now)
        elif what == "drain":
            self.let_all_mature()
            self.both("drain", queue, self.driver.now)
        else:
            paused = what == "pause"
            self.both("pause", queue, paused=paused, now_ms=self.driver.now)

    @rule(queue=QUEUES, watching=st.booleans())
    def watch(self, queue: str, *, watching: bool) -> None:
        available = queue in self.available()
        self.both("watch", queue, watching=watching)
        if watching and available:
            assert queue in self.driver.woken

    @rule(
        count=st.none() | st.integers(1, 3),
        after=st.none() | st.sampled_from(["", "a", "aa", "c"]),
        prefix=st.sampled_from(["", "", "b", "bb"]),
    )
    def list_queues(self, count: int | None, after: str | None, prefix: str) -> None:
        self.both("queues", self.driver.now, count, after, prefix)

    @precondition(lambda self: self.model.some(JobState.DEAD))
    @rule(queue=QUEUES, count=st.integers(1, 4), bytes_max=st.sampled_from([1, BYTES_MAX]))
    def page_through_the_dead(self, queue: str, count: int, bytes_max: int) -> None:
        page = self.both("dead", queue, count, bytes_max, None, self.driver.now)
        while page.next_id is not None:
            page = self.both("dead", queue, count, bytes_max, page.next_id, self.driver.now)

    @precondition(lambda self: self.model.some(JobState.DEAD))
    @rule(
        verb=st.sampled_from(["retry_dead", "retry_dead", "purge_dead"]),
        queue=st.none() | QUEUES,
        data=st.data(),
    )
    def settle_dead(self, verb: str, queue: str | None, data: st.DataObject) -> None:
        dead = [job.view.id for job in self.model.some(JobState.DEAD)]
        job_id = data.draw(st.sampled_from([*dead, 1, self.model.last_id + 1]))
        every = queue is not None and data.draw(st.booleans())
        if verb == "purge_dead":
            self.let_all_mature()
        self.both(verb, queue, None if every else job_id, self.driver.now)

    def teardown(self) -> None:
        """Replay what was recorded in every kind of core."""
        self.let_all_mature()
        ids = range(1, self.model.last_id + 1)
        for name in CORES:
            if make_core(name, CoreOptions()).name != name:
                continue
            again = self.driver.replayed(name, **self.options)
            for job_id in ids:
                view = answered(again.core.job(job_id, again.now))
                assert view == self.model.job(job_id, again.now)
            if self.options is ROOMY:  # else it may have forgotten queues at other times
                again.core.count_duplicates("not in records", self.model.duplicates())
                told = [without_memory(each.stats()) for each in (again, self.driver)]
                assert told[0] == told[1]
                first = self.driver.replayed(self.name, **self.options)
                first.core.count_duplicates("not in records", self.model.duplicates())
                assert_same(first, again, ids)
        expected = {
            queue: [job.view.id for job in self.model.in_order(queue)]
            for queue in sorted(self.model.by_name)
        }
        assert pull_order(self.driver, list(expected)) == expected


def run(core_name: str, options: dict[str, int], examples: int) -> None:
    machine = type("Machine", (CoreMachine,), {"name": core_name, "options": options})
    run_machine(machine, examples, 80)


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
def test_a_core_does_what_the_model_does(core_name: str) -> None:
    run(core_name, ROOMY, 40)


@pytest.mark.timeout(600)
def test_a_core_at_its_bounds_does_what_the_model_does(core_name: str) -> None:
    run(core_name, {**TIGHT, "memory_bytes_max": MEMORY_BYTES_MAX[core_name]}, 40)


@pytest.mark.timeout(600)
def test_a_core_that_goes_in_steps_does_what_the_model_does(core_name: str) -> None:
    run(core_name, STEPWISE, 30)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "options", [ROOMY, TIGHT, STEPWISE], ids=["roomy", "tight", "in steps"]
)
def test_a_core_does_what_the_model_does_for_long(
    core_name: str, options: dict[str, int]
) -> None:
    bound = {"memory_bytes_max": MEMORY_BYTES_MAX[core_name]} if options is TIGHT else {}
    run(core_name, options | bound, 2000)
