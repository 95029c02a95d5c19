"""`magicqueue cancel` and `promote`: jobs that shall not run, or run now."""

import click

from magicqueue.answers import Cancelling
from magicqueue.cli.options import JOB_ID, Session, manual, with_session
from magicqueue.cli.phrases import jobs
from magicqueue.cli.screen import say, write_json
from magicqueue.cli.settle import explain
from magicqueue.command_line import Command


@click.command(
    cls=Command,
    epilog=manual("magicqueue cancel 17 18", refused="a job was not there any more"),
)
@click.argument("ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@with_session
def cancel(session: Session, ids: tuple[int, ...]) -> None:
    """Let jobs not run, or not again, by their ids.

    Jobs that wait are removed. Those under way are marked: their worker is told, and may
    end them early; they are neither retried nor dead. Exits with 1 if one of them was
    settled, dead or never there.
    """
    ids = tuple(dict.fromkeys(ids))
    with session.queue() as client:
        told = client.cancel(ids)
        if session.json:
            write_json(told)
        else:
            _say_cancelled(told)
        if told.missing:
            explain(session, client, told.missing, len(ids), "to be cancelled")


@click.command(
    cls=Command,
    epilog=manual("magicqueue promote 17 18", refused="a job was not delayed"),
)
@click.argument("ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@with_session
def promote(session: Session, ids: tuple[int, ...]) -> None:
    """Make delayed jobs ready now, by their ids, behind those that wait.

    Exits with 1 if one of them was not delayed.
    """
    ids = tuple(dict.fromkeys(ids))
    with session.queue() as client:
        missing = client.promote(ids)
        promoted = [job_id for job_id in ids if job_id not in set(missing)]
        if session.json:
            write_json({"promoted": promoted, "missing": missing})
        elif promoted:
            some = (
                f"job {promoted[0]} is"
                if len(promoted) == 1
                else f"{jobs(len(promoted))} are"
            )
            say(f"{some} ready")
        if missing:
            explain(session, client, missing, len(ids), "delayed")


def _say_cancelled(told: Cancelling) -> None:
    if told.cancelled:
        few = len(told.cancelled) == 1
        say(
            f"job {told.cancelled[0]} cancelled"
            if few
            else f"{jobs(len(told.cancelled))} cancelled"
        )
    for job_id in told.cancelling:
        say(f"job {job_id} is under way: its worker is told, and it will not run again")
