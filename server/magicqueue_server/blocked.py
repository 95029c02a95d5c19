"""Everybody whose command waits: pulls for jobs, and waits for ends and cancels."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from magicqueue.wire.requests import Heartbeat, Pull, PullBatch, Request, Wait
from magicqueue_cores.pending import Answer
from magicqueue_cores.policies import Policies
from magicqueue_server.deadlines import Deadlines
from magicqueue_server.looks import Handler
from magicqueue_server.pulls import Pulls
from magicqueue_server.session import Session
from magicqueue_server.waits import Waits

Blocking: TypeAlias = Callable[[Session, Any, int], Answer[bytes]]
"""Answers a request of a session, or parks the session: then the reply is b""."""


class Blocked:
    """Pulls and waits as one. handlers: of the commands that do not block."""

    def __init__(
        self,
        pulls: Pulls,
        policies: Policies | None,
        handlers: dict[type[Request], Handler],
    ) -> None:
        self.pulls: Final = pulls
        self._policies = policies
        pulls.takes_several = policies is not None
        waits = None if policies is None else Waits(policies, pulls)
        self.waits: Final = waits
        self._pull_deadlines = pulls.deadlines
        self._deadlines: Deadlines[Any] = pulls.deadlines
        if waits is not None:
            self._deadlines = waits.deadlines
        self.handlers: dict[type[Request], Blocking] = {
            Pull: pulls.pull,
            PullBatch: pulls.pull,
        }
        if waits is not None:
            beat_later, all_handlers = waits.heartbeat, handlers

            def heartbeat(
                session: Session, request: Heartbeat, now_ms: int
            ) -> Answer[bytes]:
                if request.wait is None:
                    return all_handlers[Heartbeat](request, now_ms)
                return beat_later(session, request, now_ms)

            self.handlers |= {Wait: waits.wait, Heartbeat: heartbeat}

    def ask(self, check: Callable[[], None], depend: Callable[[], None]) -> None:
        """Have waits ask a log before they change something, and before they tell."""
        if self.waits is not None:
            self.waits.check, self.waits.depend = check, depend

    def __len__(self) -> int:
        return len(self.pulls) + (0 if self.waits is None else len(self.waits))

    @property
    def next_deadline_ms(self) -> int:
        """When `time_out` has something to do, at the earliest. O(1)."""
        return min(self._pull_deadlines.next_ms, self._deadlines.next_ms)

    def time_out(self, now_ms: int) -> None:
        """Answer everybody whose time is over."""
        self.pulls.time_out(now_ms)
        if self.waits is not None:
            self.waits.time_out(now_ms)

    def postpone(self, by_ms: int) -> None:
        """Let the time of all be over that much later, and bring no tokens meanwhile."""
        self.pulls.postpone(by_ms)
        if self.waits is not None:
            self.waits.postpone(by_ms)
        if self._policies is not None:
            self._policies.limits.postpone(by_ms)
            self._policies.groups.limits.postpone(by_ms)

    def clock_ahead(self, ahead_ms: int) -> None:
        """Be told by how much time is ahead of the wall clock, which replies tell."""
        self.pulls.ahead_ms = ahead_ms
        if self.waits is not None:
            self.waits.ahead_ms = ahead_ms

    def has(self, session: Session) -> bool:
        """Whether a command of this session waits. O(1)."""
        waits = self.waits is not None and self.waits.waits(session)
        return waits or self.pulls.waits(session)

    def hurry(self, session: Session, now_ms: int) -> bool:
        """Answer what ends when a further line arrives; False if nothing such waits."""
        return self.waits is not None and self.waits.hurry(session, now_ms)

    def forget(self, session: Session) -> bool:
        """Drop what waits of a session; False if nothing does."""
        waits = self.waits is not None and self.waits.forget(session)
        return self.pulls.forget(session) or waits

    def stop(self, now_ms: int) -> None:
        """Answer everybody as timed out, and let nobody wait from now on."""
        self.pulls.stop()
        if self.waits is not None:
            self.waits.stop(now_ms)
