"""`Policies`: what the server knows of marked jobs, above any core.

What is where:

- `wishes`, `terms_shared`, `alike`, `marks`, `keys`, `moments`, `doomed`, `notebook`: what
  jobs have, and `mark_texts` how the log tells it;
- `shelf`: what outlives them; `course`, `retelling`: what records mean for all that;
- `pushing`, `repeats`, `verdicts`, `retrying`, `bulk`: decisions; `passage`: what time
  brings;
- `crons`, `cron_facts`, `schedules`, `ticking`: jobs that come again;
- `events`: who is told of rare turns;
- `rules`, `gates`, `limits`: how many jobs of a queue may be handed out;
- `group`, `lines`, `rounds`, `fronts`, `seats`, `groups`, `handing`, `group_limits`: turns;
- `links`, `flows`, `linked_pushes`, `flow_pushes`: jobs that depend on others;
- `outcomes`, `endings`: what follows from what befell jobs; `telling`: what is told;
- `check`: all that has to be true; `shown`: marks and facts of a log as plain values.
"""

from collections.abc import Callable, Sequence
from typing import Final

from magicqueue_cores.contract import (
    Core,
    Delivery,
    NewJobs,
    RecordSink,
    Settled,
    Step,
)
from magicqueue_cores.pending import Pending
from magicqueue_cores.policies import telling
from magicqueue_cores.policies.answers import (
    Beats,
    Cancelled,
    Ending,
    Failures,
    Known,
    PolicyStats,
    PushAnswer,
)
from magicqueue_cores.policies.bulk import Bulk
from magicqueue_cores.policies.check import check_ground
from magicqueue_cores.policies.crons import Crons
from magicqueue_cores.policies.endings import Endings
from magicqueue_cores.policies.events import Events
from magicqueue_cores.policies.flow_pushes import FlowPushes
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.groups import Groups
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.linked_pushes import LinkedPushes
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.passage import Passage
from magicqueue_cores.policies.pushing import Pushing
from magicqueue_cores.policies.retelling import Retelling
from magicqueue_cores.policies.retrying import Retrying
from magicqueue_cores.policies.schedules import Calendars, no_calendars
from magicqueue_cores.policies.telling import Pulled
from magicqueue_cores.policies.verdicts import Verdicts
from magicqueue_cores.policies.wishes import DEAD, InGroups, Wishes
from magicqueue_cores.records import Kept, Record


