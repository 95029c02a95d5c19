"""Commands that policies see to: pushes with wishes, results, progress."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from magicqueue import errors
from magicqueue.errors import BadRequest, UnknownCommand
from magicqueue.wire import replies
from magicqueue.wire.fields import check_note, ids_of, result_of
from magicqueue.wire.limits import Limits
from magicqueue.wire.replies import PushBatchReply, PushReply
from magicqueue.wire.requests import (
    CRON_REQUESTS,
    Ack,
    AckBatch,
    Bulk,
    Cancel,
    Done,
    Groups,
    Jobs,
    Limit,
    PlainAck,
    PlainAckBatch,
    PlainPush,
    PlainPushBatch,
    Progress,
    Promote,
    Push,
    PushBatch,
    PushFlow,
    Request,
    Subscribe,
    Throttle,
    Wait,
)
from magicqueue_cores import policies as layer
from magicqueue_cores.contract import CoreError, NewJobs
from magicqueue_cores.policies import InGroups, Policies, PushAnswer, Wishes
from magicqueue_server.columns import JobDefaults, new_job, new_jobs
from magicqueue_server.looks import Handler, Reply
from magicqueue_server.settling import raise_if_missing
from magicqueue_server.wishes import (
    asked_of_policies,
    request_key,
    wishes_of,
    wishes_of_batch,
)


class Plain(Protocol):
    """What is asked of the commands without wishes."""

    ahead_ms: int

    def queue(self, name: str) -> str:
        """Give a queue's name back, or raise BadRequest."""
        ...

    def refuse_if_stopping(self) -> None:
        """Raise ShuttingDown when no more jobs are taken in."""
        ...

    def push(self, request: PlainPush | Push, now_ms: int) -> Reply:
        """Do a PUSH without wishes."""
        ...

    def push_batch(self, request: PlainPushBatch | PushBatch, now_ms: int) -> Reply:
        """Do a PUSHB without wishes."""
        ...


class PolicyCommands:
    """The handlers, one a command."""

    def __init__(
        self, policies: Policies, limits: Limits, defaults: JobDefaults, plain: Plain
    ) -> None:
        self._policies = policies
        self._limits = limits
        self._defaults = defaults
        self._plain = plain
        self.handlers: dict[type[Request], Handler] = {
            Push: self.push,
            PushBatch: self.push_batch,
            Ack: self.ack,
            AckBatch: self.ack_batch,
            Progress: self.progress,
        }

    def push(self, request: Push, now_ms: int) -> Reply:
        """PUSH."""
        wishes, req_key = wishes_of(request), request_key(request)
        if wishes is None and req_key is None:
            return self._plain.push(request, now_ms)
        self._plain.refuse_if_stopping()
        queue = self._plain.queue(request.queue)
        ahead_ms = self._plain.ahead_ms
        jobs = new_job(request, self._limits, self._defaults, now_ms, ahead_ms)
        one = None if wishes is None else (wishes,)
        answer = self._push("PUSH", queue, jobs, one, req_key, now_ms)
        reply = PushReply(
            ok=True,
            id=answer.ids[0],
            duplicate=bool(answer.duplicates),
            replaced=bool(answer.replaced),
            repeated=answer.repeated,
        )
        return replies.pushed_under_policies(reply, request.rid)

    def push_batch(self, request: PushBatch, now_ms: int) -> Reply:
        """PUSHB."""
        wishes, req_key = wishes_of_batch(request), request_key(request)
        if not request.jobs or (wishes is None and req_key is None):
            return self._plain.push_batch(request, now_ms)
        self._plain.refuse_if_stopping()
        queue = self._plain.queue(request.queue)
        ahead_ms = self._plain.ahead_ms
        jobs = new_jobs(request, self._limits, self._defaults, now_ms, ahead_ms)
        answer = self._push("PUSHB: jobs[{}]", queue, jobs, wishes, req_key, now_ms)
        reply = PushBatchReply(
            ok=True,
            ids=list(answer.ids),
            duplicates=answer.duplicates,
            replaced=answer.replaced,
            repeated=answer.repeated,
        )
        return replies.pushed_under_policies(reply, request.rid)

    def _push(
        self,
        where: str,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None] | InGroups | None,
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        with named(where):
            return self._policies.push(queue, jobs, wishes, req_key, now_ms)

    def ack(self, request: Ack, now_ms: int) -> Reply:
        """ACK, with what came of the job."""
        job_id = int(request.id)
        attempts = None if request.attempt is None else (request.attempt,)
        results = (result_of(request.result, "result", self._limits),)
        settled = self._policies.ack((job_id,), attempts, results, now_ms)
        raise_if_missing(settled, job_id, request.attempt)
        return replies.ok(request.rid)

    def ack_batch(self, request: AckBatch, now_ms: int) -> Reply:
        """ACKB, with what came of the jobs."""
        ids, attempts = ids_of(request.ids)
        results = [
            result_of(item.result, f"ids[{index}].result", self._limits)
            if isinstance(item, Done)
            else None
            for index, item in enumerate(request.ids)
        ]
        missing = self._policies.ack(ids, attempts, results, now_ms).missing
        return replies.acked_batch(len(ids) - len(missing), missing, request.rid)

    def progress(self, request: Progress, now_ms: int) -> Reply:
        """PROGRESS."""
        if request.percent is None and request.note is None:
            raise BadRequest("PROGRESS: give percent, note, or both")
        job_id = int(request.id)
        settled = self._policies.progress(
            job_id,
            request.attempt or 0,
            request.percent,
            None if request.note is None else check_note(request.note),
            request.lease,
            now_ms,
        )
        raise_if_missing(settled, job_id, request.attempt)
        return replies.ok(request.rid)


