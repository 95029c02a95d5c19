"""How many jobs a worker holds: those that run, and no more than is good for others.

A job that waits in a worker is kept from other processes, and from a job of a higher
priority that comes later. So a worker begins with what may run at once. Where handlers
are short, though, the way to the server and back is most of the time, so it pulls ahead
by as many jobs as its handlers end within `AHEAD_S`, by what it measures of them. It goes
ahead step by step, as one quick job tells little of the next; where a handler turns slow
all the same, the jobs that wait behind it go back (see `stalls`).
"""

from typing import Final

AHEAD_S: Final = 0.03
"""A job pulled ahead waits for so long, by measure."""
_STEP: Final = 4
"""From one look to the next, at most so many times as many are pulled ahead."""


class Room:
    """What a worker may hold.

    at_once: handlers under way at once. ahead_max: jobs pulled ahead, at most. prefetch:
    jobs held beyond those that run, whatever the handlers take; None: by measure.
    """

    def __init__(self, at_once: int, ahead_max: int, prefetch: int | None) -> None:
        self.by_measure: bool = prefetch is None
        self._at_once = at_once
        self._ahead_max = ahead_max
        self._ahead = prefetch or 0

    def to_pull(self, held: int) -> int:
        """Give how many jobs to pull, with so many held: all that may run, at least.

        What is pulled ahead is filled up when half of it is gone, not job by job.
        """
        room = self._at_once + self._ahead - held
        return room if 2 * room > self._ahead else 0

    def measured(self, jobs: int, seconds: float) -> None:
        """Learn that handlers took `seconds` in sum for `jobs` jobs."""
        if not (self.by_measure and jobs):
            return
        if seconds > jobs * AHEAD_S:
            self._ahead = 0
            return
        ends = self._ahead_max
        if seconds > 0:
            ends = min(ends, int(self._at_once * jobs * AHEAD_S / seconds))
        self._ahead = min(ends, _STEP * max(self._ahead, 1))

    def stalled(self) -> None:
        """Jobs pulled ahead did not get their turn: begin anew."""
        if self.by_measure:
            self._ahead = 0

    def stay(self) -> None:
        """Pull ahead no more: jobs that wait cannot be given back."""
        if self.by_measure:
            self._ahead = self._ahead_max = 0
