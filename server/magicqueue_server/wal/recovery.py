"""From the files of a log to a core that has every job, and to where writing goes on.

What is filled may be a core, or the policies above one: all it takes is `replay`.

What is only in memory of the machine is brought to the disk before it is read, and read
from there: after a failed sync the kernel may hold pages that never got to the disk.

When old segments were left out, the log still has records of jobs pushed in them: ids up
to the *horizon*, the last id given before the first segment. Those jobs are unknown until
a `Moved` record brings them; what is said of them before is passed over, but it has given
out sequence numbers, which are counted along so that all other jobs get theirs. A `Moved`
record of a job that is known says nothing new. A mark of an unknown job is passed over as
well: its `Moved` comes with the mark as it was then.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from magicqueue_cores import records
from magicqueue_cores.contract import CoreError
from magicqueue_cores.records import sequence_span
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.decode import BadRecord, decode
from magicqueue_server.wal.disk import Folder
from magicqueue_server.wal.ending import settle_end
from magicqueue_server.wal.facts import Facts
from magicqueue_server.wal.journal import Segment
from magicqueue_server.wal.manifest import NAME as MANIFEST
from magicqueue_server.wal.manifest import Manifest
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.verdict import Refused, Torn

Progress = Callable[[int, int], None]
"""Is told how many bytes have been read, and of how many."""

_SPLIT: Final = (
    records.Matured,
    records.Revived,
    records.Died,
    records.Failed,
    records.Promoted,
    records.Replaced,
    records.Unheld,
)
"""Records of known jobs that give out sequence numbers."""
_SOME_LATER: Final = (records.Failed, records.Replaced, records.Unheld)
"""Those of them that give none to jobs that are delayed."""


class Replays(Protocol):
    """What a log is replayed into: a core, or what stands above one."""

    def replay(self, record: records.Record) -> None:
        """Apply what happened once before. Raises CoreError if it cannot have."""
        ...


class Nothing:
    """Takes what is replayed: for looking at a log, without its jobs."""

    def replay(self, record: records.Record) -> None:
        """Do nothing."""


class Recovered(msgspec.Struct):
    """What a log holds.

    session: the highest number of a session that was leased a job. last_ms: the latest
    time in it. moved: ids up to the horizon, by the segment that brought each last.
    paused: the segment that last said so, by queue. facts: the same of facts. jobs: how
    many were pushed or moved. torn: where its end was cut. manifest: what it was, None if
    there was none.
    """

    segments: list[Segment] = msgspec.field(default_factory=list)
    lsn: int = 0
    last_id: int = 0
    sequence: int = 0
    session: int = 0
    last_ms: int = 0
    jobs: int = 0
    moved: dict[int, "array[int]"] = msgspec.field(default_factory=dict)
    paused: dict[str, int] = msgspec.field(default_factory=dict)
    facts: Facts = msgspec.field(default_factory=Facts)
    torn: Torn | None = None
    clean: bool = False
    damaged_headers: list[str] = msgspec.field(default_factory=list)
    manifest: Manifest | None = None


def recover(folder: Folder, core: Replays, progress: Progress | None = None) -> Recovered:
    """Replay a log into what is new and cut a torn tail off. Raises Refused or OSError."""
    _bring_to_disk(folder)
    scan = Scan(folder)
    total = scan.total_bytes() if progress else 0
    replay = Replay(core)
    done, segment = 0, None
    for segment, frame in scan.frames():
        replay.frame(segment, frame)
        if progress:
            progress(done + frame.end, total)
            if segment is not scan.segments[-1]:
                done += segment.used_bytes
    replay.end()
    found = replay.found
    found.segments, found.lsn = scan.segments, scan.lsn
    found.torn, found.clean = scan.torn, scan.clean
    found.damaged_headers = scan.damaged_headers
    if found.segments:
        replay.begin(found.segments[-1])
    found.manifest = scan.manifest
    skip_reserved(found, core)
    core.replay(records.Restarted())
    settle_end(folder, scan)
    return found


def skip_reserved(found: Recovered, core: Replays) -> None:
    """Go on behind ids that may have been given in pushes that are lost, if any are."""
    known = found.manifest
    if known is None or known.mode == "always" or (known.ended and known.mode != "unknown"):
        return
    if known.reserved_id > found.last_id:
        found.last_id = known.reserved_id
        core.replay(records.Origin(found.last_id, 0))


class Replay:
    """Feeds the frames of a log to a core, and notes what the log needs to know."""

    def __init__(
        self, core: Replays, note: Callable[[records.Record], object] = lambda _: None
    ) -> None:
        """note: is told each record of the log as it was written."""
        self.found = Recovered()
        self.pushed = 0
        """Jobs that were pushed, also those that came to nothing."""
        self._see = note
        self._core = core
        self._horizon = -1
        self._homes: dict[int, int] = {}
        """The segment that brought a job last, by id: of those up to the horizon."""
        self._number = 0

    def begin(self, segment: Segment) -> None:
        """Be told of a segment before its frames. Raises Refused."""
        if segment.number == self._number:
            return
        self._number = segment.number
        header, found = segment.header, self.found
        if self._horizon < 0:
            self._horizon = found.last_id = header.last_id
            found.sequence = header.sequence
            if header.last_id or header.sequence:
                self._core.replay(records.Origin(header.last_id, header.sequence))
        if header.last_id > found.last_id:  # a repair skipped the ids that it lost
            found.last_id = header.last_id
            self._core.replay(records.Origin(header.last_id, 0))
        if (header.last_id, header.sequence) != (found.last_id, found.sequence):
            raise Refused(
                f"{fmt.segment_name(header.number)} says that ids up to {header.last_id:,}"
                f" and numbers up to {header.sequence:,} were given before it, but the log"
                f" before it comes to {found.last_id:,} and {found.sequence:,}: that is a"
                " bug; keep the folder and report it"
            )
        found.last_ms = max(found.last_ms, header.begun_ms)

    def frame(self, segment: Segment, frame: fmt.Frame) -> None:
        """Replay a frame. Raises Refused."""
        self.begin(segment)
        try:
            for record in decode(frame.body):
                self._see(record)
                self._record(record)
        except (BadRecord, CoreError, KeyError, ValueError, AssertionError) as error:
            raise Refused(
                f"{fmt.segment_name(segment.number)}: frame {frame.lsn:,} at byte"
                f" {frame.at:,} is whole but cannot be replayed: {error}. That is a bug;"
                " keep the folder and report it"
            ) from error

    def _record(self, record: records.Record) -> None:
        found = self.found
        before = found.sequence
        found.sequence += sequence_span(record)
        if isinstance(record, records.Pushed):
            found.last_id = record.first_id + len(record.payloads) - 1
            found.last_ms = max(found.last_ms, record.created_at_ms)
            found.jobs += len(record.payloads)
            self.pushed += len(record.payloads)
        elif isinstance(record, records.Moved):
            self._moved(record)
            return
        elif isinstance(record, records.Paused):
            found.paused.pop(record.queue, None)
            if record.paused:
                found.paused[record.queue] = self._number
        elif isinstance(record, records.Postponed):
            self._note(record)  # it is about whoever is here, as at the time
        elif isinstance(record, records.Kept):
            found.facts.kept(record.space, record.keys, self._number)
        elif isinstance(record, records.Gone):
            found.facts.gone(record.space, record.keys)
        else:
            known: Any = record
            self._note(known)
            if self._horizon and min(known.ids, default=0) <= self._horizon:
                self._known_part(known, before)
                return
        self._core.replay(record)

    def _note(self, record: Any) -> None:
        if isinstance(record, records.Leased):
            self.found.session = max(self.found.session, record.session)
        at_ms = getattr(record, "at_ms", 0)
        self.found.last_ms = max(self.found.last_ms, at_ms)

    def _moved(self, record: records.Moved) -> None:
        found = self.found
        found.session = max([found.session, *record.sessions])
        news: dict[int, int] = {}
        for row, job_id in enumerate(record.ids):
            if job_id <= self._horizon:
                if job_id not in self._homes:
                    news[job_id] = row
                self._homes[job_id] = self._number
        if news:
            found.jobs += len(news)
            rows = list(news.values())
            all_new = len(rows) == len(record.ids)
            self._core.replay(record if all_new else rows_of(record, rows))

    def end(self) -> None:
        """Say where moved jobs are, each once: an attempt that a kill ended counts not."""
        moved = self.found.moved
        for job_id, number in self._homes.items():
            moved.setdefault(number, array("q")).append(job_id)

    def _known_part(self, record: Any, sequence: int) -> None:
        """Replay what a record says of jobs that are here."""
        ids = record.ids
        known = [
            row
            for row, job_id in enumerate(ids)
            if job_id > self._horizon or job_id in self._homes
        ]
        if not isinstance(record, _SPLIT):
            if known:
                self._core.replay(rows_of(record, known))
            return
        numbers = list(_numbers(record, sequence))
        for rows in _runs(known):
            self._core.replay(records.Origin(0, numbers[rows[0]]))
            self._core.replay(rows_of(record, rows))
        self._core.replay(records.Origin(0, self.found.sequence))


def rows_of(record: Any, rows: Sequence[int]) -> Any:
    """Make a record of some rows of another's columns."""
    columns: dict[str, Any] = {}
    count = len(record.ids)
    for name in record.__struct_fields__:
        column = getattr(record, name)
        if not isinstance(column, int | str) and len(column) == count:
            columns[name] = [column[row] for row in rows]
    return msgspec.structs.replace(record, **columns)


def _numbers(record: Any, sequence: int) -> Iterator[int]:
    """The last sequence number given before each row of a record."""
    for row in range(len(record.ids)):
        yield sequence
        later = isinstance(record, _SOME_LATER)
        if not later or record.run_ats_ms[row] <= record.at_ms:
            sequence += 1


def _runs(rows: Sequence[int]) -> Iterator[list[int]]:
    """Split rows into runs without gaps."""
    run: list[int] = []
    for row in rows:
        if run and row != run[-1] + 1:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _bring_to_disk(folder: Folder) -> None:
    for name in folder.names():
        if fmt.segment_number(name) is not None or name == MANIFEST:
            file = folder.open(name, write=True)
            try:
                file.sync()
                file.forget_cached()
            finally:
                file.close()
    folder.sync()
