"""Where the log of a server is: a place to read it from, and to go on with it.

There is one of a folder here; `store_place` has the one of an engine beyond this machine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from magicqueue_server.randomness import salt
from magicqueue_server.wal.disk import Folder, Lock, SystemFolder
from magicqueue_server.wal.journal import DiskFull, Journal, StoreFacts
from magicqueue_server.wal.local_journal import IDS_AHEAD, LocalJournal
from magicqueue_server.wal.recovery import Progress, Recovered, Replays, recover
from magicqueue_server.wal.tasks import Tasks
from magicqueue_server.wal.verdict import Refused

PROMISES: Final = {
    "always": "a reply means that it is on the disk",
    "everysec": "a power cut costs the last second (two while the disk stalls), a crash"
    " nothing",
    "never": "a power cut costs what the system had not written, a crash nothing",
}


class Place(Protocol):
    """See above. What it does blocks.

    name: tells people which it is. promise: tells them what a reply means.
    """

    name: str
    promise: str

    def recover(self, core: Replays, progress: Progress | None = None) -> Recovered:
        """Fill a new core with what is there; raises Refused or OSError."""
        ...

    def begin(self, found: Recovered) -> Journal:
        """Begin to write behind what was found; raises Refused or OSError."""
        ...

    def tend(self, tasks: Tasks, fail: Callable[[BaseException], None]) -> None:
        """Do now and then what keeping the log asks for. fail: is told if that fails."""
        ...

    def facts(self) -> StoreFacts | None:
        """Return what is known of an engine beyond this machine, None if there is none."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LocalPlace:
    """A folder of this machine, which no other server has meanwhile."""

    def __init__(
        self, path: Path, *, mode: str, segment_bytes: int, now_ms: Callable[[], int]
    ) -> None:
        """Take the folder. Raises Locked if another server has it, or OSError."""
        self.name = str(path)
        self.promise = f"with --fsync {mode}: {PROMISES[mode]}"
        self._folder = SystemFolder(path)
        self._lock = Lock(path)
        self._mode = mode
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms

    def recover(self, core: Replays, progress: Progress | None = None) -> Recovered:
        """Fill a new core with what is there; raises Refused or OSError."""
        return recover(self._folder, core, progress)

    def begin(self, found: Recovered) -> LocalJournal:
        """Begin to write behind what was found; raises Refused or OSError."""
        return begin_journal(
            self._folder,
            found,
            segment_bytes=self._segment_bytes,
            now_ms=self._now_ms,
            mode=self._mode,
        )

    def tend(self, tasks: Tasks, fail: Callable[[BaseException], None]) -> None:
        """Do nothing: the lock holds by itself."""

    def facts(self) -> None:
        """Return that there is no engine."""

    def close(self) -> None:
        """Let go of it."""
        self._lock.release()
        self._folder.close()


def begin_journal(
    folder: Folder,
    found: Recovered,
    *,
    segment_bytes: int,
    now_ms: Callable[[], int],
    mode: str,
    ids_ahead: int = IDS_AHEAD,
) -> LocalJournal:
    """Begin a segment behind what was found; raises Refused or OSError."""
    journal = LocalJournal(
        folder,
        found.segments,
        lsn=found.lsn,
        segment_bytes=segment_bytes,
        salts=salt,
        now_ms=now_ms,
        warm=mode != "always",
        manifest=found.manifest,
        mode=mode,
        ids_ahead=ids_ahead,
    )
    try:
        journal.begin(found.last_id, found.sequence)
    except DiskFull as error:
        raise Refused(
            f"there is no room for a new segment of {segment_bytes:,} bytes ({error}): make"
            " room (or let the server have more open files), or choose a smaller"
            " --segment-size"
        ) from None
    return journal
