"""PostgreSQL as it has to be: how it is reached, its tables, and what they promise.

Nothing here is imported unless a log in PostgreSQL was asked for: psycopg is an extra.

A DSN is a secret where it has a password. So psycopg's own text about a DSN that cannot be
read is never shown, as that may cite it; `place_of` names what is no secret.
"""

from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg import conninfo
from psycopg.abc import PQGen

from magicqueue_server.wal.journal import DiskFull, StoreFailed
from magicqueue_server.wal.store import Unsure
from magicqueue_server.wal.verdict import BadAddress

VERSION: Final = 1
"""Of the tables. Whoever finds a newer one changes nothing."""
LOG: Final = 0
"""Which log of a database; there is one."""

SCHEMA: Final = """
create table if not exists mq_schema (version int not null);
create table if not exists mq_shard (
  shard int primary key, epoch bigint not null, tail bigint not null,
  owner text not null, seen timestamptz not null default clock_timestamp()
) with (fillfactor = 20);
create table if not exists mq_log (
  shard int not null, lsn bigint not null, epoch bigint not null,
  segment bigint not null, body bytea not null, primary key (shard, lsn)
);
alter table mq_log alter body set storage external;
insert into mq_schema select VERSION where not exists (select from mq_schema);
insert into mq_shard (shard, epoch, tail, owner) values (0, 0, 0, '')
  on conflict do nothing;
"""
_PARAMETERS: Final = {
    "connect_timeout": "2",
    "tcp_user_timeout": "2000",
    "application_name": "magicqueue",
    "target_session_attrs": "read-write",
}
"""What holds where the DSN does not say."""
_SAFE_COMMITS: Final = ("on", "remote_apply")
_AT_ONCE: Final = ("3D", "28", "42")
"""Classes of errors that are no better a moment later: database, password, tables."""
_INIT: Final = "`magicqueue cluster init` makes them"

RV = TypeVar("RV")


class TimedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends: then its socket is to be closed.

    Nothing is ever cancelled. A statement that waits for standbys and is cancelled has
    been committed all the same, and says so as if all were well.
    """

    wait_s = 10.0

    def wait(
        self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None
    ) -> RV:
        """Wait as ever, but not for ever."""
        return super().wait(gen, interval, self.wait_s if timeout is None else timeout)


class Durability(msgspec.Struct, frozen=True):
    """What a commit means here: the settings that decide it."""

    standbys: str
    commit: str
    fsync: str = "on"

    def weakness(self, *, quorum: bool) -> str:
        """Say what is not as it should be, or nothing."""
        if self.fsync != "on":
            return "fsync is off: a power cut loses what was promised"
        if self.commit not in _SAFE_COMMITS:
            return (
                f"synchronous_commit is {self.commit}: replies would go out before what"
                " they promise is on the disks; set it to on"
            )
        if quorum and not self.standbys.strip():
            return (
                "synchronous_standby_names is empty: a reply would mean that one server"
                " has it; name standbys, or say --log-durability local"
            )
        return ""


def parameters_of(dsn: str) -> dict[str, Any]:
    """Read a DSN. Raises BadAddress, which cites nothing of it."""
    try:
        found = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        found = None
    if found is None or _is_torn(found):
        raise BadAddress(
            "the address of the log cannot be read: it is postgres://USER@HOST/DATABASE,"
            " with several hosts as HOST1,HOST2; write @ : / and % of a password as %40"
            " %3A %2F and %25, or keep the password in ~/.pgpass"
        )
    return {**_PARAMETERS, **found}


def _is_torn(found: dict[str, Any]) -> bool:
    """Whether a sign in a password was taken for the end of it: the rest is elsewhere."""
    ports = str(found.get("port") or "").replace(",", "")
    names = f"{found.get('dbname')}{found.get('host')}{found.get('user')}"
    return "@" in names or not (ports.isdigit() or not ports)


def place_of(parameters: dict[str, Any]) -> str:
    """Say where it is, without any secret."""
    hosts = str(parameters.get("host", "")).split(",")
    ports = str(parameters.get("port", "")).split(",")
    if len(ports) < len(hosts):
        ports = [ports[0]] * len(hosts)
    places = [
        f"{host or 'this machine'}{port and ':'}{port}"
        for host, port in zip(hosts, ports, strict=False)
    ]
    database = parameters.get("dbname")
    behind = f", database {database}" if database else ""
    return f"PostgreSQL at {' and '.join(places)}{behind}"


def connected(parameters: dict[str, Any]) -> TimedConnection:
    """Connect, in autocommit. Raises Unsure or StoreFailed."""
    try:
        return TimedConnection.connect(
            conninfo.make_conninfo("", **parameters), autocommit=True, prepare_threshold=1
        )
    except psycopg.Error as error:
        raise what_it_means(error) from None


def what_it_means(error: psycopg.Error) -> Exception:
    """Give what a failed statement, or connect, comes to."""
    state = error.sqlstate or ""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if state == "53100":
        return DiskFull(text)
    if isinstance(error, psycopg.errors.UndefinedTable):
        return StoreFailed(f"it has no tables of MagicQueue ({text}): {_INIT}")
    if state.startswith(_AT_ONCE):
        return StoreFailed(text)
    return Unsure(text)


def look(connection: TimedConnection, place: str, *, quorum: bool) -> None:
    """Look whether tables and settings are as they should be. Raises StoreFailed."""
    try:
        row = connection.execute(
            "select version, current_setting('synchronous_standby_names'),"
            " current_setting('synchronous_commit'), current_setting('fsync')"
            " from mq_schema"
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        raise StoreFailed(f"{place} has no tables of MagicQueue: {_INIT}") from None
    if row is None:
        raise StoreFailed(f"{place} has no version of its tables: {_INIT}")
    version, standbys, commit, fsync = row
    if version > VERSION:
        raise StoreFailed(
            f"{place} has tables of version {version}, and this MagicQueue knows up to"
            f" {VERSION}: start the newer version that made them"
        )
    weakness = Durability(standbys, commit, fsync).weakness(quorum=quorum)
    if weakness:
        raise StoreFailed(f"{place}: {weakness}")


def make_tables(dsn: str) -> str:
    """Make the tables where they are not; gives where. Raises Refused or StoreFailed."""
    parameters = parameters_of(dsn)
    place = place_of(parameters)
    try:
        with connected(parameters) as connection, connection.transaction():
            for statement in SCHEMA.strip().removesuffix(";").split(";"):
                connection.execute(statement.replace("VERSION", f"{VERSION}").encode())
    except psycopg.Error as error:
        raise StoreFailed(f"{place}: {what_it_means(error)}") from None
    except Unsure as error:
        raise StoreFailed(f"{place}: {error}") from None
    return place


class Standby(msgspec.Struct, frozen=True):
    """A copy that follows. behind_bytes: of the database's own log."""

    name: str
    state: str | None
    sync: str | None
    behind_bytes: int | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a log in PostgreSQL is. seen_ms: how long ago its owner was heard of."""

    place: str
    version: int
    owner: str
    seen_ms: int
    epoch: int
    chunks: int
    segments: int
    log_bytes: int
    table_bytes: int
    settings: Durability
    standbys: list[Standby]


def status(dsn: str) -> Status:
    """Look how it is. Raises Refused or StoreFailed."""
    parameters = parameters_of(dsn)
    place = place_of(parameters)
    try:
        with connected(parameters) as connection:
            row = connection.execute(_STATUS, (LOG,)).fetchone()
            found = connection.execute(_STANDBYS).fetchall()
    except psycopg.errors.UndefinedTable:
        raise StoreFailed(f"{place} has no tables of MagicQueue: {_INIT}") from None
    except psycopg.Error as error:
        raise StoreFailed(f"{place}: {what_it_means(error)}") from None
    except Unsure as error:
        raise StoreFailed(f"{place}: {error}") from None
    if row is None:
        raise StoreFailed(f"{place} has no log: {_INIT}")
    *counts, standbys, commit, fsync = row
    return Status(
        place=place,
        settings=Durability(standbys, commit, fsync),
        standbys=[Standby(*one) for one in found],
        **dict(zip(_COUNTS, counts, strict=True)),
    )


_COUNTS: Final = (
    "version",
    "owner",
    "seen_ms",
    "epoch",
    "chunks",
    "segments",
    "log_bytes",
    "table_bytes",
)
_STATUS: Final = """
select v.version, s.owner,
       (extract(epoch from clock_timestamp() - s.seen) * 1000)::bigint,
       s.epoch, count(l.lsn), count(distinct l.segment),
       coalesce(sum(octet_length(l.body)), 0)::bigint,
       pg_total_relation_size('mq_log'),
       current_setting('synchronous_standby_names'),
       current_setting('synchronous_commit'), current_setting('fsync')
  from mq_schema v, mq_shard s left join mq_log l on l.shard = s.shard
 where s.shard = %s group by v.version, s.owner, s.seen, s.epoch
"""
_STANDBYS: Final = """
select application_name, state, sync_state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint
  from pg_stat_replication order by application_name
"""
