"""Reading a log from its start, and finding out whether its end is torn or corrupt.

Nothing here changes a file; the start, `wal check`, `dump`, `repair` and `backup` all read
through this, so they agree. The rule, for the first frame k that is not whole:

1. Something says that k was on the disk: the manifest, a whole frame behind it, the header
   of a later segment. The log is corrupt.
2. The system has not stopped since (the manifest's `run` is the same): all that was written
   is there, but for one write that a kill may have cut short. So if anything whole is
   behind k, or a later segment, the log is corrupt.
3. Else the power may have been cut, which leaves any part of what was not synced: the log
   is torn, and ends before k. But sectors get lost, not bits: if the file was new and no
   sector of k reads as zeros, while whole frames follow, the log is corrupt, too.

Segments that the manifest knows have to be there, with whole headers, and as long as they
were made; see `_complete`, `_header` and `_short`. A log of version 1 has no manifest: of
the above it knows only frames and headers that say what was durable.
"""

from collections.abc import Iterator
from typing import Final

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest as man
from magicqueue_server.wal.checksum import UnknownChecksum, checksum
from magicqueue_server.wal.disk import Folder
from magicqueue_server.wal.journal import Segment
from magicqueue_server.wal.losses import losses_behind
from magicqueue_server.wal.verdict import BEGIN, MANIFEST, Corrupt, Refused, Torn

__all__ = ["Corrupt", "Refused", "Scan", "Torn"]

_SECTOR: Final = 512


