"""One line, one reply: decoding, the handler, and what becomes of everything it raises.

A reply that the core gives later parks the session; whatever a line brings, it gets an
answer, and the session goes on unless its very first line was no request at all.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from magicqueue import errors
from magicqueue.wire import replies
from magicqueue.wire.decode import decode_request, rid_of
from magicqueue.wire.requests import NO_RID, Request
from magicqueue_cores import contract
from magicqueue_cores.pending import Answer, Pending
from magicqueue_server.access import refuse_if_long, without_token
from magicqueue_server.blocked import Blocked
from magicqueue_server.looks import Handler
from magicqueue_server.policy_commands import told_as
from magicqueue_server.pulls import PULLS, Host
from magicqueue_server.session import Session
from magicqueue_server.wal.guard import Guard

_WHITE_SPACE: Final = b" \t\r\n"

_log = logging.getLogger("magicqueue.engine")


class Answers:
    """Gives each line its answer. `guard` stands before pulls where there is a log."""

    def __init__(
        self, handlers: dict[type[Request], Handler], blocked: Blocked, host: Host
    ) -> None:
        self.guard: Guard | None = None
        self.on_refusal: Callable[[Session, Exception], None] = lambda *_: None
        """Called with each error that a request is refused with."""
        self._handlers = handlers
        self._blocked = blocked
        self._blocking = blocked.handlers
        self._blocks = frozenset(blocked.handlers)
        self._host = host

    def answer(self, session: Session, line: bytes, now_ms: int) -> bytes:
        """Run one line; gives its reply, or b"" if that comes later."""
        rid = NO_RID
        try:
            if session.checked and session.token is None:
                refuse_if_long(line)
            request = decode_request(line)
            rid = request.rid
            session.greeted = True
            kind = type(request)
            if session.allowed is not None and kind not in session.allowed:
                reply = self._look_first(session, request, now_ms)
            elif kind in self._blocks:
                reply = self._block(session, request, now_ms)
            else:
                reply = self._handlers[kind](request, now_ms)
        except Exception as error:  # noqa: BLE001 - whatever a line brings, it gets an answer
            if not line.strip(_WHITE_SPACE):
                return b""
            return self._refusal(session, line, error, rid)
        if isinstance(reply, Pending):
            return self._park(session, line, reply, rid)
        return reply

    def _block(self, session: Session, request: Request, now_ms: int) -> Answer[bytes]:
        kind = type(request)
        if self.guard is not None and kind in PULLS:
            self.guard.check_pull()
        return self._blocking[kind](session, request, now_ms)

    def _look_first(self, session: Session, request: Request, now_ms: int) -> Answer[bytes]:
        """Run a request that its session may have no right to."""
        assert session.look is not None, "nobody else limits a session"
        kind = type(request)
        if kind in self._blocks:
            run = partial(self._block, session, request, now_ms)
        else:
            run = partial(self._handlers[kind], request, now_ms)
        return session.look(session, request, now_ms, run)

    def _park(
        self, session: Session, line: bytes, reply: Pending[bytes], rid: msgspec.Raw
    ) -> bytes:
        """Hold a session until the core's answer is there; gives it if it is."""
        head = line[:1]
        at_once: list[bytes] | None = []

        def settle(settled: Pending[bytes]) -> None:
            try:
                text = settled.result()
            except Exception as error:  # noqa: BLE001 - as in answer
                text = self._refusal(session, head, error, rid)
            if at_once is not None:
                at_once.append(text)
            elif session.closed:
                self._host.release(session)
            else:
                if text:
                    self._host.finish(session, text)
                else:
                    session.parked = self._blocked.has(session)
                self._host.wake(session)

        if rid is not NO_RID:
            rid = rid.copy()
        session.parked_bytes = len(line)  # the core may keep what came of it
        reply.then(settle)
        answered, at_once = at_once, None
        if answered:
            session.parked_bytes = 0
            return answered[0]
        session.parked = True
        return b""

    def _refusal(
        self, session: Session, line: bytes, error: Exception, rid: msgspec.Raw
    ) -> bytes:
        """Give the reply for what a line raised, and hang up where the rules say so."""
        self.on_refusal(session, error)
        refused = refusal_of(error)
        if isinstance(refused, errors.InternalError):
            _log.error("a request failed: %.200r", without_token(line), exc_info=error)
        if rid is NO_RID:
            rid = rid_of(line)
        first = isinstance(refused, errors.BadJson) and not session.greeted
        if first or isinstance(refused, errors.Unauthorized):
            session.drop_lines()
            session.last_words = b""
        session.greeted = True
        return replies.refused(refused, rid)


def refusal_of(error: Exception) -> errors.RequestError:
    """Give what a client is told of an error, whatever it is."""
    if isinstance(error, errors.RequestError):
        return error
    if isinstance(error, contract.Full):
        return errors.Full(str(error))
    if isinstance(error, contract.NotFound):
        return errors.NotFound(str(error))
    if (refusal := told_as(error)) is not None:
        return refusal
    return errors.InternalError("the server met a bug of its own: its log says more")
