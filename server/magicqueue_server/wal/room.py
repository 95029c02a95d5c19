"""Whether the log can take more: the next segment and ids are made ready ahead of time.

When that cannot be done now (no room on the disk, no file to be had), the log is *full*:
pushes are refused, everything else goes on in the room that is left, and it is tried again
twice a second.
"""

import logging
from collections.abc import Callable
from typing import Final

from magicqueue.errors import Full
from magicqueue_server.logs import event
from magicqueue_server.wal.journal import DiskFull
from magicqueue_server.wal.tasks import Call, Tasks

RETRY_MS: Final = 500

_log = logging.getLogger("magicqueue.wal")


class Room:
    """See above.

    job: what makes ready what is lacking, None if nothing is. on_change: `full` is another
    now. on_tried: it was made ready, or cannot be now. on_failure: of the disk.
    """

    def __init__(
        self,
        tasks: Tasks,
        job: Callable[[], Call | None],
        on_change: Call,
        on_tried: Call,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.full = False
        self._why = ""
        self._tasks = tasks
        self._job = job
        self._on_change = on_change
        self._on_tried = on_tried
        self._on_failure = on_failure
        self.preparing = False
        """Whether it is being made ready."""

    @property
    def refusal(self) -> Full | None:
        """Why pushes are refused, or None."""
        if not self.full:
            return None
        return Full(
            f"the log cannot have more room on its disk ({self._why}), so no more jobs are"
            " taken; acknowledging jobs goes on: make room, and pushes work again at once"
        )

    def prepare(self) -> None:
        """Make ready what is lacking."""
        if self.preparing:
            return
        job = self._job()
        if job is not None:
            self.preparing = True
            self._tasks.run(job, self._prepared)

    def lacks(self, error: DiskFull) -> None:
        """Be told that there is none; it is tried again."""
        if not self.full:
            self.full, self._why = True, str(error)
            event(
                _log,
                logging.ERROR,
                "there is no room for the log: pushes are refused",
                why=self._why,
            )
            self._on_change()
        self._tasks.later(RETRY_MS, self.prepare)

    def _prepared(self, error: BaseException | None) -> None:
        self.preparing = False
        if error is None:
            if self.full:
                self.full = False
                event(_log, logging.WARNING, "the log has room again: pushes are taken")
                self._on_change()
            self._on_tried()
        elif isinstance(error, DiskFull):
            self.lacks(error)
            self._on_tried()
        else:
            self._on_failure(error)
