"""`magicqueue cron`: jobs that come again and again."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any, Final, get_args

import click
import msgspec
import orjson

from magicqueue.cli.dead import DATA_CHARS
from magicqueue.cli.options import (
    MOMENT,
    QUEUE,
    SPAN,
    Session,
    manual,
    whole,
    with_session,
)
from magicqueue.cli.phrases import count, short, span, when
from magicqueue.cli.screen import note, number, say, text, write_json, write_table
from magicqueue.command_line import Group
from magicqueue.crons import CronDetails
from magicqueue.wire.limits import CRON_RUNS_MAX, PRIORITY_MAX
from magicqueue.wire.values import Missed, Overlap

_COLUMNS: Final = (
    text("name"),
    text("queue", leaves=2),
    text("when"),
    text("next run", leaves=1, least=8),
    number("fired", leaves=3),
    text("data", leaves=4),
)


@click.group(
    cls=Group,
    epilog=manual(
        'magicqueue cron set report -q mail -s "30 2 * * *" --tz Europe/Berlin',
        "magicqueue cron set beat -q health --every 1m",
        "magicqueue cron list",
        "magicqueue cron next report -n 5",
    ),
)
def cron() -> None:
    """Have jobs come again and again.

    Runs are told in the local time of this machine. A cron's name is the server's.
    """


@cron.command(
    "set",
    epilog=manual(
        'magicqueue cron set report -q mail -s "30 2 * * *" --tz Europe/Berlin',
        'magicqueue cron set beat -q health --every 1m \'{"from": "cron"}\'',
    ),
)
@click.argument("name")
@click.argument("data", required=False)
@click.option("-q", "--queue", type=QUEUE, required=True, help="Where its jobs go.")
@click.option(
    "-s",
    "--schedule",
    metavar="TEXT",
    help="Minute, hour, day of month, month, day of week, perhaps with seconds before;"
    " or @hourly, @daily, @weekly, @monthly, @yearly.",
)
@click.option("-e", "--every", type=SPAN, help="So often, instead of a schedule.")
@click.option("--offset", type=SPAN, help="Of --every: so much later.")
@click.option("--tz", metavar="ZONE", help="The schedule's time zone. [default: UTC]")
@click.option("--start", type=MOMENT, help="Not before this time.")
@click.option("--end", type=MOMENT, help="Not after this time.")
@click.option("--limit", type=whole(1), help="So many jobs at most.")
@click.option("--spread", type=SPAN, help="Each job up to this much later.")
@click.option(
    "--missed",
    type=click.Choice(get_args(Missed)),
    help="Which ticks fire that no server saw come. [default: one]",
)
@click.option("--catchup", type=SPAN, help="None older than this. [default: 1d]")
@click.option(
    "--overlap",
    type=click.Choice(get_args(Overlap)),
    help="Whether a tick fires while a job of before is there. [default: skip]",
)
@click.option("--text", "plain_text", is_flag=True, help="DATA is plain text, not JSON.")
@click.option(
    "-p",
    "--priority",
    type=whole(-PRIORITY_MAX - 1, PRIORITY_MAX),
    help="Higher runs first. [default: 0]",
)
@click.option(
    "--max-attempts",
    type=whole(0, PRIORITY_MAX),
    help="Failures after which a job is dead; 0: no limit. [default: the server's]",
)
@click.option("--ttl", type=SPAN, help="A job is not handed out later than this.")
@click.option("--job-timeout", type=SPAN, help="An attempt fails that runs for longer.")
@click.option("--keep-result", type=SPAN, help="Keep a job's end.")
@with_session
def set_cron(
    session: Session,
    name: str,
    data: str | None,
    *,
    queue: str,
    plain_text: bool,
    job_timeout: float | None,
    **options: Any,
) -> None:
    """Have jobs with DATA come to a queue, under NAME.

    The same again changes nothing, above all not the next run; something else changes the
    cron of that name.
    """
    options["timeout"] = job_timeout
    given = {option: value for option, value in options.items() if value is not None}
    schedule = given.pop("schedule", None)
    if (schedule is None) == ("every" not in given):
        raise click.UsageError("give --schedule or --every")
    with session.queue(queue) as client:
        done = client.cron(name, schedule, _data(data, plain_text=plain_text), **given)
    if session.json:
        write_json(
            {
                "name": name,
                "created": done.created,
                "changed": done.changed,
                "next_runs": list(map(_ms, done.next_runs)),
            }
        )
        return
    if done.changed:
        say(f"{'created' if done.created else 'changed'} {name}")
    else:
        say(f"{name} is as it was")
    _say_runs(done.next_runs)


@cron.command("list", epilog=manual("magicqueue cron list --all --json"))
@click.option(
    "-n",
    "--count",
    "most",
    type=whole(1, 10_000),
    default=50,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--all", "everything", is_flag=True, help="Show all.")
@with_session
def list_crons(session: Session, *, most: int, everything: bool) -> None:
    """List the crons of the server, by name."""
    with session.queue() as client:
        found = client.crons()
        shown = list(found if everything else islice(found, most))
        more = not everything and next(found, None) is not None
    if session.json:
        for one in shown:
            write_json(_fields(one))
        return
    if not shown:
        say("there are no crons")
        return
    write_table(_COLUMNS, map(_row, shown))
    if more:
        note(f"there are more than {count(most)}: --all shows all")


@cron.command("next", epilog=manual("magicqueue cron next report -n 5"))
@click.argument("name")
@click.option(
    "-n",
    "--count",
    "runs",
    type=whole(1, CRON_RUNS_MAX),
    default=3,
    show_default=True,
    help="So many.",
)
@with_session
def next_runs(session: Session, name: str, *, runs: int) -> None:
    """Tell the next runs of NAME, in the local time of this machine."""
    with session.queue() as client:
        found = client.cron_details(name, runs)
    if session.json:
        write_json({"name": name, "next_runs": found.next_runs_ms})
        return
    if found.paused:
        say(f"{name} is paused")
    elif found.trouble is not None:
        say(f"{name} cannot tick: {found.trouble}")
    else:
        _say_runs(found.next_runs)


@cron.command("delete", epilog=manual("magicqueue cron delete report"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@with_session
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Forget crons; the jobs that they have pushed stay."""
    with session.queue() as client:
        for name in names:
            client.delete_cron(name)
            _did(session, name, "deleted")


