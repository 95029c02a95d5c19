"""Turns: who may run lines, and for how long, so that one connection does not stop others.

The event loop looks at all sockets at once (a *poll*) and then runs what they brought. A
session's lines run as soon as they have been read, but for one *turn* at most: so many
bytes, or so long. Who has lines left joins a ring, is not read from meanwhile, and goes on
in a *round*: the sessions of the ring in order, a turn each, again and again until the
round has taken its time. Between two rounds there is a poll, so that whoever sends one line
is answered after a turn or a round, whatever others have sent.

Three things keep that so when many send much at once:

- Reads run lines at once only for so long without a poll; the rest joins the ring.
- Sessions that are new in the ring come before those whose turn was over already.
- Whoever had to wait in one of the last two rounds joins the ring at once.

Whoever wants to act on everything that had arrived by now, as a lease that ends while its
heartbeat lies unread, has to let a poll pass first, and more of them as long as somebody
waits in the ring or for being read again: `when_all_had_a_turn`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from magicqueue_server.clock import Clock
from magicqueue_server.session import Session

TURN_BYTES: Final = 64 * 1024
"""A turn ends after a line that makes it this long,"""
TURN_NS: Final = 2_000_000
"""or with the first line that ends after this time."""
REPLY_BYTES_A_TURN: Final = 256 * 1024
"""A session with more replies than this gives way until they have been read."""
ROUND_NS: Final = 4_000_000
"""A round ends with the first turn that ends after this time."""
READS_MS: Final = 4
"""So long reads run lines at once before a poll has to come, twice at most."""
STEP_JOBS: Final = 1000
"""So many jobs move at once, at most, where time or the end of a session moves many; the
rest follow in the next rounds."""
POLLS_MAX: Final = 32
"""So often at most is waited for a connection that always has more: 4 MiB of each, since
who fills the buffer is read again after a round, which is every other poll."""


class Turns:
    """The ring, and how much time a turn has left.

    soon: has a function called after what is to be called already, and with a poll in
    between if that is called from one that it called (the loop's `call_soon`).
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object], clock: Clock) -> None:
        self.now_ns: Final = clock.monotonic_ns
        self.rounds = 0
        """How many there were."""
        self.reads_until_ms = 0
        """Reads later than this have to ask `may_read_on` whether their lines run."""
        self.run_round: Callable[[int], None] = lambda _now_ms: None
        """Runs the sessions of `in_round` (the engine sets it)."""
        self.after_round: Callable[[], None] = lambda: None
        self._soon = soon
        self._clock = clock
        self._new: deque[Session] = deque()
        self._spent: deque[Session] = deque()
        self._poll_is_due = False
        self._round_is_due = False
        self._leftovers = 0
        self._steps: deque[Callable[[], None]] = deque()

    def may_read_on(self, now_ms: int) -> bool:
        """Whether the lines of one more read may run before the next poll."""
        if self._poll_is_due:
            return False
        self._poll_is_due = True
        self.reads_until_ms = now_ms + READS_MS
        self._soon(self._polled)
        return True

    def wait(self, session: Session, *, spent: bool) -> None:
        """Let a session wait for a round; one that had a turn waits behind new ones."""
        session.queued = True
        if spent:
            session.fresh_again = self.rounds + 2
            self._spent.append(session)
        else:
            self._new.append(session)
        if not self._round_is_due:
            self._round_is_due = True
            self._soon(self._go)

    def in_round(self) -> Iterator[Session]:
        """Take out those who have a turn in this round, one after the other.

        Whoever is put back meanwhile has another one, if there is time. One of those that
        are new and one of the others has a turn in every round.
        """
        self.rounds += 1
        until_ns = self.now_ns() + ROUND_NS
        for line in (self._new, self._spent):
            while line:
                yield self._next(line)
                if self.now_ns() >= until_ns:
                    break

    def go_on_later(self, step: Callable[[], None]) -> None:
        """Have a step of something long taken in a later round, which takes one step."""
        self._steps.append(step)
        if not self._round_is_due:
            self._round_is_due = True
            self._soon(self._go)

    def take_step(self) -> None:
        """Take the step that has waited for longest, if there is one."""
        if self._steps:
            self._steps.popleft()()

    def more_to_read(self) -> None:
        """Say that a socket may hold more than was just read of it."""
        self._leftovers += 1

    def when_all_had_a_turn(self, call: Callable[[], None]) -> None:
        """Call once everything that had arrived by now has been read and had its turn.

        What had arrived is what the sockets of open connections hold at this moment, and
        lines that were read already. It has had its turn when it has run, or cannot run
        yet: behind a pull that waits, or with replies that are not read. A connection that
        sends without end delays the call by `POLLS_MAX` polls and rounds at most. It never
        comes from within this method; a connection yet to be accepted does not count.
        """
        self._soon(partial(self._ask, call, 0, 0))

    def _next(self, line: deque[Session]) -> Session:
        session = line.popleft()
        session.queued = False
        return session

    def _polled(self) -> None:
        self._poll_is_due = False

    def _go(self) -> None:
        self._round_is_due = False
        try:
            self.run_round(self._clock.now_ms())
        finally:  # who still waits has a turn, whatever a step or a line did
            if (self._new or self._spent or self._steps) and not self._round_is_due:
                self._round_is_due = True
                self._soon(self._go)
            self.after_round()

    def _ask(self, call: Callable[[], None], polls: int, leftovers: int) -> None:
        """Call if the last poll left nothing over, else let another one pass."""
        waiting = self._new or self._spent or self._leftovers != leftovers
        if polls == POLLS_MAX or (polls and not waiting):
            call()
        else:
            self._soon(partial(self._ask, call, polls + 1, self._leftovers))
