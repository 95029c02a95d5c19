"""What each command does: from a request through the core's verbs to a reply line.

Every method takes a decoded request and the time, and gives the reply, or a `Pending` one
when the core answers later. Refusals are raised as `RequestError`. Those that may have to
wait are in `pulls` and `waits`; those on very many jobs or queues, which take many turns,
in `whole_queues`; those that only look in `looks`; what policies see to in
`policy_commands`.

What concerns no policy goes to the core itself, even if there are policies above it: they
`observe` what they have to know of it.
"""

from functools import partial

from magicqueue.errors import ShuttingDown
from magicqueue.wire import replies
from magicqueue.wire.fields import check_queue, ids_of, ids_or_id
from magicqueue.wire.limits import ERROR_CHARS_MAX, Limits
from magicqueue.wire.requests import (
    AckBatch,
    Auth,
    Drain,
    Fail,
    FailBatch,
    Heartbeat,
    Pause,
    PlainAck,
    PlainAckBatch,
    PlainPush,
    PlainPushBatch,
    PurgeDead,
    Push,
    PushBatch,
    Release,
    Request,
    Resume,
    RetryDead,
)
from magicqueue_cores.contract import Core, Failed, Settled
from magicqueue_cores.pending import Pending, map_answer
from magicqueue_cores.policies import Failures, Policies
from magicqueue_server.access import open_to_all
from magicqueue_server.browsing import Browsing
from magicqueue_server.columns import (
    JobDefaults,
    clipped_delay_ms,
    new_job,
    new_jobs,
    retry_delays_ms,
)
from magicqueue_server.cron_commands import CronCommands
from magicqueue_server.flow_commands import FlowCommands
from magicqueue_server.group_commands import GroupCommands
from magicqueue_server.limit_commands import LimitCommands, told_of
from magicqueue_server.long_commands import LongCommands
from magicqueue_server.looks import Handler, Looks, Reply, ServerFacts
from magicqueue_server.named_jobs import NamedJobs
from magicqueue_server.policy_commands import PolicyCommands, without_policies
from magicqueue_server.settling import counted, extended, raise_if_missing
from magicqueue_server.whole_queues import WholeQueues


