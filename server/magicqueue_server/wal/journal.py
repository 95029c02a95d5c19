"""Where a log lives, as all that writes to it sees it: the one seam below the log.

`Log` decides what is written together and when replies may go, `Reclaimer` what is left
out; both know a `Journal` and nothing of what is below. There are two: `LocalJournal`
writes segments as files of a folder, `StoreJournal` the same bytes to an engine beyond
this machine (see `store`). What is read at a start comes from a `disk.Folder` in both
cases, so recovery, `wal check`, `wal dump` and `backup` are written once, too.
"""

import errno
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import msgspec

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.sync_times import SyncTimes


class DiskFull(Exception):
    """There is no room, or no file, now; what was not written may be written later.

    no_room: less may fit.
    """

    no_room = False


class StoreFailed(OSError):
    """An engine that keeps a log cannot be written to, or broke its promise."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EIO, text)

    def __str__(self) -> str:
        return str(self.strerror)


class Deposed(StoreFailed):
    """Another server has taken the log over: this one can write nothing any more."""


class StoreFacts(msgspec.Struct, frozen=True):
    """What an owner knows of its log in an engine.

    owner: the server that this is. quiet_ms: how long ago the engine last heard of it.
    unclear: how often it gave no clear answer. appended_bytes: since the start.
    """

    place: str
    owner: str
    epoch: int
    chunks: int
    quiet_ms: int
    unclear: int
    appended_bytes: int


class Segment(msgspec.Struct):
    """A segment that is part of the log.

    used_bytes: where its frames end. file_bytes: how long its file is.
    """

    header: fmt.Header
    used_bytes: int
    file_bytes: int = 0

    @property
    def number(self) -> int:
        """Its number."""
        return self.header.number


class Journal(Protocol):
    """The end of a log. Its methods may block; whoever calls decides on which thread."""

    @property
    def segments(self) -> deque[Segment]:
        """All that the log has, oldest first."""
        ...

    @property
    def sync_times(self) -> SyncTimes:
        """How long it took to make what was written safe."""
        ...

    @property
    def lsn(self) -> int:
        """The last frame's."""
        ...

    @property
    def reserved_id(self) -> int:
        """In modes other than `always`, no id beyond it may be given to anybody yet."""
        ...

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        ...

    @property
    def room(self) -> int:
        """Bytes left in the current segment."""
        ...

    @property
    def has_spare(self) -> bool:
        """Whether the next segment is ready."""
        ...

    @property
    def names_unsynced(self) -> bool:
        """Whether a segment was begun whose name may not be on the disk."""
        ...

    @property
    def used_bytes(self) -> int:
        """Bytes of all segments that hold something."""
        ...

    @property
    def marked(self) -> bool:
        """Whether the last frame says that all before it is safe, as far as that pays."""
        ...

    def write(self, groups: Iterable[Group]) -> None:
        """Write each group as a frame. Raises DiskFull or OSError.

        A group that was written has its `segment`; others may come again after it.
        """
        ...

    def sync(self) -> None:
        """Bring all that was written to the disk. Raises OSError: never call it again."""
        ...

    def mark_safe(self) -> None:
        """Say in the log that all of it is safe. Raises DiskFull or OSError."""
        ...

    def prepare(self, last_id: int = 0, *, small: bool = False) -> None:
        """Make ready what is needed to go on. Raises DiskFull or OSError.

        small: less room than usual will do, since there has been none for more.
        """
        ...

    def wants_ids(self, last_id: int) -> bool:
        """Whether to reserve more ids, this one being the last that was given."""
        ...

    def drop(self) -> None:
        """Take the oldest segment off the log, for good. Raises DiskFull or OSError."""
        ...

    def close(self, *, clean: bool, keep_room: bool = False) -> None:
        """End in good order, or just let go. Raises OSError.

        keep_room: leave the last segment's room with it, for the next start.
        """
        ...
