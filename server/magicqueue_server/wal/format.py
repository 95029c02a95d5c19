r"""The bytes of the log: segments, their headers, and frames.

A log is a folder of *segments*, files named by their number in hexadecimal:

    0000000000000001.wal   0000000000000002.wal   …   spare-1.wal   lock

Numbers have no gap. A segment starts with its header, twice (so that one flipped bit loses
nothing), and goes on with frames; zeros or the rest of what the file held before follow.
All numbers are little-endian. The header of segment 1, byte by byte:

    4d 51 57 41 4c 0d 0a 1a   magic "MQWAL\r\n\x1a": cut or translated files do not pass
    02 00                     format version 2
    02                        checksum of the frames: 2 is CRC-32C, 1 is zlib's CRC-32
    00                        reserved
    9c 3f 01 77               salt, random: frames of the file's earlier life do not fit
    01 00 00 00 00 00 00 00   segment number 1
    01 00 00 00 00 00 00 00   LSN of the first frame
    00 00 00 00 00 00 00 00   the last job id given before this segment
    00 00 00 00 00 00 00 00   the last sequence number given before (see records.py)
    00 68 e5 cf 8b 01 00 00   when it was begun, epoch milliseconds (1700000000000)
    00 00 00 00               reserved
    xx xx xx xx               zlib's CRC-32 of the 60 bytes above

A *frame* is what one or more commands did, written whole. Its LSN counts frames from 1
without a gap. The frame of one PUSH, queue "emails", data {"to":1}, as job 7:

    4d 51 46 72               magic "MQFr"
    58 00 00 00               length of the body, 88
    xx xx xx xx               checksum, seeded with the salt, of all but these four bytes
    01                        kind: 1 data, 2 mark
    00                        flags: 1 in a mark is a clean shutdown
    00 00                     reserved
    09 00 00 00 00 00 00 00   LSN 9
    08 00 00 00 00 00 00 00   durable LSN 8: frames up to 8 were known to be on disk
    … the body: records, each as `encode.py` shows, each a multiple of 8 bytes

A *mark* has no body. It is written when the log falls idle, and twice at a clean shutdown.

**Torn or corrupt.** Reading stops at the first frame that is not whole, with LSN k. If any
whole frame behind it (anywhere, also in later segments) says that k was durable, the log
is corrupt, and the server does not start. If none says so, k was still being written when
the machine stopped: nobody was told of it, and the log ends before k. So frames may be
written while others are not yet on disk, and nothing is read twice or guessed.

**Changing the format.** Anything a released version could misread needs a new version
number: copy what reads the old one beside the new, keep both, and write only the new.
The tests have a golden log of each version, which every later one must still open; they
fail when other bytes are written under the same number, and as long as there is none of
the newest: `tests/wal/golden_log.py` says how to add it. A reader refuses a newer version
and touches nothing. New record kinds are a new version too, since an old reader would not
know them.

Version 2 has one more kind of record than version 1, `Released`.
"""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from magicqueue_server.wal import checksum

VERSION: Final = 2
MAGIC: Final = b"MQWAL\r\n\x1a"
FRAME_MAGIC: Final = b"MQFr"
HEADER_BYTES: Final = 64
FRAMES_AT: Final = 2 * HEADER_BYTES
"""Where the first frame is."""
FRAME_HEAD_BYTES: Final = 32
BODY_BYTES_MAX: Final = 2**31
DATA: Final = 1
MARK: Final = 2
CLEAN: Final = 1
SUFFIX: Final = ".wal"

_HEADER: Final = struct.Struct("<8sHBBIQQQQQI")
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<4sIIBBHQQ")
_BEFORE: Final = struct.Struct("<4sI")
_AFTER: Final = struct.Struct("<BBHQQ")
_AFTER_AT: Final = 12
_LSN_AT: Final = 16


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a segment."""

    number: int
    salt: int
    first_lsn: int
    last_id: int
    sequence: int
    begun_ms: int
    algorithm: int = checksum.PREFERRED
    version: int = VERSION


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
        0,
        header.salt,
        header.number,
        header.first_lsn,
        header.last_id,
        header.sequence,
        header.begun_ms,
        0,
    )
    text += _CRC.pack(checksum.checksum(checksum.ZLIB_CRC32)(text, 0))
    return text + text


def read_header(data: bytes | memoryview) -> Header | None:
    """Read whichever copy is whole; None if none is. Raises NewerVersion."""
    for at in (0, HEADER_BYTES):
        text = bytes(data[at : at + HEADER_BYTES])
        if len(text) < HEADER_BYTES or not text.startswith(MAGIC):
            continue
        (crc,) = _CRC.unpack_from(text, HEADER_BYTES - _CRC.size)
        if crc != checksum.checksum(checksum.ZLIB_CRC32)(text[: -_CRC.size], 0):
            continue
        _, version, algorithm, _, salt, number, lsn, last_id, sequence, ms, _ = (
            _HEADER.unpack_from(text)
        )
        if version > VERSION:
            raise NewerVersion(
                f"it has format version {version}, and this MagicQueue knows up to"
                f" {VERSION}: start the newer version that wrote it"
            )
        return Header(
            number=number,
            salt=salt,
            first_lsn=lsn,
            last_id=last_id,
            sequence=sequence,
            begun_ms=ms,
            algorithm=algorithm,
            version=version,
        )
    return None


def header_copies_agree(data: bytes | memoryview) -> bool:
    """Whether both copies of a header are the same, as they were written."""
    return data[:HEADER_BYTES] == data[HEADER_BYTES:FRAMES_AT]


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
