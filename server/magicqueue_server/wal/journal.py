"""The end of the log: where frames are written, synced, and where segments begin and go.

Every method blocks on the disk; whoever calls decides on which thread. Writing is done by
one thread at a time; `sync`, `prepare` and `drop` may run on another meanwhile.

Room is taken before it is needed: a segment is a file whose blocks are allocated, and the
next one, a *spare*, is made ready while the current one fills. So when no spare can be had
the disk is full, and there still is most of a segment for what must go on. Segments that
are done with become spares by a rename: writing over old blocks syncs fastest.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

import msgspec

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.disk import FULL, File, Folder

SPARE_PREFIX: Final = "spare-"
_SPARES_KEPT: Final = 2
_JOIN_BYTES_MAX: Final = 64 * 1024


class DiskFull(Exception):
    """There is no room now; frames that were not written may be written later."""


class Group(msgspec.Struct):
    """What becomes one frame: records, and what was given out before them.

    segment: where it was written, 0 as long as it is not. moved: ids in `Moved` records.
    paused: queues that were paused or resumed. number: which group of the log this is.
    """

    number: int
    last_id: int
    sequence: int
    parts: list[bytes] = msgspec.field(default_factory=list)
    body_bytes: int = 0
    moved: list[int] = msgspec.field(default_factory=list)
    paused: dict[str, bool] = msgspec.field(default_factory=dict)
    segment: int = 0


class Segment(msgspec.Struct):
    """A segment that is part of the log. `used_bytes` is where its frames end."""

    header: fmt.Header
    used_bytes: int

    @property
    def number(self) -> int:
        """Its number."""
        return self.header.number


class Journal:
    """Writes behind the last segment of a folder.

    segments: those that were found, oldest first. lsn: the last frame's; all up to it must
    be on the disk. salts and now_ms: where random salts and the time come from. warm:
    whether to take memory for a segment ahead of time, which pays where writing is not
    the disk's own work.
    """

    def __init__(  # noqa: PLR0913 - what surrounds it comes from outside
        self,
        folder: Folder,
        segments: Iterable[Segment],
        *,
        lsn: int,
        segment_bytes: int,
        salts: Callable[[], int],
        now_ms: Callable[[], int],
        warm: bool = False,
    ) -> None:
        self.segments = deque(segments)
        self.durable_lsn = self.lsn = lsn
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._salts = salts
        self._now_ms = now_ms
        self._warm = warm
        self._file: File
        self._unsynced: deque[File] = deque()
        self._names_unsynced = False
        self._spares: deque[str] = deque()
        self._spare_numbers = count(1)
        self._marked_lsn = 0

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        return self.segments[-1]

    @property
    def room(self) -> int:
        """Bytes left in the current segment."""
        return self._segment_bytes - self.current.used_bytes

    @property
    def has_spare(self) -> bool:
        """Whether the next segment is ready."""
        return bool(self._spares)

    @property
    def used_bytes(self) -> int:
        """Bytes of all segments that hold something. O(segments)."""
        return sum(segment.used_bytes for segment in self.segments)

    @property
    def marked(self) -> bool:
        """Whether the last frame is a mark."""
        return self._marked_lsn == self.lsn

    def begin(self, last_id: int, sequence: int) -> None:
        """Begin a segment behind the others, at the start. Raises DiskFull or OSError."""
        for name in self._folder.names():
            if name.startswith(SPARE_PREFIX):
                self._adopt(name)
        self._spare_numbers = count(1 + max(map(_spare_number, self._spares), default=0))
        self.prepare()
        self._roll(last_id, sequence)
        self.sync()

    def write(self, groups: Iterable[Group]) -> None:
        """Write each group as a frame. Raises DiskFull or OSError.

        A group that was written has its `segment`; the others may be given again after
        DiskFull.
        """
        for group in groups:
            if not group.segment:
                self._write(group)
                group.parts = []

    def mark(self, *, clean: bool = False) -> None:
        """Write a mark, if anything but a mark is behind the last one."""
        if not self.marked or clean:
            self._append(fmt.MARK, fmt.CLEAN if clean else 0, [], 0)
            self._marked_lsn = self.lsn

    def sync(self) -> None:
        """Bring all that was written to the disk. Raises OSError: never call it again."""
        lsn, files = self.lsn, len(self._unsynced)
        for index in range(files):
            self._unsynced[index].sync()
        if self._names_unsynced:
            self._names_unsynced = False
            self._folder.sync()
        self.durable_lsn = lsn
        for _ in range(files - 1):
            self._unsynced.popleft().close()

    def prepare(self) -> None:
        """Make a spare ready if there is none. Raises DiskFull or OSError."""
        if not self._spares:
            self._spares.append(self._make_spare(warm=self._warm))

    def drop(self) -> None:
        """Take the oldest segment off the log, for good. Raises OSError.

        All that it stood for must be durable elsewhere. One name changes between two
        syncs of the folder, so whatever a power cut leaves has no gap.
        """
        oldest = self.segments[0]
        name = fmt.segment_name(oldest.number)
        if len(self._spares) < _SPARES_KEPT and oldest.used_bytes <= self._segment_bytes:
            spare = self._next_spare_name()
            self._folder.rename(name, spare)
            self._folder.sync()
            self._adopt(spare)
        else:
            self._folder.remove(name)
            self._folder.sync()
        self.segments.popleft()

    def close(self, *, clean: bool) -> None:
        """End in good order (or just close the files). Raises OSError."""
        if clean:
            self.sync()
            self.mark(clean=True)
            self.mark(clean=True)
            self._file.truncate(self.current.used_bytes)
            self.sync()
        for file in self._unsynced:
            file.close()

    def _write(self, group: Group) -> None:
        used_bytes = self.current.used_bytes
        behind = used_bytes + fmt.FRAME_HEAD_BYTES + group.body_bytes
        if behind > self._segment_bytes and used_bytes > fmt.FRAMES_AT:
            self._roll(group.last_id, group.sequence)
            used_bytes = fmt.FRAMES_AT
        try:
            number = self._append(fmt.DATA, 0, group.parts, group.body_bytes)
        except DiskFull:  # files may not grow so far, or there was no room after all
            if used_bytes <= fmt.FRAMES_AT or not self._spares:
                raise
            self._roll(group.last_id, group.sequence)
            number = self._append(fmt.DATA, 0, group.parts, group.body_bytes)
        group.segment = number

    def _append(self, kind: int, flags: int, parts: list[bytes], body_bytes: int) -> int:
        """Write a frame; gives the number of its segment."""
        segment = self.segments[-1]
        if body_bytes <= _JOIN_BYTES_MAX:
            parts = [b"".join(parts)]
        head = fmt.frame_head(
            segment.header, self.lsn + 1, self.durable_lsn, kind, flags, parts
        )
        try:
            self._file.write([head, *parts], segment.used_bytes)
        except OSError as error:
            raise _as_full(error) from error
        segment.used_bytes += len(head) + body_bytes
        self.lsn += 1
        return segment.header.number

    def _roll(self, last_id: int, sequence: int) -> None:
        """Go on in a new segment."""
        spare = self._spares[0] if self._spares else self._make_spare()
        number = self.segments[-1].number + 1 if self.segments else 1
        header = fmt.Header(
            number=number,
            salt=self._salts(),
            first_lsn=self.lsn + 1,
            last_id=last_id,
            sequence=sequence,
            begun_ms=self._now_ms(),
        )
        try:
            file = self._folder.open(spare, write=True)
            file.write([fmt.header_bytes(header)], 0)
            self._folder.rename(spare, fmt.segment_name(number))
        except OSError as error:
            raise _as_full(error) from error
        if self._spares:
            self._spares.popleft()
        self._names_unsynced = True
        self._file = file
        self._unsynced.append(file)
        self.segments.append(Segment(header, fmt.FRAMES_AT))

    def _make_spare(self, *, warm: bool = False) -> str:
        name = self._next_spare_name()
        try:
            file = self._folder.open(name, create=True)
            try:
                file.allocate(self._segment_bytes)
                if warm:
                    file.warm()
            finally:
                file.close()
        except OSError as error:
            self._remove(name)
            raise _as_full(error) from error
        return name

    def _adopt(self, name: str) -> None:
        """Keep a file as a spare, if it is whole and there are not enough."""
        if len(self._spares) < _SPARES_KEPT and self._allocated(name):
            self._spares.append(name)
        else:
            self._remove(name)

    def _allocated(self, name: str) -> bool:
        file = self._folder.open(name, write=True)
        try:
            if file.size() != self._segment_bytes:
                file.allocate(self._segment_bytes)
                file.truncate(self._segment_bytes)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return False
        finally:
            file.close()
        return True

    def _next_spare_name(self) -> str:
        return f"{SPARE_PREFIX}{next(self._spare_numbers)}"

    def _remove(self, name: str) -> None:
        if name in self._folder.names():
            self._folder.remove(name)


def _spare_number(name: str) -> int:
    text = name.removeprefix(SPARE_PREFIX)
    return int(text) if text.isdecimal() else 0


def _as_full(error: OSError) -> Exception:
    if error.errno in FULL:
        return DiskFull(str(error.strerror))
    return error
