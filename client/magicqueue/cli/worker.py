"""`magicqueue worker`: run a handler on the jobs of a queue, in one process or more."""

import os
import re
import sys
from pathlib import Path
from typing import Any, Final

import click

from magicqueue import commands
from magicqueue.cli.first_process import work_below_first_process
from magicqueue.cli.options import (
    QUEUE,
    SPAN,
    json_option,
    kind,
    manual,
    timeout_option,
    url_option,
    whole,
)
from magicqueue.cli.run import EXIT_USAGE
from magicqueue.cli.screen import note
from magicqueue.cli.worker_process import WorkerPlan, work_here
from magicqueue.command_line import Command
from magicqueue.errors import HandlerNotFound
from magicqueue.job_times import JobTimes
from magicqueue.worker_options import BATCH_SIZE, GRACE_S, LEASE_S

_PROCESSES_MAX: Final = 1024
_NO_PYTHON_OF_YOURS: Final = """\
a worker imports your code, and this executable has a Python of its own that cannot. Run \
it with the Python that your code runs with (3.11 or later). Install the package \
there, from the wheel that was built with this executable:

  python -m pip install magicqueue_server-*.whl
  python -m magicqueue worker {}"""
_LEVELS: Final = ("debug", "info", "warning", "error")
_BY_MEASURE: Final = "auto"
_SHIFTS: Final = {"": 0, "k": 10, "m": 20, "g": 30}


def _prefetch(text: str) -> int | None:
    """Read how many jobs to hold beyond those that run; None is by measure."""
    if text == _BY_MEASURE:
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor {_BY_MEASURE!r}")
    return int(text)


def _size(text: str) -> int:
    """Read "500M", "2G" or a number of bytes; the letters count in 1,024s."""
    found = re.fullmatch(r"(\d+)\s*([kKmMgG]?)(?:i?[bB])?", text)
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no size: write it as 500M or 2G")
    return int(found[1]) << _SHIFTS[found[2].lower()]


def _above_zero(_: click.Context, option: click.Parameter, value: float | None) -> Any:
    if value == 0:
        raise click.BadParameter("it must be longer than 0", param=option)
    return value


