r"""The bytes of the log: segments, their headers, and frames.

A log is a folder of *segments*, files named by their number in hexadecimal:

    0000000000000001.wal   0000000000000002.wal   …   spare-1   manifest   lock

Numbers have no gap; `manifest` (see manifest.py) says which there have to be. A segment
starts with its header, twice (so that one flipped bit loses nothing), and goes on with
frames; zeros or the rest of what the file held before follow. All numbers are
little-endian. The header of segment 1, byte by byte:

    4d 51 57 41 4c 0d 0a 1a   magic "MQWAL\r\n\x1a": cut or translated files do not pass
    02 00                     format version 2
    02                        checksum of the frames: 2 is CRC-32C, 1 is zlib's CRC-32
    01                        1 if the file was new: what is not written reads as zeros
    9c 3f 01 77               salt, random: frames of the file's earlier life do not fit
    01 00 00 00 00 00 00 00   segment number 1
    01 00 00 00 00 00 00 00   LSN of the first frame
    00 00 00 00 00 00 00 00   the last job id given before this segment
    00 00 00 00 00 00 00 00   the last sequence number given before (see records.py)
    00 68 e5 cf 8b 01 00 00   when it was begun, epoch milliseconds (1700000000000)
    00 00 00 00 00 00 00 00   durable LSN: frames up to it were on the disk then
    00 00 00 04 00 00 00 00   how long the file was made (64 MiB): a shorter one was cut
    00 00 01 00 00 00 00 00   ids up to here may have been given (see manifest.py)
    01 00 00 00 00 00 00 00   generation of the manifest: an older one is out of date
    00 00 00 00               salt of the segment before: another log's does not fit
    00 … (32 bytes)           reserved
    xx xx xx xx               zlib's CRC-32 of the 124 bytes above

In version 1 the 64 bytes up to the time end with 4 reserved bytes and the CRC, the byte
for new files is 0, and there is no manifest. Version 2 is unreleased: until it is, later
work may still change it, and then writes its golden log anew.

A *frame* is all that one or more commands did, written whole. Its LSN counts frames from 1
without a gap. The frame of one PUSH, queue "emails", data {"to":1}, as job 7:

    4d 51 46 72               magic "MQFr"
    58 00 00 00               length of the body, 88
    xx xx xx xx               checksum, seeded with the salt, of all but these four bytes
    01                        kind: 1 data, 2 mark
    00                        flags: 1 in a mark is a clean shutdown
    00 00                     reserved
    09 00 00 00 00 00 00 00   LSN 9
    08 00 00 00 00 00 00 00   durable LSN 8: frames up to 8 were known to be on disk
    … the body: records, each as `layouts.py` shows, each a multiple of 8 bytes

A *mark* has no body. It is written when the log falls idle, and twice at a clean shutdown.

**Torn or corrupt.** Reading stops at the first frame that is not whole, with LSN k. What
the log knows decides what that means; `scan` has the rule, and docs/durability.md the
table for each mode. Nothing is read twice or guessed.

**Changing the format.** Anything a released version could misread needs a new version
number: copy what reads the old one beside the new, keep both, and write only the new.
The tests have a golden log of each version, which every later one must still open; they
fail when other bytes are written under the same number, and as long as there is none of
the newest: `tests/wal/golden_log.py` says how to add it. A reader refuses a newer version
and touches nothing. New record kinds are a new version too, since an old reader would not
know them.

Version 2 has nine more kinds of records than version 1: `Released`, `Postponed`,
`Promoted`, `Replaced`, `Marked`, `Kept`, `Gone`, `Held` and `Unheld`; and jobs may be
pushed as held ones. A `Removed` of drained jobs, which in version 1 named all that its
queue held, ready or delayed, may name a part of them there; `Removed` and `Died` have more
causes and reasons, for jobs in more states. A command's records are in one frame, which in
version 1 was so only if they were short.
"""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from magicqueue_server.wal import checksum

VERSION: Final = 2
MAGIC: Final = b"MQWAL\r\n\x1a"
FRAME_MAGIC: Final = b"MQFr"
HEADER_BYTES: Final = 128
FRAMES_AT: Final = 2 * HEADER_BYTES
"""Where the first frame is, in segments of the newest version."""
HEADER_BYTES_1: Final = 64
FRAME_HEAD_BYTES: Final = 32
BODY_BYTES_MAX: Final = 2**31
DATA: Final = 1
MARK: Final = 2
CLEAN: Final = 1
SUFFIX: Final = ".wal"

