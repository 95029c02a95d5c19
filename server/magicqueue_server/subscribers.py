"""One who is told of events, and what it has not taken yet.

Who does not read loses events, and costs no more memory: over a bound further ones are only
counted, and as soon as there is room again it is told how many it lost.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from magicqueue.wire.events import EventLine, event_line
from magicqueue_server.session import Session

KEPT_BYTES_MAX: Final = 2**20
"""Events that wait for one who does not read."""
_AT_ONCE_BYTES: Final = 64 * 1024
_HELD_BYTES_MAX: Final = 256 * 1024
"""Of what a log holds back, since it is not safe yet."""


class Subscriber:
    """A session, what it wants to hear, and the lines that wait for it.

    kinds: of events. queues: None is all. every_ms: how often counts are told.
    """

    def __init__(
        self,
        session: Session,
        kinds: frozenset[str],
        queues: frozenset[str] | None,
        every_ms: int,
    ) -> None:
        self.session: Final = session
        self.kinds, self.queues, self.every_ms = kinds, queues, every_ms
        self.deadline_ms = 0
        """When counts are told next."""
        self.counted: dict[str | None, tuple[int, dict[str, int]]] = {}
        """What was counted when they were told last, and when, by queue."""
        self.dropped = 0
        """Events that it was not told of, nor of their loss."""
        self.on_drop: Callable[[], object] = lambda: None
        """Called for each."""
        self.kept_bytes = 0
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0

    def wants(self, kind: str, queue: str) -> bool:
        """Whether it is to be told of this."""
        return kind in self.kinds and (self.queues is None or queue in self.queues)

    def put(self, line: bytes) -> None:
        """Have a line sent, or dropped if it has no room. O(1) amortised.

        Who reads loses nothing, whatever one command brings before the next round.
        """
        if self.kept_bytes + len(line) > KEPT_BYTES_MAX:
            self.send()
        self._own_up(len(line))
        if self.dropped or self.kept_bytes + len(line) > KEPT_BYTES_MAX:
            self.dropped += 1
            self.on_drop()
        else:
            self._keep(line)

    def send(self) -> bool:
        """Send what waits, as far as it is read; give whether to try again by time.

        Replies that a log holds are let go later, which nobody tells of; that a client
        reads again is told.
        """
        session, lines = self.session, self._lines
        while lines and not (session.closed or session.congested):
            if session.last_words is not None:
                lines.clear()
                self.kept_bytes = 0
            elif not session.replies_held:
                self._held_bytes = 0
            elif self._held_bytes >= _HELD_BYTES_MAX:
                return True
            self._send_piece()
            self._own_up(0)
        return False

    def _send_piece(self) -> None:
        piece, size = [], 0
        while self._lines and size < _AT_ONCE_BYTES:
            line = self._lines.popleft()
            piece.append(line)
            size += len(line)
        self.kept_bytes -= size
        if piece:
            self.session.write(b"".join(piece))
        if self.session.replies_held:
            self._held_bytes += size

    def _own_up(self, room: int) -> None:
        """Tell how many events were dropped, if that, and `room` more bytes, fit now."""
        if self.dropped:
            note = event_line(EventLine(event="dropped", count=self.dropped))
            if self.kept_bytes + len(note) + room <= KEPT_BYTES_MAX:
                self._keep(note)
                self.dropped = 0

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        self.kept_bytes += len(line)
