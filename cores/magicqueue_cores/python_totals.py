"""What happened to all jobs together since the start: running totals, O(1) to read.

A total is counted once a batch, or where something rare happens. What happens to single
jobs all the time, that they are done and no longer active, is not counted but follows from
the others: a job that came, and neither is here nor was removed, is done; one that was lent
and of which no lease has ended is active.
"""


class Totals:
    """Counts over all queues, forgotten ones included; `paused` counts queues now."""

    __slots__ = (
        "cancelled",
        "carried",
        "dropped",
        "duplicates",
        "expired",
        "failed",
        "late",
        "lent",
        "lost",
        "paused",
        "pushed",
        "released",
        "removed",
        "revoked",
    )

    def __init__(self) -> None:
        """Start with nothing."""
        self.paused = self.lent = 0
        self.carried = 0
        """Came otherwise than by a push: from before the start, or put back from a log."""
        self._zero()

    def completed(self, *, here: int) -> int:
        """How many jobs are done, with so many `here` now."""
        return self.pushed + self.carried - self.removed - here

    def processing(self, *, here: int) -> int:
        """How many jobs are active, with so many `here` now."""
        done = self.completed(here=here) - self.late
        ended = done + self.failed + self.lost + self.released + self.revoked
        return self.lent - ended

    def count_from_here(self, *, here: int) -> None:
        """Set all totals to zero; what is `here` and active stays."""
        self.lent = self.processing(here=here)
        self.carried = here
        self._zero()

    def _zero(self) -> None:
        self.pushed = 0
        self.removed = 0
        """Drained, purged, dropped, cancelled, or expired."""
        self.late = 0
        """Done when they were not active any more."""
        self.revoked = 0
        """Removed, or dead for what is neither a failure nor a loss, when active."""
        self.failed = self.lost = self.released = self.dropped = 0
        self.expired = self.cancelled = self.duplicates = 0
