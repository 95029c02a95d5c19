"""`magicqueue wal check | dump | repair` and `magicqueue backup`.

Exit codes: 0 all is well (or was mended, or copied), 1 the end is torn, which the next
start mends by itself, 2 it is damaged, 3 it could not be looked at. What comes from the
log itself is made harmless, as all text that a command writes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import click
import msgspec

from magicqueue.command_line import Command, Failed, Group, many, say, write_json
from magicqueue_server.about import way_to_psycopg
from magicqueue_server.wal import tools
from magicqueue_server.wal.disk import Locked
from magicqueue_server.wal.repair import repair as repair_log
from magicqueue_server.wal.verdict import Refused

T = TypeVar("T")

EXIT_TORN: Final = 1
EXIT_CORRUPT: Final = 2
EXIT_UNREADABLE: Final = 3
_EXITS: Final = {
    "ok": 0,
    "torn": EXIT_TORN,
    "corrupt": EXIT_CORRUPT,
    "refused": EXIT_UNREADABLE,
}


def _manual(*examples: str, more: str = "") -> str:
    shown = "\n".join(f"  {example}" for example in examples)
    return f"""\b
Examples:
{shown}

\b
Exit codes:
  0  all is well{more}
  1  the end is torn, which the next start mends by itself
  2  it is damaged, or wrong usage
  3  it cannot be read, or a server is using it
