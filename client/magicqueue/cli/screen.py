"""Writing to people and to programs: tables, names with values, jobs as JSON.

A terminal gets tables that fit it: ids and counts are never cut, texts are shortened, and
where that is not enough, the columns that matter least are left out and named. A file or
pipe gets plain aligned columns, never cut, so that grep and awk work on them, and so does a
terminal without rich, which the extra `cli` installs. All text is
made harmless here, whoever it is from. NO_COLOR and TERM=dumb mean not one escape sequence.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, Final
from unicodedata import combining, east_asian_width

import click
import msgspec

from magicqueue.command_line import is_styled, many, note, say, write_json
from magicqueue.job import Job, JobDetails
from magicqueue.plain_text import plain
from magicqueue.wire.replies import JobDetail, JobInfo, JobOut

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Column",
    "console",
    "details",
    "draws",
    "is_terminal",
    "job_fields",
    "job_json",
    "many",
    "note",
    "number",
    "rich_table",
    "say",
    "text",
    "write_json",
    "write_pairs",
    "write_table",
]

_GAP: Final = 3
"""Cells between two columns of a table on a terminal."""
_TEXT_CELLS: Final = 12
"""A text is not made shorter than this to make room."""

_job_out: Final = msgspec.json.Decoder(JobOut).decode
_job_info: Final = msgspec.json.Decoder(JobInfo).decode
_OF_AN_END: Final = ("id", "queue", "state", "attempts", "result", "finished_at")
_UNTOLD: Final[dict[str, Any]] = {
    "unique_key": None,
    "group": None,
    "expires_at": None,
    "timeout": None,
    "attempt_until": None,
    "keep_result": 0,
    "cancelled": False,
    "progress": None,
    "parents": [],
    "on_parent_failure": None,
    "waits_for": 0,
    "children": [],
    "finished_at": None,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    least: how far its text may be shortened, in cells; None: not at all. leaves: where
    there is no room, the column with the highest goes first, and 0 stays.
    """

    heading: str
    right: bool = False
    least: int | None = None
    leaves: int = 0


def number(heading: str, leaves: int = 0) -> Column:
    """Make a column of ids or counts, which are never cut."""
    return Column(heading, right=True, leaves=leaves)


def text(heading: str, leaves: int = 0, least: int = _TEXT_CELLS) -> Column:
    """Make a column of texts, which may be shortened."""
    return Column(heading, least=least, leaves=leaves)


def is_terminal() -> bool:
    """Whether a person may be reading the output, and tables can be drawn."""
    return sys.stdout.isatty() and _has_rich()


def draws(stream: IO[Any]) -> bool:
    """Whether a picture may be drawn there, and again in its place."""
    return is_styled(stream) and _has_rich()


def _has_rich() -> bool:
    """Whether rich is installed: without it, a terminal gets what a file gets."""
    return find_spec("rich") is not None


def console(*, err: bool = False) -> "Console":
    """Make a rich console."""
    from rich.console import Console  # noqa: PLC0415 - slow

    styled = is_styled(sys.stderr if err else sys.stdout)
    return Console(
        stderr=err,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=styled,
        no_color=not styled,
    )


def write_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write rows below headings."""
    rows = [[plain(cell) for cell in row] for row in rows]
    if is_terminal():
        out = console()
        table, left_out = rich_table(columns, rows, out.width)
        out.print(table)
        if left_out:
            say(f"(no room for: {', '.join(left_out)})")
        return
    widths = _natural_widths(columns, rows)
    for row in ([column.heading for column in columns], *rows):
        cells = [
            cell + " " * (width - _cells(cell)) if not column.right else cell.rjust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        say("  ".join(cells).rstrip())


def rich_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple["Table", list[str]]:
    """Make a table for a terminal, and name the columns it has no room for."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow
    from rich.table import Table  # noqa: PLC0415 - slow
    from rich.text import Text  # noqa: PLC0415 - slow

    shown = _fitted(columns, _natural_widths(columns, rows), width)
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 1),
        header_style="bold",
    )
    for index, cells in shown.items():
        column = columns[index]
        table.add_column(
            Text(column.heading),
            justify="right" if column.right else "left",
            width=cells,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(plain(row[index])) for index in shown))
    left_out = [c.heading for index, c in enumerate(columns) if index not in shown]
    return table, left_out


def _fitted(columns: Sequence[Column], widths: Sequence[int], room: int) -> dict[int, int]:
    """Give the columns to show, by their place, with their widths."""
    shown = dict(enumerate(widths))
    while True:
        over = sum(shown.values()) + _GAP * (len(shown) - 1) - room
        spare = {
            index: shown[index] - least
            for index in shown
            if (least := columns[index].least) is not None and shown[index] > least
        }
        if sum(spare.values()) >= over:
            break
        goes = max(shown, key=lambda index: columns[index].leaves)
        if not columns[goes].leaves:
            break
        del shown[goes]
    while over > 0 and spare:
        widest = max(spare, key=lambda index: shown[index])
        shown[widest] -= 1
        spare[widest] -= 1
        over -= 1
        if not spare[widest]:
            del spare[widest]
    return shown


def _natural_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([len(column.heading), *(_cells(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]


def _cells(line: str) -> int:
    """Give how wide a line is on a terminal."""
    if line.isascii():
        return len(line)
    return sum(
        2 if east_asian_width(char) in "WF" else not combining(char) for char in line
    )


def write_pairs(pairs: Iterable[tuple[str, str | list[str]]]) -> None:
    """Write names and values, one a line; further lines of a value are indented."""
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    styled = is_styled(sys.stdout)
    for name, value in pairs:
        label = name.ljust(width)
        first, *more = [value] if isinstance(value, str) else value
        shown = click.style(label, dim=True) if styled else label
        click.echo(f"{shown}  {plain(first)}")
        for line in more:
            say(f"{'':{width}}  {line}".rstrip())


def job_json(job: Job) -> JobOut:
    """Give a pulled job as the protocol writes it, its data as it was pushed."""
    return _job_out(msgspec.json.encode(job))


def details(job: JobDetails) -> JobInfo:
    """Give a job as the protocol writes it: its times are milliseconds, however large."""
    return _job_info(msgspec.json.encode(job))


def job_fields(job: JobDetails) -> dict[str, Any]:
    """Give what is known of a job, for JSON: what it does not have is left out."""
    info = details(job)
    fields = msgspec.structs.asdict(info)
    if info.finished_at is not None:
        return {name: fields[name] for name in _OF_AN_END}
    told = {name: fields[name] for name in JobDetail.__struct_fields__}
    return told | {name: fields[name] for name, no in _UNTOLD.items() if fields[name] != no}
