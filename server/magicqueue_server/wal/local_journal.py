"""The end of a log in a folder: where frames are written and synced, segments begin and go.

Every method blocks on the disk; whoever calls decides on which thread. Writing is done by
one thread at a time; `sync`, `prepare` and `drop` may run on another meanwhile, one after
the other: they are the ones that change the manifest.

Room is taken before it is needed: a segment is a file whose blocks are allocated, and the
next one, a *spare*, is made ready while the current one fills. So when no spare can be had
the disk is full, and there still is most of a segment for what must go on. At a start on
a full disk the last segment is gone on with.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest as man
from magicqueue_server.wal.disk import LATER, File, Folder
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.journal import DiskFull, Segment
from magicqueue_server.wal.spares import Spares, as_full

IDS_AHEAD: Final = 2**16
IDS_AHEAD_MAX: Final = 2**26
_OFTEN_MS: Final = 2000
_ROOM_MIN: Final = 256
_SMALLEST_BYTES: Final = 2**16
_JOIN_BYTES_MAX: Final = 64 * 1024


class LocalJournal:
    """Writes behind the last segment of a folder.

    segments: those that were found, oldest first. lsn: the last frame's; all up to it must
    be on the disk. salts and now_ms: where random salts and the time come from. warm:
    whether to take memory for a segment ahead of time, which pays where writing is not
    the disk's own work. manifest: what was found, None if there is none yet. mode: what
    the server promises, for the next start. ids_ahead: so many ids are reserved at least.
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
        manifest: man.Manifest | None = None,
        mode: str = "unknown",
        ids_ahead: int = IDS_AHEAD,
    ) -> None:
        self.segments = deque(segments)
        self.durable_lsn = self.lsn = lsn
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._salts = salts
        self._now_ms = now_ms
        self._mode = mode
        self._found = manifest
        self._manifest: man.ManifestFile | None = None
        self._file: File
        self._unsynced: deque[File] = deque()
        self._names_unsynced = False
        self._spares = Spares(folder, segment_bytes, warm=warm)
        self._marked_lsn = 0
        self._ids_ahead = self._ids_ahead_min = ids_ahead
        self._reserved_ms = 0
        self.reserved_id = 0
        """No id beyond this one may be given to anybody yet."""

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        return self.segments[-1]

    @property
    def room(self) -> int:
        """Bytes left in the current segment."""
        return self.current.file_bytes - self.current.used_bytes

    @property
    def has_spare(self) -> bool:
        """Whether the next segment is ready."""
        return bool(self._spares)

    @property
    def names_unsynced(self) -> bool:
        """Whether a segment was begun whose name may not be on the disk."""
        return self._names_unsynced

    @property
    def used_bytes(self) -> int:
        """Bytes of all segments that hold something. O(segments)."""
        return sum(segment.used_bytes for segment in self.segments)

    @property
    def marked(self) -> bool:
        """Whether the last frame is a mark."""
        return self._marked_lsn == self.lsn

    def begin(self, last_id: int, sequence: int) -> None:
        """Begin to write behind the others, at the start. Raises DiskFull or OSError."""
        self._spares.find()
        before = self.segments[-1] if self.segments else None
        try:
            self._open_manifest()
            self._spares.make()
            self._roll(last_id, sequence)
        except DiskFull:
            if before is None or not self._go_on(before, last_id, sequence):
                raise
        self.sync()
        assert self._manifest is not None
        run = self._manifest.run
        self._reserve(last_id, mode=self._mode, run=run, ended=False, lsn=self.lsn)
        if before is not None and before is not self.current:
            self._trim(before)

    def write(self, groups: Iterable[Group]) -> None:
        """Write each group as a frame. Raises DiskFull or OSError.

        A group that was written has its `segment`; others may come again after it.
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

    def mark_safe(self) -> None:
        """Write a mark, and sync."""
        self.mark()
        self.sync()

    def sync(self) -> None:
        """Bring all that was written to the disk. Raises OSError: never call it again."""
        newest = self.segments[-1].header
        lsn, files = self.lsn, len(self._unsynced)
        for index in range(files):
            self._unsynced[index].sync()
        if self._names_unsynced:
            self._names_unsynced = False
            self._folder.sync()
        assert self._manifest is not None
        if newest.number > self._manifest.now.newest:
            self._change(newest=newest.number, newest_salt=newest.salt, lsn=lsn)
        self.durable_lsn = lsn
        for _ in range(files - 1):
            self._unsynced.popleft().close()

    def prepare(self, last_id: int = 0, *, small: bool = False) -> None:
        """Make a spare ready if there is none, and ids. Raises DiskFull or OSError.

        small: a smaller one will do, since there has been no room for another.
        """
        if self.wants_ids(last_id):
            try:
                self._reserve(last_id)
            except OSError as error:
                raise as_full(error) from error
        self._spares.make(self._spares.least if small else 0)

    def wants_ids(self, last_id: int) -> bool:
        """Whether to reserve more ids, this one being the last that was given."""
        return last_id > self.reserved_id - self._ids_ahead // 2

    def drop(self) -> None:
        """Take the oldest segment off the log, for good. Raises DiskFull or OSError.

        All that it stood for must be durable elsewhere. That it is not needed any more is
        on the disk before it goes, and one name changes between two syncs of the folder.
        """
        oldest = self.segments[0]
        name = fmt.segment_name(oldest.number)
        try:
            self._change(oldest=oldest.number + 1)
            if self._spares.wanted and oldest.used_bytes <= self._segment_bytes:
                spare = self._spares.next_name()
                self._folder.rename(name, spare)
                self._folder.sync()
                self._spares.adopt(spare)
            else:
                self._folder.remove(name)
                self._folder.sync()
        except OSError as error:
            raise as_full(error) from error
        self.segments.popleft()

    def close(self, *, clean: bool, keep_room: bool = False) -> None:
        """End in good order (or just close the files). Raises OSError.

        keep_room: leave the last segment's room with it, for the next start.
        """
        if clean:
            self.sync()
            lsn = self.lsn
            with contextlib.suppress(DiskFull):  # the manifest says it, too
                self.mark(clean=True)
                self.mark(clean=True)
            self.sync()
            self._change(ended=True, lsn=lsn)
            if not keep_room:
                # Only now: the new length may get to the disk before what was written,
                # and a file that is short is damage unless the log has ended.
                self._file.truncate(self.current.used_bytes)
        for file in self._unsynced:
            file.close()
        self._spares.close()
        if self._manifest is not None:
            self._manifest.close()

    def _open_manifest(self) -> None:
        """Open the manifest; make it first if there is none. Raises DiskFull or OSError."""
        if self._manifest is not None:
            return
        found = self._found
        try:
            if found is None:
                found = man.Manifest(lsn=self.lsn)
                if self.segments:
                    oldest, newest = self.segments[0].header, self.segments[-1].header
                    found = man.Manifest(
                        oldest=oldest.number,
                        newest=newest.number,
                        newest_salt=newest.salt,
                        lsn=self.lsn,
                    )
                man.make(self._folder, found)
            self._manifest = man.ManifestFile(self._folder, found)
        except OSError as error:
            raise as_full(error) from error
        self.reserved_id = found.reserved_id

    def _change(self, **fields: object) -> None:
        """Change the manifest, on the disk. Raises OSError."""
        assert self._manifest is not None, "the log has not begun"
        self._manifest.change(**fields)

    def _reserve(self, last_id: int, **fields: object) -> None:
        """Reserve ids behind the last one that was given: more if that comes often.

        fields: what else the manifest is to say. Raises OSError.
        """
        now_ms = self._now_ms()
        often = now_ms - self._reserved_ms < _OFTEN_MS
        ahead = self._ids_ahead * 4 if often else self._ids_ahead // 4
        ahead = min(max(ahead, self._ids_ahead_min), IDS_AHEAD_MAX)
        reserved_id = max(last_id + ahead, self.reserved_id)
        self._change(reserved_id=reserved_id, **fields)
        self._reserved_ms, self._ids_ahead = now_ms, ahead
        self.reserved_id = reserved_id

    def _go_on(self, last: Segment, last_id: int, sequence: int) -> bool:
        """Go on in the last segment, or in a smaller one, where there is no room for more.

        Behind the end of the last one are zeros, or what does not fit its salt.
        """
        if last.header.version > 1 and last.file_bytes - last.used_bytes > _ROOM_MIN:
            self._open_manifest()
            self._file = self._folder.open(fmt.segment_name(last.number), write=True)
            self._unsynced.append(self._file)
            return True
        if last.header.version == 1:
            self._trim(last)
        with contextlib.suppress(DiskFull):
            self._open_manifest()
            self._spares.make(_SMALLEST_BYTES)
            self._roll(last_id, sequence)
            return True
        return False

    def _trim(self, segment: Segment) -> None:
        """Give back the room behind the end of a segment that is not written any more."""
        if segment.file_bytes > segment.used_bytes:
            file: File | None = None
            try:
                file = self._folder.open(fmt.segment_name(segment.number), write=True)
                file.truncate(segment.used_bytes)
                segment.file_bytes = segment.used_bytes
            except OSError as error:
                if error.errno not in LATER:
                    raise
            finally:
                if file is not None:
                    file.close()

    def _write(self, group: Group) -> None:
        current = self.current
        used_bytes = current.used_bytes
        behind = used_bytes + fmt.FRAME_HEAD_BYTES + group.body_bytes
        frames_at = fmt.FRAMES_AT
        if behind > current.file_bytes and used_bytes > frames_at:
            self._roll(group.last_id, group.sequence)
            used_bytes = frames_at
        try:
            number = self._append(fmt.DATA, 0, group.parts, group.body_bytes)
        except DiskFull:  # files may not grow so far, or there was no room after all
            if used_bytes <= frames_at or not self._spares:
                raise
            self._roll(group.last_id, group.sequence)
            number = self._append(fmt.DATA, 0, group.parts, group.body_bytes)
        group.segment = number

    def _append(self, kind: int, flags: int, parts: list[bytes], body_bytes: int) -> int:
        """Write a frame; gives the number of its segment."""
        segment = self.current
        if body_bytes <= _JOIN_BYTES_MAX:
            parts = [b"".join(parts)]
        head = fmt.frame_head(
            segment.header, self.lsn + 1, self.durable_lsn, kind, flags, parts
        )
        try:
            self._file.write([head, *parts], segment.used_bytes)
        except OSError as error:
            raise as_full(error) from error
        segment.used_bytes += len(head) + body_bytes
        self.lsn += 1
        return segment.header.number

    def _roll(self, last_id: int, sequence: int) -> None:
        """Go on in a new segment."""
        spare = self._spares.take()
        before = self.segments[-1].header if self.segments else None
        assert self._manifest is not None
        known = self._manifest.now
        number = 1 + (known.newest if before is None else before.number)
        header = fmt.Header(
            number=number,
            salt=self._salts(),
            first_lsn=self.lsn + 1,
            last_id=last_id,
            sequence=sequence,
            begun_ms=self._now_ms(),
            durable_lsn=self.durable_lsn,
            segment_bytes=spare.size if spare.sized else 0,
            reserved_id=known.reserved_id,
            generation=known.generation,
            previous_salt=0 if before is None else before.salt,
            fresh=spare.fresh,
        )
        try:
            spare.file.write([fmt.header_bytes(header)], 0)
            self._folder.rename(spare.name, fmt.segment_name(number))
        except OSError as error:
            self._spares.give_back(spare)
            raise as_full(error) from error
        self._names_unsynced = True
        self._file = spare.file
        self._unsynced.append(spare.file)
        self.segments.append(Segment(header, fmt.FRAMES_AT, spare.size))
