"""`magicqueue worker`: run a handler on the jobs of a queue, in one process or more."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from magicqueue import commands
from magicqueue.cli.options import (
    QUEUE,
    SPAN,
    json_option,
    manual,
    timeout_option,
    url_option,
)
from magicqueue.cli.run import EXIT_USAGE
from magicqueue.cli.screen import note
from magicqueue.cli.worker_process import WorkerPlan, work_here
from magicqueue.command_line import Command
from magicqueue.errors import HandlerNotFound
from magicqueue.worker_options import BATCH_SIZE, GRACE_S, LEASE_S

_PROCESSES_MAX: Final = 1024
_NO_PYTHON_OF_YOURS: Final = """\
a worker imports your code, and this executable has a Python of its own that cannot. Run \
it with the Python that your code runs with (3.11 or later):

  python -m pip install magicqueue
  python -m magicqueue worker {}"""
_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue worker tasks:send_email -q emails",
        "magicqueue worker tasks:resize -q images -p 4 --inline",
    ),
)
@click.argument("handler", metavar="MODULE:HANDLER")
@click.option("-q", "--queue", type=QUEUE, required=True, help="The queue to work on.")
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1),
    help="Handlers under way at once, in each process. [default: 50 async, 8 plain]",
)
@click.option(
    "-p",
    "--processes",
    type=click.IntRange(1, _PROCESSES_MAX),
    default=1,
    show_default=True,
    help="Processes; more than one use more than one CPU.",
)
@click.option(
    "--inline/--threads",
    default=False,
    help="Run plain handlers one after the other, or in threads. [default: threads]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=BATCH_SIZE,
    show_default=True,
    help="Jobs asked for at once, at most.",
)
@click.option(
    "--prefetch",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Jobs held beyond those that run.",
)
@click.option(
    "--lease",
    type=SPAN,
    default=LEASE_S,
    help="How soon a job goes elsewhere when its worker hangs. [default: 30s]",
)
@click.option(
    "--grace",
    type=SPAN,
    default=GRACE_S,
    help="How long a stop lets handlers finish. [default: 30s]",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    show_default=True,
    help="What is logged, to standard error.",
)
@url_option
@timeout_option
@json_option
@click.pass_context
def worker(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    handler: str,
    *,
    queue: str,
    concurrency: int | None,
    processes: int,
    inline: bool,
    batch_size: int,
    prefetch: int,
    lease: float,
    grace: float,
    log_level: str,
    url: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Run HANDLER of MODULE on each job of a queue.

    The module is looked for in the current directory first. A handler takes a job; what
    it raises fails the job, which is tried again later. It may be an async def.

    Ctrl-C or SIGTERM: it takes no more jobs, finishes those it has, and exits with 0. A
    second one ends it at once; what it held goes back to the queue. A server that is not
    there is waited for.
    """
    if getattr(sys, "frozen", False):
        raise click.UsageError(_NO_PYTHON_OF_YOURS.format(" ".join(sys.argv[2:])))
    if inline and concurrency is not None:
        raise click.UsageError("--inline runs one handler at a time: leave out -c")
    plan = WorkerPlan(
        handler=handler,
        folder=str(Path.cwd()),
        queue=queue,
        url=url or os.environ.get("MAGICQUEUE_URL"),
        concurrency=concurrency,
        inline=inline,
        batch_size=batch_size,
        prefetch=prefetch,
        lease_s=lease or 0.001,
        grace_s=grace,
        timeout_s=timeout or commands.TIMEOUT_S,
        log_level=log_level,
        log_json=as_json,
    )
    try:
        if processes == 1:
            code = work_here(plan)
        else:
            from magicqueue.cli.supervisor import Supervisor  # noqa: PLC0415 - slow

            code = Supervisor(plan, processes).run()
    except HandlerNotFound as error:
        note(f"magicqueue: {error}")
        code = EXIT_USAGE
    ctx.exit(code)