@cron.command("pause", epilog=manual("magicqueue cron pause report"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@with_session
def pause(session: Session, names: tuple[str, ...]) -> None:
    """Let crons push no jobs until they are resumed."""
    with session.queue() as client:
        for name in names:
            client.pause_cron(name)
            _did(session, name, "paused")


@cron.command("resume", epilog=manual("magicqueue cron resume report"))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@with_session
def resume(session: Session, names: tuple[str, ...]) -> None:
    """Let crons push jobs again."""
    with session.queue() as client:
        for name in names:
            following = client.resume_cron(name)
            told = "" if following is None else f": next run {_local(following)}"
            _did(session, name, "resumed", told)


@cron.command("run", epilog=manual("magicqueue cron run report"))
@click.argument("name")
@with_session
def run(session: Session, name: str) -> None:
    """Push a job of NAME now, which leaves its schedule alone."""
    with session.queue() as client:
        job_id = client.run_cron(name)
    if session.json:
        write_json({"name": name, "id": job_id})
    else:
        say(f"pushed job {job_id} of {name}")


def _data(data: str | None, *, plain_text: bool) -> Any:
    """Read DATA; none is null."""
    if data is None or plain_text:
        return data
    raw = data.encode(errors="surrogateescape")
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise click.UsageError(
            f"DATA is not JSON ({error}): give --text for plain text"
        ) from None
    return orjson.Fragment(raw)


def _did(session: Session, name: str, did: str, told: str = "") -> None:
    if session.json:
        write_json({"name": name, did: True})
    else:
        say(f"{did} {name}{told}")


def _say_runs(runs: Iterable[datetime]) -> None:
    told = [f"next run {_local(run)} ({when(_ms(run))})" for run in runs]
    for line in told or ["no run is to come"]:
        say(line)


def _local(moment: datetime) -> str:
    """Write a moment in the local time of whoever asks."""
    return moment.astimezone().strftime("%a %Y-%m-%d %H:%M:%S %z")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _fields(one: CronDetails) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(msgspec.json.encode(one))
    return fields


def _row(one: CronDetails) -> tuple[str, ...]:
    if one.paused:
        following = "paused"
    elif one.trouble is not None:
        following = "cannot tick"
    else:
        following = "none" if one.next_run_ms is None else when(one.next_run_ms)
    if one.every_ms is not None:
        times = f"every {span(one.every_ms / 1000)}"
    else:
        zone = "" if one.tz in {None, "UTC"} else f" {one.tz}"
        times = f"{one.schedule}{zone}"
    data = short(one.raw.decode(errors="replace"), DATA_CHARS)
    return one.name, one.queue, times, following, count(one.ticks.fired), data
