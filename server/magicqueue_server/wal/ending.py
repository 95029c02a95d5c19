"""Before a log is written to again: what is behind its end goes, and a copy of it stays.

Nothing here changes what the log says, or how a start sees it: whenever the power is cut
meanwhile, the next start comes to the same end and does the rest.
"""

import contextlib
from typing import Final

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.disk import LATER, File, Folder
from magicqueue_server.wal.journal import Segment
from magicqueue_server.wal.scan import Scan

TORN_SUFFIX: Final = ".torn"
_STEP_BYTES: Final = 2**20


def settle_end(folder: Folder, scan: Scan) -> None:
    """Let the log end where reading ended. Raises OSError."""
    if scan.leftover:
        for name in scan.leftover:
            folder.remove(name)
        folder.sync()
    if scan.torn is None:
        return
    if scan.segments:
        _clear(folder, scan.segments[-1])
    for name in reversed(scan.torn.later):
        with contextlib.suppress(FileNotFoundError):
            folder.remove(name + TORN_SUFFIX)
        folder.rename(name, name + TORN_SUFFIX)
        folder.sync()


def _clear(folder: Folder, last: Segment) -> None:
    """Write zeros behind the end of a segment: that takes no room, unlike a new one."""
    name, at = fmt.segment_name(last.number), last.used_bytes
    file = folder.open(name, write=True)
    try:
        behind = file.read(max(0, file.size() - at), at).rstrip(b"\0")
        if behind:
            _copy(folder, name + TORN_SUFFIX, behind)
            for start in range(0, len(behind), _STEP_BYTES):
                size = min(_STEP_BYTES, len(behind) - start)
                file.write([bytes(size)], at + start)
            file.sync()
    finally:
        file.close()


def _copy(folder: Folder, name: str, data: bytes) -> None:
    """Keep a copy for whoever wants to look; without room there is none."""
    with contextlib.suppress(FileNotFoundError):
        folder.remove(name)
    copy: File | None = None
    try:
        copy = folder.open(name, create=True)
        copy.write([data], 0)
        copy.sync()
    except OSError as error:
        if error.errno not in LATER:
            raise
        if copy is not None:
            folder.remove(name)
    finally:
        if copy is not None:
            copy.close()