class Policies:
    """A deterministic layer above a core: no clock, no randomness, no I/O.

    Whoever has one calls the core directly for what concerns no wishes, and then
    `settle(now_ms)` if `pending`, before the next command and in the same frame of the log.
    Verbs that are here are called here, for all jobs. `advance` is called before any verb
    with a `now_ms` that has reached `next_deadline_ms`, the core's own verbs included.
    record: the core's own sink. calendars: see `schedules`.
    """

    def __init__(
        self,
        core: Core,
        options: PolicyOptions,
        record: RecordSink | None = None,
        calendars: Calendars = no_calendars,
    ) -> None:
        """Observe a core, which must be new. Raises ValueError if not `available`."""
        if not self.available(core):
            raise ValueError(
                f"the {core.name} core answers later, and policies need one that "
                "answers at once: run it without them"
            )
        self._core = core
        self._ground = ground = Ground(core, options, record)
        self._marks = ground.marks
        self.notes: Final = ground.marks.notes
        """What is to be settled: `notes.pending` is the cheapest test of `pending`."""
        self._notes = ground.marks.notes
        self.clock: Final = ground.clock
        """Nothing ends here before `clock.due_ms`: the cheapest test of that."""
        self._clock = ground.clock
        self._endings = Endings(ground)
        self.flows: Final = Flows(ground, self._endings)
        """Jobs that depend on others."""
        self._outcomes = Outcomes(ground, self._endings, self.flows)
        self.limits: Final = Limits(ground)
        """The rules of queues."""
        self.ruling: Final = ground.ruling
        """Which queues are ruled: pulls of these have to go through `pull`."""
        self.events: Final = Events(core, options.subscribers_max)
        """Rare turns, and who is told of them."""
        self.groups: Final = Groups(ground, self.limits, self._outcomes.settle)
        """Groups of jobs, which take turns."""
        self._outcomes.seat = self.groups.settle
        self._passage = Passage(ground, self._outcomes, self.limits, self.groups)
        linked = LinkedPushes(ground, self.flows)
        self._pushing = Pushing(ground, self._outcomes, self.groups, linked)
        self.flow_pushes: Final = FlowPushes(
            ground, self._pushing, linked, self._outcomes, self._let_pass
        )
        """Pushes of jobs that depend on each other."""
        self._verdicts = Verdicts(ground, self._outcomes)
        self._retrying = Retrying(ground, self._pushing, self._outcomes)
        self.bulk: Final = Bulk(ground, self._verdicts, self._retrying, self._outcomes)
        self.crons: Final = Crons(ground, self.push, self._outcomes, calendars)
        """Jobs that come again: they do so by `crons.fire`, and not with `advance`."""
        self._retelling = Retelling(
            ground, self._passage, self._outcomes, self.limits, self.groups, self.flows
        )
        self.crons.on_tick = self.events.ticked
        core.observe(self._observe)

    @property
    def pending(self) -> bool:
        """Whether something befell a marked job, so that `settle` has to be called."""
        return self._notes.pending

    @property
    def lagging(self) -> bool:
        """Whether time-to-lives that have ended are still being dealt with, in steps.

        Until that is done pulls go through `pull`, and no line may pull by itself.
        """
        return self._passage.lagging

    @property
    def next_deadline_ms(self) -> int:
        """Nothing happens by itself before this (a lower bound), in the core either.

        It is the present, or before, if there is more to do at once.
        """
        return min(self._clock.due_ms, self._core.next_deadline_ms)

    @property
    def on_end(self) -> Callable[[int], None]:
        """Told of each job with `keep_result_ms` that ended or died; must not call back."""
        return self._outcomes.on_end

    @on_end.setter
    def on_end(self, tell: Callable[[int], None]) -> None:
        self._outcomes.on_end = tell

    @property
    def on_doomed(self) -> Callable[[int], None]:
        """Told of each job that was cancelled while at work; must not call back."""
        return self._verdicts.on_doomed

    @on_doomed.setter
    def on_doomed(self, tell: Callable[[int], None]) -> None:
        self._verdicts.on_doomed = tell

    @property
    def fact_bytes(self) -> int:
        """The bytes of the keys and values of all facts that are kept."""
        return self._ground.fact_bytes

    @property
    def mark_bytes(self) -> int:
        """About the bytes of the texts of all marks."""
        return self._marks.text_bytes

    @staticmethod
    def available(core: Core) -> bool:
        """Whether policies can be above this core: it answers at once."""
        return not isinstance(core.job(0, 0), Pending)

    def advance(self, now_ms: int) -> None:
        """Let time pass, moment by moment: the core first, then what ends here.

        At one moment: time-to-lives, time-outs, windows of keys, results, request keys.
        """
        if now_ms >= self._clock.due_ms:
            self._passage.advance(now_ms)
        else:
            self._core.advance(now_ms)

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """As the core's, which this calls; cancelled jobs end by it as such."""
        self._let_pass(now_ms)
        return self._verdicts.end_leases(until_ms, now_ms)

    def close_session(self, session: int, now_ms: int) -> bool:
        """As the core's, which this calls; cancelled jobs end by it as such."""
        self._let_pass(now_ms)
        return self._verdicts.close_session(session, now_ms)

    def push(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None] | InGroups | None,
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        """Store a batch, as if its items came one by one, or none of it.

        Raises `Full`, `Duplicate`, `BadRepeat`, or `BadWish` (a job would expire before
        it may run).
        """
        self._let_pass(now_ms)
        answer = self._pushing.push(queue, jobs, wishes, req_key, now_ms)
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return answer

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """As the core's, as far as the queue's limits let it.

        While `lagging`, none of a queue with time-to-lives is given.
        """
        self._let_pass(now_ms)
        if self._passage.lagging and queue in self._marks.timed:
            return Delivery([], [], [], [], [], [])
        delivery = self.limits.pull(
            queue, count, payload_bytes_max, lease_ms, session, now_ms
        )
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return delivery

    def ack(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        results: Sequence[bytes | None] | None,
        now_ms: int,
    ) -> Settled:
        """As the core's, with each job's result. Raises `TooLarge`, and does nothing."""
        self._let_pass(now_ms)
        return self._verdicts.ack(ids, attempts, results, now_ms)

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None = None,
    ) -> Failures:
        """As the core's; cancelled jobs end as such, and are not retried."""
        self._let_pass(now_ms)
        return self._verdicts.fail(ids, attempts, errors, now_ms, delays_ms)

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        """As the core's; cancelled jobs end as such."""
        self._let_pass(now_ms)
        return self._verdicts.release(ids, attempts, delay_ms, now_ms)

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Beats:
        """As the core's, and which of the jobs are cancelled."""
        self._let_pass(now_ms)
        return self._verdicts.heartbeat(ids, attempts, lease_ms, now_ms)

    def cancel(self, ids: Sequence[int], now_ms: int) -> Cancelled:
        """Remove jobs that wait, and flag those at work: they do not run again."""
        self._let_pass(now_ms)
        return self._verdicts.cancel(ids, now_ms)

    def promote(self, ids: Sequence[int], now_ms: int) -> Settled:
        """As the core's."""
        self._let_pass(now_ms)
        settled = at_once(self._core.promote(ids, now_ms))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return settled

    def progress(
        self,
        job_id: int,
        attempt: int,
        percent: float | None,
        note: str | None,
        lease_ms: int | None,
        now_ms: int,
    ) -> Settled:
        """Keep how far an active job is, until it is settled; with a lease, extend it.

        attempt: as in `ack`, 0 for whichever. It is not recorded.
        """
        self._let_pass(now_ms)
        return self._verdicts.progress(job_id, attempt, percent, note, lease_ms, now_ms)

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Step:
        """As the core's, held jobs with it."""
        self._let_pass(now_ms)
        step = self.flows.drain(queue, now_ms, upto, self.groups.drain)
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return Step(step.count + self.flows.take_drained(), step.upto)

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """As the core's; keys are taken again, and time-to-lives begin anew.

        Of one job whose key is held: raises `Duplicate`. Of a queue, such jobs stay dead.
        """
        self._let_pass(now_ms)
        return self._retrying.retry_dead(queue, job_id, now_ms, upto)

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """As the core's."""
        self._let_pass(now_ms)
        step = at_once(self._core.purge_dead(queue, job_id, now_ms, upto))
        if self._notes.pending:
            self._outcomes.settle(now_ms)
        return step

    def ending(self, job_id: int, now_ms: int) -> Ending | None:
        """Return how a job ended, if that is kept or the job is dead (of any job)."""
        self._let_pass(now_ms)
        return self._endings.get(job_id, now_ms) or self._endings.of_dead(job_id, now_ms)

    def waits_for(self, job_id: int) -> bool:
        """Return whether a job has not ended yet and its end will be kept: see `on_end`."""
        mark = self._marks.by_id.get(job_id)
        return mark is not None and mark.terms.keep_result_ms > 0 and not mark.flags & DEAD

    def job_of(self, queue: str, req_key: str, now_ms: int) -> int | None:
        """Return the id that a push of one job with this request key was answered with."""
        ids = self._pushing.repeats.answered(queue, req_key, now_ms)
        return ids[0] if ids is not None and len(ids) == 1 else None

    def known_of(self, job_id: int) -> Known:
        """Return what is known of a job that is here."""
        return telling.known_of(self._marks, job_id)

    def more_of(self, queue: str, ids: Sequence[int]) -> Pulled | None:
        """Return what a pull has to tell of jobs beside what the core knows, if any."""
        return telling.more_of(self._marks, queue, ids)

    def settle(self, now_ms: int) -> None:
        """Do and record what follows from what verbs of the core did: ends, time-outs."""
        self._outcomes.settle(now_ms)

    def replay(self, record: Record) -> None:
        """Apply what happened once before, to the core and here."""
        self._retelling.replay(record)

    def export(self, ids: Sequence[int]) -> Sequence[Record]:
        """Tell all of those of `ids` that are here: `Moved`, then `Marked`; or nothing."""
        return self._retelling.export(ids)

    def export_facts(self, space: str, keys: Sequence[bytes]) -> Kept:
        """Tell those of the facts that still hold, in the order given."""
        return self._retelling.export_facts(space, keys)

    def stats(self) -> PolicyStats:
        """Count what is kept. O(1)."""
        return telling.stats_of(self._ground, self.events)

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        check_ground(self._ground)
        self.crons.check()
        self.limits.check()
        self.groups.check()
        self.flows.check()

    def _let_pass(self, now_ms: int) -> None:
        """Let what is due by now happen before anything else does."""
        if now_ms >= self._clock.due_ms:
            self._passage.advance(now_ms)

    def _observe(self, record: Record) -> None:
        """Apply what the core reports of marked jobs."""
        self.flows.follow(record)
        self._ground.course.apply(record)
        self._ground.weigh()
