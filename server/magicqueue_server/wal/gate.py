"""Replies that wait until what they promise is safe.

A reply is held with the number of the group of records that it follows. Groups become
*written* (they survive the end of the process) and then *safe* (what the mode promises
holds), in order; so two queues of replies are enough, and no reply costs a future. A
session's replies keep their order: once one is held, those behind it are too.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from magicqueue_cores import records
from magicqueue_server.session import Session


def _unheard(_reply: bytes) -> None:
    """Take what is not to be sent."""


PROMISE_NOTHING: Final[frozenset[type[records.Record]]] = frozenset(
    (
        records.Leased,
        records.Matured,
        records.Lost,
        records.Extended,
        records.Postponed,
    )
)
"""Records that promise nothing to anybody."""


class Gate:
    """Holds replies, and knows how many bytes they are."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._written = 0
        self._safe = 0
        self._latest = 0
        self._first: deque[tuple[int, Session, bytes | None]] = deque()
        self._second: deque[tuple[int, Session, bytes | None]] = deque()

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def send(self, session: Session, reply: bytes, group: int, *, binding: bool) -> None:
        """Let a reply go when its group is written, or safe if the reply is binding."""
        if not session.replies_held and group <= (self._safe if binding else self._written):
            session.write_now(reply)
        else:
            self._hold(session, reply, group, binding=binding)

    def hang_up(self, session: Session) -> None:
        """Hang up behind the replies that are held."""
        if session.replies_held:
            self._hold(session, None, self._latest, binding=True)
        else:
            session.hang_up_now()

    def release(self, written: int, safe: int) -> None:
        """Let go of what waits for groups up to these. O(1) a reply."""
        self._written, self._safe = written, safe
        self._let_go(self._first, written)
        self._let_go(self._second, safe)

    def give_up(self) -> None:
        """Nothing more will be safe: hang up on everybody who waits to hear of it."""
        sessions = {s.id: s for _, s, _ in (*self._first, *self._second)}
        self._first.clear()
        self._second.clear()
        self.held_bytes = 0
        for session in sessions.values():
            session.replies_held = 0
            self.silence(session)

    @staticmethod
    def silence(session: Session) -> None:
        """Hang up at once: a later reply would be taken for one that was dropped."""
        if session.write_now is not _unheard and not session.closed:
            session.write_now = _unheard
            session.hang_up_now()

    def _hold(
        self, session: Session, reply: bytes | None, group: int, *, binding: bool
    ) -> None:
        line = self._second if binding or session.replies_held_long else self._first
        session.replies_held += 1
        session.replies_held_long += line is self._second
        self.held_bytes += len(reply or b"")
        self._latest = group
        line.append((group, session, reply))

    def _let_go(self, line: deque[tuple[int, Session, bytes | None]], group: int) -> None:
        """Write replies out, those of one session that are in a row as one piece."""
        pieces: list[bytes] = []
        while line and line[0][0] <= group:
            _, session, reply = line.popleft()
            session.replies_held -= 1
            session.replies_held_long -= line is self._second
            if reply is None:
                self._call(session, session.hang_up_now)
                continue
            self.held_bytes -= len(reply)
            pieces.append(reply)
            if (
                not line
                or line[0][1] is not session
                or line[0][2] is None
                or line[0][0] > group
            ):
                text = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
                if not session.closed:
                    session.write_now(text)

    @staticmethod
    def _call(session: Session, call: Callable[[], None]) -> None:
        if not session.closed:
            call()
