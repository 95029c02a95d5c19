"""Reading a log from its start, and finding out whether its end is torn or corrupt.

See `format` for the rule. Nothing here changes a file.
"""

from collections.abc import Iterator

import msgspec

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.checksum import UnknownChecksum, checksum
from magicqueue_server.wal.disk import Folder
from magicqueue_server.wal.journal import Segment


class Refused(Exception):
    """The log cannot be opened as it is; the text says why and what to do."""


class Corrupt(Refused):
    """What was on the disk for certain is not whole any more.

    name and at: the file and the byte. lsn: the first frame that cannot be read.
    durable_lsn: the frames up to this one, at least, were there. next_lsn: the first
    whole frame behind the damage.
    """

    def __init__(
        self, name: str, at: int, lsn: int, durable_lsn: int, next_lsn: int
    ) -> None:
        self.name = name
        self.at = at
        self.lsn = lsn
        self.durable_lsn = durable_lsn
        self.next_lsn = next_lsn
        super().__init__(
            f"the log is damaged: {name} at byte {at:,}, where frame {lsn:,} should be;"
            f" frames up to {durable_lsn:,} had been on the disk, and the next whole one is"
            f" {next_lsn:,}. Restore a backup, or see what is lost with `magicqueue wal"
            " check` and go on without it with `magicqueue wal repair`"
        )


class Torn(msgspec.Struct, frozen=True):
    """Where the log ends in the middle of a write. later: segments behind it, if any."""

    name: str
    at: int
    lsn: int
    later: tuple[str, ...] = ()


class Scan:
    """One pass over a log.

    After `frames` has been exhausted, `segments` has what was read, `lsn` the last frame
    and `torn` where and how it ends, if that is in the middle of a write.
    """

    def __init__(self, folder: Folder) -> None:
        """Look at the names. Raises Refused if one is missing."""
        self._folder = folder
        found = [(fmt.segment_number(name), name) for name in folder.names()]
        self.names = {number: name for number, name in found if number is not None}
        self.segments: list[Segment] = []
        self.lsn = 0
        self.torn: Torn | None = None
        self.clean = False
        self.damaged_headers: list[str] = []
        numbers = list(self.names)
        for number in range(numbers[0], numbers[-1]) if numbers else ():
            if number not in self.names:
                raise Refused(
                    f"the log is not complete: {fmt.segment_name(number)} is missing"
                    f" between {self.names[numbers[0]]} and {self.names[numbers[-1]]}."
                    " Restore it from a backup; without it, what came later cannot be used"
                )

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
            first_lsn = self.lsn + 1 if self.segments else 0
            if header is None or (first_lsn and header.first_lsn != first_lsn):
                last = self.segments[-1] if self.segments else None
                self._end(numbers[index:], last, first_lsn, b"" if last else data)
                return
            if not first_lsn:
                self.lsn = header.first_lsn - 1
            segment = Segment(header, fmt.FRAMES_AT)
            self.segments.append(segment)
            for frame in _walk(header, data, self.lsn + 1):
                self.lsn = frame.lsn
                segment.used_bytes = frame.end
                self.clean = frame.is_clean_mark
                yield segment, frame
            if index == len(numbers) - 1:
                self._end([], segment, self.lsn + 1, data)

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
                if not fmt.header_copies_agree(data):
                    self.damaged_headers.append(name)
                return header
        except (fmt.NewerVersion, UnknownChecksum) as error:
            raise Refused(f"{name} cannot be read: {error}") from None
        if header is None and len(data) >= fmt.FRAMES_AT and any(data[: fmt.FRAMES_AT]):
            raise Corrupt(name, 0, self.lsn + 1, self.lsn + 1, self.lsn + 1)
        return None

    def _end(
        self, later: list[int], segment: Segment | None, lsn: int, data: bytes | memoryview
    ) -> None:
        """Decide how the log ends: at `segment`, before frame `lsn`; raises Corrupt.

        data: the segment's, or nothing if it is known to be read to its end. later: the
        numbers of segments that do not go on where it ends.
        """
        if segment is None:
            names = [self.names[number] for number in later]
            if self._evidence(later[1:], 1):
                raise Corrupt(names[0], 0, 1, 1, 1)
            self.torn = Torn(names[0], 0, 1, tuple(names))
            return
        name, at = fmt.segment_name(segment.number), segment.used_bytes
        view = memoryview(data or self.read(name))
        behind = list(fmt.search_frames(segment.header, view, at, lsn))
        proofs = [f for f in behind if f.durable_lsn >= lsn] or self._evidence(later, lsn)
        if proofs:
            first = min(proofs, key=lambda frame: frame.lsn)
            raise Corrupt(name, at, lsn, max(f.durable_lsn for f in proofs), first.lsn)
        if behind or later or _begins(view, at, lsn):
            self.torn = Torn(name, at, lsn, tuple(self.names[number] for number in later))
            self.clean = False

    def _evidence(self, numbers: list[int], lsn: int) -> list[fmt.Frame]:
        """Find whole frames in later segments that say `lsn` was durable."""
        found: list[fmt.Frame] = []
        for number in numbers:
            data = memoryview(self.read(self.names[number]))
            header = self._header(self.names[number], number, data)
            if header is not None:
                frames = fmt.search_frames(header, data, fmt.FRAMES_AT, lsn)
                found += [frame for frame in frames if frame.durable_lsn >= lsn]
        return found


def _walk(header: fmt.Header, data: memoryview, lsn: int) -> Iterator[fmt.Frame]:
    """Give whole frames from the first on, as long as their LSNs go on."""
    at = fmt.FRAMES_AT
    while (frame := fmt.read_frame(header, data, at)) is not None and frame.lsn == lsn:
        yield frame
        at, lsn = frame.end, lsn + 1


def _begins(data: memoryview, at: int, lsn: int) -> bool:
    """Whether something like the frame `lsn` begins at `at`."""
    head = bytes(data[at : at + fmt.FRAME_HEAD_BYTES])
    if not head or not fmt.FRAME_MAGIC.startswith(head[: len(fmt.FRAME_MAGIC)]):
        return False
    return len(head) < fmt.FRAME_HEAD_BYTES or fmt.lsn_at(head, 0) == lsn
