"""The engine: what the server does with lines, sessions and time, without I/O or a clock.

The listener opens a `Session` a connection and feeds it whole lines; the engine runs them
in order through `Commands` (or, for a core that executes lines, through the core itself,
as far as that goes) and writes the replies of one feed in one piece. Three things make a
session stop before its lines are done, and each continues it later:

- a pull finds nothing and waits in the `WaitingRoom` until jobs come or its time is over;
- the core answers later (`Pending`): other sessions go on, this one keeps its order;
- replies pile up: the listener says when they have been read.

Sessions that may go on are collected and run by the outermost call, so that one push that
wakes a thousand waiters costs no depth of stack. After each command that made jobs ready,
waiters are served before anything else runs: first come, first served.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from magicqueue import errors
from magicqueue.wire import replies
from magicqueue.wire.decode import decode_request, rid_of
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import NO_RID
from magicqueue_cores import contract
from magicqueue_cores.contract import Core, LineCore
from magicqueue_cores.pending import Pending
from magicqueue_server.columns import JobDefaults
from magicqueue_server.commands import Commands, ServerFacts
from magicqueue_server.pulls import PULLS, Host, Pulls
from magicqueue_server.session import Session
from magicqueue_server.wal.guard import Guard
from magicqueue_server.wal.log import Log

REPLY_BYTES_A_TURN: Final = 256 * 1024
"""A session with more replies than this gives way until they have been read."""

_WHITE_SPACE: Final = b" \t\r\n"

_log = logging.getLogger("magicqueue.engine")


class Engine:
    """The state machine between bytes and core.

    make_core: makes the core, given the callback for queues that became ready.
    wake: called when something may go on outside of a call to the engine (a core answered
    later); the host then soon calls `resume(session, now_ms)`, or `advance` for None.
    log: where the core's records go, if anywhere; replies then wait for it.
    """

    def __init__(
        self,
        make_core: Callable[[Callable[[str], None]], Core],
        limits: Limits,
        defaults: JobDefaults,
        facts: ServerFacts,
        wake: Callable[[Session | None], None],
        log: Log | None = None,
    ) -> None:
        self._inside = False
        self._became_ready = became_ready = list[str]()
        self.core = make_core(self._on_ready)
        self._line_core: LineCore | None = None
        if self.core.capabilities.executes_lines:
            self._line_core = self.core  # type: ignore[assignment]  # it says it is one
        self._wake = wake
        self._commands = Commands(self.core, limits, defaults, facts)
        self._handlers = self._commands.handlers
        self._pulls = Pulls(
            self.core,
            limits,
            defaults,
            became_ready,
            Host(finish=self._finish, wake=wake, release=self._release),
        )
        self._runnable: deque[Session] = deque()
        self._sessions: dict[int, Session] = {}
        self._session_id = 0
        self._now_ms = 0
        self._started_ms: int | None = None
        self._commands.server_counts = self._server_counts
        self._leases_stay = False
        self._log = None if self.core.capabilities.durable else log
        self._guard: Guard | None = None
        if self._log is not None:
            self._guard = Guard(self._log, self._handlers, wake, self._follow_log)

    @property
    def next_deadline_ms(self) -> int:
        """When `advance` has something to do, at the earliest; NEVER_MS if not. O(1)."""
        return min(self.core.next_deadline_ms, self._pulls.next_deadline_ms)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._commands.stopping

    def open(
        self,
        write: Callable[[bytes], None],
        hang_up: Callable[[], None],
        read_on: Callable[[], None],
        now_ms: int,
    ) -> Session:
        """Begin a session; see `Session` for the callbacks."""
        self._tick(now_ms)
        self._run_others()
        self._session_id += 1
        session = Session(self._session_id, write, hang_up, read_on)
        if self._log is not None:
            self._log.hold_replies(session)
        self._sessions[session.id] = session
        return session

    def feed(self, session: Session, lines: bytes, now_ms: int) -> None:
        """Run whole request lines (each with its end) that a session received."""
        self._tick(now_ms)
        session.append(lines)
        self._run(session)
        self._run_others()

    def resume(self, session: Session, now_ms: int) -> None:
        """Go on with a session that was congested or had to wait for the core."""
        self._tick(now_ms)
        self._run(session)
        self._run_others()

    def advance(self, now_ms: int) -> None:
        """Let time pass: jobs mature, leases end, blocked pulls time out."""
        self._tick(now_ms)
        self._pulls.time_out(self._now_ms)
        self._run_others()

    def close(self, session: Session, now_ms: int) -> None:
        """End a session: its pull is forgotten and its jobs come back."""
        if session.closed:
            return
        session.closed = True
        session.drop_lines()
        del self._sessions[session.id]
        self._pulls.forget(session)
        self._tick(now_ms)
        self._release(session)
        self._run_others()

    def stop(self, now_ms: int) -> None:
        """Begin to shut down: no more jobs in or out, blocked pulls are answered."""
        self._tick(now_ms)
        self._commands.stopping = True
        self._line_core = None
        self._pulls.stop()
        self._run_others()

    def refuse(self, session: Session, error: errors.RequestError, now_ms: int) -> None:
        """After the lines that are here, answer with an error and hang up."""
        session.last_words = replies.refused(error)
        self.resume(session, now_ms)

    def leave(self, session: Session, now_ms: int) -> None:
        """The other side sends no more: run what it sent, reply, and hang up.

        It may be gone altogether, so a pull that waits is forgotten and takes no job.
        """
        session.leaving = True
        if session.last_words is None:
            session.last_words = b""
        if self._pulls.forget(session):
            session.drop_lines()
            session.parked = False
        self.resume(session, now_ms)

    def begin_after(self, session_id: int) -> None:
        """Give new sessions higher numbers than this: leases of older ones are alive."""
        self._session_id = max(self._session_id, session_id)

    def keep_leases(self) -> None:
        """Let sessions end without giving their jobs back: the server goes, not they."""
        self._leases_stay = True

    def _follow_log(self) -> None:
        """The log has another opinion of what may run."""
        assert self._log is not None
        if self._log.failure is not None:
            self._line_core = None
            self._pulls.stop()
            self._run_others()
        elif not self.stopping and self.core.capabilities.executes_lines:
            refused = self._log.refusal(push=True) is not None
            self._line_core = None if refused else self.core  # type: ignore[assignment]

    def _on_ready(self, queue: str) -> None:
        self._became_ready.append(queue)
        if not self._inside:
            self._wake(None)

    def _tick(self, now_ms: int) -> None:
        self._inside = True
        self._now_ms = max(now_ms, self._now_ms)
        if self._started_ms is None:
            self._started_ms = self._now_ms
        if self._now_ms >= self.core.next_deadline_ms:
            self.core.advance(self._now_ms)
        if self._became_ready:
            self._pulls.serve(self._now_ms)

    def _run(self, session: Session) -> None:  # noqa: C901, PLR0912 - hot: calls cost more than branches
        """Run a session's lines until they are done or it has to stop."""
        out: list[bytes] = []
        out_bytes = 0
        guard = self._guard
        if guard is not None:
            guard.mark(session)
        while not (
            session.parked
            or session.congested
            or session.closed
            or (guard is not None and guard.stalls(session))
        ):
            if session.at >= len(session.lines):
                session.lines, session.at = b"", 0
                if session.last_words is not None:
                    self._part(session, out)
                    return
                if session.held:
                    session.read_on()
                break
            if out_bytes > REPLY_BYTES_A_TURN:
                session.write(b"".join(out))
                out, out_bytes = [], 0
                continue
            if self._line_core is not None and session.greeted:
                start = session.at
                reply = self._execute(session, self._line_core)
                if session.at > start or not session.lines:
                    out.append(reply)
                    out_bytes += len(reply)
                    if self._became_ready:
                        self._pulls.serve(self._now_ms)
                    continue
            line = self._next_line(session)
            if line:
                reply = self._answer(session, line)
                out.append(reply)
                out_bytes += len(reply)
                if self._became_ready:
                    if (
                        session.parked and out
                    ):  # it may be served now: earlier replies go first
                        session.write(b"".join(out))
                        out, out_bytes = [], 0
                    self._pulls.serve(self._now_ms)
        if out and not session.closed:
            session.write(b"".join(out))

    def _part(self, session: Session, out: list[bytes]) -> None:
        """All lines have run and no more will come."""
        session.parked = True
        text = b"".join(out) + (session.last_words or b"")
        if text:
            session.write(text)
        session.hang_up()

    def _run_others(self) -> None:
        while self._runnable:
            self._run(self._runnable.popleft())
        self._inside = False

    def _next_line(self, session: Session) -> bytes:
        lines, start = session.lines, session.at
        end = lines.find(b"\n", start)
        session.at = end + 1
        if lines[end - 1 : end] == b"\r":
            return lines[start : end - 1]
        return lines[start:end]

    def _execute(self, session: Session, core: LineCore) -> bytes:
        """Let the core run lines; if it fails, the session ends."""
        view = memoryview(session.lines)[session.at :]
        try:
            consumed, reply = core.execute(view, session.id, self._now_ms)
        except Exception as error:  # noqa: BLE001 - a bug ends one session, not the server
            _log.error("the core failed to execute lines", exc_info=error)
            session.drop_lines()
            session.last_words = replies.refused(_as_request_error(error))
            return b""
        session.at += consumed
        return reply

    def _answer(self, session: Session, line: bytes) -> bytes:
        """Run one line; gives its reply, or b"" if that comes later."""
        rid = NO_RID
        try:
            request = decode_request(line)
            rid = request.rid
            session.greeted = True
            kind = type(request)
            if kind in PULLS:
                if self._guard is not None:
                    self._guard.check_pull()
                reply = self._pulls.pull(session, request, self._now_ms)
            else:
                reply = self._handlers[kind](request, self._now_ms)
        except Exception as error:  # noqa: BLE001 - whatever a line brings, it gets an answer
            if not line.strip(_WHITE_SPACE):
                return b""
            return self._refusal(session, line, error, rid)
        if isinstance(reply, Pending):
            return self._park(session, line, reply, rid)
        return reply

    def _park(
        self, session: Session, line: bytes, reply: Pending[bytes], rid: msgspec.Raw
    ) -> bytes:
        """Hold a session until the core's answer is there; gives it if it is."""
        head = line[:1]
        at_once: list[bytes] | None = []

        def settle(settled: Pending[bytes]) -> None:
            try:
                text = settled.result()
            except Exception as error:  # noqa: BLE001 - as in _answer
                text = self._refusal(session, head, error, rid)
            if at_once is not None:
                at_once.append(text)
            elif session.closed:
                self._release(session)
            else:
                if text:
                    self._finish(session, text)
                else:
                    session.parked = self._pulls.waits(session)
                self._wake(session)

        reply.then(settle)
        answered, at_once = at_once, None
        if answered:
            return answered[0]
        session.parked = True
        return b""

    def _finish(self, session: Session, reply: bytes) -> None:
        """Give a session the reply that it was parked for; it may go on."""
        session.parked = False
        session.write(reply)
        if session.backlog_bytes:
            self._runnable.append(session)

    def _refusal(
        self, session: Session, line: bytes, error: Exception, rid: msgspec.Raw
    ) -> bytes:
        """Give the reply for what a line raised, and hang up where the rules say so."""
        refused = _as_request_error(error)
        if isinstance(refused, errors.InternalError):
            _log.error("a request failed: %.200r", line, exc_info=error)
        if rid is NO_RID:
            rid = rid_of(line)
        if isinstance(refused, errors.BadJson) and not session.greeted:
            session.drop_lines()
            session.last_words = b""
        session.greeted = True
        return replies.refused(refused, rid)

    def _release(self, session: Session) -> None:
        if self._leases_stay:
            return
        answer = self.core.close_session(session.id, self._now_ms)
        if isinstance(answer, Pending):
            answer.then(_log_error)
        if self._became_ready:
            self._pulls.serve(self._now_ms)

    def _server_counts(self) -> dict[str, int]:
        return {
            "connections": len(self._sessions),
            "waiting": len(self._pulls),
            "uptime_ms": self._now_ms - (self._started_ms or self._now_ms),
        }


def _as_request_error(error: Exception) -> errors.RequestError:
    if isinstance(error, errors.RequestError):
        return error
    if isinstance(error, contract.Full):
        return errors.Full(str(error))
    if isinstance(error, contract.NotFound):
        return errors.NotFound(str(error))
    return errors.InternalError("the server met a bug of its own: its log says more")


def _log_error(settled: Pending[None]) -> None:
    try:
        settled.result()
    except Exception:  # noqa: BLE001 - nobody waits for this answer
        _log.exception("the core could not release a session")