"""


_data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default="magicqueue-data",
    show_default=True,
    envvar="MAGICQUEUE_DATA_DIR",
    help="Folder of the log. [env: MAGICQUEUE_DATA_DIR]",
)


_log = click.option(
    "--log",
    metavar="ADDRESS",
    envvar="MAGICQUEUE_LOG",
    help="The log in PostgreSQL, instead of a folder. [env: MAGICQUEUE_LOG]",
)


_json = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")


@click.group("wal", cls=Group, epilog=_manual("magicqueue wal check"))
def wal() -> None:
    """Look at the log of a server, or mend it."""


@wal.command("check", epilog=_manual("magicqueue wal check --data-dir /var/lib/magicqueue"))
@_data_dir
@_log
@_json
def check(data_dir: Path, log: str | None, *, as_json: bool) -> None:
    """Verify every frame and record of a log; it changes nothing.

    A torn end is what a crash leaves: the next start cuts it off.
    """
    report = _or_fail(
        "wal check", lambda: tools.check(_where(data_dir, log)), as_json=as_json
    )
    _show(report, as_json=as_json)
    click.get_current_context().exit(_EXITS[report.state])


@wal.command("dump", epilog=_manual("magicqueue wal dump | jq -c .record"))
@_data_dir
@_log
@click.option(
    "--json", "as_json", is_flag=True, help="Also say errors in JSON (records always are)."
)
def dump(data_dir: Path, log: str | None, *, as_json: bool) -> None:
    """Print every record of a log as a line of JSON, up to the first damage."""

    def lines() -> None:
        for row in tools.dump(_where(data_dir, log)):
            write_json(row)

    _or_fail("wal dump", lines, as_json=as_json)


@wal.command(
    "repair", epilog=_manual("magicqueue wal repair --json", more=", or was mended")
)
@_data_dir
@_json
def repair(data_dir: Path, *, as_json: bool) -> None:
    """Cut a damaged log off before the damage, so that a server starts again.

    What comes behind the damage is lost to the server; of a log whose first files are
    missing, the rest is kept. The folder is copied first, to one beside it whose name ends
    in .damaged-1 (or -2, …).
    """
    done = _or_fail("wal repair", lambda: repair_log(data_dir), as_json=as_json)
    if done is None:
        if as_json:
            write_json({"damaged": False})
        else:
            say("there is no damage (a torn end is cut off by the next start)")
        return
    if as_json:
        write_json({"damaged": True, **msgspec.structs.asdict(done)})
        return
    say(f"the folder was copied to {done.copy}")
    for number, damage in enumerate(done.damages, 1):
        say(f"damage {number}: {damage}")
    if done.at:
        say(f"{done.cut} was cut at byte {done.at:,}, where the damage begins")
    if done.lost_lsns is not None:
        first, last = done.lost_lsns
        say(f"frames {first:,} to {last:,} are not used any more")
    more = "" if done.lost_jobs <= len(done.lost_job_ids) else ", …"
    shown = ", ".join(map(str, done.lost_job_ids))
    named = f" ({shown}{more})" if shown else ""
    say(f"jobs pushed in whole frames behind it: {done.lost_jobs:,}{named}")


@click.command(
    "backup",
    cls=Command,
    epilog=_manual(
        "magicqueue backup /srv/copy --data-dir /var/lib/magicqueue", more=", and copied"
    ),
)
@_data_dir
@_log
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_json
def backup(data_dir: Path, log: str | None, folder: Path, *, as_json: bool) -> None:
    """Copy the log of a server, which may be running, to a new FOLDER.

    The copy is the log as it was at one moment; a server opens it like any other:
    `magicqueue serve --persist --data-dir FOLDER`. `magicqueue cluster restore` puts it
    into PostgreSQL.
    """
    report = _or_fail(
        "backup", lambda: tools.backup(_where(data_dir, log), folder), as_json=as_json
    )
    if as_json:
        write_json({"folder": str(folder), **msgspec.structs.asdict(report)})
    else:
        say(
            f"{folder}: {many(report.segments, 'segment')},"
            f" {many(report.used_bytes, 'byte')}, up to frame {report.last_lsn:,} and job"
            f" {report.last_id:,}"
        )
    if report.problem is not None:
        _fail("backup", report.problem, _EXITS[report.state], as_json=as_json)


def _where(data_dir: Path, log: str | None) -> tools.Where:
    """Give the log that is meant: a folder that was named goes before the environment."""
    told = click.get_current_context().get_parameter_source
    by_hand = click.core.ParameterSource.COMMANDLINE
    if log is None or (told("data_dir") is by_hand and told("log") is not by_hand):
        return data_dir
    if told("data_dir") is by_hand:
        raise click.UsageError("--data-dir and --log are two places: name one")
    try:
        from magicqueue_server.wal.postgres_reading import (  # noqa: PLC0415 - an extra
            LogInPostgres,
        )
    except ImportError as error:
        raise Refused(f"--log needs psycopg ({error}): {way_to_psycopg()}") from None
    return LogInPostgres(log)


def _or_fail(command: str, do: Callable[[], T], *, as_json: bool) -> T:
    try:
        return do()
    except BrokenPipeError:
        raise
    except (Refused, Locked) as error:
        _fail(command, str(error), EXIT_UNREADABLE, as_json=as_json)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sentence = f"{where}{error.strerror or error}"
        _fail(command, sentence, EXIT_UNREADABLE, as_json=as_json)


def _show(report: tools.Report, *, as_json: bool) -> None:
    if as_json:
        write_json(report)
        return
    say(f"{report.state}: {report.problem or 'every frame and record is whole'}")
    say(
        f"{many(report.segments, 'segment')}, {many(report.used_bytes, 'byte')},"
        f" {many(report.frames, 'frame')} up to {report.last_lsn:,}, {report.checksum};"
        f" stopped {report.stopped}"
    )
    counts = ", ".join(f"{name} {count:,}" for name, count in report.records.items())
    say(f"{many(report.jobs_pushed, 'job')} pushed, last id {report.last_id:,}")
    say(f"records: {counts or 'none'}")


_CODES: Final = {EXIT_TORN: "TORN", EXIT_CORRUPT: "CORRUPT", EXIT_UNREADABLE: "UNREADABLE"}


def _fail(command: str, sentence: str, exit_code: int, *, as_json: bool) -> NoReturn:
    raise Failed(sentence, _CODES[exit_code], exit_code, where=command, as_json=as_json)
