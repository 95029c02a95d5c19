"""Checksums over frames: CRC-32C where its package is installed, else zlib's CRC-32.

A segment's header names the one it uses, so a log opens wherever that one is available;
zlib's always is. Both take a seed, detect every burst of up to 32 bits, and every change
of up to 3 bits at our frame sizes (Koopman, DSN 2002).
"""

import zlib
from collections.abc import Callable
from typing import Final

Checksum = Callable[[bytes | memoryview, int], int]
"""Goes on from a seed or an earlier sum over more bytes."""

ZLIB_CRC32: Final = 1
CRC32C: Final = 2
_NAMES: Final = {ZLIB_CRC32: "zlib.crc32", CRC32C: "crc32c"}


class UnknownChecksum(Exception):
    """A segment uses a checksum that cannot be computed here; the text says what to do."""


def _crc32c() -> Checksum | None:
    try:
        from crc32c import crc32c  # noqa: PLC0415 - a package that need not be there
    except ImportError:
        return None
    return crc32c


_CRC32C: Final = _crc32c()
PREFERRED: Final = ZLIB_CRC32 if _CRC32C is None else CRC32C
"""What new segments use here."""


def checksum(algorithm: int) -> Checksum:
    """Give the function of an algorithm's number; raises UnknownChecksum."""
    if algorithm == ZLIB_CRC32:
        return zlib.crc32
    if algorithm == CRC32C:
        if _CRC32C is not None:
            return _CRC32C
        raise UnknownChecksum(
            "the log was written with CRC-32C checksums, and the crc32c package is not"
            " installed here: install it (pip install crc32c) and start again"
        )
    raise UnknownChecksum(
        f"the log uses checksum number {algorithm}, which this version does not know: it"
        " was written by a newer version; start that one"
    )


def name(algorithm: int) -> str:
    """Name an algorithm for people."""
    return _NAMES.get(algorithm, f"number {algorithm}")