class Scan:
    """One pass over a log.

    After `frames` has been exhausted, `segments` has what was read, `lsn` the last frame
    and `torn` where and how it ends, if that is in the middle of a write. leftover: files
    that the log had left out when the server ended. manifest: None in version 1.
    """

    def __init__(self, folder: Folder) -> None:
        """Look at the names and the manifest. Raises Corrupt if something is missing."""
        self._folder = folder
        found = [(fmt.segment_number(name), name) for name in folder.names()]
        self.names = {number: name for number, name in found if number is not None}
        self.leftover: list[str] = []
        self.segments: list[Segment] = []
        self.lsn = 0
        self.torn: Torn | None = None
        self.clean = False
        self.damaged_headers: list[str] = []
        self.manifest: man.Manifest | None = None
        self._same_run = False
        try:
            read = man.read(folder)
        except man.BadManifest as error:
            raise self._manifest_lost(f"cannot be read: {error}") from None
        if read is not None:
            self.manifest, self._same_run = read.manifest, read.same_run
            if not read.both_whole:
                self.damaged_headers.append(man.NAME)
        self._complete()

    def _complete(self) -> None:
        """Look whether all segments are there. Raises Corrupt."""
        known = self.manifest
        if known is not None:
            old = [number for number in self.names if number < known.oldest]
            self.leftover = [self.names.pop(number) for number in old]
        numbers = list(self.names)
        first = known.oldest if known is not None else min(numbers, default=1)
        last = max([known.newest if known is not None else 0, *numbers])
        number = first
        while number in self.names:
            number += 1
        if number > last:
            return
        name = fmt.segment_name(number)
        what = (
            f"{name} is missing; the log goes from {fmt.segment_name(first)} to"
            f" {fmt.segment_name(last)}"
        )
        if numbers and number < min(numbers):
            raise Corrupt(
                what,
                name=name,
                number=min(numbers),
                mend=BEGIN,
                gives_up=f"jobs that were only in files before {self.names[min(numbers)]}",
            )
        raise self._cut(what, name, number - 1, 0, 0)

    def total_bytes(self) -> int:
        """How long all segments are."""
        return sum(self._size(name) for name in self.names.values())

    def frames(self) -> Iterator[tuple[Segment, fmt.Frame]]:
        """Give every whole frame in order, with its segment. Raises Refused."""
        numbers = list(self.names)
        for index, number in enumerate(numbers):
            name = self.names[number]
            data = memoryview(self.read(name))
            header = self._header(name, number, data)
            before = self.segments[-1] if self.segments else None
            if header is None or (before and header.first_lsn != self.lsn + 1):
                self._end(numbers[index:], None)
                return
            self._fits(name, header, before)
            if before is None:
                self.lsn = header.first_lsn - 1
            segment = Segment(header, header.frames_at, len(data))
            self.segments.append(segment)
            for frame in _walk(header, data, self.lsn + 1):
                self.lsn = frame.lsn
                segment.used_bytes = frame.end
                self.clean = frame.is_clean_mark
                yield segment, frame
            if index == len(numbers) - 1:
                self._end([], data)
        if not numbers and self.manifest is not None:
            self.lsn = self.manifest.lsn
        self.clean |= self._ended and self.torn is None and bool(self.lsn)

    @property
    def _ended(self) -> bool:
        """Whether the log ended where the manifest says."""
        return self.manifest is not None and self.manifest.ended

    def read(self, name: str) -> bytes:
        """Read a whole segment."""
        file = self._folder.open(name)
        try:
            return file.read(file.size(), 0)
        finally:
            file.close()

    def _size(self, name: str) -> int:
        file = self._folder.open(name)
        try:
            return file.size()
        finally:
            file.close()

    def _header(self, name: str, number: int, data: memoryview) -> fmt.Header | None:
        """Read a header; None if the segment was never begun. Raises Refused."""
        try:
            header = fmt.read_header(data)
            if header is not None and header.number == number:
                checksum(header.algorithm)
                if header.version > 1 and self.manifest is None:
                    raise self._manifest_lost("is missing")
                if not fmt.header_copies_agree(header, data):
                    self.damaged_headers.append(name)
                return header
        except (fmt.NewerVersion, UnknownChecksum) as error:
            raise Refused(f"{name} cannot be read: {error}") from None
        known = self.manifest
        if known is None:
            never_begun = bool(self.segments) and not any(data[: 2 * fmt.HEADER_BYTES_1])
        else:
            never_begun = number > known.newest and not self._same_run
        if never_begun:
            return None
        what = (
            f"the header of {name} is not whole"
            if header is None
            else f"{name} is the file of segment {header.number:,}"
        )
        raise self._cut(what, name, number - 1, 0, self.lsn + 1)

    def _fits(self, name: str, header: fmt.Header, before: Segment | None) -> None:
        """Look whether a segment is of this log and its time. Raises Corrupt."""
        known = self.manifest
        if known is None or header.version == 1:
            return
        foreign = before is not None and header.previous_salt != before.header.salt
        if foreign or (header.number == known.newest and header.salt != known.newest_salt):
            what = f"{name} is of another log, or of another time of this one"
            raise self._cut(what, name, header.number - 1, 0, self.lsn + 1)
        if header.generation > known.generation:
            raise self._manifest_lost(f"is older than {name}")

    def _end(self, later: list[int], data: memoryview | None) -> None:
        """Decide how the log ends: behind the last segment; raises Corrupt.

        data: the segment's, if it is at hand. later: the numbers of segments that do not
        go on where it ends.
        """
        known = self.manifest
        if not self.segments:
            if self._evidence(later[1:], 1):
                raise self._cut(
                    "its first segment cannot be read", self.names[later[0]], 0, 0, 1
                )
            mode = known.mode if known is not None else "unknown"
            later_names = tuple(self.names[number] for number in later)
            self.torn = Torn(later_names[0], 0, 1, later_names, mode)
            return
        segment, lsn = self.segments[-1], self.lsn + 1
        header, at = segment.header, segment.used_bytes
        name = self.names[header.number]
        view = memoryview(self.read(name)) if data is None else data
        behind = list(fmt.search_frames(header, view, at, lsn))
        proofs = [f.durable_lsn for f in behind if f.durable_lsn >= lsn]
        proofs += self._evidence(later, lsn)
        what = f"{name} at byte {at:,}, where frame {lsn:,} should be"
        if proofs or (later and known is not None and later[0] <= known.newest):
            durable = max(proofs, default=lsn)
            what += f", while frames up to {durable:,} had been on the disk"
        elif (later or behind) and self._same_run and not self._ended:
            what += ", is damaged, since whole frames follow and the system has not stopped"
        elif self._short(segment, len(view)) and not later:
            what = f"{name} is {len(view):,} bytes long, and was {header.segment_bytes:,}"
        elif (
            behind
            and header.fresh
            and not self._ended
            and not _sector_lost(view, at, behind[0].at)
        ):
            what += ", was changed, since whole frames follow and no sector of it is lost"
        else:
            if behind or later or _begins(header, view, at, lsn):
                names = tuple(self.names[number] for number in later)
                mode = known.mode if known is not None else "unknown"
                self.torn = Torn(name, at, lsn, names, mode, self._ended)
                self.clean = False
            return
        raise self._cut(what, name, header.number, at, lsn, max(proofs, default=0))

    def _short(self, segment: Segment, size: int) -> bool:
        """Whether the last segment's file was cut off."""
        is_end = self.clean or self._ended or segment.header.version == 1
        return not is_end and size < segment.header.segment_bytes

    def _evidence(self, numbers: list[int], lsn: int) -> list[int]:
        """Find what says that frame `lsn` was on the disk: how far it was, each time."""
        found = []
        if self.manifest is not None and self.manifest.lsn >= lsn:
            found.append(self.manifest.lsn)
        for number in numbers:
            data = memoryview(self.read(self.names[number]))
            header = self._header(self.names[number], number, data)
            if header is not None:
                frames = fmt.search_frames(header, data, header.frames_at, lsn)
                found += [header.durable_lsn, *(frame.durable_lsn for frame in frames)]
        return [durable_lsn for durable_lsn in found if durable_lsn >= lsn]

    def _cut(
        self, what: str, name: str, number: int, at: int, lsn: int, durable_lsn: int = 0
    ) -> Corrupt:
        """Say that all behind byte `at` of a segment cannot be used; 0 is its end."""
        first, place = (number, at) if at else (number + 1, 0)
        return Corrupt(
            what,
            name=name,
            number=number if number in self.names else 0,
            at=at,
            lsn=lsn,
            durable_lsn=durable_lsn,
            look=lambda: losses_behind(
                lambda n: self.read(self.names[n]), self.names, first, place, lsn
            ),
        )

    def _manifest_lost(self, what: str) -> Corrupt:
        return Corrupt(
            f"the file {man.NAME} {what}",
            name=man.NAME,
            number=0,
            mend=MANIFEST,
            gives_up="segments that are missing at either end, if any are",
        )


