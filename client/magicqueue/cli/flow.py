"""`magicqueue flow`: jobs that depend on each other, from a JSON file."""

from typing import IO

import click

from magicqueue.cli.options import Session, manual, with_session
from magicqueue.cli.phrases import ids_listed, jobs
from magicqueue.cli.screen import say, write_json
from magicqueue.command_line import Command, Failed
from magicqueue.flow import Flow


@click.command(
    cls=Command,
    epilog=manual("cat photos.json | magicqueue flow -", "make-flow | magicqueue flow -"),
)
@click.argument("file", type=click.File("rb"))
@with_session
def flow(session: Session, file: IO[bytes]) -> None:
    """Store jobs that depend on each other, from a JSON FILE, all or none.

    FILE holds the jobs of a PUSHF as docs/protocol.md has them: a list of objects like
    {"ref": "a", "queue": "resize", "data": 1} and {"queue": "notify", "data": 2,
    "depends_on": ["a"]}, or an object whose "jobs" are that; - is standard input. Prints
    their ids, in order.
    """
    try:
        made = Flow.from_json(file.read())
    except ValueError as error:
        raise Failed(f"{file.name}: {error}", "BAD_JSON", exit_code=2) from None
    with session.queue() as client:
        ids = client.push_flow(made)
    if session.json:
        write_json({"ids": ids})
        return
    say(f"pushed a flow of {jobs(len(ids))}" + (f" (ids {ids_listed(ids)})" if ids else ""))
