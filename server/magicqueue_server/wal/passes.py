"""When reclaiming is enough.

A *pass* goes over all segments that there are when it begins. When it has freed them, the
log is as short as it can be, but for what has come since; so another one waits until there
is enough to gain, whatever the estimate of the live bytes says.
"""

from typing import Final

NEW_SHARE: Final = 1 / 4
"""So much of the log has to be newer than the last pass before the next one."""
LEFT_SHARE: Final = 1 / 16
"""Or so many of the jobs have to have left since."""


class Passes:
    """The pass that is under way, or the last one."""

    def __init__(self) -> None:
        self._until = 0
        self._other_bytes = 0
        self._jobs_most = 0

    def others_wrote(self, size: int) -> None:
        """Be told how many bytes were written that are no moves."""
        self._other_bytes += size

    def may_go_on(self, oldest: int, used_bytes: int, jobs: int) -> bool:
        """Whether freeing the oldest segment belongs to a pass, or to one that pays."""
        self._jobs_most = max(self._jobs_most, jobs)
        if oldest <= self._until or not self._until:
            return True
        left = self._jobs_most - jobs
        enough = self._other_bytes >= NEW_SHARE * used_bytes
        return enough or left > LEFT_SHARE * self._jobs_most

    def go_on(self, oldest: int, newest: int, jobs: int) -> None:
        """Begin a pass, if none is under way."""
        if oldest > self._until:
            self._until, self._other_bytes = newest, 0
            self._jobs_most = jobs
