"""`magicqueue dead`: look at dead letters, try them again, or throw them away."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import click

from magicqueue.cli.options import JOB_ID, QUEUE, Session, manual, whole, with_session
from magicqueue.cli.phrases import jobs, short, when
from magicqueue.cli.screen import (
    details,
    job_fields,
    many,
    note,
    number,
    say,
    text,
    write_json,
    write_table,
)
from magicqueue.command_line import Group
from magicqueue.errors import NotFound
from magicqueue.job import JobDetails
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.replies import JobInfo

_PAGE: Final = 1000
_ERROR_CHARS: Final = 60
DATA_CHARS: Final = 40
_COLUMNS: Final = (
    number("id"),
    text("died", leaves=1, least=6),
    number("attempts", leaves=2),
    text("why"),
    text("data", leaves=3),
)


@click.group(
    cls=Group,
    epilog=manual("magicqueue dead list emails", "magicqueue dead retry emails --all"),
)
def dead() -> None:
    """List, retry or purge dead letters.

    Those are jobs that failed too often, or whose workers were lost too often.
    """


@dead.command(
    "list",
    epilog=manual(
        "magicqueue dead list emails --count 50", "magicqueue dead list emails --all --json"
    ),
)
@click.argument("queue", type=QUEUE)
@click.option(
    "-n",
    "--count",
    type=whole(1, 10_000),
    default=20,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--after", type=JOB_ID, help="Go on after this id, the last one shown.")
@click.option("--all", "everything", is_flag=True, help="Show all.")
@with_session
def list_dead(
    session: Session, queue: str, *, count: int, after: int | None, everything: bool
) -> None:
    """List the dead letters of QUEUE, the oldest first.

    Of an error only the first line is shown: `magicqueue job ID` and --json give it whole.
    """
    with session.queue(queue) as client:
        page = client.dead(_PAGE if everything else count, after)
        found: Iterator[JobDetails] = iter(page.jobs)
        if everything and page.next is not None:
            found = chain(found, _pages_after(client, page.next))
        if session.json:
            for job in found:
                write_json(job_fields(job))
            return
        if not page.jobs:
            say(f"{queue} has no dead letters" + (f" after {after}" if after else ""))
            return
        write_table(_COLUMNS, map(_row, map(details, found)))
        if page.next is not None and not everything:
            total = client.stats().dead
            note(
                f"{jobs(total)} dead in all; the next: magicqueue dead list {queue}"
                f" --after {page.next}"
            )


@dead.command(
    "retry",
    epilog=manual(
        "magicqueue dead retry emails --id 17 --id 18",
        "magicqueue dead retry emails --all",
        refused="there is no such dead letter",
    ),
)
@click.argument("queue", type=QUEUE)
@click.option(
    "--id", "job_ids", type=JOB_ID, multiple=True, help="Retry this job; also several."
)
@click.option("--all", "everything", is_flag=True, help="Retry all of the queue.")
@with_session
def retry_dead(
    session: Session, queue: str, *, job_ids: tuple[int, ...], everything: bool
) -> None:
    """Make dead letters of QUEUE ready again, as if new."""
    _some_or_all(job_ids, everything=everything)
    missing: list[int] = []
    with session.queue(queue) as client:
        if everything:
            retried = client.retry_dead()
        else:
            retried, missing = _each(job_ids, client.retry_dead, session, "is ready again")
    if session.json:
        write_json({"queue": queue, "retried": retried})
    elif everything:
        say(f"{jobs(retried)} of {queue} {'is' if retried == 1 else 'are'} ready again")
    _be_found(missing, queue, session)


@dead.command(
    "purge",
    epilog=manual(
        "magicqueue dead purge emails --id 17 --id 18",
        "magicqueue dead purge emails --all",
        refused="there is no such dead letter",
    ),
)
@click.argument("queue", type=QUEUE)
@click.option(
    "--id", "job_ids", type=JOB_ID, multiple=True, help="Remove this job; also several."
)
@click.option("--all", "everything", is_flag=True, help="Remove all of the queue.")
@with_session
def purge_dead(
    session: Session, queue: str, *, job_ids: tuple[int, ...], everything: bool
) -> None:
    """Remove dead letters of QUEUE for good."""
    _some_or_all(job_ids, everything=everything)
    missing: list[int] = []
    with session.queue(queue) as client:
        if everything:
            removed = client.purge_dead()
        else:
            removed, missing = _each(job_ids, client.purge_dead, session, "is removed")
    if session.json:
        write_json({"queue": queue, "removed": removed})
    elif everything:
        say(f"removed {jobs(removed)} from the dead letters of {queue}")
    _be_found(missing, queue, session)


def _pages_after(client: SyncQueue, after: int) -> Iterator[JobDetails]:
    following: int | None = after
    while following is not None:
        page = client.dead(_PAGE, following)
        yield from page.jobs
        following = page.next


def _row(job: JobInfo) -> tuple[str, ...]:
    return (
        str(job.id),
        when(job.died_at) if job.died_at is not None else "",
        str(job.attempts),
        short(_why(job), _ERROR_CHARS),
        short(bytes(job.data).decode(), DATA_CHARS),
    )


def _why(job: JobInfo) -> str:
    if job.reason == "worker_lost":
        return f"its worker was lost {many(job.lost, 'time')}"
    return (job.error or "").strip().partition("\n")[0] or "failed, without a message"


def _some_or_all(job_ids: tuple[int, ...], *, everything: bool) -> None:
    if bool(job_ids) == everything:
        raise click.UsageError("say which: --id ID for a job (also several), or --all")


def _each(
    job_ids: tuple[int, ...], do: Callable[[int], int], session: Session, done: str
) -> tuple[int, list[int]]:
    """Do it to each job, and say so; gives how many there were, and the missing ids."""
    number_done = 0
    missing: list[int] = []
    for job_id in dict.fromkeys(job_ids):
        if not do(job_id):
            missing.append(job_id)
            continue
        number_done += 1
        if not session.json:
            say(f"job {job_id} {done}")
    return number_done, missing


def _be_found(missing: list[int], queue: str, session: Session) -> None:
    """Raise NotFound that names the jobs that were no dead letters."""
    if not missing:
        return
    *others, last = missing
    if not session.json:
        for job_id in others:
            note(f"magicqueue: there is no dead letter {job_id} in {queue}")
        others = []
    raise NotFound(
        f"there is no dead letter {', '.join(map(str, [*others, last]))} in {queue}"
    )
