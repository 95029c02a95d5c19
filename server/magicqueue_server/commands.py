"""What each command does: from a request through the core's verbs to a reply line.

Every method takes a decoded request and the time, and gives the reply, or a `Pending` one
when the core answers later. Refusals are raised as `RequestError`. PULL and PULLB are not
here, because they may have to wait: see `engine`. Those on very many jobs or queues, which
take many turns, are in `whole_queues`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from magicqueue.errors import BadRequest, NotFound, RequestError, ShuttingDown, Stale
from magicqueue.wire import replies
from magicqueue.wire.fields import check_queue, ids_of
from magicqueue.wire.limits import ERROR_CHARS_MAX, Limits
from magicqueue.wire.requests import (
    Ack,
    AckBatch,
    Auth,
    Dead,
    Drain,
    Fail,
    FailBatch,
    GetJob,
    Heartbeat,
    Hello,
    Pause,
    Ping,
    PurgeDead,
    Push,
    PushBatch,
    Queues,
    Release,
    Request,
    Resume,
    RetryDead,
    StatsRequest,
)
from magicqueue_cores.contract import (
    Core,
    CoreStats,
    DeadPage,
    Failed,
    JobView,
    QueueStats,
    Settled,
)
from magicqueue_cores.pending import Answer, map_answer
from magicqueue_server.access import open_to_all
from magicqueue_server.columns import (
    JobDefaults,
    clipped_delay_ms,
    new_job,
    new_jobs,
    retry_delays_ms,
)
from magicqueue_server.long_commands import LongCommands
from magicqueue_server.whole_queues import WholeQueues

Reply: TypeAlias = Answer[bytes]
Handler: TypeAlias = Callable[[Any, int], Reply]

PROTOCOL_VERSION: Final = 1
_DEAD_PAGE: Final = 100
_QUEUES_PAGE_MAX: Final = 1000
_CAPABILITIES: Final = [
    "batches",
    "priorities",
    "delays",
    "leases",
    "attempts",
    "retries",
    "dead_letters",
    "pause",
    "release",
    "fail_options",
    "batch_defaults",
    "queue_pages",
    "auth",
]


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What HELLO tells beside limits: who this server is and how safe its jobs are."""

    version: str
    persistence: str = "off"