def _place(_: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        from magicqueue.cli.worker_metrics import place_of  # noqa: PLC0415 - slow

        try:
            place_of(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param=option) from None
    return text


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue worker tasks:send_email -q emails",
        "magicqueue worker tasks:resize -q images -p 4 --inline --time-limit 5m",
        "magicqueue worker tasks:handle -q critical -q default",
        "magicqueue worker app:tasks -p 4",
        "magicqueue worker app",
    ),
)
@click.argument("handler", metavar="MODULE[:HANDLER]")
@click.option(
    "-q",
    "--queue",
    "queues",
    type=QUEUE,
    multiple=True,
    help="The queue to work on; several are tried as they are given. Of Tasks also none: it"
    " is all of theirs then.",
)
@click.option(
    "--turns",
    is_flag=True,
    help="Of several queues, each comes first in its turn; one that is given twice, twice"
    " as often.",
)
@click.option(
    "-c",
    "--concurrency",
    type=whole(1),
    help="Handlers under way at once, in each process. [default: 50 async, 8 plain]",
)
@click.option(
    "-p",
    "--processes",
    type=whole(1, _PROCESSES_MAX),
    default=1,
    show_default=True,
    help="Processes; more than one use more than one CPU.",
)
@click.option(
    "--pool",
    type=whole(1, _PROCESSES_MAX),
    help="Processes for tasks that are declared with process=True, of each of -p."
    " [default: as many as there are CPUs]",
)
@click.option(
    "--inline/--threads",
    default=False,
    help="Run plain handlers one after the other, or in threads. [default: threads]",
)
@click.option(
    "--batch-size",
    type=whole(1),
    default=BATCH_SIZE,
    show_default=True,
    help="Jobs asked for at once, at most.",
)
@click.option(
    "--prefetch",
    type=kind("number", _prefetch),
    default=_BY_MEASURE,
    help="Jobs held beyond those that run. [default: auto, which is none but for handlers"
    " of a few ms]",
)
@click.option(
    "--lease",
    type=SPAN,
    default=LEASE_S,
    callback=_above_zero,
    help="How soon a job goes elsewhere when this process is gone without a word, or"
    " stopped as a whole. A handler that hangs keeps its job: see --time-limit."
    " [default: 30s]",
)
@click.option(
    "--time-limit",
    type=SPAN,
    callback=_above_zero,
    help="How long a handler may run; then its job fails. An async handler is cancelled."
    " A plain one cannot be: its thread is replaced, or with --inline its process."
    " [default: none]",
)
@click.option(
    "--grace",
    type=SPAN,
    default=GRACE_S,
    help="How long a stop lets handlers finish; then their jobs go back. [default: 30s]",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    show_default=True,
    help="What is logged, to standard error: at info each job that is done (up to 100 a"
    " second, the others as a number), at debug all.",
)
@click.option(
    "--log-format",
    type=click.Choice(("text", "json")),
    help="How it is logged; json is the same as --json. [default: text]",
)
@click.option(
    "--max-jobs",
    type=whole(1),
    help="Replace a process when it has run so many jobs, or a few more. [default: never]",
)
@click.option(
    "--max-memory",
    type=kind("size", _size),
    help="Replace a process when it holds so much memory, such as 500M. [default: never]",
)
@click.option(
    "--reload",
    is_flag=True,
    help="Start anew when a Python file below the current folder changes: to develop with.",
)
@click.option(
    "--health-file",
    metavar="FILE",
    help="Touch this file every 2 s while all is well, for probes to look at its age.",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=_place,
    help="Tell Prometheus how long handlers run, at /metrics there. HOST is 127.0.0.1 if"
    " none is given.",
)
@url_option
@timeout_option
@json_option
def worker(  # noqa: PLR0913 - one for each option
    handler: str,
    *,
    queues: tuple[str, ...],
    turns: bool,
    concurrency: int | None,
    processes: int,
    pool: int | None,
    inline: bool,
    batch_size: int,
    prefetch: int | None,
    lease: float,
    time_limit: float | None,
    grace: float,
    log_level: str,
    log_format: str | None,
    max_jobs: int | None,
    max_memory: int | None,
    reload: bool,
    health_file: str | None,
    metrics: str | None,
    url: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Run HANDLER of MODULE on each job of a queue.

    The module is looked for in the current directory first. A handler takes a job; what
    it raises fails the job, which is tried again later. It may be an async def, or a Tasks
    object, whose tasks are run then. A MODULE alone means all Tasks in it, and, of a
    package, in its modules called tasks.

    Ctrl-C or SIGTERM: it takes no more jobs, finishes those that run, gives back what it
    has not begun, and exits with 0; a second one ends it at once. It waits for a server.
    """
    _refuse_what_cannot_be(inline=inline, concurrency=concurrency)
    plan = WorkerPlan(
        handler=handler,
        folder=str(Path.cwd()),
        queues=queues,
        turns=turns,
        url=url or os.environ.get("MAGICQUEUE_URL"),
        concurrency=concurrency,
        inline=inline,
        pool=pool,
        batch_size=batch_size,
        prefetch=prefetch,
        lease_s=lease,
        time_limit_s=time_limit,
        grace_s=grace,
        timeout_s=timeout or commands.TIMEOUT_S,
        log_level=log_level,
        log_json=as_json or log_format == "json",
        max_jobs=max_jobs,
        max_memory=max_memory,
        reload=reload,
        health_file=health_file,
        measures=metrics is not None,
    )
    click.get_current_context().exit(_work(plan, processes, metrics))


def _refuse_what_cannot_be(*, inline: bool, concurrency: int | None) -> None:
    if getattr(sys, "frozen", False):
        raise click.UsageError(_NO_PYTHON_OF_YOURS.format(" ".join(sys.argv[2:])))
    if inline and concurrency is not None:
        raise click.UsageError("--inline runs one handler at a time: leave out -c")


def _work(plan: WorkerPlan, processes: int, metrics: str | None) -> int:
    """Work in this process, or in others; gives the exit code."""
    work_below_first_process()
    told = None
    if metrics is not None:
        from magicqueue.cli.worker_metrics import WorkerMetrics  # noqa: PLC0415 - slow

        told = WorkerMetrics(metrics)
    try:
        if processes == 1 and not plan.replaces_processes:
            times = JobTimes()
            if told is not None:
                told.tell = lambda: (times, 1)
            return work_here(plan, times)
        from magicqueue.cli.supervisor import Supervisor  # noqa: PLC0415 - slow

        supervisor = Supervisor(plan, processes)
        if told is not None:
            told.tell = supervisor.times
        return supervisor.run()
    except HandlerNotFound as error:
        note(f"magicqueue: {error}")
        return EXIT_USAGE
    finally:
        if told is not None:
            told.close()