def without_policies(plain: dict[type[Request], Handler]) -> dict[type[Request], Handler]:
    """Give handlers for a core that answers later, above which there are no policies.

    plain: those that it has. What only policies can do is refused, never ignored.
    """

    def pushing(kind: type[Request]) -> Handler:
        def push(request: Any, now_ms: int) -> Reply:
            if (field := asked_of_policies(request)) is not None:
                name = kind.__struct_config__.tag
                raise BadRequest(
                    f"{name}: this server cannot do {field}: HELLO tells what it can"
                )
            return plain[kind](request, now_ms)

        return push

    def refuse(request: Any, _now_ms: int) -> Reply:
        name = type(request).__struct_config__.tag
        raise UnknownCommand(f"this server cannot do {name}: HELLO tells what it can")

    return {
        Push: pushing(PlainPush),
        PushBatch: pushing(PlainPushBatch),
        Ack: plain[PlainAck],  # no job keeps a result here
        AckBatch: plain[PlainAckBatch],
        **dict.fromkeys(
            (
                *(PushFlow, Progress, Cancel, Promote, Wait, Limit, Throttle, Groups),
                *(Jobs, Bulk, Subscribe),
                *CRON_REQUESTS,
            ),
            refuse,
        ),
    }


_TOLD_AS: Final[dict[type[Exception], Callable[[str], errors.RequestError]]] = {
    layer.Duplicate: errors.Duplicate,
    layer.BadRepeat: errors.BadRequest,
    layer.BadWish: errors.BadRequest,
    layer.BadCron: errors.BadRequest,
    layer.TooLarge: errors.TooLarge,
}


def told_as(error: Exception, where: str = "") -> errors.RequestError | None:
    """Give what a client is told of a refusal of the policies, None if it is none.

    where: the command, or an item of it with `{}` for its index.
    """
    kind = _TOLD_AS.get(type(error))
    if kind is None:
        return None
    index = getattr(error, "index", None)
    place = where.partition(":")[0] if index is None else where.format(index)
    told = kind(f"{place}: {error}" if place else str(error))
    if isinstance(told, errors.Duplicate) and isinstance(error, layer.Duplicate):
        told.job_id = error.holder
    return told


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say in the words of the protocol what policies refuse; where: see `told_as`."""
    try:
        yield
    except CoreError as error:
        told = told_as(error, where)
        if told is None:
            raise
        raise told from None
