"""Looking at a log, mending it, and copying it: what the `wal` and `backup` commands do.

`check` and `dump` change nothing and need no lock, so they also run beside a server; they
then see the log as it was a moment ago. `backup` likewise: it copies whole frames only, up
to where the log was whole when it looked, which is a log that opens.
"""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.randomness import salt
from magicqueue_server.wal import checksum
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.decode import BadRecord, decode
from magicqueue_server.wal.disk import Lock, SystemFolder
from magicqueue_server.wal.journal import Journal
from magicqueue_server.wal.recovery import recover
from magicqueue_server.wal.scan import Corrupt, Refused, Scan, Torn

_TRIES: Final = 20
_IDS_SHOWN: Final = 20


class Report(msgspec.Struct):
    """What a check found. state: "ok", "torn", "corrupt" or "refused"."""

    state: str
    segments: int
    frames: int
    records: dict[str, int]
    jobs_pushed: int
    used_bytes: int
    last_lsn: int
    last_id: int
    checksum: str
    stopped: str
    problem: str | None


def check(path: Path) -> Report:
    """Read a whole log and verify every frame and record. Raises OSError."""
    scan: Scan | None = None
    counts: Counter[str] = Counter()
    frames = jobs = last_id = 0
    state, problem = "ok", None
    with _opened(path) as folder:
        try:
            scan = Scan(folder)
            for _, frame in scan.frames():
                frames += frame.kind == fmt.DATA
                for record in decode(frame.body):
                    counts[type(record).__name__.lower()] += 1
                    if isinstance(record, records.Pushed):
                        jobs += len(record.payloads)
                        last_id = record.first_id + len(record.payloads) - 1
        except Corrupt as error:
            state, problem = "corrupt", str(error)
        except (Refused, BadRecord) as error:
            state, problem = "refused", str(error)
    segments = scan.segments if scan is not None else []
    torn = scan.torn if scan is not None else None
    if torn is not None:
        state, problem = "torn", _about_torn(torn)
    return Report(
        state=state,
        segments=len(segments),
        frames=frames,
        records=dict(sorted(counts.items())),
        jobs_pushed=jobs,
        used_bytes=sum(segment.used_bytes for segment in segments),
        last_lsn=scan.lsn if scan is not None else 0,
        last_id=max([last_id, *[segment.header.last_id for segment in segments]]),
        checksum=checksum.name(segments[-1].header.algorithm) if segments else "none",
        stopped="cleanly" if scan is not None and scan.clean else "without a word",
        problem=problem,
    )


def dump(path: Path) -> Iterator[dict[str, Any]]:
    """Give every frame and record as plain values. Raises Refused or OSError."""
    with _opened(path) as folder:
        for segment, frame in Scan(folder).frames():
            place = {
                "segment": segment.number,
                "at": frame.at,
                "lsn": frame.lsn,
                "durable_lsn": frame.durable_lsn,
            }
            if frame.kind == fmt.MARK:
                yield {**place, "record": "mark", "clean": frame.is_clean_mark}
            for record in decode(frame.body):
                yield {**place, "record": type(record).__name__.lower(), **_plain(record)}


class Repaired(msgspec.Struct):
    """What a repair did. lost_lsns: (first, last) frame that was there and is not used."""

    copy: str
    cut: str
    at: int
    lost_lsns: tuple[int, int] | None
    lost_job_ids: list[int]
    lost_jobs: int


def repair(path: Path) -> Repaired | None:
    """Cut a damaged log off before the damage; None if there is nothing to mend.

    The whole folder is copied first, beside it. Raises Locked, Refused for what cannot be
    mended by cutting, or OSError.
    """
    with _opened(path) as folder:
        scan = Scan(folder)
        lock = Lock(path)
        try:
            for _ in scan.frames():
                pass
        except Corrupt as error:
            copy = _copied(path)
            return _cut_before(folder, scan, error, copy)
        else:
            return None
        finally:
            lock.release()


def backup(path: Path, to: Path) -> Report:
    """Copy a log, of a running server too, to a new folder. Raises Refused or OSError."""
    if to.exists() and any(to.iterdir()):
        raise Refused(f"{to} is not empty: give the backup a folder of its own")
    for attempt in range(_TRIES):
        with _opened(path) as folder, _opened(to, create=True) as target:
            try:
                _copy_segments(folder, target)
            except (Refused, FileNotFoundError, KeyError):
                # the server freed or began a segment meanwhile
                for name in target.names():
                    target.remove(name)
                if attempt == _TRIES - 1:
                    raise
                continue
        break
    return check(to)


