"""PUSHF: jobs of any queues that depend on each other, stored whole or refused whole."""

from magicqueue.errors import TooLarge
from magicqueue.wire import replies
from magicqueue.wire.limits import FLOW_JOBS_MAX, Limits
from magicqueue.wire.replies import PushBatchReply
from magicqueue.wire.requests import PushBatch, PushFlow, Request
from magicqueue_cores.policies import Policies
from magicqueue_server.columns import JobDefaults, new_jobs
from magicqueue_server.looks import Handler, Reply
from magicqueue_server.policy_commands import Plain, named
from magicqueue_server.wishes import request_key, wishes_of_flow


class FlowCommands:
    """The handlers, one a command."""

    def __init__(
        self, policies: Policies, limits: Limits, defaults: JobDefaults, plain: Plain
    ) -> None:
        self._policies = policies
        self._limits = limits
        self._defaults = defaults
        self._plain = plain
        self.handlers: dict[type[Request], Handler] = {PushFlow: self.push}

    def push(self, request: PushFlow, now_ms: int) -> Reply:
        """PUSHF."""
        self._plain.refuse_if_stopping()
        count = len(request.jobs)
        if count > FLOW_JOBS_MAX:
            raise TooLarge(
                f"PUSHF: jobs has {count:,} items: the limit is {FLOW_JOBS_MAX:,} a flow "
                "(jobs of another may depend on these by their ids)"
            )
        queues = [self._plain.queue(job.queue) for job in request.jobs]
        wishes = wishes_of_flow(request.jobs)
        jobs = new_jobs(
            PushBatch(queue="", jobs=list(request.jobs)),
            self._limits,
            self._defaults,
            now_ms,
            self._plain.ahead_ms,
            "PUSHF",
        )
        req_key = request_key(request)
        if not count:
            return replies.pushed_batch([], request.rid)
        with named("PUSHF: jobs[{}]"):
            push = self._policies.flow_pushes.push
            answer = push(queues, jobs, wishes, now_ms, req_key)
        reply = PushBatchReply(ok=True, ids=list(answer.ids), repeated=answer.repeated)
        return replies.pushed_under_policies(reply, request.rid)
