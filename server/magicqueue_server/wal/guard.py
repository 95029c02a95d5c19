"""What the log's state means for commands: which are refused, and when none may run."""

from collections.abc import Callable
from typing import Any, Final

from magicqueue.wire import requests
from magicqueue_server.session import Session
from magicqueue_server.wal.alone import Alone
from magicqueue_server.wal.log import Log

_PUSHES: Final = (
    requests.PlainPush,
    requests.Push,
    requests.PlainPushBatch,
    requests.PushBatch,
    requests.PushFlow,
    requests.Cron,
    requests.CronRun,
)
_CHANGES: Final = (
    requests.PlainAck,
    requests.Ack,
    requests.PlainAckBatch,
    requests.AckBatch,
    requests.Fail,
    requests.FailBatch,
    requests.Heartbeat,
    requests.Progress,
    requests.Cancel,
    requests.Promote,
    requests.Bulk,
    requests.Release,
    requests.Limit,
    requests.Throttle,
    requests.Pause,
    requests.Resume,
    requests.Drain,
    requests.RetryDead,
    requests.PurgeDead,
    requests.CronDelete,
    requests.CronPause,
    requests.CronResume,
)
Handlers = dict[type[requests.Request], Callable[[Any, int], Any]]


class Guard:
    """Stands before the handlers of an engine that has a log.

    handlers: those that change something are replaced by ones that ask the log first.
    wake: has the host run a session again that was stalled. follow: is called when the
    log may refuse something else than before.
    """

    def __init__(
        self,
        log: Log,
        handlers: Handlers,
        wake: Callable[[Session], None],
        follow: Callable[[], None],
    ) -> None:
        self.mark = log.mark
        self._log = log
        self._alone = Alone()
        self._wake = wake
        self._stalled: dict[int, Session] = {}
        for kind in (*_PUSHES, *_CHANGES):
            handlers[kind] = self._asking(handlers[kind], push=kind in _PUSHES)
        log.on_room = self._go_on
        log.on_change = follow

    def check_pull(self) -> None:
        """Raise RequestError if jobs cannot be handed out."""
        if (refusal := self._log.refusal(push=False)) is not None:
            raise refusal

    def before_reply(self, session: Session) -> None:
        """Have written at once what nobody but this session waits for (see `alone`)."""
        if self._alone.is_alone(session) and self._log.mode != "always":
            self._log.flush()

    def stalls(self, session: Session) -> bool:
        """Whether so much waits to be written that the session has to wait, too."""
        if not self._log.crowded:
            return False
        self._stalled[session.id] = session
        return True

    def _asking(
        self, handler: Callable[[Any, int], Any], *, push: bool
    ) -> Callable[[Any, int], Any]:
        def asking(request: Any, now_ms: int) -> Any:
            if (refusal := self._log.refusal(push=push)) is not None:
                raise refusal
            count = self._log.count
            answer = handler(request, now_ms)
            if self._log.count == count:
                self._log.depend()
            return answer

        return asking

    def _go_on(self) -> None:
        stalled, self._stalled = self._stalled, {}
        for session in stalled.values():
            self._wake(session)
