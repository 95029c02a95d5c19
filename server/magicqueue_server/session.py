"""A session: one connection as the engine sees it, without the socket.

Lines that cannot run yet, because a pull waits, an answer is still to come, or replies are
not being read, stay in `lines` from `at` on. The listener stops reading when that gets
long (`backlog_bytes`), so a session's memory is bounded.
"""

from collections.abc import Callable


def _nothing() -> None:
    pass


class Session:
    """What the engine knows of one connection.

    write: takes whole reply lines for the other side; called by the engine at any time
    until the session is closed. hang_up: asks the listener to close the connection once
    what was written has been sent. read_on: called when the backlog has run, if `held`.
    """

    __slots__ = (
        "at",
        "closed",
        "congested",
        "greeted",
        "hang_up",
        "hang_up_now",
        "held",
        "id",
        "last_words",
        "leaving",
        "lines",
        "on_free",
        "parked",
        "read_on",
        "replies_held",
        "replies_held_long",
        "seen_binding",
        "seen_count",
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
        self.write = write
        self.hang_up = hang_up
        self.read_on = read_on
        self.held = False
        """The listener reads no more until the backlog has run."""
        self.lines = b""
        self.at = 0
        self.parked = False
        """A pull waits, or an answer is still to come."""
        self.congested = False
        """Replies are not being read."""
        self.greeted = False
        """A first line was a JSON object."""
        self.last_words: bytes | None = None
        """No more lines come: what to write once those here have run, then to hang up."""
        self.leaving = False
        """The other side has ended its input: no pull of it may wait."""
        self.closed = False
        self.on_free: Callable[[], None] = _nothing
        """Called when a wait is over and nothing is left to run."""
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
    def backlog_bytes(self) -> int:
        """Bytes received that have not run yet."""
        return len(self.lines) - self.at

    def append(self, lines: bytes) -> None:
        """Add whole lines behind those that have not run yet."""
        self.lines = self.lines[self.at :] + lines if self.backlog_bytes else lines
        self.at = 0

    def drop_lines(self) -> None:
        """Forget what has not run."""
        self.lines, self.at = b"", 0
