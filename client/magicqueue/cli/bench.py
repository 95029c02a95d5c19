"""`magicqueue bench`: push and drain against a running server, and say how fast it was.

What is measured is this client and the server together: the report says how busy this
process was, since a client that is never idle measures itself. It uses a queue of its own
and leaves no jobs behind, also after Ctrl-C.
"""

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Final

import click

from magicqueue.cli import interrupts
from magicqueue.cli.bench_load import Load, Phase, drain_jobs, push_jobs, round_trips_s
from magicqueue.cli.options import Session, manual, whole, with_session
from magicqueue.cli.phrases import count, span
from magicqueue.cli.screen import (
    Column,
    console,
    draws,
    many,
    note,
    number,
    say,
    write_json,
    write_table,
)
from magicqueue.command_line import Command

_ROUND_TRIPS: Final = 500
_BUSY: Final = 0.9


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue bench", "magicqueue bench --jobs 1000000 --batch 5000 --payload 20"
    ),
)
@click.option(
    "--jobs",
    type=whole(1, 100_000_000),
    default=200_000,
    show_default=True,
    help="How many jobs to push and drain.",
)
@click.option(
    "--batch",
    type=whole(1, 10_000),
    default=1000,
    show_default=True,
    help="Jobs in one request.",
)
@click.option(
    "--payload",
    "payload_bytes",
    type=whole(1, 1_000_000),
    default=100,
    show_default=True,
    help="Bytes of each job's data.",
)
@click.option(
    "--connections",
    type=whole(1, 1000),
    default=1,
    show_default=True,
    help="Connections used at once.",
)
@with_session
def bench(
    session: Session, *, jobs: int, batch: int, payload_bytes: int, connections: int
) -> None:
    """Measure how fast a running server takes and hands out jobs.

    It pushes jobs to a queue of its own, pulls and acks them all, and removes what is
    left. Both this client and the server take part in every figure.
    """
    queue = f"magicqueue-bench-{os.getpid()}-{secrets.token_hex(4)}"
    load = Load(session, queue, jobs, batch, payload_bytes, connections)
    with session.queue(queue) as client:
        info = client.hello()
    interrupts.raise_it()
    with _cleaned_up(session, queue), _progress(jobs) as moved:
        trips_s = round_trips_s(load, _ROUND_TRIPS)
        pushed = push_jobs(load, lambda number: moved("push", number))
        drained = drain_jobs(load, lambda number: moved("drain", number))
    phases = {"push": pushed, "drain": drained}
    if session.json:
        write_json(
            {
                "address": str(session.address),
                "core": info.core,
                "jobs": jobs,
                "batch": batch,
                "payload_bytes": payload_bytes,
                "connections": connections,
                **{name: phase.json() for name, phase in phases.items()},
                "push_round_trip_ms": {
                    "median": _percentile(trips_s, 50) * 1000,
                    "p99": _percentile(trips_s, 99) * 1000,
                },
            }
        )
        return
    over = "" if connections == 1 else f" over {connections} connections"
    say(
        f"{info.server} {info.version} at {session.address}, {info.core} core:"
        f" {many(jobs, 'job')} of {many(payload_bytes, 'byte')},"
        f" {count(batch)} a request{over}"
    )
    _write(phases, trips_s)


def _write(phases: dict[str, Phase], trips_s: list[float]) -> None:
    columns = [
        Column(""),
        number("jobs/s"),
        number("took"),
        number("request, median", leaves=2),
        number("p99", leaves=3),
        number("this client's CPU", leaves=1),
    ]
    rows = [
        (
            name,
            count(round(phase.jobs / phase.wall_s)),
            span(phase.wall_s),
            f"{_percentile(phase.requests_s, 50) * 1000:.2f} ms",
            f"{_percentile(phase.requests_s, 99) * 1000:.2f} ms",
            f"{phase.cpu_s / phase.jobs * 1e6:.2f} µs/job, {phase.busy:.0%} busy",
        )
        for name, phase in phases.items()
    ]
    write_table(columns, rows)
    median, worst = _percentile(trips_s, 50) * 1000, _percentile(trips_s, 99) * 1000
    say(f"one job pushed at a time: {median:.2f} ms median, {worst:.2f} ms p99")
    limited = [name for name, phase in phases.items() if phase.busy >= _BUSY]
    if limited:
        say(
            f"note: this client was never idle ({' and '.join(limited)}), so the server"
            " can do more: run several at once to see"
        )


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@contextlib.contextmanager
def _cleaned_up(session: Session, queue: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        note("removing the bench's jobs")
        raise
    finally:
        interrupts.end_at_once()
        with session.queue(queue) as client:
            client.drain()
            client.purge_dead()


@contextlib.contextmanager
def _progress(jobs: int) -> Iterator[Callable[[str, int], None]]:
    """Show how far it is, on a terminal; gives what to call as jobs are moved."""
    if not draws(sys.stderr):
        yield lambda _name, _number: None
        return
    from rich.progress import (  # noqa: PLC0415 - slow
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description:<5}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(err=True), transient=True) as progress:
        tasks = {name: progress.add_task(name, total=jobs) for name in ("push", "drain")}
        yield lambda name, number: progress.advance(tasks[name], number)
