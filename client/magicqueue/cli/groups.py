"""`magicqueue groups`: whose jobs take turns in a queue."""

from typing import Final

import click

from magicqueue.cli.options import QUEUE, Session, manual, with_session
from magicqueue.cli.phrases import count, when
from magicqueue.cli.screen import number, say, text, write_json, write_table
from magicqueue.command_line import Command

_COLUMNS: Final = (
    text("group", least=20),
    number("queued"),
    number("processing"),
    text("throttled until", leaves=1),
)


@click.command(cls=Command, epilog=manual("magicqueue groups api"))
@click.argument("queue", type=QUEUE)
@with_session
def groups(session: Session, queue: str) -> None:
    """List the groups of QUEUE's jobs, by name.

    Of each: the jobs that wait for its turns, and those that are at work.
    """
    with session.queue(queue) as client:
        found = list(client.groups())
    if session.json:
        for group in found:
            write_json(group)
    elif found:
        rows = [
            (
                group.name,
                count(group.queued),
                count(group.processing),
                "" if group.throttled_until is None else when(group.throttled_until),
            )
            for group in found
        ]
        write_table(_COLUMNS, rows)
    else:
        say(f"no job of {queue} has a group: push with --group")
