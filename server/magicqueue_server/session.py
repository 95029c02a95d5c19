"""A session: one connection as the engine sees it, without the socket.

Lines that cannot run yet, because a pull waits, an answer is still to come, replies are not
being read, or it is somebody else's turn, stay here: in `lines` from `at` on, then in the
pieces of `later`. A piece is kept as it came, so a line costs no copy of those behind it;
only short ones are joined, so that each is not an object of its own. The listener stops
reading when that gets long (`backlog_bytes`), so a session's memory is bounded.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from magicqueue.wire.requests import Request
from magicqueue_cores.pending import Answer
from magicqueue_server.tokens import Token

_JOINED_BYTES_MAX: Final = 64 * 1024
_RUN_BYTES_MAX: Final = 256 * 1024


Look: TypeAlias = Callable[
    ["Session", Request, int, Callable[[], Answer[bytes]]], Answer[bytes]
]


def _nothing() -> None:
    pass


class Session:
    """What the engine knows of one connection.

    write: takes whole reply lines for the other side; called by the engine at any time
    until the session is closed. hang_up: asks the listener to close the connection once
    what was written has been sent. read_on: called when the backlog has run, or the session
    has had a turn, if `held`.
    """

    __slots__ = (
        "allowed",
        "at",
        "checked",
        "closed",
        "congested",
        "counted_bytes",
        "fresh_again",
        "greeted",
        "hang_up",
        "hang_up_now",
        "held",
        "id",
        "last_words",
        "later",
        "later_bytes",
        "leases_stay",
        "leaving",
        "lines",
        "look",
        "on_free",
        "on_read",
        "parked",
        "parked_bytes",
        "queued",
        "quick",
        "read_on",
        "replies_held",
        "replies_held_long",
        "seen_binding",
        "seen_count",
        "token",
        "turn",
        "write",
        "write_now",
    )

    def __init__(
        self,
        session_id: int,
        write: Callable[[bytes], None],
        hang_up: Callable[[], None],
        read_on: Callable[[], None],
    ) -> None:
        self.id = session_id
        self.write, self.hang_up, self.read_on = write, hang_up, read_on
        self.held = False
        """The listener reads no more until the backlog has run."""
        self.lines, self.at = b"", 0
        self.later: deque[bytes | bytearray] | None = None
        self.later_bytes = self.counted_bytes = 0
        """What came later, and what the engine has counted of `kept_bytes`."""
        self.queued = False
        """It waits for its turn."""
        self.fresh_again = 0
        """Before the round of this number its lines wait for a turn in any case."""
        self.parked = False
        """A pull waits, or an answer is still to come."""
        self.parked_bytes = 0
        """What is kept of the line that waits."""
        self.congested = False
        """Replies are not being read."""
        self.greeted = False
        """A first line was a JSON object."""
        self.last_words: bytes | None = None
        """No more lines come: what to write once those here have run, then to hang up."""
        self.leases_stay = False
        """Its jobs do not come back when it ends, but when their lease does."""
        self.leaving = False
        """The other side has ended its input: no pull of it may wait."""
        self.closed = False
        self.allowed: frozenset[type[Request]] | None = None
        """Commands that need no further look (see `access`); None: all."""
        self.look: Look | None = None
        """Runs a request that is not `allowed`, or refuses it."""
        self.checked = False
        """Each line is for the commands, which look at it."""
        self.quick: re.Pattern[bytes] | None = None
        """Only lines that this matches may be run by a core itself; None: any."""
        self.token: Token | None = None
        self.turn = 0
        """How many of its pulls took turns between queues."""
        self.on_free: Callable[[], None] = _nothing
        self.on_read = self.on_free
        """Called when a wait is over and nothing is left to run; when what was written is
        read again, after it was not."""
        self.write_now = write
        self.hang_up_now = hang_up
        """What `write` and `hang_up` come to when a log stands between."""
        self.seen_count = self.seen_binding = 0
        """What the log had counted before the commands whose reply is written next."""
        self.replies_held = 0
        """Replies that wait for the log (see `wal.gate`)."""
        self.replies_held_long = 0
        """Those of them that wait until what they promise is safe."""

    @property
    def is_free(self) -> bool:
        """Whether a line that comes now may run at once, before any other."""
        return not (
            self.parked
            or self.congested
            or self.queued
            or self.held
            or self.lines
            or self.later
            or self.closed
        )

    @property
    def backlog_bytes(self) -> int:
        """Bytes received that have not run yet."""
        return len(self.lines) - self.at + self.later_bytes

    @property
    def kept_bytes(self) -> int:
        """Bytes of memory that lines take here, those that ran but are not freed too."""
        return len(self.lines) + self.later_bytes + self.parked_bytes

    def append(self, lines: bytes) -> None:
        """Add whole lines behind those that have not run yet. O(lines), amortised."""
        if self.at >= len(self.lines) and not self.later:
            self.lines, self.at = lines, 0
            return
        if self.later is None:
            self.later = deque()
        self.later_bytes += len(lines)
        later = self.later
        if len(lines) > _JOINED_BYTES_MAX:
            later.append(lines)
        elif (
            later
            and isinstance(later[-1], bytearray)
            and len(later[-1]) <= _JOINED_BYTES_MAX
        ):
            later[-1] += lines
        else:
            later.append(bytearray(lines))

    def next_line(self) -> bytes:
        """Take the next line, without its end, of those in `lines`."""
        lines, start = self.lines, self.at
        end = lines.find(b"\n", start)
        self.at = end + 1
        if lines[end - 1 : end] == b"\r":
            return lines[start : end - 1]
        return lines[start:end]

    def next_piece(self) -> bool:
        """Go on with the next piece when all lines of this one have run; False: no more."""
        if not self.later:
            self.lines, self.at = b"", 0
            return False
        self.lines, self.at = bytes(self.later.popleft()), 0
        self.later_bytes -= len(self.lines)
        return True

    def let_go(self) -> None:
        """Give the memory of lines back that have run, where that is worth a copy."""
        if self.at >= len(self.lines):
            self.next_piece()
        elif self.at > max(_RUN_BYTES_MAX, len(self.lines) // 2):
            self.lines, self.at = self.lines[self.at :], 0

    def lines_end(self, size: int) -> int:
        """Where the whole lines of the next `size` bytes end, or the first if longer.

        With `quick`, only those from here on that it matches.
        """
        lines, at = self.lines, self.at
        if len(lines) - at <= size:
            end = len(lines)
        else:
            end = lines.rfind(b"\n", at, at + size) + 1 or lines.index(b"\n", at) + 1
        if self.quick is not None:
            found = self.quick.match(lines, at, end)
            end = found.end() if found else at
        return end

    def drop_lines(self) -> None:
        """Forget what has not run."""
        self.lines, self.at = b"", 0
        self.later, self.later_bytes = None, 0
