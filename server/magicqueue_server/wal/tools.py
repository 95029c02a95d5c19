"""Looking at a log, and copying it: what `wal check`, `wal dump` and `backup` do.

`check` and `dump` change nothing and need no lock, so they also run beside a server; they
then see the log as it was a moment ago. `backup` likewise: it copies whole frames only, up
to where the log was whole when it looked, which is a log that opens.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from magicqueue_cores import records
from magicqueue_cores.policies.shown import shown_fact, shown_mark
from magicqueue_server.wal import checksum
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest as man
from magicqueue_server.wal.decode import BadRecord, decode
from magicqueue_server.wal.disk import Folder, SystemFolder
from magicqueue_server.wal.journal import Segment
from magicqueue_server.wal.recovery import Nothing, Replay
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.verdict import ChunksMissing, Corrupt, Refused


class Stored(Protocol):
    """A log that is in an engine. name: of the engine, with no secret in it."""

    name: str

    def opened(self) -> contextlib.AbstractContextManager[Folder]:
        """Give it as a folder, as of one moment. Raises Refused or OSError."""
        ...


Where = Path | Stored
_TRIES: Final = 20
_TRY_AGAIN_S: Final = 0.01


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


def check(path: Where) -> Report:
    """Read a whole log and verify every frame and record. Raises OSError.

    What is read while a server writes may look damaged; what is damaged does so twice.
    """
    report = _check(path)
    for _ in range(_TRIES):
        if report.state not in {"corrupt", "refused"}:
            break
        before, report = report, _check(path)
        if report.problem == before.problem:
            break
    return report


def _check(path: Where) -> Report:
    scan: Scan | None = None
    counts: Counter[str] = Counter()
    frames = 0
    state, problem = "ok", None
    replay = Replay(Nothing(), lambda r: counts.update([type(r).__name__.lower()]))
    with contextlib.ExitStack() as stack:
        try:
            scan = Scan(stack.enter_context(opened(path)))
            for segment, frame in scan.frames():
                frames += frame.kind == fmt.DATA
                replay.frame(segment, frame)
            if scan.segments:
                replay.begin(scan.segments[-1])
        except (Corrupt, ChunksMissing) as error:
            state, problem = "corrupt", str(error)
        except Refused as error:
            state, problem = "refused", str(error)
    segments = scan.segments if scan is not None else []
    if scan is not None and scan.torn is not None:
        state, problem = "torn", str(scan.torn)
    return Report(
        state=state,
        segments=len(segments),
        frames=frames,
        records=dict(sorted(counts.items())),
        jobs_pushed=replay.pushed,
        used_bytes=sum(segment.used_bytes for segment in segments),
        last_lsn=scan.lsn if scan is not None else 0,
        last_id=max([replay.found.last_id, *[s.header.last_id for s in segments]]),
        checksum=checksum.name(segments[-1].header.algorithm) if segments else "none",
        stopped="cleanly" if scan is not None and scan.clean else "without a word",
        problem=problem,
    )


def dump(path: Where) -> Iterator[dict[str, Any]]:
    """Give every frame and record as plain values. Raises Refused or OSError."""
    with opened(path) as folder:
        for segment, frame in Scan(folder).frames():
            place = {
                "segment": segment.number,
                "at": frame.at,
                "lsn": frame.lsn,
                "durable_lsn": frame.durable_lsn,
            }
            if frame.kind == fmt.MARK:
                yield {**place, "record": "mark", "clean": frame.is_clean_mark}
            for record in decoded(segment, frame):
                yield {**place, "record": type(record).__name__.lower(), **_plain(record)}


def backup(path: Where, to: Path) -> Report:
    """Copy a log, of a running server too, to a new folder. Raises Refused or OSError."""
    if to.exists() and any(to.iterdir()):
        raise Refused(f"{to} is not empty: give the backup a folder of its own")
    before = ""
    for _ in range(_TRIES):
        with opened(path) as folder, _opened(to, create=True) as target:
            try:
                _copy_segments(folder, target, name_of(path))
            except (Refused, FileNotFoundError) as error:
                # the server freed or began a segment meanwhile, or it is damaged
                for name in target.names():
                    target.remove(name)
                if str(error) == before:
                    raise
                before = str(error)
                time.sleep(_TRY_AGAIN_S)
                continue
        break
    else:
        raise Refused(f"{name_of(path)} never stayed as it was: try again")
    return check(to)


def name_of(where: Where) -> str:
    """Say where a log is."""
    return str(where) if isinstance(where, Path) else where.name


def opened(where: Where) -> contextlib.AbstractContextManager[Folder]:
    """Give a log as a folder to read. Raises Refused or OSError."""
    return _opened(where) if isinstance(where, Path) else where.opened()


@contextlib.contextmanager
def _opened(path: Path, *, create: bool = False) -> Iterator[SystemFolder]:
    folder = SystemFolder(path, create=create)
    try:
        yield folder
    except Corrupt as error:
        str(error)  # it looks at the files once, for that
        raise
    finally:
        folder.close()


def _copy_segments(folder: Folder, target: SystemFolder, source: str) -> None:
    """Copy what is whole now. Raises Refused, also if the log changed meanwhile."""
    scan = Scan(folder)
    if not scan.names:
        raise Refused(f"there is no log in {source}")
    for segment, frame in scan.frames():
        for _ in decoded(segment, frame):
            pass
    for segment in scan.segments:
        name = fmt.segment_name(segment.number)
        data = scan.read(name)[: segment.used_bytes]
        if fmt.read_header(data) != segment.header:
            raise Refused(f"{name} was freed meanwhile")
        copy = target.open(name, create=True)
        try:
            copy.write([data], 0)
            copy.sync()
        finally:
            copy.close()
    known = man.read(folder)
    if known is not None and scan.segments:
        newest = scan.segments[-1].header
        was = known.manifest
        copied = msgspec.structs.replace(
            was,
            mode=was.mode if was.ended else "unknown",  # a server may give ids meanwhile
            ended=True,
            run=0,
            oldest=scan.segments[0].number,
            newest=newest.number,
            newest_salt=newest.salt,
            lsn=scan.lsn,
        )
        man.make(target, copied)
    target.sync()


def decoded(segment: Segment, frame: fmt.Frame) -> Iterator[records.Record]:
    """Give the records of a frame. Raises Refused."""
    try:
        yield from decode(frame.body)
    except BadRecord as error:
        raise Refused(
            f"{fmt.segment_name(segment.number)}: frame {frame.lsn:,} at byte {frame.at:,}"
            f" is whole but cannot be read: {error}"
        ) from None


def _plain(record: records.Record) -> dict[str, Any]:
    def value(field: Any) -> Any:
        if isinstance(field, str | int | None):
            return field
        if isinstance(field, bytes):
            return field.decode("utf-8", "backslashreplace")
        return [value(one) for one in field]

    plain = {name: value(getattr(record, name)) for name in record.__struct_fields__}
    if isinstance(record, records.Marked):
        marks = [(shown_mark(text), text) for text in record.texts]
        plain["texts"] = [value(text) if mark is None else mark for mark, text in marks]
    elif isinstance(record, records.Kept):
        facts = [(shown_fact(record.space, one), one) for one in record.values]
        plain["values"] = [value(one) if fact is None else fact for fact, one in facts]
    return plain
