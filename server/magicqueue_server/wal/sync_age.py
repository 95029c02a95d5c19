"""How long what was written has not been on the disk."""

from collections.abc import Callable
from typing import Final

LATE_MS: Final = 1000


class SyncAge:
    """Follows writes and syncs; now_ms: where the time comes from."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._unsafe_since_ms: int | None = None
        self._syncing_since_ms: int | None = None

    @property
    def unsafe(self) -> bool:
        """Whether something was written that no sync has begun for."""
        return self._unsafe_since_ms is not None

    @property
    def late(self) -> bool:
        """Whether what was written a second ago is not on the disk yet."""
        since_ms = self._syncing_since_ms or self._unsafe_since_ms
        return since_ms is not None and self._now_ms() - since_ms > LATE_MS

    def wrote(self) -> None:
        """Something is being written."""
        if self._unsafe_since_ms is None:
            self._unsafe_since_ms = self._now_ms()

    def begin(self) -> None:
        """A sync begins, of all that was written."""
        self._syncing_since_ms, self._unsafe_since_ms = self._unsafe_since_ms, None

    def end(self) -> None:
        """The sync has ended."""
        self._syncing_since_ms = None
