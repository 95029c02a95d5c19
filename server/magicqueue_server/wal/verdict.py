"""What is said of a log that does not end as it should: it is torn, damaged or refused."""

from collections.abc import Callable
from functools import cached_property
from typing import Final

import msgspec

from magicqueue_server.wal.losses import Losses

CUT: Final = "cut"
"""Repair keeps the log up to a place."""
BEGIN: Final = "begin"
"""Repair lets the log begin with the oldest segment that is there."""
MANIFEST: Final = "manifest"
"""Repair writes the manifest anew, from the segments."""


class Refused(Exception):
    """The log cannot be opened as it is; the text says why and what to do."""


class BadAddress(Refused):
    """The address of a log cannot be read."""


class ChunksMissing(Refused):
    """An engine has not all the chunks that its log should have."""


class Corrupt(Refused):
    """What the log knows to have been there is not there, or not whole, any more.

    name and at: the file and the byte. lsn: the first frame that cannot be read.
    durable_lsn: the frames up to this one, at least, were there. mend: what a repair does,
    and number: in which segment; all of it is kept if `at` is 0 there. look: finds out what
    it gives up, when that is asked for, which is as long as the folder is open.
    """

    def __init__(  # noqa: PLR0913 - a place, and what is known of it
        self,
        what: str,
        *,
        name: str,
        number: int,
        at: int = 0,
        lsn: int = 0,
        durable_lsn: int = 0,
        mend: str = CUT,
        gives_up: str = "",
        look: Callable[[], Losses] = Losses,
    ) -> None:
        self.what = what
        self.name = name
        self.number = number
        self.at = at
        self.lsn = lsn
        self.durable_lsn = durable_lsn
        self.mend = mend
        self._gives_up = gives_up
        self._look = look
        super().__init__(what)

    @cached_property
    def lost(self) -> Losses:
        """Whole frames behind the damage."""
        return self._look()

    def __str__(self) -> str:
        gives_up = self._gives_up or f"{self.lost}, and what cannot be read"
        return (
            f"the log is damaged: {self.what}. Restore a backup, or go on without what is"
            f" lost with `magicqueue wal repair`, which gives up {gives_up}"
        )


_LOSSES: Final = {
    "always": "no answer had been given for it",
    "everysec": "it may hold answers of the last second (two if the disk stalled)",
    "never": "it may hold answers since the system last wrote it out, at most since its"
    " file was begun",
    "unknown": "it may hold answers, unless the server ran with --fsync always",
}


class Torn(msgspec.Struct, frozen=True):
    """Where the log ends in the middle of a write. later: segments behind it, if any.

    mode: of the server that wrote it. ended: whether it had stopped cleanly before.
    """

    name: str
    at: int
    lsn: int
    later: tuple[str, ...] = ()
    mode: str = "unknown"
    ended: bool = False

    @property
    def promise(self) -> str:
        """Say whether answers can be lost with it."""
        if self.ended:
            return "all that was answered is before it, since the server stopped cleanly"
        return _LOSSES[self.mode]

    def __str__(self) -> str:
        return (
            f"the log ends in the middle of a write: {self.name} at byte {self.at:,}, frame"
            f" {self.lsn:,}; {self.promise}, and the next start cuts it off"
        )
