"""Commands about all jobs of a queue, or all queues: many steps, one reply.

DRAIN, RETRYDEAD and PURGEDEAD are steps of a core's verb; QUEUES without pages is a page a
step. `long_commands` has them take their turns.
"""

from collections.abc import Callable
from typing import Any, Final

from magicqueue.errors import BadRequest
from magicqueue.wire import replies
from magicqueue.wire.requests import Drain, PurgeDead, Queues, RetryDead
from magicqueue_cores.contract import Core, QueueStats
from magicqueue_cores.pending import Answer, map_answer
from magicqueue_cores.policies import Policies
from magicqueue_server.long_commands import LongCommands, counting

_QUEUES_STEP: Final = 250
"""So many queues of a whole list are looked at in one turn."""


class WholeQueues:
    """The handlers. verbs: the core, or the policies above it.

    queue: gives a queue's name back, or raises BadRequest.
    """

    def __init__(
        self,
        core: Core,
        verbs: Core | Policies,
        long: LongCommands,
        queue: Callable[[str], str],
    ) -> None:
        self._core = core
        self._verbs = verbs
        self._long = long
        self._queue = queue
        self.row: Callable[[QueueStats, int], Any] = lambda one, _: one
        """Tells of a queue, with what others than the core know of it."""

    def drain(self, request: Drain, now_ms: int) -> Answer[bytes]:
        """DRAIN."""
        queue, rid = self._queue(request.queue), request.rid
        go = counting(
            lambda at_ms, upto: self._verbs.drain(queue, at_ms, upto),
            lambda removed: replies.counted(rid, removed=removed),
        )
        return self._long.run(go, now_ms, queue)

    def retry_dead(self, request: RetryDead, now_ms: int) -> Answer[bytes]:
        """RETRYDEAD."""
        queue, job_id = self._dead_target("RETRYDEAD", request)
        rid = request.rid
        go = counting(
            lambda at_ms, upto: self._verbs.retry_dead(queue, job_id, at_ms, upto),
            lambda retried: replies.counted(rid, retried=retried),
        )
        return self._long.run(go, now_ms, queue if job_id is None else None)

    def purge_dead(self, request: PurgeDead, now_ms: int) -> Answer[bytes]:
        """PURGEDEAD."""
        queue, job_id = self._dead_target("PURGEDEAD", request)
        rid = request.rid
        go = counting(
            lambda at_ms, upto: self._verbs.purge_dead(queue, job_id, at_ms, upto),
            lambda removed: replies.counted(rid, removed=removed),
        )
        return self._long.run(go, now_ms, queue if job_id is None else None)

    def _dead_target(
        self, name: str, request: RetryDead | PurgeDead
    ) -> tuple[str | None, int | None]:
        if request.queue is None and request.id is None:
            raise BadRequest(f"{name}: give id (one job), queue (all of its dead), or both")
        queue = None if request.queue is None else self._queue(request.queue)
        return queue, None if request.id is None else int(request.id)

    def queues(self, request: Queues, now_ms: int) -> Answer[bytes]:
        """QUEUES without pages: a page a step, told together at the end."""
        pages: list[bytes] = []
        after: str | None = None

        def add(page: list[QueueStats]) -> bytes | None:
            nonlocal after
            pages.append(replies.listed([self.row(one, now_ms) for one in page]))
            if len(page) < _QUEUES_STEP:
                return replies.queues_of(pages, request.rid)
            after = page[-1].name
            return None

        def go(at_ms: int) -> Answer[bytes | None]:
            return map_answer(self._core.queues(at_ms, _QUEUES_STEP, after), add)

        return self._long.run(go, now_ms)
