"""The engine: what the server does with lines, sessions and time, without I/O or a clock.

The listener opens a `Session` a connection and feeds it whole lines; the engine runs them
in order through `Commands` (or, for a core that executes lines, through the core itself,
as far as that goes) and writes the replies of one feed in one piece. Four things make a
session stop before its lines are done, and each continues it later:

- its turn is over (see `turns`): others go first;
- a pull finds nothing and waits in the `WaitingRoom` until jobs come or its time is over,
  or another command waits for what becomes of jobs (see `waits`);
- the core answers later (`Pending`): other sessions go on, this one keeps its order;
- replies pile up: the listener says when they have been read.

Sessions that may go on are collected and run by the outermost call, so that one push that
wakes a thousand waiters costs no depth of stack. After each command that made jobs ready,
waiters are served before anything else runs: first come, first served. What
follows for jobs that policies know is settled then, too (see `aftermath`).
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from magicqueue.errors import RequestError
from magicqueue.wire import replies
from magicqueue.wire.limits import Limits
from magicqueue_cores.contract import Core
from magicqueue_cores.line_contract import Feeds
from magicqueue_cores.policies import Policies, PolicyOptions
from magicqueue_server.aftermath import Aftermath, policies_above
from magicqueue_server.answers import Answers
from magicqueue_server.blocked import Blocked
from magicqueue_server.columns import JobDefaults
from magicqueue_server.commands import Commands
from magicqueue_server.executing import OwnLines, execute
from magicqueue_server.feeding import FeedRounds
from magicqueue_server.looks import ServerFacts
from magicqueue_server.pulls import Host, Pulls
from magicqueue_server.session import Session
from magicqueue_server.sessions import Sessions
from magicqueue_server.ticks import Ticks
from magicqueue_server.turns import REPLY_BYTES_A_TURN, TURN_BYTES, TURN_NS, Turns
from magicqueue_server.wal.guard import Guard
from magicqueue_server.wal.log import Log

_BRACE: Final = ord("{")
_POLICY_OPTIONS: Final = PolicyOptions()


class Engine:
    """The state machine between bytes and core.

    make_core: makes the core, given the callback for queues that became ready.
    wake: called when something may go on outside of a call to the engine (a core answered
    later); the host then soon calls `resume(session, now_ms)`, or `advance` for None.
    turns: who may run, and how long; the engine runs its rounds.
    log: where the core's records go, if anywhere; replies then wait for it.
    policy_options: the bounds of the policies.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all that a server consists of
        self,
        make_core: Callable[[Callable[[str], None]], Core],
        limits: Limits,
        defaults: JobDefaults,
        facts: ServerFacts,
        wake: Callable[[Session | None], None],
        turns: Turns,
        log: Log | None = None,
        policy_options: PolicyOptions = _POLICY_OPTIONS,
    ) -> None:
        self._turns = turns
        turns.run_round = self.run_round
        self._inside = False
        self._became_ready = became_ready = list[str]()
        self.core = make_core(self._on_ready)
        self.policies = policies_above(self.core, policy_options, log)
        self._verbs: Core | Policies = self.policies or self.core
        self.sessions = Sessions(self._verbs)
        self.sessions.on_more = lambda who: turns.go_on_later(lambda: self._release(who))
        self._count = self.sessions.count
        self._own_lines = OwnLines(self.core)
        self._wake = wake
        self._commands = Commands(self.core, self.policies, limits, defaults, facts)
        handlers = self._commands.handlers
        host = Host(finish=self._finish, wake=wake, release=self._release)
        pulls = Pulls(self.core, limits, defaults, became_ready, host)
        self._blocked = Blocked(pulls, self.policies, handlers)
        self._after = Aftermath(self.policies, self._blocked, self._own_lines, became_ready)
        self._notes, self._news = self._after.notes, self._after.news
        self._clock = self._after.clock
        self._ticks = Ticks(self.policies, log)
        self._answers = Answers(handlers, self._blocked, host)
        self._runnable: deque[Session] = deque()
        self._now_ms = 0
        self._started_ms: int | None = None
        self.stopping = False
        self._commands.looks.server_counts = self.server_counts
        self._commands.long.later = lambda go: turns.go_on_later(lambda: go(self._now_ms))
        self._log = None if self.core.capabilities.durable else log
        self.feed_rounds: Final = FeedRounds(self._own_lines, self._log)
        self._guard: Guard | None = None
        if self._log is not None:
            self._guard = Guard(self._log, handlers, wake, self._follow_log)
            self._answers.guard = self._guard
            self._blocked.ask(self._guard.check_pull, self._log.depend)

    @property
    def next_deadline_ms(self) -> int:
        """When `advance` has something to do, at the earliest; NEVER_MS if not. O(1)."""
        waits_ms = min(self._blocked.next_deadline_ms, self._ticks.next_ms)
        return min(self.core.next_deadline_ms, self._clock.due_ms, waits_ms)

    def tell_refusals(self, on_refusal: Callable[[Session, Exception], None]) -> None:
        """Have each error told that a request is refused with."""
        self._answers.on_refusal = on_refusal

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
        session = self.sessions.open(write, hang_up, read_on)
        if self._log is not None:
            self._log.hold_replies(session)
        return session

    def feed(self, session: Session, lines: bytes, now_ms: int) -> None:
        """Run whole request lines (each with its end) that a session received."""
        self._tick(now_ms)
        session.append(lines)
        if session.parked:
            self._blocked.hurry(session, self._now_ms)
        turns = self._turns
        if session.queued:
            self._count(session)
        elif turns.rounds < session.fresh_again:
            self._wait(session, spent=True)
        elif now_ms > turns.reads_until_ms and not turns.may_read_on(now_ms):
            self._wait(session, spent=False)
        else:
            self._run(session)
        self._run_others()

    def rest(self, session: Session) -> None:
        """Let others have a turn before more is read from this one."""
        if not session.queued:
            self._wait(session, spent=True)

    def run_round(self, now_ms: int) -> None:
        """Give those a turn who wait for one."""
        self._tick(now_ms)
        for session in self._turns.in_round():
            self._run(session)
            if session.held and not session.closed:
                session.read_on()
        self._turns.take_step()
        self._run_others()

    def run_feeds(self, feeds: Feeds, now_ms: int) -> bool:
        """Run what a round received; False: replies go through `feed_rounds.answer`."""
        self._tick(now_ms)
        self.feed_rounds.run(feeds, self._now_ms)
        self._run_others()
        return self._log is None or self._log.answers_now()

    def resume(self, session: Session, now_ms: int) -> None:
        """Go on with a session that was congested or had to wait for the core."""
        self._tick(now_ms)
        if not session.queued:
            self._run(session)
        self._run_others()

    def advance(self, now_ms: int) -> None:
        """Let time pass: jobs mature, crons fire, blocked pulls time out."""
        self._tick(now_ms)
        self._ticks.fire(self._now_ms)
        self._blocked.time_out(self._now_ms)
        self._run_others()

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """Let leases that end by `until_ms` be over: all that came by then has been run.

        Gives whether that was all; if not, it is to be called again after a poll.
        """
        self._tick(now_ms)
        done = self._verbs.end_leases(until_ms, self._now_ms)
        self._after.follow_time()
        self._run_others()
        return done

    def postpone(self, by_ms: int, now_ms: int) -> None:
        """Let leases and waiting pulls end later: by that much time that does not count."""
        self._now_ms = max(now_ms, self._now_ms)
        self.core.postpone_leases(by_ms, self._now_ms)
        self._blocked.postpone(by_ms)
        if self._started_ms is not None:
            self._started_ms += by_ms
        self.advance(now_ms)

    def clock_ahead(self, ahead_ms: int) -> None:
        """Be told by how much time is ahead of the wall clock, which requests are about."""
        self._commands.ahead_ms = self._commands.looks.ahead_ms = ahead_ms
        self._blocked.clock_ahead(ahead_ms)
        self._own_lines.clock_ahead(ahead_ms)
        self._ticks.clock_ahead(ahead_ms)

    def close(self, session: Session, now_ms: int) -> None:
        """End a session: its pull is forgotten and its jobs come back."""
        if session.closed:
            return
        self.sessions.end(session)
        self._blocked.forget(session)
        self._tick(now_ms)
        self._release(session)
        self._run_others()

    def stop(self, now_ms: int) -> None:
        """Begin to shut down: no more jobs in or out, blocked pulls are answered."""
        self._tick(now_ms)
        self.stopping = self._commands.stopping = True
        self._own_lines.end()
        self._ticks.stop()
        self._blocked.stop(self._now_ms)
        self._run_others()

    def refuse(
        self, session: Session, error: RequestError, now_ms: int, *, at_once: bool = False
    ) -> None:
        """After the lines that are here, answer with an error and hang up.

        at_once: instead of them, and of a pull that waits, since they take too much memory.
        """
        self._answers.on_refusal(session, error)
        session.last_words = replies.refused(error)
        if at_once:
            self._forget_lines(session)
        self.resume(session, now_ms)

    def leave(self, session: Session, now_ms: int) -> None:
        """The other side sends no more: run what it sent, reply, and hang up.

        It may be gone altogether, so a pull that waits is forgotten and takes no job.
        """
        session.leaving = True
        if session.last_words is None:
            session.last_words = b""
        if not self._blocked.hurry(session, self._now_ms) and self._blocked.has(session):
            self._forget_lines(session)
        self.resume(session, now_ms)

    def _forget_lines(self, session: Session) -> None:
        session.drop_lines()
        if self._blocked.forget(session):
            session.parked = False
            session.parked_bytes = 0
        self._count(session)

    def _follow_log(self) -> None:
        """The log has another opinion of what may run."""
        assert self._log is not None
        if self._log.failure is not None:
            self._own_lines.end()
            self._blocked.stop(self._now_ms)
            self._run_others()
        else:
            self._own_lines.follow(self._log)

    def _on_ready(self, queue: str) -> None:
        self._became_ready.append(queue)
        if not self._inside:
            self._wake(None)

    def _tick(self, now_ms: int) -> None:
        self._inside = True
        self._now_ms = max(now_ms, self._now_ms)
        if self._started_ms is None:
            self._started_ms = self._now_ms
        now_ms = self._now_ms
        if now_ms >= self.core.next_deadline_ms or now_ms >= self._clock.due_ms:
            self._verbs.advance(now_ms)
            self._after.follow_time()
        if self._became_ready or self._notes.pending or self._news:
            self._after.see_to(now_ms)

    def _run(self, session: Session) -> None:  # noqa: C901, PLR0912, PLR0915 - hot: calls cost more
        """Run a session's lines until they are done, or it has to stop or to wait."""
        out, out_bytes = list[bytes](), 0
        now_ns, left = self._turns.now_ns, TURN_BYTES
        until_ns = now_ns() + TURN_NS
        guard, own_lines = self._guard, self._own_lines
        became_ready, notes, news = self._became_ready, self._notes, self._news
        if guard is not None:
            guard.mark(session)
        while not (
            session.parked
            or session.congested
            or session.closed
            or (guard is not None and guard.stalls(session))
        ):
            if session.at >= len(session.lines):
                if session.next_piece():
                    continue
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
            if left < TURN_BYTES and (left <= 0 or now_ns() >= until_ns):
                self._turns.wait(session, spent=True)
                break
            start = session.at
            core = None if session.checked else own_lines.core
            if core is not None and (session.greeted or session.lines[start] == _BRACE):
                reply = execute(core, session, left, self._now_ms)
                left -= session.at - start
                if session.at > start or not session.lines:
                    session.greeted = True  # it began with a line that ran
                    out.append(reply)
                    out_bytes += len(reply)
                    if became_ready or notes.pending or news:
                        self._after.see_to(self._now_ms)
                    continue
            line = session.next_line()
            left -= session.at - start
            if line:
                reply = self._answers.answer(session, line, self._now_ms)
                out.append(reply)
                out_bytes += len(reply)
                if became_ready or notes.pending or news:
                    if session.parked and out:  # served now: earlier replies go first
                        session.write(b"".join(out))
                        out, out_bytes = [], 0
                    self._after.see_to(self._now_ms)
        if out and not session.closed:
            if guard is not None:
                guard.before_reply(session)
            session.write(b"".join(out))
        if session.lines or session.counted_bytes:
            self._count(session)

    def _wait(self, session: Session, *, spent: bool) -> None:
        self._turns.wait(session, spent=spent)
        self._count(session)

    def _part(self, session: Session, out: list[bytes]) -> None:
        """All lines have run and no more will come."""
        session.parked = True
        self._count(session)
        if text := b"".join(out) + (session.last_words or b""):
            session.write(text)
        session.hang_up()

    def _run_others(self) -> None:
        """Before the engine is left: do what follows, and run those who may go on."""
        if self._became_ready or self._notes.pending or self._news:
            self._after.see_to(self._now_ms)
        if self._runnable:
            until_ns = self._turns.now_ns() + TURN_NS
            while self._runnable:
                session = self._runnable.popleft()
                if session.queued:
                    continue
                if self._turns.now_ns() < until_ns:
                    self._run(session)
                else:
                    self._wait(session, spent=False)
        self._inside = False

    def _finish(self, session: Session, reply: bytes) -> None:
        """Give a session the reply that it was parked for; it may go on."""
        session.parked, session.parked_bytes = False, 0
        session.write(reply)
        if session.backlog_bytes or session.last_words is not None:
            self._runnable.append(session)
            return
        if session.counted_bytes:
            self._count(session)
        session.on_free()

    def _release(self, session: Session) -> None:
        self.sessions.release(session, self._now_ms)

    def server_counts(self) -> dict[str, Any]:
        """Give what STATS adds to the core's counts."""
        uptime_ms = self._now_ms - (self._started_ms or self._now_ms)
        counts = self.sessions.counts(waiting=len(self._blocked))
        return {**counts, "uptime_ms": uptime_ms, **self._own_lines.counts()}
