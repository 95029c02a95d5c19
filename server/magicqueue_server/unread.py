"""Replies that their clients do not read, of all connections together.

One connection is bounded by itself: with much unread no more of its lines run, so what it
keeps is a reply or two. Many of them are not, so all that is unread is counted here when
a connection stops taking replies, until it takes them again. Over the bound the connection
that has not read for the longest is closed, and its jobs go back to their queues.
"""

import logging
from typing import Final, Protocol

from magicqueue_server.logs import event
from magicqueue_server.sessions import Sessions

WRITE_BYTES_HIGH: Final = 256 * 1024
"""A connection that keeps more to be read takes no more replies for now."""
LINGER_S: Final = 2.0
"""So long one that is closed here may go on sending, for its last replies to arrive,"""
TLS_LINGER_S: Final = 0.2
"""or so long where its output cannot be closed alone."""

_log: Final = logging.getLogger("magicqueue.listener")


class Reader(Protocol):
    """A connection, for what has to be done here."""

    def abort(self) -> None:
        """Close at once."""


class Unread:
    """Counts unread replies, in `sessions.output_bytes`.

    bytes_max: more than that is kept of one connection only.
    """

    def __init__(self, sessions: Sessions, bytes_max: int) -> None:
        self._sessions = sessions
        self._bytes_max = bytes_max
        self._of: dict[Reader, int] = {}
        """By connection, in the order in which they stopped reading."""

    def add(self, reader: Reader, unread_bytes: int) -> None:
        """Count what a connection does not read now; close others if that is too much."""
        self.remove(reader)
        self._of[reader] = unread_bytes
        sessions = self._sessions
        sessions.output_bytes += unread_bytes
        while sessions.output_bytes > self._bytes_max and len(self._of) > 1:
            slowest = next(iter(self._of))
            event(
                _log,
                logging.WARNING,
                "closed a client that reads no replies: more than --max-output is unread",
                unread=self._of[slowest],
                of=sessions.output_bytes,
                max=self._bytes_max,
            )
            self.remove(slowest)
            slowest.abort()

    def remove(self, reader: Reader) -> None:
        """It takes replies again, or is gone."""
        self._sessions.output_bytes -= self._of.pop(reader, 0)
