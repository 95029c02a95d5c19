"""What lies behind a place of the log: what a repair that cuts there gives up."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from magicqueue_cores import records
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.checksum import UnknownChecksum
from magicqueue_server.wal.decode import BadRecord, decode


class Losses(msgspec.Struct):
    """Whole frames behind a place, and the jobs that were pushed in them."""

    lsns: tuple[int, int] | None = None
    job_ids: list[int] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        if self.lsns is None:
            return "no whole frame"
        first, last = self.lsns
        return (
            f"frames {first:,} to {last:,}, in which {len(self.job_ids):,} jobs were pushed"
        )


def losses_behind(
    read: Callable[[int], bytes], numbers: Iterable[int], number: int, at: int, lsn: int
) -> Losses:
    """Look for whole frames from `lsn` on behind byte `at` of a segment. O(bytes).

    read: gives the bytes of a segment. numbers: the segments that there are.
    """
    found = Losses()
    for other in numbers:
        if other >= number:
            for frame in _frames(read(other), at if other == number else 0, lsn):
                first = found.lsns[0] if found.lsns is not None else frame.lsn
                last = found.lsns[1] if found.lsns is not None else frame.lsn
                found.lsns = (min(first, frame.lsn), max(last, frame.lsn))
                found.job_ids += _pushed_ids(frame)
    return found


def _frames(data: bytes, at: int, lsn: int) -> Iterator[fmt.Frame]:
    with contextlib.suppress(fmt.NewerVersion, UnknownChecksum):
        header = fmt.read_header(data)
        if header is not None:
            start = max(at, header.frames_at)
            yield from fmt.search_frames(header, memoryview(data), start, lsn)


def _pushed_ids(frame: fmt.Frame) -> list[int]:
    ids: list[int] = []
    with contextlib.suppress(BadRecord):
        for record in decode(frame.body):
            if isinstance(record, records.Pushed):
                ids += range(record.first_id, record.first_id + len(record.payloads))
    return ids
