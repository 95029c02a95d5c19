"""`magicqueue ping`, `stats`, `queues` and `job`: look without touching."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import click

from magicqueue.cli import interrupts
from magicqueue.cli.options import JOB_ID, QUEUE, SPAN, Session, manual, with_session
from magicqueue.cli.phrases import count, printable, rate, short, span, state_of, when
from magicqueue.cli.screen import (
    console,
    is_terminal,
    rich_table,
    say,
    write_json,
    write_pairs,
    write_table,
)
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.replies import Counts, ServerCounts, ServerInfo

_RATED: Final = (("pushed", "pushed"), ("done", "completed"), ("failed", "failed"))
_STATS_COLUMNS: Final = [("", "left"), ("now", "right"), ("per second", "right")]
_DATA_CHARS: Final = 10_000


@click.command(
    epilog=manual("magicqueue ping", "magicqueue ping --url unix:///run/magic-queue.sock")
)
@click.option(
    "-n",
    "--count",
    "times",
    type=click.IntRange(1, 100_000),
    default=10,
    show_default=True,
    help="Ask so many times.",
)
@with_session
def ping(session: Session, *, times: int) -> None:
    """Ask whether the server is there, and how long an answer takes."""
    with session.queue() as client:
        info = client.hello()
        took = sorted(_ping_s(client) * 1000 for _ in range(times))
    best, median, worst = took[0], took[len(took) // 2], took[-1]
    if session.json:
        answer = {
            "address": str(session.address),
            "server": info.server,
            "version": info.version,
            "core": info.core,
            "persistence": info.persistence,
            "round_trip_ms": {"min": best, "median": median, "max": worst},
        }
        write_json(answer)
        return
    say(f"{session.address} answers: {_described(info)}")
    say(f"round trip {median:.2f} ms (of {times}: {best:.2f} to {worst:.2f} ms)")


@click.command(
    epilog=manual(
        "magicqueue stats emails",
        "magicqueue stats --watch --interval 5s",
        "magicqueue stats --json | jq .queued",
    )
)
@click.argument("queue", type=QUEUE, required=False)
@click.option("-w", "--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "-i",
    "--interval",
    type=SPAN,
    default=1.0,
    help="The span between two looks. [default: 1s]",
)
@with_session
def stats(session: Session, queue: str | None, *, watch: bool, interval: float) -> None:
    """Count the jobs of QUEUE, or of the whole server.

    A queue that nobody has used counts zero. Totals are since the server's start.
    """
    with session.queue(queue or "any") as client:
        if watch:
            _watch(session, client, queue, max(interval, 0.05))
        elif session.json:
            write_json(_counts(client, queue))
        else:
            counts = _counts(client, queue)
            say(f"{queue or 'all queues'} at {session.address}")
            write_pairs(_pairs(counts))


@click.command(epilog=manual("magicqueue queues", "magicqueue queues --json"))
@with_session
def queues(session: Session) -> None:
    """List the queues with their counts."""
    with session.queue() as client:
        found = sorted(client.queues(), key=lambda counts: counts.name)
    if session.json:
        write_json(found)
        return
    if not found:
        say("there are no queues yet: the first push makes one")
        return
    headings = ("ready", "active", "delayed", "dead", "oldest", "done", "failed")
    columns = [("queue", "left"), *((heading, "right") for heading in headings)]
    rows = [
        (
            counts.name + ("  (paused)" if counts.paused else ""),
            count(counts.queued),
            count(counts.processing),
            count(counts.delayed),
            count(counts.dead),
            span(counts.oldest_ready_ms / 1000) if counts.queued else "-",
            count(counts.completed),
            count(counts.failed),
        )
        for counts in found
    ]
    write_table(columns, rows)


@click.command(epilog=manual("magicqueue job 17", refused="there is no such job"))
@click.argument("job_id", metavar="ID", type=JOB_ID)
@with_session
def job(session: Session, job_id: int) -> None:
    """Show one job: where it stands, its attempts and its data.

    A job that is done leaves no trace, so it is not found any more.
    """
    with session.queue() as client:
        found = client.job(job_id)
    if session.json:
        write_json(found)
        return
    limit = count(found.max_attempts) if found.max_attempts else "no limit"
    pairs = [
        ("job", str(found.id)),
        ("queue", found.queue),
        ("state", state_of(found)),
        ("priority", str(found.priority)),
        ("pushed", when(found.created_at)),
        ("attempts", f"{found.attempts} begun, {found.failures} failed of at most {limit}"),
    ]
    if found.lost:
        pairs.append(("lost", f"{found.lost} times, with its worker"))
    if found.error is not None:
        pairs.append(("error", printable(found.error) or "(no message)"))
    pairs.append(("data", short(found.raw.decode(), _DATA_CHARS)))
    write_pairs(pairs)


def _ping_s(client: SyncQueue) -> float:
    before = time.perf_counter()
    client.ping()
    return time.perf_counter() - before


def _described(info: ServerInfo) -> str:
    return f"{info.server} {info.version}, {info.core} core, persistence {info.persistence}"


def _counts(client: SyncQueue, queue: str | None) -> Counts:
    return client.stats() if queue is not None else client.server_stats()


def _pairs(counts: Counts) -> list[tuple[str, str]]:
    waits = span(counts.oldest_ready_ms / 1000)
    oldest = f"   (the oldest waits for {waits})" if counts.queued else ""
    pairs = [
        ("ready", count(counts.queued) + oldest),
        ("active", count(counts.processing)),
        ("delayed", count(counts.delayed)),
        ("dead", count(counts.dead)),
    ]
    if isinstance(counts, ServerCounts):
        pairs += [
            ("queues", f"{count(counts.queues)}, {count(int(counts.paused))} paused"),
            ("workers", f"{count(counts.waiting)} waiting for jobs"),
            ("connections", count(counts.connections)),
            ("memory", f"{count(counts.memory_bytes)} bytes of jobs and queues"),
            ("up for", span(counts.uptime_ms / 1000)),
        ]
    else:
        pairs.append(("paused", "yes" if counts.paused else "no"))
    pairs += [
        ("pushed", count(counts.pushed)),
        ("done", count(counts.completed)),
        ("failed", count(counts.failed)),
        ("lost", count(counts.lost)),
    ]
    return pairs


def _watch(session: Session, client: SyncQueue, queue: str | None, pause_s: float) -> None:
    interrupts.raise_it()
    looks = _looks(client, queue, pause_s)
    if session.json:
        for counts, _ in looks:
            write_json(counts)
        return
    title = queue or "all queues"
    if not is_terminal():
        for counts, rates in looks:
            say(_line(title, counts, rates))
        return
    from rich.console import Group  # noqa: PLC0415 - slow
    from rich.live import Live  # noqa: PLC0415 - slow
    from rich.text import Text  # noqa: PLC0415 - slow

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        for counts, rates in looks:
            heading = Text(f"{title} at {session.address}, every {span(pause_s)}\n")
            table = rich_table(_STATS_COLUMNS, _watched(counts, rates))
            live.update(Group(heading, table), refresh=True)


def _looks(
    client: SyncQueue, queue: str | None, pause_s: float
) -> Iterator[tuple[Counts, Sequence[float | None]]]:
    """Look again and again; with the rates of `_RATED` since the look before."""
    before: Counts | None = None
    before_s = 0.0
    while True:
        counts, now_s = _counts(client, queue), time.monotonic()
        rates: list[float | None] = [None] * len(_RATED)
        if before is not None:
            rates = [
                max(0, getattr(counts, field) - getattr(before, field)) / (now_s - before_s)
                for _, field in _RATED
            ]
        yield counts, rates
        before, before_s = counts, now_s
        time.sleep(pause_s)


def _watched(counts: Counts, rates: Sequence[float | None]) -> list[tuple[str, str, str]]:
    rows = [
        ("ready", count(counts.queued), ""),
        ("active", count(counts.processing), ""),
        ("delayed", count(counts.delayed), ""),
        ("dead", count(counts.dead), ""),
    ]
    for (name, field), value in zip(_RATED, rates, strict=True):
        text = "" if value is None else rate(value)
        rows.append((name, count(getattr(counts, field)), text))
    return rows


def _line(title: str, counts: Counts, rates: Sequence[float | None]) -> str:
    now = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
    words = [
        f"{now} {title}: {count(counts.queued)} ready",
        f"{count(counts.processing)} active",
        f"{count(counts.delayed)} delayed",
        f"{count(counts.dead)} dead",
    ]
    words += [
        f"{name} {rate(value)}"
        for (name, _), value in zip(_RATED, rates, strict=True)
        if value is not None
    ]
    return ", ".join(words)
