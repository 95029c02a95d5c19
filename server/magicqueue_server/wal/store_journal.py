"""The end of a log in an engine: the same frames and headers as in files, cut into chunks.

Segments are only numbers there, which say what may be let go together. What is written in
one go is one append: the engine has all of it or nothing, and a quorum has it when `write`
returns. So nothing has to be synced, no room made ready, no id reserved, and a log never
ends in the middle of a frame. This is for mode `always` only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from magicqueue.wire.limits import ID_MAX
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.journal import DiskFull, Segment
from magicqueue_server.wal.store import Row
from magicqueue_server.wal.sync_times import SyncTimes

CHUNK_BYTES: Final = 2**20


class Keeps(Protocol):
    """What keeps chunks: the owner's `store.LogStore`."""

    def append(self, rows: Sequence[Row]) -> None:
        """Keep chunks behind the others, all or none. Raises DiskFull or OSError."""
        ...

    def trim(self, number: int) -> None:
        """Let all segments before this one go. Raises OSError."""
        ...


class StoreJournal:
    """Writes behind the last segment of a store.

    segments: those that were found, oldest first. lsn: the last frame's. salts and now_ms:
    where random salts and the time come from.
    """

    names_unsynced = False
    has_spare = True
    marked = True
    """A mark would say that all is safe, and it always is."""
    reserved_id = ID_MAX
    """An id that was told to anybody is on a quorum: none can come again."""

    def __init__(
        self,
        store: Keeps,
        segments: Iterable[Segment],
        *,
        lsn: int,
        segment_bytes: int,
        salts: Callable[[], int],
        now_ms: Callable[[], int],
    ) -> None:
        self.segments = deque(segments)
        self.lsn = lsn
        self.sync_times = SyncTimes()
        self._store = store
        self._segment_bytes = segment_bytes
        self._salts = salts
        self._now_ms = now_ms
        self._lacking: DiskFull | None = None

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        return self.segments[-1]

    @property
    def room(self) -> int:
        """Bytes left in the current segment."""
        return self.current.file_bytes - self.current.used_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes of all segments. O(segments)."""
        return sum(segment.used_bytes for segment in self.segments)

    def begin(self, last_id: int, sequence: int) -> None:
        """Begin a segment behind the others, at the start. Raises DiskFull or OSError."""
        draft = _Draft(self)
        draft.roll(last_id, sequence, self._salts(), self._now_ms())
        self._append(draft)

    def write(self, groups: Iterable[Group]) -> None:
        """Have a quorum keep each group as a frame. Raises DiskFull or OSError."""
        new = [group for group in groups if not group.segment]
        draft, numbers = _Draft(self), []
        for group in new:
            if draft.wants_another(group.body_bytes):
                draft.roll(group.last_id, group.sequence, self._salts(), self._now_ms())
            numbers.append(draft.frame(fmt.DATA, 0, group.parts))
        self.sync_times.timed(lambda: self._append(draft))
        for group, number in zip(new, numbers, strict=True):
            group.segment, group.parts = number, []

    def sync(self) -> None:
        """Do nothing: what was written is on a quorum."""

    def mark_safe(self) -> None:
        """Do nothing: all that is there is safe."""

    def prepare(self, last_id: int = 0, *, small: bool = False) -> None:
        """Raise DiskFull as long as the engine has no room for what waits."""
        del last_id, small
        if self._lacking is not None:
            raise self._lacking

    def wants_ids(self, last_id: int) -> bool:
        """Say that ids need not be reserved."""
        del last_id
        return False

    def drop(self) -> None:
        """Take the oldest segment off the log, for good. Raises OSError."""
        self._store.trim(self.segments[1].number)
        self.segments.popleft()

    def close(self, *, clean: bool, keep_room: bool = False) -> None:
        """Say that the log ends in good order, if it does. Raises DiskFull or OSError."""
        del keep_room
        if clean:
            draft = _Draft(self)
            draft.frame(fmt.MARK, fmt.CLEAN, [])
            self._append(draft)

    def _append(self, draft: "_Draft") -> None:
        try:
            self._store.append(draft.rows())
        except DiskFull as error:
            self._lacking = error
            raise
        self._lacking = None
        self.lsn = draft.lsn
        if self.segments:
            self.current.used_bytes = draft.used_before
        self.segments.extend(draft.begun)


class _Draft:
    """What is to be appended: until it is, the journal stays as it was."""

    def __init__(self, journal: StoreJournal) -> None:
        self.lsn = self._durable_lsn = journal.lsn
        self._segment_bytes = journal._segment_bytes  # noqa: SLF001 - a part of it
        self._last = journal.segments[-1] if journal.segments else None
        self.used_before = self._last.used_bytes if self._last is not None else 0
        """Where the segment ends then that is the last one now."""
        self.begun: list[Segment] = []
        self._parts: dict[int, list[bytes]] = {}

    @property
    def _used_bytes(self) -> int:
        return self.begun[-1].used_bytes if self.begun else self.used_before

    def wants_another(self, body_bytes: int) -> bool:
        """Whether a frame should begin another segment."""
        end = self._used_bytes + fmt.FRAME_HEAD_BYTES + body_bytes
        return end > self._segment_bytes and self._used_bytes > fmt.FRAMES_AT

    def roll(self, last_id: int, sequence: int, salt: int, now_ms: int) -> None:
        """Go on in another segment."""
        before = None if self._last is None else self._last.header
        header = fmt.Header(
            number=1 if before is None else before.number + 1,
            salt=salt,
            first_lsn=self.lsn + 1,
            last_id=last_id,
            sequence=sequence,
            begun_ms=now_ms,
            durable_lsn=self._durable_lsn,
            previous_salt=0 if before is None else before.salt,
            fresh=True,
        )
        self._last = Segment(header, fmt.FRAMES_AT, self._segment_bytes)
        self.begun.append(self._last)
        self._parts[header.number] = [fmt.header_bytes(header)]

    def frame(self, kind: int, flags: int, parts: list[bytes]) -> int:
        """Add a frame; gives the number of its segment."""
        assert self._last is not None, "a segment is begun first"
        header, body = self._last.header, b"".join(parts)
        head = fmt.frame_head(header, self.lsn + 1, self._durable_lsn, kind, flags, [body])
        self._parts.setdefault(header.number, []).extend((head, body))
        if self.begun:
            self._last.used_bytes += len(head) + len(body)
        else:
            self.used_before += len(head) + len(body)
        self.lsn += 1
        return header.number

    def rows(self) -> list[Row]:
        """Return it as chunks."""
        rows: list[Row] = []
        for number, parts in self._parts.items():
            rows += rows_of(number, b"".join(parts))
        return rows


def rows_of(number: int, data: bytes) -> list[Row]:
    """Cut bytes of a segment into chunks."""
    starts = range(0, len(data), CHUNK_BYTES)
    return [(number, data[at : at + CHUNK_BYTES]) for at in starts]
