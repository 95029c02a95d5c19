"""Crons in a running server: they fire when the engine lets time pass, a few at a time.

Ten thousand may be due in the same second. So a step fires some of them, and the next one
comes when others have had their turn; nothing but the timer takes a step, so a connection
pays for crons no more than the one step that is under way.
"""

from typing import Final

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies import Policies
from magicqueue_server.wal.log import Log

STEP: Final = 20
"""Crons that are looked at in a step: some milliseconds."""
_LATER_MS: Final = 20


class Ticks:
    """The crons of an engine, which may have none, and a log or not."""

    def __init__(self, policies: Policies | None, log: Log | None) -> None:
        self._crons = None if policies is None else policies.crons
        self._log = log
        self._not_before_ms = 0

    @property
    def next_ms(self) -> int:
        """When `fire` has something to do, at the earliest. O(1)."""
        crons = self._crons
        return NEVER_MS if crons is None else max(crons.due_ms, self._not_before_ms)

    def fire(self, now_ms: int) -> None:
        """Take a step, if one is due."""
        crons, log = self._crons, self._log
        if crons is None or now_ms < self.next_ms:
            return
        if log is None:
            crons.fire(now_ms, STEP)
        elif log.failure is not None:
            self._crons = None  # nothing happens any more
        elif log.crowded:
            self._not_before_ms = now_ms + _LATER_MS
        else:
            crons.fire(now_ms, STEP, refused=log.refusal(push=True) is not None)

    def clock_ahead(self, ahead_ms: int) -> None:
        """Be told by how much time is ahead of the wall clock, which crons go by."""
        if self._crons is not None:
            self._crons.ahead_ms = ahead_ms

    def stop(self) -> None:
        """Let none fire any more."""
        self._crons = None
