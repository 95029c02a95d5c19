"""PostgreSQL as the engine of a log: each step of `store.Engine` is one statement.

Each statement is a transaction of its own, whose commit returns when the synchronous
standbys have it. Appending and taking over lock the same row of `mq_shard`, so one waits
for the other, and PostgreSQL looks at the row again before it changes it: when a take-over
has been committed, the old epoch matches nothing. The key of a chunk is a second fence.

Not known is what came of a statement when its connection broke, when no answer came in
time (the socket is closed then, see `TimedConnection`), and when PostgreSQL gave a warning
with it: "canceling the wait for synchronous replication" comes with an answer that says
all is well. Any warning counts as one.

Every answer also says what a commit means at that moment. When nothing is left of the
standbys' names, the answer was no promise, and the log fails.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import psycopg

from magicqueue_server.wal.journal import StoreFailed
from magicqueue_server.wal.postgres_schema import (
    LOG,
    Durability,
    TimedConnection,
    connected,
    look,
    parameters_of,
    place_of,
    what_it_means,
)
from magicqueue_server.wal.store import Claim, Contents, Held, Row, Unsure

READ_S: Final = 120.0
"""How long a segment may take to be read."""
_BYTES_A_SECOND: Final = 2**20
"""Slower than that is no connection for a log."""
_CLAIM: Final = """
update mq_shard set epoch = epoch + 1, owner = %(me)s, seen = clock_timestamp()
 where shard = %(log)s and (owner in ('', %(me)s)
       or seen <= clock_timestamp() - %(lease_ms)s * interval '1 ms')
returning current_setting('synchronous_standby_names'),
          current_setting('synchronous_commit'), epoch, tail
"""
_OWNER: Final = "select owner from mq_shard where shard = %(log)s"
_APPEND: Final = """
with own as (
  update mq_shard set tail = tail + cardinality(%(bodies)b::bytea[]),
         seen = clock_timestamp()
   where shard = %(log)s and epoch = %(epoch)s and tail = %(tail)s returning 1
), put as (
  insert into mq_log (shard, lsn, epoch, segment, body)
  select %(log)s, %(tail)s + n, %(epoch)s, g, b
    from own, unnest(%(segments)b::bigint[], %(bodies)b::bytea[])
              with ordinality as u(g, b, n)
)
select current_setting('synchronous_standby_names'),
       current_setting('synchronous_commit') from own
"""
_LIVES: Final = """
update mq_shard set seen = clock_timestamp()
 where shard = %(log)s and epoch = %(epoch)s and tail = %(tail)s
returning current_setting('synchronous_standby_names'),
          current_setting('synchronous_commit')
"""
_TAIL: Final = """
update mq_shard set seen = clock_timestamp()
 where shard = %(log)s and epoch = %(epoch)s
returning current_setting('synchronous_standby_names'),
          current_setting('synchronous_commit'), tail
"""
_TRIM: Final = """
delete from mq_log where shard = %(log)s and lsn < %(first)s
   and exists (select from mq_shard where shard = %(log)s and epoch = %(epoch)s)
"""
_RELEASE: Final = """
update mq_shard set owner = '' where shard = %(log)s and epoch = %(epoch)s
"""
_CONTENTS: Final = """
select s.epoch, s.tail, l.segment, l.first, l.chunks, l.bytes
  from mq_shard s left join (
    select shard, segment, min(lsn) as first, count(*) as chunks,
           sum(octet_length(body))::bigint as bytes
      from mq_log group by shard, segment) l on l.shard = s.shard
 where s.shard = %s order by l.segment
