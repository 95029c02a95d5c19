"""A log of a folder, put into PostgreSQL: a backup, or a server that moves there.

One transaction does it, so there is all of it or nothing, whatever ends it. Only an empty
log is filled; the epoch is one more behind it, so a server that had the empty one is out.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from magicqueue_server.randomness import salt
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import tools
from magicqueue_server.wal.disk import Folder, Lock
from magicqueue_server.wal.journal import DiskFull, Segment, StoreFailed
from magicqueue_server.wal.postgres_schema import (
    LOG,
    TimedConnection,
    connected,
    look,
    parameters_of,
    place_of,
    what_it_means,
)
from magicqueue_server.wal.recovery import Nothing, Recovered, Replay, skip_reserved
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.store import Row, Unsure
from magicqueue_server.wal.store_journal import StoreJournal, rows_of
from magicqueue_server.wal.store_postgres import READ_S
from magicqueue_server.wal.verdict import Refused

_LOCK: Final = "select tail from mq_shard where shard = %s for update"
_PUT: Final = """
insert into mq_log (shard, lsn, epoch, segment, body)
select %(log)b, %(tail)b::bigint + n, epoch + 1, g, b
  from mq_shard, unnest(%(segments)b::bigint[], %(bodies)b::bytea[])
                 with ordinality as u(g, b, n)
 where shard = %(log)b
"""
_FILLED: Final = """
update mq_shard set epoch = epoch + 1, tail = %s, owner = '' where shard = %s
"""
_ROWS: Final = 16


class Filled(msgspec.Struct, frozen=True):
    """What was put where."""

    place: str
    segments: int
    used_bytes: int
    last_lsn: int
    last_id: int


def fill(dsn: str, path: Path, *, now_ms: Callable[[], int]) -> Filled:
    """Put the log of a folder into an empty one. Raises Refused, Locked or OSError."""
    parameters = parameters_of(dsn)
    place = place_of(parameters)
    if not path.is_dir():
        raise Refused(f"there is no folder {path}")
    lock = Lock(path)
    try:
        with (
            tools.opened(path) as folder,
            _connected(parameters, place) as connection,
            _transaction(connection, place) as keeps,
        ):
            scan, found = _read(folder, path)
            for segment in scan.segments:
                data = scan.read(fmt.segment_name(segment.number))
                keeps.append(rows_of(segment.number, _as_kept(segment, data)))
            journal = StoreJournal(
                keeps,
                scan.segments,
                lsn=scan.lsn,
                segment_bytes=fmt.FRAMES_AT,
                salts=salt,
                now_ms=now_ms,
            )
            journal.begin(found.last_id, found.sequence)
            journal.close(clean=True)
        return Filled(
            place, len(journal.segments), keeps.put_bytes, journal.lsn, found.last_id
        )
    finally:
        lock.release()


def _as_kept(segment: Segment, data: bytes) -> bytes:
    """Give a segment's bytes, which say nothing of the manifest and the file any more."""
    header, used = segment.header, data[: segment.used_bytes]
    if header.version == 1:
        return used
    header = msgspec.structs.replace(header, generation=0, segment_bytes=0, reserved_id=0)
    return fmt.header_bytes(header) + used[header.frames_at :]


def _read(folder: Folder, path: Path) -> tuple[Scan, Recovered]:
    """Read all of it, and find what was given out. Raises Refused."""
    scan, replay = Scan(folder), Replay(Nothing())
    for segment, frame in scan.frames():
        replay.frame(segment, frame)
    if not scan.segments:
        raise Refused(f"there is no log in {path}")
    replay.begin(scan.segments[-1])
    replay.found.manifest = scan.manifest
    skip_reserved(replay.found, Nothing())
    return scan, replay.found


class _Keeps:
    """Puts chunks into an empty log, in a transaction."""

    def __init__(self, connection: TimedConnection) -> None:
        self._connection = connection
        self.tail = 0
        self.put_bytes = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Put chunks behind the others."""
        for at in range(0, len(rows), _ROWS):
            some = rows[at : at + _ROWS]
            told = {
                "log": LOG,
                "tail": self.tail,
                "segments": [number for number, _ in some],
                "bodies": [body for _, body in some],
            }
            self._connection.execute(_PUT.encode(), told)
            self.tail += len(some)
            self.put_bytes += sum(len(body) for _, body in some)

    def trim(self, number: int) -> None:
        """Refuse: nothing is let go here."""
        raise StoreFailed(f"segment {number} cannot be let go while a log is filled")


@contextlib.contextmanager
def _connected(parameters: dict[str, object], place: str) -> Iterator[TimedConnection]:
    """Connect. Raises StoreFailed for whatever goes wrong."""
    warned: list[str] = []
    try:
        with connected(parameters) as connection:
            look(connection, place, quorum=False)
            connection.wait_s = READ_S
            connection.add_notice_handler(
                lambda notice: warned.append(notice.message_primary or "a warning")
            )
            yield connection
    except Unsure as error:
        raise StoreFailed(f"{place}: {error}") from None
    except DiskFull as error:
        raise StoreFailed(f"{place} has no room: {error}") from None
    except psycopg.Error as error:
        raise StoreFailed(f"{place}: {what_it_means(error)}") from None
    if warned:
        raise StoreFailed(f"{place} has it, but warns: {warned[0]}")


@contextlib.contextmanager
def _transaction(connection: TimedConnection, place: str) -> Iterator[_Keeps]:
    """Fill the log, or leave it empty. Raises Refused if it is not."""
    with connection.transaction():
        row = connection.execute(_LOCK.encode(), (LOG,)).fetchone()
        if row is None:
            raise StoreFailed(f"{place} has no log: `magicqueue cluster init` makes it")
        if row[0]:
            raise Refused(
                f"the log in {place} is not empty: make another database for this one, and"
                " its tables with `magicqueue cluster init`"
            )
        keeps = _Keeps(connection)
        yield keeps
        connection.execute(_FILLED.encode(), (keeps.tail, LOG))