def _walk(header: fmt.Header, data: memoryview, lsn: int) -> Iterator[fmt.Frame]:
    """Give whole frames from the first on, as long as their LSNs go on."""
    at = header.frames_at
    while (frame := fmt.read_frame(header, data, at)) is not None and frame.lsn == lsn:
        yield frame
        at, lsn = frame.end, lsn + 1


def _begins(header: fmt.Header, data: memoryview, at: int, lsn: int) -> bool:
    """Whether something like the frame `lsn` begins at `at`."""
    if header.fresh:
        return any(data[at : at + fmt.FRAME_HEAD_BYTES]) or bool(
            data[at:].tobytes().strip(b"\0")
        )
    head = bytes(data[at : at + fmt.FRAME_HEAD_BYTES])
    if len(head) < fmt.FRAME_HEAD_BYTES:
        return bool(head) and fmt.FRAME_MAGIC.startswith(head[: len(fmt.FRAME_MAGIC)])
    return head.startswith(fmt.FRAME_MAGIC) or fmt.lsn_at(head, 0) == lsn


def _sector_lost(data: memoryview, at: int, end: int) -> bool:
    """Whether some sector between two places of a new file has never been written."""
    while at < end:
        following = min(end, at - at % _SECTOR + _SECTOR)
        if not any(data[at:following]):
            return True
        at = following
    return False
