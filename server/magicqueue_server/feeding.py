"""Rounds of feeds: what a core received by itself, and the replies to it."""

from magicqueue_cores.line_contract import Feeds
from magicqueue_server.executing import OwnLines
from magicqueue_server.session import Session
from magicqueue_server.wal.log import Log


class FeedRounds:
    """Has a core run what it received, while it may run lines at all."""

    def __init__(self, own_lines: OwnLines, log: Log | None) -> None:
        self._own_lines = own_lines
        self._log = log
        self._before = 0, 0
        """What the log had counted before the last round."""

    def run(self, feeds: Feeds, now_ms: int) -> None:
        """Run what a round received, or leave it all to be run otherwise."""
        log = self._log
        if log is not None:
            self._before = log.count, log.binding
        if self._own_lines.core is None or (log is not None and log.crowded):
            feeds.skip()
        else:
            feeds.run(now_ms)

    def answer(self, session: Session, reply: bytes) -> None:
        """Write the reply to a feed of the last round when the log lets it go."""
        session.seen_count, session.seen_binding = self._before
        session.write(reply)