"""
_READ: Final = """
select body from mq_log where shard = %s and lsn between %s and %s order by lsn
"""

T = TypeVar("T")


def contents_of(connection: TimedConnection, name: str) -> Contents:
    """Return what there is. Raises StoreFailed."""
    rows = connection.execute(_CONTENTS, (LOG,)).fetchall()
    if not rows:
        raise StoreFailed(f"{name} has no log: `magicqueue cluster init` makes it")
    epoch, tail, first, *_ = rows[0]
    held = [] if first is None else [Held(*row[2:]) for row in rows]
    return Contents(epoch, tail, held)


def bytes_of(connection: TimedConnection, held: Held) -> bytes:
    """Return the bytes of a segment."""
    last = held.first + held.chunks - 1
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_READ, (LOG, held.first, last))
        return b"".join(body for (body,) in cursor)


class PostgresEngine:
    """See above. Makes no connection before it is asked for something.

    quorum: whether commits have to wait for standbys. statement_ms: how long one may take.
    """

    def __init__(self, dsn: str, *, quorum: bool, statement_ms: int) -> None:
        """Raises Refused if the DSN cannot be read."""
        self._parameters = parameters_of(dsn)
        self.name = place_of(self._parameters)
        self._quorum = quorum
        self._statement_s = statement_ms / 1000
        self._writer: TimedConnection | None = None
        self._reader: TimedConnection | None = None
        self._warned = ""

    def connect(self) -> None:
        """Have a connection to write, a new one if the last is not good any more."""
        if self._writer is None:
            self._writer = self._opened()
            self._writer.wait_s = self._statement_s
            self._writer.add_notice_handler(self._on_notice)

    def claim(self, me: str, lease_ms: int) -> Claim | str:
        """Take the log over if nobody has it, or had until `lease_ms` ago; or say who."""
        told = {"me": me, "lease_ms": lease_ms}
        row = self._write(_CLAIM, told)
        if row is not None:
            return Claim(row[2], row[3])
        row = self._write(_OWNER, {}, settings=False)
        if row is None:
            raise StoreFailed(f"{self.name} has no log: `magicqueue cluster init` makes it")
        return str(row[0])

    def append(self, claim: Claim, rows: Sequence[Row]) -> bool:
        """Store rows behind the claim's tail, all or none, and say that its owner lives."""
        told: dict[str, Any] = {"epoch": claim.epoch, "tail": claim.tail}
        if not rows:
            return self._write(_LIVES, told) is not None
        segments = [number for number, _ in rows]
        bodies = [body for _, body in rows]
        told |= {"segments": segments, "bodies": bodies}
        more_s = sum(map(len, bodies)) / _BYTES_A_SECOND
        return self._write(_APPEND, told, more_s=more_s) is not None

    def tail(self, epoch: int) -> int | None:
        """Return the tail that a quorum knows, None if the epoch is not this one."""
        row = self._write(_TAIL, {"epoch": epoch})
        return None if row is None else int(row[2])

    def contents(self) -> Contents:
        """Return what there is."""
        return self._read(lambda connection: contents_of(connection, self.name))

    def read(self, held: Held) -> bytes:
        """Return the bytes of a segment."""
        return self._read(lambda connection: bytes_of(connection, held))

    def trim(self, claim: Claim, first: int) -> None:
        """Let all chunks before this one go, if the epoch still is the claim's."""
        self._write(_TRIM, {"epoch": claim.epoch, "first": first}, settings=False)

    def release(self, claim: Claim) -> None:
        """Own the log no more, so that the next server need not wait."""
        self._write(_RELEASE, {"epoch": claim.epoch}, settings=False)

    def close(self) -> None:
        """End all connections."""
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        self._writer = self._reader = None

    def _opened(self) -> TimedConnection:
        connection = connected(self._parameters)
        try:
            look(connection, self.name, quorum=self._quorum)
        except psycopg.Error as error:
            connection.close()
            raise self._meaning(error) from None
        except StoreFailed:
            connection.close()
            raise
        return connection

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warned = notice.message_primary or "a warning"

    def _write(
        self,
        statement: str,
        told: dict[str, Any],
        *,
        more_s: float = 0,
        settings: bool = True,
    ) -> tuple[Any, ...] | None:
        """Do a statement, and give its first row. settings: are in its first columns."""
        connection = self._writer
        if connection is None:
            raise Unsure("there is no connection")
        self._warned = ""
        connection.wait_s = self._statement_s + more_s
        try:
            cursor = connection.execute(
                statement.encode(), {**told, "log": LOG}, prepare=True
            )
            row = cursor.fetchone() if cursor.description else None
        except psycopg.Error as error:
            self._writer = None
            connection.close()
            raise self._meaning(error) from None
        if self._warned:
            raise Unsure(self._warned)
        if row is not None and settings:
            weakness = Durability(row[0], row[1]).weakness(quorum=self._quorum)
            if weakness:
                raise StoreFailed(f"{self.name}: {weakness}")
        return row

    def _read(self, call: Callable[[TimedConnection], T]) -> T:
        if self._reader is None:
            self._reader = self._opened()
            self._reader.wait_s = READ_S
        try:
            return call(self._reader)
        except psycopg.Error as error:
            self._reader.close()
            self._reader = None
            raise self._meaning(error) from None

    def _meaning(self, error: psycopg.Error) -> Exception:
        meaning = what_it_means(error)
        if isinstance(meaning, StoreFailed):
            return StoreFailed(f"{self.name}: {meaning}")
        return meaning
