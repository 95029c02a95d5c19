"""Crons: jobs that come again and again, exactly once a tick.

A cron is two facts (see `cron_facts`). When it fires, its job, the job's mark and the new
state are recorded by one call of `fire`, and so stand in one frame of the log: a crash
before that fires the tick after the restart, one behind it does not. The next run itself
is in no record: it follows from where the last one was, so a start works it out by the
rules of time zones that hold then.

Crons go by the wall clock, since their times are local times: that is the time of the other
verbs less `ahead_ms`. They fire by `fire` alone, a few at a time, with other things done in
between; `due_ms` says when. Jobs come in by the common push, so what holds for pushes holds
for these.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from magicqueue_cores.contract import NEVER_MS, CoreError, Full, NewJobs, NotFound
from magicqueue_cores.policies.answers import PushAnswer
from magicqueue_cores.policies.cron_facts import UNKNOWN_MS, Cron
from magicqueue_cores.policies.cron_plans import CronPlan, CronState, encode_plan
from magicqueue_cores.policies.cron_table import CronTable, key_of
from magicqueue_cores.policies.ground import CRON, Ground
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.schedules import Calendars, refuse_bad
from magicqueue_cores.policies.ticking import move_on, tick_of
from magicqueue_cores.policies.wishes import Mark, Wishes, cron_mark

RETRY_MS: Final = 1_000
"""A job that was refused is tried again after this."""


class Push(Protocol):
    """How a job comes in."""

    def __call__(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: tuple[Wishes] | None,
        req_key: None,
        now_ms: int,
        /,
    ) -> PushAnswer:
        """Store a batch."""
        ...


class CronSet(msgspec.Struct):
    """What became of a cron that was asked for."""

    cron: Cron
    created: bool
    changed: bool


class CronStats(msgspec.Struct):
    """Crons now, and what became of their ticks since the start."""

    crons: int = 0
    cron_fired: int = 0
    cron_skipped: int = 0
    cron_missed: int = 0
    cron_refused: int = 0


class Crons:
    """All crons. `push` takes a job in, as for anybody; calendars: see `schedules`."""

    def __init__(
        self, ground: Ground, push: Push, outcomes: Outcomes, calendars: Calendars
    ) -> None:
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock."""
        self.on_tick: Callable[[Cron, int, int | None], None] = _nobody
        """Told of each tick that came, and of its job if it got one; must not call back."""
        self.totals: Final = CronStats()
        self._ground = ground
        self._push = push
        self._outcomes = outcomes
        self._table = CronTable(ground, calendars)

    @property
    def due_ms(self) -> int:
        """When `fire` has something to do, at the earliest. O(1)."""
        next_ms = self._table.next_ms
        return next_ms if next_ms == NEVER_MS else next_ms + self.ahead_ms

    def get(self, name: str) -> Cron:
        """Return a cron; raises `NotFound`."""
        cron = self._table.find(name)
        if cron is None:
            raise NotFound(f"there is no cron {name!r}: CRONLIST tells which there are")
        return cron

    def page(self, count: int | None, after: str | None = None) -> list[Cron]:
        """Return the first `count` crons (None: all) behind a name, by name."""
        return self._table.page(count, after)

    def live(self, name: str) -> int:
        """Count the jobs of a cron that are not dead."""
        return self._ground.marks.cron_jobs.get(name, 0)

    def set(self, name: str, plan: CronPlan, now_ms: int) -> CronSet:
        """Have a cron be so; what it is already, changes nothing. Raises `BadCron`, `Full`.

        Other times begin behind now and behind the last tick; all else leaves the next run.
        """
        wall_ms, cron = now_ms - self.ahead_ms, self._table.find(name)
        if cron is not None and cron.plan == plan and cron.trouble is None:
            return CronSet(cron, created=False, changed=False)
        refuse_bad(plan)
        schedule = self._table.schedule_of(plan)
        self._refuse_more(name, plan, cron)
        created = cron is None
        if cron is None:
            cron = Cron(name, plan, CronState(wall_ms, wall_ms), schedule)
            self._table.add(cron)
        changed = created or not plan.says_same(cron.plan)
        state, ended = cron.state, cron.run_ms == NEVER_MS and not cron.state.paused
        if plan.times != cron.plan.times or (changed and ended):
            move_on(cron, max(wall_ms, state.last_tick_ms))
        cron.plan, cron.schedule, cron.trouble = plan, schedule, None
        cron.next_ms = UNKNOWN_MS
        self._table.keep(cron)
        self._table.wait(cron, cron.run_ms)
        return CronSet(cron, created=created, changed=changed)

    def delete(self, name: str) -> None:
        """Forget a cron; its jobs stay. Raises `NotFound`."""
        self._table.remove(self.get(name))

    def pause(self, name: str, *, paused: bool) -> Cron:
        """Let a cron fire no more, or again: what was to be meanwhile is missed."""
        cron = self.get(name)
        if cron.state.paused is not paused:
            cron.state.paused = paused
            cron.next_ms = UNKNOWN_MS
            cron.tried_ms = cron.caught_ms = 0
            self._table.keep_states([cron])
            self._table.wait(cron, cron.run_ms)
        return cron

    def run(self, name: str, now_ms: int) -> PushAnswer:
        """Push a job of a cron now, which changes nothing else. Raises as a push does."""
        cron = self.get(name)
        answer = self._push_job(cron, now_ms - self.ahead_ms, now_ms, now_ms)
        self._settle(now_ms)
        return answer

    def fire(self, now_ms: int, most: int, *, refused: bool = False) -> None:
        """Let what is due by now fire, `most` crons at most.

        refused: no job would be taken in, so all ticks stay due.
        """
        moved: list[Cron] = []
        due = self._table.due(now_ms - self.ahead_ms, most)
        try:
            moved.extend(
                one for one in due if self._take_turn(one, now_ms, refused=refused)
            )
        finally:
            if moved:
                self._table.keep_states(moved)
            self._settle(now_ms)

    def stats(self) -> CronStats:
        """Count crons and ticks."""
        self.totals.crons = len(self._table)
        return self.totals

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        self._table.check()

    def _take_turn(self, cron: Cron, now_ms: int, *, refused: bool) -> bool:
        """Look at a cron, and return whether its state is another one now."""
        wall_ms, state, totals = now_ms - self.ahead_ms, cron.state, self.totals
        before = msgspec.structs.replace(state)
        if cron.run_ms <= wall_ms:
            tick_ms = tick_of(cron, wall_ms)
            if tick_ms is not None:
                self._tick(cron, tick_ms, now_ms, refused=refused)
        self._table.wait(cron, wall_ms + RETRY_MS if cron.tried_ms else cron.run_ms)
        totals.cron_fired += state.fired - before.fired
        totals.cron_skipped += state.skipped - before.skipped
        totals.cron_missed += state.missed - before.missed
        totals.cron_refused += state.refused - before.refused
        return state != before

    def _tick(self, cron: Cron, tick_ms: int, now_ms: int, *, refused: bool) -> None:
        """Push the job of a tick, unless it is to be dropped, or stays due."""
        plan, state, job_id = cron.plan, cron.state, None
        if plan.overlap == "allow" or not self.live(cron.name):
            run_ms = tick_ms + _spread_ms(cron.name, tick_ms, plan.spread_ms)
            try:
                answer = None
                if not refused:
                    answer = self._push_job(cron, tick_ms, run_ms + self.ahead_ms, now_ms)
            except Full:
                refused = True
            except CoreError:
                pass  # its key is held, and that was not to be
            else:
                if answer is not None and not answer.duplicates:
                    job_id = answer.ids[0]
            if refused:
                if tick_ms != cron.run_ms:
                    move_on(cron, tick_ms - 1)
                cron.next_ms = cron.tried_ms = tick_ms
                return
        move_on(cron, tick_ms)
        state.last_tick_ms = tick_ms
        if job_id is None:
            state.skipped += 1
        else:
            state.last_job = job_id
            state.fired += 1
        self.on_tick(cron, tick_ms, job_id)

    def _push_job(self, cron: Cron, tick_ms: int, run_ms: int, now_ms: int) -> PushAnswer:
        plan = cron.plan
        jobs = NewJobs(
            payloads=(plan.payload,),
            run_ats_ms=max(run_ms, now_ms),
            priorities=plan.priority,
            max_attempts=plan.max_attempts,
            backoffs_ms=plan.backoff_ms,
            jitters=plan.jitter,
        )
        wishes = None if plan.wishes is None else (plan.wishes,)
        answer = self._push(plan.queue, jobs, wishes, None, now_ms)
        if not answer.duplicates and not answer.replaced:
            self._mark(plan.queue, answer.ids[0], cron.name, tick_ms)
        return answer

    def _mark(self, queue: str, job_id: int, name: str, tick_ms: int) -> None:
        """Know whose a job is that came in just now."""
        ground = self._ground
        mark = ground.marks.by_id.get(job_id) or Mark(ground.terms.asked(queue, Wishes()))
        ground.mark(queue, (job_id,), (cron_mark(mark, name, tick_ms),))
        ground.weigh()

    def _settle(self, now_ms: int) -> None:
        """Let follow what follows from jobs that came in."""
        if self._ground.marks.notes.pending:
            self._outcomes.settle(now_ms)

    def _refuse_more(self, name: str, plan: CronPlan, cron: Cron | None) -> None:
        """Raise `Full` if there is no room for a cron, or for what it is to be."""
        options, plans = self._ground.options, self._ground.shelves[CRON]
        if cron is None and len(self._table) >= options.crons_max:
            raise Full(
                f"there are {len(self._table):,} crons, the maximum (crons_max), so "
                f"{name!r} cannot be added: delete some"
            )
        size = len(encode_plan(plan)) + len(key_of(name))
        size -= 0 if cron is None else len(encode_plan(cron.plan)) + len(key_of(name))
        if size > 0 and plans.bytes + size > options.crons_bytes_max:
            raise Full(
                f"crons take {plans.bytes:,} bytes and {size:,} more would exceed the "
                f"maximum of {options.crons_bytes_max:,} (crons_bytes_max): keep large "
                "data elsewhere and give its place"
            )
        self._ground.core.refuse_more(size)


def _spread_ms(name: str, tick_ms: int, most_ms: int) -> int:
    """Return how long after its tick a job runs: the same whenever that is asked."""
    if not most_ms:
        return 0
    digest = hashlib.blake2b(f"{name}\0{tick_ms}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (most_ms + 1)


def _nobody(_cron: Cron, _tick_ms: int, _job_id: int | None) -> None:
    """Tell nobody."""
