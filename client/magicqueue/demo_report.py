"""What the demo shows: progress while it runs, and what happened at the end."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from magicqueue.cli.phrases import count, short
from magicqueue.cli.screen import (
    console,
    draws,
    is_terminal,
    number,
    say,
    text,
    write_pairs,
    write_table,
)
from magicqueue.job import JobDetails

_ROWS: Final = 5
_LINES_EVERY_S: Final = 1.0
_ERROR_CHARS: Final = 58
_NAME_CHARS: Final = 44

Result = dict[str, Any]
Show = Callable[[int, str], None]
"""Takes how many files are done, and a few words on the rest."""


@contextlib.contextmanager
def progress(total: int) -> Iterator[Show]:
    """Show how far it is: a bar on a terminal, else a line a second."""
    if not draws(sys.stdout):
        yield _plain_progress(total)
        return
    from rich.progress import (  # noqa: PLC0415 - slow
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("  files"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=console()) as bar:
        task = bar.add_task("files", total=total, words="")
        yield lambda done, words: bar.update(task, completed=done, words=words)


def _plain_progress(total: int) -> Show:
    said_at = [float("-inf")]

    def show(done: int, words: str) -> None:
        now = time.monotonic()
        if now - said_at[0] >= _LINES_EVERY_S or done == total:
            said_at[0] = now
            say(f"  {count(done)} of {count(total)} files, {words}")

    return show


def heading(title: str) -> None:
    """Begin a part."""
    if is_terminal():
        console().print(f"\n{title}", style="bold")
    else:
        say("")
        say(title)


def write_findings(results: Sequence[Result]) -> None:
    """Say what the jobs found in the files."""
    names: Counter[str] = Counter()
    for result in results:
        names.update(result["names"])
    used = ", ".join(f"{name} ({count(n)})" for name, n in names.most_common(8))
    write_pairs(
        [
            ("files", count(len(results))),
            ("lines", count(_sum(results, "lines"))),
            ("words", count(_sum(results, "words"))),
            ("functions", count(_sum(results, "functions"))),
            ("classes", count(_sum(results, "classes"))),
            ("names most used", used),
        ]
    )
    say("")
    longest = sorted(results, key=lambda r: r["longest_lines"], reverse=True)[:_ROWS]
    write_table(
        [text("longest functions"), number("lines"), text("file")],
        [
            (
                short(r["longest"], _NAME_CHARS),
                count(r["longest_lines"]),
                _last_part(r["name"]),
            )
            for r in longest
        ],
    )
    say("")
    write_table(
        [text("largest packages"), number("files"), number("lines")],
        _packages(results),
    )


def write_dead(letters: Iterable[JobDetails]) -> None:
    """List dead letters with their errors."""
    write_table(
        [number("job"), text("file"), number("attempts", leaves=1), text("why")],
        [
            (
                str(job.id),
                _last_part(job.data["name"]),
                str(job.attempts),
                short(job.error or "", _ERROR_CHARS),
            )
            for job in letters
        ],
    )


def _packages(results: Sequence[Result]) -> list[tuple[str, str, str]]:
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for result in results:
        files[result["package"]] += 1
        lines[result["package"]] += result["lines"]
    return [
        (package, count(files[package]), count(n))
        for package, n in lines.most_common(_ROWS)
    ]


def _sum(results: Sequence[Result], field: str) -> int:
    return sum(result[field] for result in results)


def _last_part(name: str) -> str:
    return name if len(name) <= _NAME_CHARS else f"…{name[1 - _NAME_CHARS :]}"
