"""`magicqueue cluster init | status | restore`: the log in PostgreSQL, looked after."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from magicqueue.command_line import Command, Failed, Group, many, say, write_json
from magicqueue_server.about import way_to_psycopg
from magicqueue_server.clock import SystemClock
from magicqueue_server.wal.disk import Locked
from magicqueue_server.wal.verdict import BadAddress, Refused

if TYPE_CHECKING:
    from magicqueue_server.wal.postgres_filling import Filled
    from magicqueue_server.wal.postgres_schema import Status

T = TypeVar("T")
_EXIT_CODES: Final = """\b
Exit codes:
  0  done
  1  PostgreSQL cannot be asked, or (status) is not fit for the log
  2  wrong usage, or an address that cannot be read
"""
_INIT: Final = f"""\b
Examples:
  magicqueue cluster init postgres://mq@db1,db2,db3/mq
  magicqueue cluster init "$MAGICQUEUE_LOG"

\b
A password is best kept in ~/.pgpass: a command's arguments can be seen by
others on the machine.

{_EXIT_CODES}"""
_STATUS: Final = f"""\b
Examples:
  magicqueue cluster status postgres://mq@db1,db2,db3/mq
  magicqueue cluster status --json postgres://mq@db1/mq

{_EXIT_CODES}"""
_RESTORE: Final = f"""\b
Examples:
  magicqueue cluster restore /backups/2030-01-31 --log postgres://mq@db1/mq
  magicqueue cluster restore --log postgres://mq@db1/mq /var/lib/magicqueue

{_EXIT_CODES}"""
_EXIT_FAILED: Final = 1
_EXIT_BAD_ADDRESS: Final = 2

_address = click.argument("address", envvar="MAGICQUEUE_LOG")
_json = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
_local = click.option(
    "--durability",
    type=click.Choice(("quorum", "local")),
    default="quorum",
    show_default=True,
    envvar="MAGICQUEUE_LOG_DURABILITY",
    help="What the servers are told as --log-durability.",
)


@click.group("cluster", cls=Group, epilog=_STATUS)
def cluster() -> None:
    """Look after the log of servers in PostgreSQL."""


@cluster.command("init", cls=Command, epilog=_INIT)
@_address
@_json
def init(address: str, *, as_json: bool) -> None:
    """Make the tables for a log in the database at ADDRESS.

    What is there already stays as it is. ADDRESS is what servers are told as --log.
    """

    def make() -> str:
        from magicqueue_server.wal.postgres_schema import make_tables  # noqa: PLC0415

        return make_tables(address)

    place = _asked("cluster init", make, as_json=as_json)
    if as_json:
        write_json({"place": place})
    else:
        say(f"{place} is ready: magicqueue serve --log ADDRESS")


@cluster.command("status", cls=Command, epilog=_STATUS)
@_address
@_local
@_json
def status(address: str, durability: str, *, as_json: bool) -> None:
    """Say who has the log at ADDRESS, how long it is, and which copies follow."""

    def look() -> "Status":
        from magicqueue_server.wal.postgres_schema import status  # noqa: PLC0415

        return status(address)

    found = _asked("cluster status", look, as_json=as_json)
    weakness = found.settings.weakness(quorum=durability == "quorum")
    if as_json:
        write_json({"ok": not weakness, "weakness": weakness, "status": found})
    else:
        _show(found)
    if weakness:
        raise Failed(
            f"{found.place}: {weakness}",
            "WEAK",
            _EXIT_FAILED,
            where="cluster status",
            as_json=as_json,
        )


@cluster.command("restore", cls=Command, epilog=_RESTORE)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--log",
    "address",
    metavar="ADDRESS",
    required=True,
    envvar="MAGICQUEUE_LOG",
    help="The empty log that is filled. [env: MAGICQUEUE_LOG]",
)
@_json
def restore(folder: Path, address: str, *, as_json: bool) -> None:
    """Put the log in FOLDER into an empty one in PostgreSQL.

    FOLDER is what `magicqueue backup` made, or the data folder of a server that has ended.
    It stays as it is. All of it gets there, or nothing.
    """

    def put() -> "Filled":
        from magicqueue_server.wal.postgres_filling import fill  # noqa: PLC0415

        return fill(address, folder, now_ms=SystemClock().now_ms)

    done = _asked("cluster restore", put, as_json=as_json)
    if as_json:
        write_json(done)
    else:
        say(
            f"{done.place}: {many(done.segments, 'segment')},"
            f" {many(done.used_bytes, 'byte')}, up to frame {done.last_lsn:,} and job"
            f" {done.last_id:,}"
        )


def _asked(where: str, ask: Callable[[], T], *, as_json: bool) -> T:
    """Ask PostgreSQL, for which psycopg is imported only now."""

    def failed(sentence: str, exit_code: int) -> Failed:
        return Failed(sentence, "UNREADABLE", exit_code, where=where, as_json=as_json)

    try:
        return ask()
    except ImportError as error:
        text = f"psycopg is needed ({error}): {way_to_psycopg()}"
        raise failed(text, _EXIT_FAILED) from None
    except BadAddress as error:
        raise failed(str(error), _EXIT_BAD_ADDRESS) from None
    except (Refused, Locked, OSError) as error:
        raise failed(str(error), _EXIT_FAILED) from None


def _show(found: "Status") -> None:
    say(f"{found.place}: tables of version {found.version}")
    if found.owner:
        say(f"owner: {found.owner}, heard of {found.seen_ms:,} ms ago, epoch {found.epoch}")
    else:
        say(f"owner: none, epoch {found.epoch}")
    say(
        f"log: {many(found.segments, 'segment')}, {many(found.chunks, 'chunk')},"
        f" {many(found.log_bytes, 'byte')}; its table takes {found.table_bytes:,}"
    )
    say(f"synchronous_standby_names: {found.settings.standbys or 'none'}")
    for standby in found.standbys:
        behind = "?" if standby.behind_bytes is None else f"{standby.behind_bytes:,}"
        how = f"{standby.state}, {standby.sync}, {behind} bytes behind"
        say(f"standby {standby.name}: {how}")
