"""`magicqueue stats` and `queues`: count jobs, once or again and again (--watch).

The counts have the names that the protocol gives them. On a terminal that may be drawn on,
a watch is one picture that changes; else it is lines, or tables, one after the other.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import click

from magicqueue.cli import interrupts
from magicqueue.cli.options import QUEUE, SPAN, Session, manual, wait_s, with_session
from magicqueue.cli.phrases import count, rate, span
from magicqueue.cli.screen import (
    Column,
    console,
    draws,
    many,
    number,
    rich_table,
    say,
    text,
    write_json,
    write_pairs,
    write_table,
)
from magicqueue.command_line import Command
from magicqueue.plain_text import plain
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.replies import Counts, QueueCounts, ServerCounts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

T = TypeVar("T")

_RATED: Final = ("pushed", "completed", "failed")
_STATS_COLUMNS: Final = (Column(""), number("now"), number("per second"))
_TOTALS: Final = ("pushed", "completed", "failed", "lost", "released")
_RARE_TOTALS: Final = ("cancelled", "expired", "duplicates")
"""Shown where there are any."""
_QUEUES_COLUMNS: Final = (
    text("queue", least=20),
    number("queued"),
    number("processing", leaves=2),
    number("delayed", leaves=1),
    number("dead"),
    number("oldest", leaves=3),
    number("completed", leaves=5),
    number("failed", leaves=4),
)
_BLOCKED_AT: Final = 4
"""Where a column for the blocked comes, if there are any."""
_PAUSE_S_LEAST: Final = 0.05

_watch_option = click.option(
    "-w", "--watch", is_flag=True, help="Look again and again, until Ctrl-C."
)
_interval_option = click.option(
    "-i",
    "--interval",
    type=SPAN,
    default=1.0,
    help="The span between two looks. [default: 1s]",
)


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue stats emails",
        "magicqueue stats --watch --interval 5s",
        "magicqueue stats --json | jq .queued",
    ),
)
@click.argument("queue", type=QUEUE, required=False)
@_watch_option
@_interval_option
@with_session
def stats(session: Session, queue: str | None, *, watch: bool, interval: float) -> None:
    """Count the jobs of QUEUE, or of the whole server.

    Jobs are queued (ready to be pulled), processing (pulled, not settled), delayed (until
    their time, or to be tried again) or dead. The others are totals since the server's
    start.
    """
    with session.queue(queue or "any") as client:
        if watch:
            _watch_stats(session, client, queue, max(wait_s(interval), _PAUSE_S_LEAST))
            return
        counts = _counts(client, queue)
        if session.json:
            write_json(counts)
        elif queue is not None and _is_unknown(client, queue, counts):
            say(
                f"{session.address} knows no queue {queue}: nobody has used it"
                " (`magicqueue queues` lists those there are)"
            )
        else:
            say(f"{queue or 'all queues'} at {session.address}")
            write_pairs(_pairs(counts))


@click.command(
    cls=Command,
    epilog=manual("magicqueue queues", "magicqueue queues --watch --interval 5s"),
)
@_watch_option
@_interval_option
@with_session
def queues(session: Session, *, watch: bool, interval: float) -> None:
    """List the queues with their counts.

    Jobs are queued (ready to be pulled), processing (pulled, not settled), delayed,
    blocked (until others are done) or dead; oldest is how long the first of the queued has
    been waiting; completed and failed are totals since the server's start.
    """
    with session.queue() as client:
        if watch:
            _watch_queues(session, client, max(wait_s(interval), _PAUSE_S_LEAST))
            return
        found = _by_name(client)
    if session.json:
        write_json(found)
    elif found:
        write_table(*_queues_table(found))
    else:
        say("there are no queues yet: the first push makes one")


def _counts(client: SyncQueue, queue: str | None) -> Counts:
    return client.stats() if queue is not None else client.server_stats()


def _is_unknown(client: SyncQueue, queue: str, counts: Counts) -> bool:
    """Whether zeros are those of a queue that is not there."""
    used = counts.queued or counts.processing or counts.delayed or counts.dead
    used = used or counts.blocked
    if used or counts.pushed or counts.completed or counts.failed or counts.paused:
        return False
    return all(known.name != queue for known in client.queues())


def _by_name(client: SyncQueue) -> list[QueueCounts]:
    return sorted(client.queues(), key=lambda counts: counts.name)


def _queues_table(
    found: Sequence[QueueCounts],
) -> tuple[Sequence[Column], list[tuple[str, ...]]]:
    columns, rows = list(_QUEUES_COLUMNS), _queue_rows(found)
    if any(counts.blocked for counts in found):
        columns.insert(_BLOCKED_AT, number("blocked", leaves=1))
        for row, counts in zip(rows, found, strict=True):
            row.insert(_BLOCKED_AT, count(counts.blocked))
    return columns, [tuple(row) for row in rows]


def _queue_rows(found: Sequence[QueueCounts]) -> list[list[str]]:
    return [
        [
            counts.name + ("  (paused)" if counts.paused else ""),
            count(counts.queued),
            count(counts.processing),
            count(counts.delayed),
            count(counts.dead),
            span(counts.oldest_ready_ms / 1000) if counts.queued else "-",
            count(counts.completed),
            count(counts.failed),
        ]
        for counts in found
    ]


def _pairs(counts: Counts) -> list[tuple[str, str | list[str]]]:
    waits = span(counts.oldest_ready_ms / 1000)
    oldest = f"   (the oldest has waited {waits})" if counts.queued else ""
    pairs: list[tuple[str, str | list[str]]] = [
        ("queued", count(counts.queued) + oldest),
        ("processing", count(counts.processing)),
        ("delayed", count(counts.delayed)),
        ("dead", count(counts.dead)),
    ]
    if counts.blocked:
        pairs.insert(3, ("blocked", f"{count(counts.blocked)}, until others are done"))
    if isinstance(counts, ServerCounts):
        pairs += [
            ("queues", f"{count(counts.queues)}, {count(int(counts.paused))} paused"),
            ("workers", f"{count(counts.waiting)} waiting for jobs"),
            ("connections", count(counts.connections)),
            ("memory", f"{count(counts.memory_bytes)} bytes of jobs"),
            ("up for", span(counts.uptime_ms / 1000)),
        ]
    else:
        pairs.append(("paused", "yes" if counts.paused else "no"))
    totals = [(name, getattr(counts, name)) for name in _TOTALS + _RARE_TOTALS]
    return pairs + [
        (name, count(total)) for name, total in totals if total or name in _TOTALS
    ]


def _watch_stats(
    session: Session, client: SyncQueue, queue: str | None, pause_s: float
) -> None:
    looks = _with_rates(_again(lambda: _counts(client, queue), pause_s))
    title = queue or "all queues"
    if session.json:
        for counts, _ in looks:
            write_json(counts)
    elif draws(sys.stdout):
        heading = f"{title} at {session.address}, every {span(pause_s)}"
        _draw(
            heading,
            looks,
            lambda look, out: rich_table(_STATS_COLUMNS, _watched(*look), out.width)[0],
        )
    else:
        for counts, rates in looks:
            say(_line(title, counts, rates))


def _watch_queues(session: Session, client: SyncQueue, pause_s: float) -> None:
    looks = _again(lambda: _by_name(client), pause_s)
    if session.json:
        for found in looks:
            write_json(found)
    elif draws(sys.stdout):
        _draw(
            f"queues at {session.address}, every {span(pause_s)}",
            looks,
            lambda look, out: rich_table(*_queues_table(look[: out.height - 4]), out.width)[
                0
            ],
        )
    else:
        for found in looks:
            say(f"{_clock()} {many(len(found), 'queue')}")
            write_table(*_queues_table(found))


def _draw(
    heading: str, looks: Iterator[T], picture: Callable[[T, "Console"], "RenderableType"]
) -> None:
    """Show each look in place of the one before."""
    from rich.console import Group  # noqa: PLC0415 - slow
    from rich.live import Live  # noqa: PLC0415 - slow
    from rich.text import Text  # noqa: PLC0415 - slow

    out = console()
    with Live(console=out, auto_refresh=False, screen=False) as live:
        for look in looks:
            above = Text(f"{plain(heading)}\n", no_wrap=True, overflow="ellipsis")
            live.update(Group(above, picture(look, out)), refresh=True)


def _again(look: Callable[[], T], pause_s: float) -> Iterator[T]:
    """Look again and again, until Ctrl-C."""
    interrupts.raise_it()
    while True:
        yield look()
        time.sleep(pause_s)


def _with_rates(
    looks: Iterator[Counts],
) -> Iterator[tuple[Counts, Sequence[float | None]]]:
    """Add the rates of `_RATED` since the look before."""
    before: Counts | None = None
    before_s = 0.0
    for counts in looks:
        now_s = time.monotonic()
        rates: list[float | None] = [None] * len(_RATED)
        if before is not None:
            rates = [
                max(0, getattr(counts, name) - getattr(before, name)) / (now_s - before_s)
                for name in _RATED
            ]
        yield counts, rates
        before, before_s = counts, now_s


def _watched(counts: Counts, rates: Sequence[float | None]) -> list[tuple[str, str, str]]:
    rows = [
        (name, count(getattr(counts, name)), "")
        for name in ("queued", "processing", "delayed", "blocked", "dead")
        if name != "blocked" or counts.blocked
    ]
    for name, value in zip(_RATED, rates, strict=True):
        per_second = "" if value is None else rate(value)
        rows.append((name, count(getattr(counts, name)), per_second))
    return rows


def _line(title: str, counts: Counts, rates: Sequence[float | None]) -> str:
    words = [
        f"{_clock()} {title}: {count(counts.queued)} queued",
        f"{count(counts.processing)} processing",
        f"{count(counts.delayed)} delayed",
        *([f"{count(counts.blocked)} blocked"] if counts.blocked else ()),
        f"{count(counts.dead)} dead",
    ]
    words += [
        f"{name} {rate(value)}"
        for name, value in zip(_RATED, rates, strict=True)
        if value is not None
    ]
    return ", ".join(words)


def _clock() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")
