"""PROMOTE and CANCEL: of one job at once, of very many a step of them a turn.

One line may name a hundred thousand jobs. Between two steps others run (`long_commands`),
and the reply is the one that all in one go would have: each job is named once, so no step
is about a job of another.
"""

from collections.abc import Callable, Sequence
from typing import Final

from magicqueue.errors import NotFound
from magicqueue.wire import replies
from magicqueue.wire.fields import ids_or_id
from magicqueue.wire.requests import Cancel, Promote, Request
from magicqueue_cores.contract import Settled
from magicqueue_cores.pending import Answer
from magicqueue_cores.policies import Cancelled, Policies
from magicqueue_server.long_commands import LongCommands
from magicqueue_server.looks import Handler
from magicqueue_server.settling import counted
from magicqueue_server.turns import STEP_JOBS


class NamedJobs:
    """The handlers."""

    def __init__(self, policies: Policies, long: LongCommands) -> None:
        self._policies = policies
        self._long = long
        self.handlers: Final[dict[type[Request], Handler]] = {
            Promote: self.promote,
            Cancel: self.cancel,
        }

    def promote(self, request: Promote, now_ms: int) -> Answer[bytes]:
        """PROMOTE."""
        ids, _ = ids_or_id("PROMOTE", request)
        done = Settled([], [])

        def step(some: Sequence[int], at_ms: int) -> None:
            done.missing.extend(self._policies.promote(some, at_ms).missing)

        def reply() -> bytes:
            if done.missing and request.ids is None:
                raise NotFound(
                    f"job {ids[0]} is not delayed: GETJOB tells whether it is there"
                )
            return counted("promoted", ids, done, request.rid)

        return self._in_steps(ids, step, reply, now_ms)

    def cancel(self, request: Cancel, now_ms: int) -> Answer[bytes]:
        """CANCEL."""
        ids, _ = ids_or_id("CANCEL", request)
        done = Cancelled([], [], [])

        def step(some: Sequence[int], at_ms: int) -> None:
            of_step = self._policies.cancel(some, at_ms)
            done.cancelled.extend(of_step.cancelled)
            done.cancelling.extend(of_step.cancelling)
            done.missing.extend(of_step.missing)

        def reply() -> bytes:
            if done.missing and request.ids is None:
                raise NotFound(
                    f"job {ids[0]} cannot be cancelled: it was never pushed, is settled, or"
                    " is dead (PURGEDEAD removes it then)"
                )
            return replies.counted(
                request.rid,
                cancelled=done.cancelled,
                cancelling=done.cancelling,
                missing=done.missing,
            )

        return self._in_steps(list(dict.fromkeys(ids)), step, reply, now_ms)

    def _in_steps(
        self,
        ids: Sequence[int],
        step: Callable[[Sequence[int], int], None],
        reply: Callable[[], bytes],
        now_ms: int,
    ) -> Answer[bytes]:
        """Do a step for some of the ids at a time, the first now, and reply at the end."""
        if len(ids) <= STEP_JOBS:
            step(ids, now_ms)
            return reply()
        begins = iter(range(0, len(ids), STEP_JOBS))

        def go(at_ms: int) -> bytes | None:
            begin = next(begins)
            step(ids[begin : begin + STEP_JOBS], at_ms)
            return reply() if begin + STEP_JOBS >= len(ids) else None

        return self._long.run(go, now_ms)
