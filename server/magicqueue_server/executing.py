"""Lines that a core runs by itself, as far as it can."""

import logging

from magicqueue.wire import replies
from magicqueue_cores.line_contract import LineCore
from magicqueue_server.answers import refusal_of
from magicqueue_server.session import Session

_log = logging.getLogger("magicqueue.engine")


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
