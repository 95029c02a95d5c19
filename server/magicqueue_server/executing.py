"""Lines that a core runs by itself, as far as it can and while it may.

It may not while the server stops, the log takes no pushes, or policies lag behind: then all
lines go through the commands, where what has to be refused is refused, or left out.
"""

import logging
from typing import Any

from magicqueue.wire import replies
from magicqueue_cores.contract import Core
from magicqueue_cores.line_contract import LineCore
from magicqueue_server.answers import refusal_of
from magicqueue_server.session import Session
from magicqueue_server.wal.log import Log

_log = logging.getLogger("magicqueue.engine")


class OwnLines:
    """Has a core run lines. `core` is the one that may, or None: not now, or never."""

    def __init__(self, core: Core) -> None:
        self.core: LineCore | None = None
        if core.capabilities.executes_lines:
            self.core = core  # type: ignore[assignment]  # it says it is one
        self._able = self._counted = self.core
        self._refused = self._lagging = False

    def end(self) -> None:
        """Let the core run no more lines."""
        self.core = self._able = None

    def follow(self, log: Log) -> None:
        """Let the core run lines, or not, as the log takes pushes."""
        self._refused = log.refusal(push=True) is not None
        self._choose()

    def lag(self, *, lagging: bool) -> None:
        """Let the core run lines, or not, as policies have caught up with the time."""
        self._lagging = lagging
        self._choose()

    def counts(self) -> dict[str, Any]:
        """Give what STATS tells: the lines that were left to the commands, by reason."""
        if self._counted is None:
            return {}
        declined = self._counted.declined
        return {"declined": {why: count for why, count in declined.items() if count}}

    def clock_ahead(self, ahead_ms: int) -> None:
        """Be told by how much time is ahead of the wall clock."""
        if self._able is not None:
            self._able.clock_ahead_ms = ahead_ms

    def _choose(self) -> None:
        self.core = None if self._refused or self._lagging else self._able


def execute(core: LineCore, session: Session, size: int, now_ms: int) -> bytes:
    """Run about `size` bytes of lines, and give the replies; a failure ends the session."""
    try:
        consumed, reply = core.execute(
            session.lines,
            session.id,
            now_ms,
            session.at,
            session.lines_end(size),
        )
    except Exception as error:  # noqa: BLE001 - a bug ends one session, not the server
        _log.error("the core failed to execute lines", exc_info=error)
        session.drop_lines()
        session.last_words = replies.refused(refusal_of(error))
        return b""
    session.at += consumed
    return reply
