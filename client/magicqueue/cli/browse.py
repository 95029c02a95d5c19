"""`magicqueue jobs` and `magicqueue bulk`: look through a queue, deal with what matches."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final, get_args

import click

from magicqueue.cli.options import QUEUE, Session, manual, whole, with_session
from magicqueue.cli.phrases import jobs as jobs_phrase
from magicqueue.cli.phrases import short, when
from magicqueue.cli.screen import (
    details,
    job_fields,
    note,
    number,
    say,
    text,
    write_json,
    write_table,
)
from magicqueue.command_line import Command
from magicqueue.job import JobDetails
from magicqueue.wire.replies import JobInfo
from magicqueue.wire.values import Deed, JobOrder, State

_DATA_CHARS: Final = 60
_COLUMNS: Final = (
    number("id"),
    text("state"),
    number("priority", leaves=2),
    text("pushed", leaves=1, least=6),
    number("attempts", leaves=2),
    text("data", leaves=3),
)
_queue_option: Final = click.option(
    "-q", "--queue", type=QUEUE, required=True, help="The queue."
)
_state_option: Final = click.option(
    "--state",
    type=click.Choice(get_args(State)),
    help="Jobs in this state only.",
)
_contains_option: Final = click.option(
    "--contains",
    metavar="TEXT",
    help="Jobs only whose data, as JSON text, has this in it, exactly.",
)


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue jobs -q emails --state ready --in-turn",
        "magicqueue jobs -q emails --contains ada@example.org --all --json",
    ),
)
@_queue_option
@_state_option
@_contains_option
@click.option(
    "--in-turn",
    is_flag=True,
    help="In the order in which they will come, instead of by id; it needs --state.",
)
@click.option(
    "-n",
    "--count",
    type=whole(1, 1_000_000),
    default=20,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--all", "everything", is_flag=True, help="Show all.")
@with_session
def jobs(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    queue: str,
    state: State | None,
    contains: str | None,
    in_turn: bool,
    count: int,
    everything: bool,
) -> None:
    """List the jobs of a queue."""
    if in_turn and state is None:
        raise click.UsageError("--in-turn is the order of a state: say which, with --state")
    order: JobOrder = "turn" if in_turn else "id"
    with session.queue(queue) as client:
        found = client.jobs(state=state, contains=contains, order=order)
        shown = found if everything else islice(found, count)
        if session.json:
            for job in shown:
                write_json(job_fields(job))
            return
        rows = _rows(shown)
        first = next(rows, None)
        if first is None:
            say(f"no such job in {queue}")
            return
        write_table(_COLUMNS, chain((first,), rows))
        if not everything and next(found, None) is not None:
            note(f"there are more than {jobs_phrase(count)}: --all shows all")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue bulk purge -q emails --state dead --contains ada@ --dry-run",
        "magicqueue bulk retry -q emails",
    ),
)
@click.argument("do", type=click.Choice(get_args(Deed)))
@_queue_option
@_state_option
@_contains_option
@click.option("--dry-run", is_flag=True, help="Only count the jobs that match.")
@with_session
def bulk(
    session: Session,
    do: Deed,
    *,
    queue: str,
    state: State | None,
    contains: str | None,
    dry_run: bool,
) -> None:
    """Cancel, promote, retry or purge all jobs of a queue that match.

    Without --state it is about those that it can be done to: retry and purge about dead
    letters, promote about delayed jobs, cancel about all others.
    """
    with session.queue(queue) as client:
        done = client.bulk(do, state=state, contains=contains, dry_run=dry_run)
    if session.json:
        write_json({"queue": queue, "do": do, "done": done, "dry_run": dry_run})
    elif dry_run:
        say(f"{do} would be done to {jobs_phrase(done)} of {queue}")
    else:
        say(f"{do} is done to {jobs_phrase(done)} of {queue}")


def _rows(found: Iterator[JobDetails]) -> Iterator[tuple[str, ...]]:
    return (_row(details(job)) for job in found)


def _row(job: JobInfo) -> tuple[str, ...]:
    return (
        str(job.id),
        job.state,
        str(job.priority),
        when(job.created_at or 0),
        str(job.attempts),
        short(bytes(job.data).decode(), _DATA_CHARS),
    )