class Commands:
    """The handlers, one a command, over one core."""

    def __init__(
        self, core: Core, limits: Limits, defaults: JobDefaults, facts: ServerFacts
    ) -> None:
        self._core = core
        self._limits = limits
        self._defaults = defaults
        self._facts = facts
        self.stopping = False
        """Set when the server shuts down: jobs are no longer taken in."""
        self.long = LongCommands()
        self._whole = WholeQueues(core, self.long, self.queue)
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which requests and replies tell."""
        self.server_counts: Callable[[], dict[str, int]] = dict
        """Gives what STATS adds to the core's counts."""
        self.handlers: dict[type[Request], Handler] = {
            Push: self.push,
            PushBatch: self.push_batch,
            Ack: self.ack,
            AckBatch: self.ack_batch,
            Fail: self.fail,
            FailBatch: self.fail_batch,
            Heartbeat: self.heartbeat,
            Release: self.release,
            StatsRequest: self.stats,
            Queues: self.queues,
            GetJob: self.job,
            Pause: self.pause,
            Resume: self.resume,
            Drain: self._whole.drain,
            Dead: self.dead,
            RetryDead: self._whole.retry_dead,
            PurgeDead: self._whole.purge_dead,
            Ping: self.ping,
            Hello: self.hello,
            Auth: open_to_all,
        }

    def queue(self, name: str) -> str:
        """Give a queue's name back; raises BadRequest if it cannot be one."""
        return check_queue(name, self._limits.queue_name_bytes_max)

    def push(self, request: Push, now_ms: int) -> Reply:
        """PUSH."""
        self._refuse_if_stopping()
        queue = self.queue(request.queue)
        jobs = new_job(request, self._limits, self._defaults, now_ms, self.ahead_ms)
        answer = self._core.push(queue, jobs, now_ms)
        return map_answer(answer, lambda first: replies.pushed(first, request.rid))

    def push_batch(self, request: PushBatch, now_ms: int) -> Reply:
        """PUSHB."""
        self._refuse_if_stopping()
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

    def ack(self, request: Ack, now_ms: int) -> Reply:
        """ACK."""
        job_id = int(request.id)
        attempts = None if request.attempt is None else (request.attempt,)

        def reply(settled: Settled) -> bytes:
            _raise_if_missing(settled, job_id, request.attempt)
            return replies.ok(request.rid)

        return map_answer(self._core.ack((job_id,), attempts, now_ms), reply)

    def ack_batch(self, request: AckBatch, now_ms: int) -> Reply:
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
            _raise_if_missing(failed, job_id, request.attempt)
            state = failed.states[0]
            assert state is not None, "a job that is not missing has a state"
            return replies.failed(state.name.lower(), request.rid)

        errors = (_shortened(request.error),)
        delays_ms = retry_delays_ms([request], "FAIL", now_ms)
        answer = self._core.fail((job_id,), attempts, errors, now_ms, delays_ms)
        return map_answer(answer, reply)

    def fail_batch(self, request: FailBatch, now_ms: int) -> Reply:
        """FAILB."""
        ids, attempts = ids_of(request.jobs)
        errors = [_shortened(job.error) for job in request.jobs]
        delays_ms = retry_delays_ms(request.jobs, "FAILB: jobs[{}]", now_ms)
        return map_answer(
            self._core.fail(ids, attempts, errors, now_ms, delays_ms),
            lambda failed: _count("failed", ids, failed, request.rid),
        )

    def heartbeat(self, request: Heartbeat, now_ms: int) -> Reply:
        """HEARTBEAT, of one job or of many; always answered with counts."""
        ids, attempts = _ids_or_id("HEARTBEAT", request)
        lease_ms = request.lease or self._defaults.lease_ms
        return map_answer(
            self._core.heartbeat(ids, attempts, lease_ms, now_ms),
            lambda settled: _count("extended", ids, settled, request.rid),
        )

    def release(self, request: Release, now_ms: int) -> Reply:
        """RELEASE, of one job or of many; always answered with counts."""
        ids, attempts = _ids_or_id("RELEASE", request)
        delay_ms = clipped_delay_ms(request.delay or 0, now_ms)
        return map_answer(
            self._core.release(ids, attempts, delay_ms, now_ms),
            lambda settled: _count("released", ids, settled, request.rid),
        )

    def stats(self, request: StatsRequest, now_ms: int) -> Reply:
        """STATS, of one queue or of the server."""
        if request.queue is not None:
            answer = self._core.queue_stats(self.queue(request.queue), now_ms)
            return map_answer(
                answer, lambda one: replies.counted(request.rid, **_dict(one))
            )
        return map_answer(
            self._core.stats(now_ms),
            lambda stats: replies.counted(
                request.rid, **_dict(stats), **self.server_counts()
            ),
        )

    def queues(self, request: Queues, now_ms: int) -> Reply:
        """QUEUES, all or a page of them."""
        after, prefix = request.after, request.prefix
        if request.count is None:
            if (after, prefix, request.sort) != (None, None, None):
                raise BadRequest("QUEUES: after, prefix and sort are of pages: give count")
            return self._whole.queues(request, now_ms)
        count = min(request.count, _QUEUES_PAGE_MAX)

        def reply(found: list[QueueStats]) -> bytes:
            page = found[:count]
            following = page[-1].name if len(found) > count else None
            return replies.counted(request.rid, queues=page, next=following)

        answer = self._core.queues(now_ms, count + 1, after, prefix or "")
        return map_answer(answer, reply)

    def job(self, request: GetJob, now_ms: int) -> Reply:
        """GETJOB."""
        job_id = int(request.id)

        def reply(view: JobView | None) -> bytes:
            if view is None:
                raise NotFound(
                    f"there is no job {job_id}: it was never pushed, or is settled"
                )
            return replies.counted(request.rid, job=_detail(view, self.ahead_ms))

        return map_answer(self._core.job(job_id, now_ms), reply)

    def pause(self, request: Pause, now_ms: int) -> Reply:
        """PAUSE."""
        answer = self._core.pause(self.queue(request.queue), paused=True, now_ms=now_ms)
        return map_answer(answer, lambda _: replies.ok(request.rid))

    def resume(self, request: Resume, now_ms: int) -> Reply:
        """RESUME."""
        answer = self._core.pause(self.queue(request.queue), paused=False, now_ms=now_ms)
        return map_answer(answer, lambda _: replies.ok(request.rid))

    def dead(self, request: Dead, now_ms: int) -> Reply:
        """DEAD."""
        count = min(request.count or _DEAD_PAGE, self._limits.pull_jobs_max)

        def reply(page: DeadPage) -> bytes:
            jobs = [_detail(view, self.ahead_ms) for view in page.jobs]
            return replies.counted(request.rid, jobs=jobs, next=page.next_id)

        answer = self._core.dead(
            self.queue(request.queue),
            count,
            self._limits.reply_payload_bytes_max,
            None if request.after is None else int(request.after),
            now_ms,
        )
        return map_answer(answer, reply)

    def ping(self, request: Ping, _now_ms: int) -> Reply:
        """PING."""
        return replies.counted(request.rid, pong=True)

    def hello(self, request: Hello, _now_ms: int) -> Reply:
        """HELLO."""
        info = replies.ServerInfo(
            server="magicqueue",
            version=self._facts.version,
            core=self._core.name,
            protocol=PROTOCOL_VERSION,
            persistence=self._facts.persistence,
            limits=self._limits,
            capabilities=_CAPABILITIES,
        )
        return replies.described(info, request.rid)

    def _refuse_if_stopping(self) -> None:
        if self.stopping:
            raise ShuttingDown("the server is shutting down: push to it again later")