_HEADER: Final = struct.Struct("<8sHBBIQQQQQ")
_HEADER_2: Final = struct.Struct("<QQQQI32x")
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<4sIIBBHQQ")
_BEFORE: Final = struct.Struct("<4sI")
_AFTER: Final = struct.Struct("<BBHQQ")
_AFTER_AT: Final = 12
_LSN_AT: Final = 16


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a segment.

    durable_lsn: frames up to this one were on the disk when it was begun. segment_bytes:
    what was allocated; a shorter file was cut. reserved_id: ids up to it may have been
    given. generation: of the manifest, then. previous_salt: of the segment before. fresh:
    what was never written reads as zeros, since the file had no earlier life.
    """

    number: int
    salt: int
    first_lsn: int
    last_id: int
    sequence: int
    begun_ms: int
    durable_lsn: int = 0
    segment_bytes: int = 0
    reserved_id: int = 0
    generation: int = 0
    previous_salt: int = 0
    fresh: bool = False
    algorithm: int = checksum.PREFERRED
    version: int = VERSION

    @property
    def frames_at(self) -> int:
        """Where the first frame is."""
        return FRAMES_AT if self.version > 1 else 2 * HEADER_BYTES_1


class Frame(msgspec.Struct, frozen=True):
    """A whole frame: what its head says, its place in its segment, and its body."""

    lsn: int
    durable_lsn: int
    kind: int
    flags: int
    at: int
    body: memoryview

    @property
    def end(self) -> int:
        """Where the next frame is."""
        return self.at + FRAME_HEAD_BYTES + len(self.body)

    @property
    def is_clean_mark(self) -> bool:
        """Whether a server ended here in good order."""
        return self.kind == MARK and bool(self.flags & CLEAN)


class NewerVersion(Exception):
    """A segment has a format that this version does not know."""


def segment_name(number: int) -> str:
    """Name the file of a segment."""
    return f"{number:016x}{SUFFIX}"


def segment_number(name: str) -> int | None:
    """Read a segment's number from its file's name; None if it is not one."""
    stem = name.removesuffix(SUFFIX)
    if len(stem) != 16 or stem == name:  # noqa: PLR2004 - sixteen digits, as above
        return None
    try:
        return int(stem, 16)
    except ValueError:
        return None


def header_bytes(header: Header) -> bytes:
    """Write a header, twice."""
    text = _HEADER.pack(
        MAGIC,
        header.version,
        header.algorithm,
        header.fresh,
        header.salt,
        header.number,
        header.first_lsn,
        header.last_id,
        header.sequence,
        header.begun_ms,
    )
    text += _HEADER_2.pack(
        header.durable_lsn,
        header.segment_bytes,
        header.reserved_id,
        header.generation,
        header.previous_salt,
    )
    text += _CRC.pack(checksum.checksum(checksum.ZLIB_CRC32)(text, 0))
    return text + text


def read_header(data: bytes | memoryview) -> Header | None:
    """Read whichever copy is whole; None if none is. Raises NewerVersion."""
    for size in (HEADER_BYTES, HEADER_BYTES_1):
        for at in (0, size):
            header = _read_copy(bytes(data[at : at + size]), size)
            if header is not None:
                return header
    return None


def _read_copy(text: bytes, size: int) -> Header | None:
    if len(text) < size or not text.startswith(MAGIC):
        return None
    (crc,) = _CRC.unpack_from(text, size - _CRC.size)
    if crc != checksum.checksum(checksum.ZLIB_CRC32)(text[: -_CRC.size], 0):
        return None
    _, version, algorithm, fresh, salt, number, lsn, last_id, sequence, ms = (
        _HEADER.unpack_from(text)
    )
    if version > VERSION:
        raise NewerVersion(
            f"it has format version {version}, and this MagicQueue knows up to"
            f" {VERSION}: start the newer version that wrote it"
        )
    more: dict[str, int] = {}
    if version > 1:
        names = ("durable_lsn", "segment_bytes", "reserved_id", "generation")
        numbers = _HEADER_2.unpack_from(text, _HEADER.size)
        more = dict(zip((*names, "previous_salt"), numbers, strict=True))
    return Header(
        number=number,
        salt=salt,
        first_lsn=lsn,
        last_id=last_id,
        sequence=sequence,
        begun_ms=ms,
        fresh=bool(fresh),
        algorithm=algorithm,
        version=version,
        **more,
    )


def header_copies_agree(header: Header, data: bytes | memoryview) -> bool:
    """Whether both copies of a header are the same, as they were written."""
    size = header.frames_at // 2
    return data[:size] == data[size : 2 * size]


def frame_head(
    header: Header, lsn: int, durable_lsn: int, kind: int, flags: int, parts: list[bytes]
) -> bytes:
    """Make the head of a frame whose body is `parts`. O(bytes) for the checksum."""
    body_bytes = sum(map(len, parts))
    before = _BEFORE.pack(FRAME_MAGIC, body_bytes)
    after = _AFTER.pack(kind, flags, 0, lsn, durable_lsn)
    crc_of = checksum.checksum(header.algorithm)
    crc = crc_of(after, crc_of(before, header.salt))
    for part in parts:
        crc = crc_of(part, crc)
    return before + _CRC.pack(crc) + after


def lsn_at(data: bytes, at: int) -> int:
    """Read the LSN in the head at `at`, whole or not."""
    return int.from_bytes(data[at + _LSN_AT : at + _LSN_AT + 8], "little")


def read_frame(header: Header, data: memoryview, at: int) -> Frame | None:
    """Read the frame at `at`; None if there is no whole one. O(bytes)."""
    body_at = at + FRAME_HEAD_BYTES
    if body_at > len(data):
        return None
    magic, body_bytes, crc, kind, flags, _, lsn, durable_lsn = _HEAD.unpack_from(data, at)
    if magic != FRAME_MAGIC or body_bytes > min(BODY_BYTES_MAX, len(data) - body_at):
        return None
    crc_of = checksum.checksum(header.algorithm)
    found = crc_of(data[at : at + _BEFORE.size], header.salt)
    found = crc_of(data[at + _AFTER_AT : body_at + body_bytes], found)
    if found != crc:
        return None
    return Frame(lsn, durable_lsn, kind, flags, at, data[body_at : body_at + body_bytes])


def search_frames(header: Header, data: memoryview, at: int, lsn: int) -> Iterator[Frame]:
    """Give whole frames of this segment, from frame `lsn` on, anywhere from `at` on.

    What an earlier life of the file left has lower LSNs, and is passed over quickly.
    """
    text = data.obj if isinstance(data.obj, bytes) else bytes(data)
    while (at := text.find(FRAME_MAGIC, at)) >= 0:
        frame = None
        if lsn_at(text, at) >= lsn:
            frame = read_frame(header, data, at)
        if frame is not None:
            yield frame
        at = at + 1 if frame is None else frame.end
