"""The sessions that are open: their numbers, what is kept of their lines, how they end.

A session's number is what its leases are held under in the core, and in the log, so no two
have the same one, not even across a restart from a log.
"""

import logging
from collections.abc import Callable
from typing import Final

from magicqueue_cores.contract import Core
from magicqueue_cores.pending import Answer, Pending
from magicqueue_cores.policies import Policies
from magicqueue_server.access import Access
from magicqueue_server.session import Session

_log: Final = logging.getLogger("magicqueue.engine")


class Sessions:
    """Opens sessions, counts the memory that their lines take, and ends them.

    verbs: the core, or the policies above it.
    """

    def __init__(self, verbs: Core | Policies) -> None:
        self.input_bytes = 0
        """What is kept of what clients sent: unfinished lines (which the listener adds),
        whole ones that wait, and what is kept of pulls that wait."""
        self.output_bytes = 0
        """Replies of those that do not read theirs (which the listener adds)."""
        self.on_more: Callable[[Session], None] = lambda _session: None
        """Called when a session that ended holds more jobs: `release` goes on later."""
        self.access: Access | None = None
        """What new sessions have to show a token to."""
        self._verbs = verbs
        self._open: dict[int, Session] = {}
        self._last_id = 0
        self._leases_stay = False

    def __len__(self) -> int:
        return len(self._open)

    def counts(self, *, waiting: int) -> dict[str, int]:
        """Give what STATS tells of sessions, `waiting` of which have a pull that waits."""
        return {
            "connections": len(self),
            "waiting": waiting,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
        }

    def begin_after(self, session_id: int) -> None:
        """Give new sessions higher numbers than this: leases of older ones are alive."""
        self._last_id = max(self._last_id, session_id)

    def keep_leases(self) -> None:
        """Let sessions end without giving their jobs back: the server goes, not they."""
        self._leases_stay = True

    def open(
        self,
        write: Callable[[bytes], None],
        hang_up: Callable[[], None],
        read_on: Callable[[], None],
    ) -> Session:
        """Begin a session; see `Session` for the callbacks."""
        self._last_id += 1
        session = Session(self._last_id, write, hang_up, read_on)
        if self.access is not None:
            self.access.begin(session)
        self._open[session.id] = session
        return session

    def count(self, session: Session) -> None:
        """Count what is kept of a session's lines now."""
        session.let_go()
        kept_bytes = session.kept_bytes
        self.input_bytes += kept_bytes - session.counted_bytes
        session.counted_bytes = kept_bytes

    def end(self, session: Session) -> None:
        """Close a session and forget its lines; its leases are let go by `release`."""
        session.closed = True
        session.drop_lines()
        session.parked_bytes = 0
        self.count(session)
        del self._open[session.id]

    def release(self, session: Session, now_ms: int) -> None:
        """Give the jobs back that a session holds, unless its leases are to stay.

        One step of it, if they are very many: `on_more` is called if there are more.
        """
        if self._leases_stay or session.leases_stay:
            return
        answer: Answer[bool] = self._verbs.close_session(session.id, now_ms)
        if isinstance(answer, Pending):
            answer.then(lambda settled: self._released(session, settled))
        elif not answer:
            self.on_more(session)

    def _released(self, session: Session, settled: Pending[bool]) -> None:
        try:
            done = settled.result()
        except Exception:  # noqa: BLE001 - nobody waits for this answer
            _log.exception("the core could not release a session")
        else:
            if not done:
                self.on_more(session)
