r"""What a log knows of itself beside its segments: which there are, and who wrote last.

The file `manifest` is written over in place, and synced, when something of it changes: at
a start and a clean stop, when a segment was begun (once its header is on the disk) or is
about to go, and when ids are reserved. So that is seldom, and takes no new room, also on a
full disk. It holds the same text twice, each in a sector of its own: whatever a power cut
leaves, one of them is whole, and the newer one counts. Byte by byte:

    4d 51 4d 41 4e 0d 0a 1a   magic "MQMAN\r\n\x1a"
    02 00                     format version 2
    02                        mode of the last server: 1 always, 2 everysec, 3 never, or 0
    01                        1 if the log ends with the LSN below, as after a clean stop
    77 01 3f 9c               salt of the newest segment
    09 00 00 00 00 00 00 00   generation: how often it has been written
    xx xx xx xx xx xx xx xx   run: the machine's life and this file (see `disk.File.run`)
    01 00 00 00 00 00 00 00   the oldest segment that is needed
    03 00 00 00 00 00 00 00   the newest one that is known to be on the disk
    58 00 00 00 00 00 00 00   LSN: frames up to this one are on the disk
    00 00 01 00 00 00 00 00   reserved id: none beyond it has been given to anybody
    00 … (436 bytes)          zeros
    xx xx xx xx               zlib's CRC-32 of the 508 bytes above

**Reserved ids.** Answered pushes may be lost in a power cut, except in mode `always`; their
ids must not come again. So ids are given out only up to a number that is on the disk, and
after anything but a clean stop the next id comes behind it.
"""

import struct
import zlib
from typing import Final

import msgspec

from magicqueue_server.wal.disk import File, Folder

NAME: Final = "manifest"
NEW_NAME: Final = "manifest-new"
MODES: Final = ("unknown", "always", "everysec", "never")
_MAGIC: Final = b"MQMAN\r\n\x1a"
_VERSION: Final = 2
_TEXT: Final = struct.Struct("<8sHBBIQQQQQQ")
_CRC: Final = struct.Struct("<I")
_COPY_BYTES: Final = 512
"""A sector: on the disk it is either the old or the new one."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """See above."""

    mode: str = "unknown"
    ended: bool = False
    newest_salt: int = 0
    generation: int = 0
    run: int = 0
    oldest: int = 1
    newest: int = 0
    lsn: int = 0
    reserved_id: int = 0


class BadManifest(Exception):
    """There is a manifest that cannot be read; the text says why."""


def to_bytes(manifest: Manifest) -> bytes:
    """Write it, twice."""
    text = _TEXT.pack(
        _MAGIC,
        _VERSION,
        MODES.index(manifest.mode),
        manifest.ended,
        manifest.newest_salt,
        manifest.generation,
        manifest.run,
        manifest.oldest,
        manifest.newest,
        manifest.lsn,
        manifest.reserved_id,
    ).ljust(_COPY_BYTES - _CRC.size, b"\0")
    text += _CRC.pack(zlib.crc32(text))
    return text + text


def from_bytes(data: bytes) -> tuple[Manifest, bool]:
    """Read the newer whole copy; gives whether both are whole, too. Raises BadManifest."""
    copies = [_copy(data[at : at + _COPY_BYTES]) for at in (0, _COPY_BYTES)]
    whole = [copy for copy in copies if copy is not None]
    if not whole:
        raise BadManifest("neither of its copies is whole")
    return max(whole, key=lambda copy: copy.generation), len(whole) == len(copies)


def _copy(text: bytes) -> Manifest | None:
    if len(text) < _COPY_BYTES or not text.startswith(_MAGIC):
        return None
    if _CRC.unpack_from(text, _COPY_BYTES - _CRC.size)[0] != zlib.crc32(text[: -_CRC.size]):
        return None
    _, version, mode, ended, salt, generation, run, oldest, newest, lsn, reserved = (
        _TEXT.unpack_from(text)
    )
    if version > _VERSION or mode >= len(MODES):
        raise BadManifest(f"it has version {version}: start the newer MagicQueue")
    return Manifest(
        mode=MODES[mode],
        ended=bool(ended),
        newest_salt=salt,
        generation=generation,
        run=run,
        oldest=oldest,
        newest=newest,
        lsn=lsn,
        reserved_id=reserved,
    )


class Read(msgspec.Struct, frozen=True):
    """A manifest as it was found. same_run: the system has not stopped since."""

    manifest: Manifest
    same_run: bool
    both_whole: bool


def read(folder: Folder) -> Read | None:
    """Read the manifest of a folder; None if there is none. Raises BadManifest."""
    if NAME not in folder.names():
        return None
    file = folder.open(NAME)
    try:
        manifest, both = from_bytes(file.read(2 * _COPY_BYTES, 0))
        return Read(manifest, bool(manifest.run) and manifest.run == file.run(), both)
    finally:
        file.close()


def make(folder: Folder, manifest: Manifest) -> None:
    """Make a manifest, or put it in the place of another, so that one always is there."""
    if NEW_NAME in folder.names():
        folder.remove(NEW_NAME)
    file = folder.open(NEW_NAME, create=True)
    try:
        file.write([to_bytes(manifest)], 0)
        file.sync()
    finally:
        file.close()
    folder.rename(NEW_NAME, NAME)
    folder.sync()


class ManifestFile:
    """The manifest of a log that is written to. One thread at a time."""

    def __init__(self, folder: Folder, manifest: Manifest) -> None:
        """Open the file, which is there and says this."""
        self.now = manifest
        """What is on the disk."""
        self._file: File = folder.open(NAME, write=True)

    def change(self, **fields: object) -> None:
        """Change fields, on the disk. Raises OSError."""
        generation = self.now.generation + 1
        new: Manifest = msgspec.structs.replace(self.now, generation=generation, **fields)
        self._file.write([to_bytes(new)], 0)
        self._file.sync()
        self.now = new

    @property
    def run(self) -> int:
        """The machine's life and this file."""
        return self._file.run()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