@contextlib.contextmanager
def _opened(path: Path, *, create: bool = False) -> Iterator[SystemFolder]:
    folder = SystemFolder(path, create=create)
    try:
        yield folder
    finally:
        folder.close()


def _copy_segments(folder: SystemFolder, target: SystemFolder) -> None:
    scan = Scan(folder)
    if not scan.names:
        raise Refused(f"there is no log in {folder.path}")
    ends: dict[int, int] = {}
    for segment, frame in scan.frames():
        ends[segment.number] = frame.end
    for segment in scan.segments:
        name = fmt.segment_name(segment.number)
        data = scan.read(name)[: ends.get(segment.number, fmt.FRAMES_AT)]
        header = fmt.read_header(data)
        if header != segment.header:
            raise Refused(f"{name} was freed meanwhile")
        copy = target.open(name, create=True)
        try:
            copy.write([data], 0)
            copy.sync()
        finally:
            copy.close()
    target.sync()


def _copied(path: Path) -> Path:
    number = 1
    while (copy := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("lock", "spare-*"))
    return copy


def _cut_before(folder: SystemFolder, scan: Scan, error: Corrupt, copy: Path) -> Repaired:
    lost = list(_frames_behind(scan, error))
    ids: list[int] = []
    for frame in lost:
        with contextlib.suppress(BadRecord):
            for record in decode(frame.body):
                if isinstance(record, records.Pushed):
                    ids.extend(
                        range(record.first_id, record.first_id + len(record.payloads))
                    )
    numbers = [n for n in scan.names if fmt.segment_name(n) > error.name]
    for number in reversed(numbers):
        folder.remove(scan.names[number])
        folder.sync()
    file = folder.open(error.name, write=True)
    try:
        file.truncate(error.at)
        file.sync()
    finally:
        file.close()
    if error.at < fmt.FRAMES_AT:
        folder.remove(error.name)
    folder.sync()
    _skip_ids(folder, max(ids, default=0))
    return Repaired(
        copy=str(copy),
        cut=error.name,
        at=error.at,
        lost_lsns=(error.lsn, max(f.lsn for f in lost)) if lost else None,
        lost_job_ids=ids[:_IDS_SHOWN],
        lost_jobs=len(ids),
    )


def _pushed_ids(frame: fmt.Frame) -> Iterator[int]:
    with contextlib.suppress(BadRecord):
        for record in decode(frame.body):
            if isinstance(record, records.Pushed):
                yield from range(record.first_id, record.first_id + len(record.payloads))


def _skip_ids(folder: SystemFolder, last_id: int) -> None:
    """Begin a segment that says that ids up to `last_id` have been given."""
    found = recover(folder, make_core("python", CoreOptions()))
    if last_id > found.last_id:
        journal = Journal(
            folder,
            found.segments,
            lsn=found.lsn,
            segment_bytes=fmt.FRAMES_AT,
            salts=salt,
            now_ms=lambda: found.last_ms,
        )
        journal.begin(last_id, found.sequence)
        journal.close(clean=True)


def _frames_behind(scan: Scan, error: Corrupt) -> Iterator[fmt.Frame]:
    for name in scan.names.values():
        if name >= error.name:
            data = memoryview(scan.read(name))
            header = fmt.read_header(data)
            if header is not None:
                at = error.at if name == error.name else fmt.FRAMES_AT
                yield from fmt.search_frames(header, data, at, error.lsn)


def _about_torn(torn: Torn) -> str:
    return (
        f"the log ends in the middle of a write: {torn.name} at byte {torn.at:,}, frame"
        f" {torn.lsn:,}; no answer was given for it, and the next start cuts it off"
    )


def _plain(record: records.Record) -> dict[str, Any]:
    def value(field: Any) -> Any:
        if isinstance(field, str | int | None):
            return field
        if isinstance(field, bytes):
            return field.decode("utf-8", "backslashreplace")
        return [value(one) for one in field]

    return {name: value(getattr(record, name)) for name in record.__struct_fields__}
