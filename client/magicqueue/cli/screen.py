"""Writing to people and to programs: tables, lines, JSON.

A terminal gets colours and boxes from rich; a file or pipe gets plain aligned columns,
never cut, so that grep and awk work on them. rich also minds NO_COLOR.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from magicqueue.job import Job
from magicqueue.wire.replies import JobOut

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ENCODER: Final = msgspec.json.Encoder()

Column = tuple[str, str]
"""A heading, and "left" or "right"."""


def is_terminal() -> bool:
    """Whether a person may be reading the output."""
    return sys.stdout.isatty()


def console(*, err: bool = False) -> "Console":
    """Make a rich console."""
    from rich.console import Console  # noqa: PLC0415 - slow

    return Console(stderr=err, highlight=False, markup=False)


def say(text: str) -> None:
    """Write a line of the command's answer."""
    click.echo(text)


def note(text: str) -> None:
    """Write a line beside the answer, on standard error."""
    click.echo(text, err=True)


def write_json(document: Any) -> None:
    """Write one JSON document in one line."""
    click.echo(_ENCODER.encode(document))


def write_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write rows below headings."""
    rows = list(rows)
    if is_terminal():
        console().print(rich_table(columns, rows))
        return
    widths = [
        max([len(heading), *(len(row[index]) for row in rows)])
        for index, (heading, _) in enumerate(columns)
    ]
    for row in ([heading for heading, _ in columns], *rows):
        cells = [
            cell.rjust(width) if side == "right" else cell.ljust(width)
            for cell, width, (_, side) in zip(row, widths, columns, strict=True)
        ]
        say("  ".join(cells).rstrip())


def rich_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> "Table":
    """Make a table for a terminal."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow
    from rich.table import Table  # noqa: PLC0415 - slow
    from rich.text import Text  # noqa: PLC0415 - slow

    table = Table(box=SIMPLE_HEAD, show_edge=False, header_style="bold")
    for index, (heading, side) in enumerate(columns):
        table.add_column(
            heading,
            justify="right" if side == "right" else "left",
            no_wrap=index > 0,
            overflow="ellipsis" if index else "fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def write_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one a line."""
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        label = click.style(name.ljust(width), dim=True)
        say(f"{label}  {value}")


def job_json(job: Job) -> JobOut:
    """Give a pulled job as the protocol writes it, its data byte for byte."""
    return JobOut(
        id=job.id,
        queue=job.queue,
        data=msgspec.Raw(job.raw),
        priority=job.priority,
        created_at=_ms(job.created_at.timestamp()),
        run_at=_ms(job.run_at.timestamp()),
        attempts=job.attempts,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
