"""`magicqueue dead`: look at dead letters, try them again, or throw them away."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

import click

from magicqueue.cli.options import JOB_ID, QUEUE, Session, manual, with_session
from magicqueue.cli.phrases import jobs, short, when
from magicqueue.cli.screen import note, say, write_json, write_table
from magicqueue.errors import NotFound
from magicqueue.job import JobDetails
from magicqueue.sync_queue import SyncQueue

_PAGE: Final = 1000
_ERROR_CHARS: Final = 60
_DATA_CHARS: Final = 40


@click.group(
    epilog=manual("magicqueue dead list emails", "magicqueue dead retry emails --all")
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
    type=click.IntRange(1, 10_000),
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
    """List the dead letters of QUEUE, the oldest first."""
    with session.queue(queue) as client:
        page = client.dead(_PAGE if everything else count, after)
        found: Iterator[JobDetails] = iter(page.jobs)
        if everything and page.next is not None:
            found = chain(found, _pages_after(client, page.next))
        if session.json:
            for job in found:
                write_json(job)
            return
        if not page.jobs:
            say(f"{queue} has no dead letters" + (f" after {after}" if after else ""))
            return
        _write(found)
        if page.next is not None and not everything:
            total = client.stats().dead
            note(
                f"{jobs(total)} dead in all; the next: magicqueue dead list {queue}"
                f" --after {page.next}"
            )


@dead.command(
    "retry",
    epilog=manual(
        "magicqueue dead retry emails --id 17",
        "magicqueue dead retry emails --all",
        refused="there is no such dead letter",
    ),
)
@click.argument("queue", type=QUEUE)
@click.option("--id", "job_id", type=JOB_ID, help="Retry this job.")
@click.option("--all", "everything", is_flag=True, help="Retry all of the queue.")
@with_session
def retry_dead(
    session: Session, queue: str, *, job_id: int | None, everything: bool
) -> None:
    """Make dead letters of QUEUE ready again, as if new."""
    _one_or_all(job_id, everything=everything)
    with session.queue(queue) as client:
        retried = client.retry_dead(job_id)
        _be_found(job_id, queue, retried)
    if session.json:
        write_json({"queue": queue, "retried": retried})
    else:
        say(f"{jobs(retried)} of {queue} {_are(retried)} ready again")


@dead.command(
    "purge",
    epilog=manual(
        "magicqueue dead purge emails --id 17",
        "magicqueue dead purge emails --all",
        refused="there is no such dead letter",
    ),
)
@click.argument("queue", type=QUEUE)
@click.option("--id", "job_id", type=JOB_ID, help="Remove this job.")
@click.option("--all", "everything", is_flag=True, help="Remove all of the queue.")
@with_session
def purge_dead(
    session: Session, queue: str, *, job_id: int | None, everything: bool
) -> None:
    """Remove dead letters of QUEUE for good."""
    _one_or_all(job_id, everything=everything)
    with session.queue(queue) as client:
        removed = client.purge_dead(job_id)
        _be_found(job_id, queue, removed)
    if session.json:
        write_json({"queue": queue, "removed": removed})
    else:
        say(f"removed {jobs(removed)} from the dead letters of {queue}")


def _pages_after(client: SyncQueue, after: int) -> Iterator[JobDetails]:
    following: int | None = after
    while following is not None:
        page = client.dead(_PAGE, following)
        yield from page.jobs
        following = page.next


def _write(found: Iterator[JobDetails]) -> None:
    columns = [
        ("id", "right"),
        ("died", "left"),
        ("attempts", "right"),
        ("why", "left"),
        ("data", "left"),
    ]
    rows = [
        (
            str(job.id),
            when(job.died_at) if job.died_at else "",
            str(job.attempts),
            short(_why(job), _ERROR_CHARS),
            short(job.raw.decode(), _DATA_CHARS),
        )
        for job in found
    ]
    write_table(columns, rows)


def _why(job: JobDetails) -> str:
    if job.reason == "worker_lost":
        return f"its worker was lost {job.lost} times"
    return job.error or "failed, without a message"


def _one_or_all(job_id: int | None, *, everything: bool) -> None:
    if (job_id is not None) == everything:
        raise click.UsageError("say which: --id ID for one job, or --all")


def _be_found(job_id: int | None, queue: str, number: int) -> None:
    if job_id is not None and not number:
        raise NotFound(f"there is no dead letter {job_id} in {queue}")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
