"""Commands that only look: at counts, at jobs, at the server itself."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from magicqueue.errors import BadRequest, NotFound
from magicqueue.wire import replies
from magicqueue.wire.fields import check_queue
from magicqueue.wire.limits import CHILDREN_MAX, DEAD_PAGE, Limits
from magicqueue.wire.requests import (
    Dead,
    GetJob,
    Hello,
    Ping,
    Queues,
    Request,
    StatsRequest,
)
from magicqueue_cores.contract import (
    Core,
    CoreStats,
    DeadPage,
    JobState,
    JobView,
    QueueStats,
)
from magicqueue_cores.pending import Answer, map_answer
from magicqueue_cores.policies import Ending, Flows, Known, Policies
from magicqueue_server.repeats import job_of
from magicqueue_server.whole_queues import WholeQueues

S = TypeVar("S", bound=CoreStats | QueueStats)

Reply: TypeAlias = Answer[bytes]
Handler: TypeAlias = Callable[[Any, int], Reply]

PROTOCOL_VERSION: Final = 1
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
_POLICIES: Final = [
    "unique",
    "req_key",
    "ttl",
    "timeout",
    "results",
    "progress",
    "cancel",
    "flows",
    "limits",
    "multi_pull",
    "groups",
    "browse",
    "events",
    "cron",
]
"""What servers can do whose core answers at once, so that policies can be above it."""


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What HELLO tells beside limits: who this server is and how safe its jobs are."""

    version: str
    persistence: str = "off"