class Commands:
    """The handlers, one a command, over one core and the policies above it, if any are."""

    def __init__(
        self,
        core: Core,
        policies: Policies | None,
        limits: Limits,
        defaults: JobDefaults,
        facts: ServerFacts,
    ) -> None:
        self._core = core
        self._verbs: Core | Policies = policies or core
        self._limits = limits
        self._defaults = defaults
        self.stopping = False
        """Set when the server shuts down: jobs are no longer taken in."""
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which requests tell."""
        self.long = LongCommands()
        whole = WholeQueues(core, self._verbs, self.long, self.queue)
        self.looks = Looks(core, policies, limits, facts, whole)
        whole.row = self.looks.row
        self.handlers: dict[type[Request], Handler] = {
            PlainPush: self.push,
            PlainPushBatch: self.push_batch,
            PlainAck: self.ack,
            PlainAckBatch: self.ack_batch,
            Fail: self.fail,
            FailBatch: self.fail_batch,
            Heartbeat: self.heartbeat,
            Release: self.release,
            Pause: self.pause,
            Resume: self.resume,
            Drain: whole.drain,
            RetryDead: whole.retry_dead,
            PurgeDead: whole.purge_dead,
            Auth: open_to_all,
            **self.looks.handlers,
        }
        if policies is None:
            self.handlers |= without_policies(self.handlers)
        else:
            self.handlers |= PolicyCommands(policies, limits, defaults, self).handlers
            self.handlers |= CronCommands(policies.crons, limits, defaults, self).handlers
            self.handlers |= NamedJobs(policies, self.long).handlers
            self.handlers |= FlowCommands(policies, limits, defaults, self).handlers
            self.handlers |= LimitCommands(policies, self).handlers
            self.handlers |= GroupCommands(policies, self).handlers
            self.looks.limits_of = told_of(policies)
            self.handlers |= Browsing(core, policies, self.looks, self.long).handlers

    def queue(self, name: str) -> str:
        """Give a queue's name back; raises BadRequest if it cannot be one."""
        return check_queue(name, self._limits.queue_name_bytes_max)

    def push(self, request: PlainPush | Push, now_ms: int) -> Reply:
        """PUSH."""
        self.refuse_if_stopping()
        queue = self.queue(request.queue)
        jobs = new_job(request, self._limits, self._defaults, now_ms, self.ahead_ms)
        answer = self._core.push(queue, jobs, now_ms)
        if not isinstance(answer, Pending):  # as `map_answer` would, without its calls
            return replies.pushed(answer, request.rid)
        return map_answer(answer, partial(replies.pushed, rid=request.rid))

    def push_batch(self, request: PlainPushBatch | PushBatch, now_ms: int) -> Reply:
        """PUSHB."""
        self.refuse_if_stopping()
        queue = self.queue(request.queue)
        count = len(request.jobs)
        jobs = new_jobs(request, self._limits, self._defaults, now_ms, self.ahead_ms)
        if not count:
            return replies.pushed_batch((), request.rid)
        answer = self._core.push(queue, jobs, now_ms)
        return map_answer(
            answer,
            lambda first: replies.pushed_batch(range(first, first + count), request.rid),
        )

    def ack(self, request: PlainAck, now_ms: int) -> Reply:
        """ACK."""
        job_id = int(request.id)
        attempts = None if request.attempt is None else (request.attempt,)

        def reply(settled: Settled) -> bytes:
            raise_if_missing(settled, job_id, request.attempt)
            return replies.ok(request.rid)

        answer = self._core.ack((job_id,), attempts, now_ms)
        return map_answer(answer, reply) if isinstance(answer, Pending) else reply(answer)

    def ack_batch(self, request: PlainAckBatch | AckBatch, now_ms: int) -> Reply:
        """ACKB."""
        ids, attempts = ids_of(request.ids)
        count = len(ids)

        def reply(settled: Settled) -> bytes:
            missing = settled.missing
            return replies.acked_batch(count - len(missing), missing, request.rid)

        return map_answer(self._core.ack(ids, attempts, now_ms), reply)

    def fail(self, request: Fail, now_ms: int) -> Reply:
        """FAIL."""
        job_id = int(request.id)
        attempts = None if request.attempt is None else (request.attempt,)

        def reply(failed: Failed) -> bytes:
            raise_if_missing(failed, job_id, request.attempt)
            state = failed.states[0]
            if state is not None:
                return replies.failed(state.name.lower(), request.rid)
            assert isinstance(failed, Failures), "a job that is not missing has a state"
            return replies.failed(failed.ended[job_id], request.rid)

        errors = (_shortened(request.error),)
        delays_ms = retry_delays_ms([request], "FAIL", now_ms)
        answer = self._verbs.fail((job_id,), attempts, errors, now_ms, delays_ms)
        return map_answer(answer, reply)

    def fail_batch(self, request: FailBatch, now_ms: int) -> Reply:
        """FAILB."""
        ids, attempts = ids_of(request.jobs)
        errors = [_shortened(job.error) for job in request.jobs]
        delays_ms = retry_delays_ms(request.jobs, "FAILB: jobs[{}]", now_ms)
        return map_answer(
            self._verbs.fail(ids, attempts, errors, now_ms, delays_ms),
            lambda failed: counted("failed", ids, failed, request.rid),
        )

    def heartbeat(self, request: Heartbeat, now_ms: int) -> Reply:
        """HEARTBEAT, of one job or of many; always answered with counts."""
        ids, attempts = ids_or_id("HEARTBEAT", request)
        lease_ms = request.lease or self._defaults.lease_ms
        return map_answer(
            self._verbs.heartbeat(ids, attempts, lease_ms, now_ms),
            lambda settled: extended(ids, settled, request.rid),
        )

    def release(self, request: Release, now_ms: int) -> Reply:
        """RELEASE, of one job or of many; always answered with counts."""
        ids, attempts = ids_or_id("RELEASE", request)
        delay_ms = clipped_delay_ms(request.delay or 0, now_ms)
        return map_answer(
            self._verbs.release(ids, attempts, delay_ms, now_ms),
            lambda settled: counted("released", ids, settled, request.rid),
        )

    def pause(self, request: Pause, now_ms: int) -> Reply:
        """PAUSE."""
        answer = self._core.pause(self.queue(request.queue), paused=True, now_ms=now_ms)
        return map_answer(answer, lambda _: replies.ok(request.rid))

    def resume(self, request: Resume, now_ms: int) -> Reply:
        """RESUME."""
        answer = self._core.pause(self.queue(request.queue), paused=False, now_ms=now_ms)
        return map_answer(answer, lambda _: replies.ok(request.rid))

    def refuse_if_stopping(self) -> None:
        """Raise ShuttingDown when no more jobs are taken in."""
        if self.stopping:
            raise ShuttingDown("the server is shutting down: push to it again later")


def _shortened(error: str | None) -> str | None:
    return error[:ERROR_CHARS_MAX] if error is not None else None
