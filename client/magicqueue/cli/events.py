"""`magicqueue events`: what happens to jobs, as it happens, until Ctrl-C."""

from datetime import datetime
from itertools import islice
from typing import Any, Final, get_args

import click
import msgspec

from magicqueue.cli.options import (
    QUEUE,
    SPAN,
    Session,
    manual,
    wait_s,
    whole,
    with_session,
)
from magicqueue.cli.phrases import count as grouped
from magicqueue.cli.phrases import jobs, rate, reason_of, short
from magicqueue.cli.screen import say, write_json
from magicqueue.command_line import Command
from magicqueue.events import RARE, Event
from magicqueue.wire.limits import EVERY_MS_MIN
from magicqueue.wire.values import EventKind

_NAME_CHARS: Final = 60
_IDS_SHOWN: Final = 5
_COUNTED: Final = ("queued", "processing", "delayed", "dead")
_RATED: Final = ("pushed", "completed", "failed")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue events",
        "magicqueue events -q emails --kind dead --kind failed",
        "magicqueue events --kind stats --every 5s",
        "magicqueue events --kind dead --json | jq -c .ids",
    ),
)
@click.option(
    "-q",
    "--queue",
    "queues",
    type=QUEUE,
    multiple=True,
    help="Of this queue only; may be given several times. [default: all]",
)
@click.option(
    "-k",
    "--kind",
    "kinds",
    type=click.Choice(get_args(EventKind)),
    metavar="KIND",  # all of them are wider than a terminal
    multiple=True,
    help=f"Of this kind; may be given several times: {', '.join(get_args(EventKind))}."
    " [default: all but stats]",
)
@click.option(
    "--every", type=SPAN, default=1.0, help="How often stats are told. [default: 1s]"
)
@click.option("-n", "--count", type=whole(1), metavar="NUMBER", help="End after so many.")
@with_session
def events(
    session: Session,
    *,
    queues: tuple[str, ...],
    kinds: tuple[EventKind, ...],
    every: float,
    count: int | None,
) -> None:
    """Print what happens to jobs, as it happens.

    Attempts that failed or were lost, jobs that are dead, were cancelled, have expired or
    were removed, queues that are paused; and stats, the counts, again and again. What was
    missed, since this was too slow or the connection was lost, is told as "dropped".
    """
    with session.queue(queues) if queues else session.queue() as client:
        found = client.events(
            kinds or RARE,
            everywhere=not queues,
            every=max(wait_s(every), EVERY_MS_MIN / 1000),
        )
        for event in islice(found, count):
            if session.json:
                write_json(_fields(event))
            else:
                say(_line(event))


def _fields(event: Event) -> dict[str, Any]:
    """Give an event as the protocol has it."""
    fields = msgspec.structs.asdict(event)
    named = {field.name: field.encode_name for field in msgspec.structs.fields(Event)}
    return {named[name]: value for name, value in fields.items() if value not in (None, [])}


def _line(event: Event) -> str:
    """Write an event in one line: when, what, of which queue, and the rest."""
    at = event.at
    moment = (datetime.now() if at is None else at.astimezone()).strftime("%H:%M:%S")  # noqa: DTZ005 - local, as people read it
    parts = [moment, f"{event.kind:<9}"]
    if event.queue is not None:
        parts.append(short(event.queue, _NAME_CHARS))
    parts += [part for part in (_about(event),) if part]
    return "  ".join(parts)


def _about(event: Event) -> str:
    if event.counts is not None:
        return _counts(event.counts, event.rates)
    if event.kind == "dropped":
        missed = "an unknown number of" if event.count is None else grouped(event.count)
        return f"{missed} events were missed"
    if event.paused is not None:
        return "paused" if event.paused else "resumed"
    about = _jobs(event.ids)
    if event.reason is not None:
        about += f": {reason_of(event.reason)}"
    return about if event.name is None else f"{short(event.name, _NAME_CHARS)}  {about}"


def _jobs(ids: list[int]) -> str:
    """Name a few jobs, and count many."""
    if len(ids) > _IDS_SHOWN:
        return f"{jobs(len(ids))} from {ids[0]} on"
    return f"{'job' if len(ids) == 1 else 'jobs'} {', '.join(map(str, ids))}"


def _counts(counts: dict[str, Any], rates: dict[str, float] | None) -> str:
    now = ", ".join(f"{name} {grouped(counts.get(name, 0))}" for name in _COUNTED)
    if rates is None:
        return now
    return f"{now}; " + ", ".join(f"{name} {rate(rates.get(name, 0))}" for name in _RATED)
