"""`magicqueue pause`, `resume` and `drain`: what is done to a whole queue."""

import sys

import click

from magicqueue.cli.options import QUEUE, Session, manual, with_session
from magicqueue.cli.phrases import jobs
from magicqueue.cli.screen import say, write_json
from magicqueue.command_line import Command
from magicqueue.plain_text import plain


@click.command(cls=Command, epilog=manual("magicqueue pause emails"))
@click.argument("queue", type=QUEUE)
@with_session
def pause(session: Session, queue: str) -> None:
    """Hand out no more jobs of QUEUE until `magicqueue resume`.

    Jobs can still be pushed, and those under way go on.
    """
    with session.queue(queue) as client:
        client.pause()
        if session.json:
            write_json({"queue": queue, "paused": True})
        else:
            counts = client.stats()
            waiting = counts.queued + counts.delayed + counts.blocked
            wait = "waits" if waiting == 1 else "wait"
            say(f"paused {queue}: {jobs(waiting)} {wait} until `magicqueue resume {queue}`")


@click.command(cls=Command, epilog=manual("magicqueue resume emails"))
@click.argument("queue", type=QUEUE)
@with_session
def resume(session: Session, queue: str) -> None:
    """Hand out jobs of QUEUE again."""
    with session.queue(queue) as client:
        client.resume()
    if session.json:
        write_json({"queue": queue, "paused": False})
    else:
        say(f"resumed {queue}")


@click.command(
    cls=Command, epilog=manual("magicqueue drain emails", "magicqueue drain emails --yes")
)
@click.argument("queue", type=QUEUE)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@with_session
def drain(session: Session, queue: str, *, yes: bool) -> None:
    """Remove the jobs that wait in QUEUE, ready, delayed or blocked.

    Jobs under way and dead letters stay. It asks first; --yes answers.
    """
    with session.queue(queue) as client:
        if not yes:
            counts = client.stats()
            waiting = jobs(counts.queued + counts.delayed + counts.blocked)
            if not sys.stdin.isatty():
                raise click.UsageError(
                    f"drain would remove {waiting} of {queue}: say --yes to do it"
                )
            click.confirm(
                plain(f"Remove {waiting} of {queue}, for good?"), abort=True, err=True
            )
        removed = client.drain()
    if session.json:
        write_json({"queue": queue, "removed": removed})
    else:
        say(f"removed {jobs(removed)} from {queue}")