class Looks:
    """The handlers, one a command, over a core and the policies above it, if any are."""

    def __init__(
        self,
        core: Core,
        policies: Policies | None,
        limits: Limits,
        facts: ServerFacts,
        whole: WholeQueues,
    ) -> None:
        self._core = core
        self._policies = policies
        self._limits = limits
        self._facts = facts
        self._whole = whole
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which replies tell."""
        self.server_counts: Callable[[], dict[str, Any]] = dict
        """Gives what STATS adds to the core's counts."""
        self.limits_of: Callable[[str, int], dict[str, Any]] = lambda *_: {}
        """Gives what STATS adds to the counts of a queue."""
        self.handlers: dict[type[Request], Handler] = {
            StatsRequest: self.stats,
            Queues: self.queues,
            GetJob: self.job,
            Dead: self.dead,
            Ping: self.ping,
            Hello: self.hello,
        }

    def stats(self, request: StatsRequest, now_ms: int) -> Reply:
        """STATS, of one queue or of the server."""
        if request.queue is not None:
            queue = self.queue(request.queue)
            more = self.limits_of(queue, self.ahead_ms)
            answer = self._core.queue_stats(queue, now_ms)
            return map_answer(
                answer,
                lambda one: replies.counted(
                    request.rid, **_dict(self.counted(one, now_ms)), **more
                ),
            )
        return map_answer(
            self._core.stats(now_ms),
            lambda stats: replies.counted(
                request.rid,
                **_dict(self.counted(stats, now_ms)),
                **self._kept(),
                **self.server_counts(),
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
            page = [self.row(one, now_ms) for one in found[:count]]
            following = found[count - 1].name if len(found) > count else None
            return replies.counted(request.rid, queues=page, next=following)

        answer = self._core.queues(now_ms, count + 1, after, prefix or "")
        return map_answer(answer, reply)

    def job(self, request: GetJob, now_ms: int) -> Reply:
        """GETJOB."""
        job_id = self._job_id(request, now_ms)
        policies = self._policies

        def reply(view: JobView | None) -> bytes:
            if view is not None:
                return replies.counted(request.rid, job=self.detail(view))
            ending = None if policies is None else policies.ending(job_id, now_ms)
            if ending is not None:
                return replies.counted(request.rid, job=_end(ending, self.ahead_ms))
            raise NotFound(f"there is no job {job_id}: it was never pushed, or is settled")

        return map_answer(self._core.job(job_id, now_ms), reply)

    def detail(self, view: JobView) -> dict[str, Any]:
        """Tell all that is known of a job that is here."""
        job = msgspec.structs.asdict(_detail(view, self.ahead_ms))
        if self._policies is not None:
            job["state"] = state_of(view, self._policies)
            job |= _wished(self._policies.known_of(view.id), self.ahead_ms)
            job |= _blocked(self._policies.flows, view)
        return job

    def counted(self, stats: S, now_ms: int) -> S:
        """Count jobs that wait for their group's turn as those that are ready."""
        return counted(stats, self._policies, now_ms)

    def row(self, stats: QueueStats, now_ms: int) -> QueueStats | dict[str, Any]:
        """Tell of a queue in a list as STATS does."""
        ready = self.counted(stats, now_ms)
        more = self.limits_of(stats.name, self.ahead_ms)
        return {**_dict(ready), **more} if more else ready

    def dead(self, request: Dead, now_ms: int) -> Reply:
        """DEAD."""
        count = min(request.count or DEAD_PAGE, self._limits.pull_jobs_max)

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
            capabilities=_CAPABILITIES + ([] if self._policies is None else _POLICIES),
        )
        return replies.described(info, request.rid)

    def queue(self, name: str) -> str:
        """Give a queue's name back; raises BadRequest if it cannot be one."""
        return check_queue(name, self._limits.queue_name_bytes_max)

    def _job_id(self, request: GetJob, now_ms: int) -> int:
        if request.id is None:
            if self._policies is None:
                raise BadRequest("GETJOB: give id (this server remembers no req_key)")
            instead = "GETJOB: give id"
            return job_of(instead, self._policies, self._limits, request, now_ms)
        if request.queue is not None or request.req_key is not None:
            raise BadRequest("GETJOB: give id, or queue and req_key, not both")
        return int(request.id)

    def _kept(self) -> dict[str, int]:
        """Count what is kept beside jobs."""
        if self._policies is None:
            return {}
        policies = self._policies
        counts: list[msgspec.Struct] = [policies.stats(), policies.crons.stats()]
        return {name: count for of in counts for name, count in _dict(of).items()}


def counted(stats: S, policies: Policies | None, now_ms: int) -> S:
    """Count jobs that wait for their turn as those that are ready, and blocked ones."""
    if policies is not None and policies.flows.total:
        policies.flows.tell(stats)
    if policies is None or not policies.groups.any:
        return stats
    groups = policies.groups
    queue = stats.name if isinstance(stats, QueueStats) else None
    waiting = groups.waiting(queue)
    if not waiting:
        return stats
    oldest_ms = max(stats.oldest_ready_ms, groups.oldest_ms(queue, now_ms))
    return msgspec.structs.replace(
        stats, queued=stats.queued + waiting, oldest_ready_ms=oldest_ms
    )


def state_of(view: JobView, policies: Policies) -> str:
    """Give the word for a job's state: who waits for its group's turn is ready."""
    if view.state is JobState.HELD and policies.groups.waits(view.id):
        return JobState.READY.name.lower()
    if view.state is JobState.HELD:
        return "blocked"
    return view.state.name.lower()


def _dict(stats: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(stats)


def _detail(view: JobView, ahead_ms: int) -> replies.JobDetail:
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
        lease_until=_wall_ms(view.lease_until_ms, ahead_ms),
        reason=view.reason,
        died_at=_wall_ms(view.died_at_ms, ahead_ms),
    )


def pulled_more(cron: tuple[str, int] | None, parents: Sequence[int]) -> dict[str, Any]:
    """Give what a pull tells of a job beside its group: its cron, its parents."""
    more: dict[str, Any] = {} if cron is None else {"cron": replies.CronTick(*cron)}
    if parents:
        more["parents"] = parents
    return more


def _wished(known: Known, ahead_ms: int) -> dict[str, Any]:
    """Give what GETJOB tells of what a job asked policies for, and of how far it is."""
    progress = known.progress
    told = {
        "unique_key": known.unique_key,
        "group": known.group,
        "expires_at": _wall_ms(known.expires_at_ms, ahead_ms),
        "timeout": known.timeout_ms,
        "attempt_until": _wall_ms(known.attempt_until_ms, ahead_ms),
        "keep_result": known.keep_result_ms,
        "on_parent_failure": known.on_parent_failure,
        "cancelled": known.cancelled or None,
        "progress": None if progress is None else msgspec.structs.asdict(progress),
    }
    told = {name: value for name, value in told.items() if value is not None}
    return told | pulled_more(known.cron, known.parents)


def _blocked(flows: Flows, view: JobView) -> dict[str, Any]:
    """Give what GETJOB tells of the jobs that one waits for, and that wait for it."""
    told: dict[str, Any] = {}
    if waits_for := flows.waits_for(view.id):
        told["waits_for"] = waits_for
    if children := flows.children_of(view.id):
        told["children"] = children[:CHILDREN_MAX]
    return told


def _end(ending: Ending, ahead_ms: int) -> dict[str, Any]:
    return {
        "id": ending.id,
        "queue": ending.queue,
        "state": ending.state,
        "result": Raw(ending.result or b"null"),
        "finished_at": ending.finished_at_ms - ahead_ms,
        "attempts": ending.attempts,
    }


def _wall_ms(at_ms: int | None, ahead_ms: int) -> int | None:
    return None if at_ms is None else at_ms - ahead_ms
