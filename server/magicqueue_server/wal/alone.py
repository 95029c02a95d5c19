"""Whether one session alone sends: then a reply need not wait for what others may bring.

Commands that come together share a frame, so a group is written when all that could run has
run: after the turn, by a call of its own. That would be in vain where nobody else sends.
"""

from typing import Final

from magicqueue_server.session import Session

ALONE_AFTER: Final = 8
"""So many replies have to have been one session's before it counts as alone."""


class Alone:
    """Follows whose replies there are."""

    __slots__ = ("_in_a_row", "_last_id")

    def __init__(self) -> None:
        self._last_id = self._in_a_row = 0

    def is_alone(self, session: Session) -> bool:
        """Be told who has a reply; gives whether all of late were this one's."""
        if session.id != self._last_id:
            self._last_id, self._in_a_row = session.id, 0
        self._in_a_row += 1
        return self._in_a_row > ALONE_AFTER
