"""What reclaiming learns from what it moves: how much that takes, and when it is enough.

A *pass* goes over all segments that there are when it begins. When it has freed them, the
log is as short as it can be, but for what has come since; so another one waits until there
is enough to gain, whatever the estimate of the live bytes says.
"""

from collections.abc import Iterable
from typing import Final

NEW_SHARE: Final = 1 / 4
"""So much of the log has to be newer than the last pass before the next one."""
LEFT_SHARE: Final = 1 / 16
"""Or so many of the jobs have to have left since."""


class Passes:
    """The pass that is under way, or the last one."""

    def __init__(self) -> None:
        self._until = 0
        self._jobs_then = 0
        self._other_bytes = 0
        self._text_bytes = 0
        self._text_bytes_before = 0

    def moved(self, errors: Iterable[str | None]) -> None:
        """Be told the error texts of jobs that were moved: the core does not count them."""
        self._text_bytes += sum(len(error.encode()) for error in errors if error)

    def others_wrote(self, size: int) -> None:
        """Be told how many bytes were written that are no moves."""
        self._other_bytes += size

    def text_bytes(self, jobs: int) -> int:
        """Estimate what the error texts of all jobs take."""
        share = min(1.0, jobs / self._jobs_then) if self._jobs_then else 0.0
        return int(share * max(self._text_bytes, self._text_bytes_before))

    def may_go_on(self, oldest: int, used_bytes: int, jobs: int) -> bool:
        """Whether freeing the oldest segment belongs to a pass, or to one that pays."""
        if oldest <= self._until or not self._until:
            return True
        left = self._jobs_then - jobs
        enough = self._other_bytes >= NEW_SHARE * used_bytes
        return enough or left > LEFT_SHARE * self._jobs_then

    def go_on(self, oldest: int, newest: int, jobs: int) -> None:
        """Begin a pass, if none is under way."""
        if oldest > self._until:
            self._until, self._jobs_then = newest, jobs
            self._text_bytes_before, self._text_bytes = self._text_bytes, 0
            self._other_bytes = 0