def _ids_or_id(
    name: str, request: Heartbeat | Release
) -> tuple[list[int], list[int] | None]:
    """Give the ids and attempts of a request that has `ids`, or `id`."""
    if (request.ids is None) == (request.id is None):
        raise BadRequest(f"{name}: give ids (a list) or id (one job)")
    if request.ids is not None:
        return ids_of(request.ids)
    attempts = None if request.attempt is None else [request.attempt]
    return [int(request.id or 0)], attempts


def _raise_if_missing(settled: Settled, job_id: int, attempt: int | None) -> None:
    if not settled.missing:
        return
    error: RequestError
    if settled.stale:
        error = Stale(
            f"attempt {attempt} of job {job_id} is over: the job was handed out again since"
        )
    else:
        error = NotFound(
            f"job {job_id} is not active: it is settled already, its lease ended, or it"
            " never was handed out"
        )
    raise error


def _count(done: str, ids: Sequence[int], settled: Settled, rid: Raw) -> bytes:
    counts = {done: len(ids) - len(settled.missing), "missing": settled.missing}
    return replies.counted(rid, **counts)


def _shortened(error: str | None) -> str | None:
    return error[:ERROR_CHARS_MAX] if error is not None else None


def _dict(stats: CoreStats | QueueStats) -> dict[str, Any]:
    return msgspec.structs.asdict(stats)


def _detail(view: JobView, ahead_ms: int) -> replies.JobDetail:
    def wall_ms(at_ms: int | None) -> int | None:
        return None if at_ms is None else at_ms - ahead_ms

    return replies.JobDetail(
        id=view.id,
        queue=view.queue,
        data=Raw(view.payload),
        priority=view.priority,
        created_at=view.created_at_ms - ahead_ms,
        run_at=view.run_at_ms - ahead_ms,
        attempts=view.attempts,
        state=view.state.name.lower(),
        failures=view.failures,
        lost=view.lost,
        max_attempts=view.max_attempts,
        error=view.error,
        lease_until=wall_ms(view.lease_until_ms),
        reason=view.reason,
        died_at=wall_ms(view.died_at_ms),
    )
