"""`magicqueue limit` and `throttle`: how many jobs of a queue are handed out."""

import contextlib
import re
from typing import Any, Final

import click

from magicqueue.cli.options import QUEUE, SPAN, Session, kind, manual, whole, with_session
from magicqueue.cli.phrases import span, when
from magicqueue.cli.screen import say, write_json
from magicqueue.command_line import Command
from magicqueue.limits import GroupLimits, Rate
from magicqueue.spans import span_ms
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.replies import QueueLimits
from magicqueue.wire.requests import RateLimit

_MOST: Final = 10**9
_NONE: Final = "none"
_RATE: Final = re.compile(r"([0-9]+)\s*/\s*(.+)")


def _rate(text: str) -> Rate | str:
    """Read "100/m", "5/s" or "20/1h30m"; "none" is no rate."""
    if text == _NONE:
        return _NONE
    found = _RATE.fullmatch(text.strip())
    per_ms = 0
    if found is not None:
        per = found[2] if found[2][:1].isdigit() else f"1{found[2]}"
        with contextlib.suppress(ValueError):
            per_ms = span_ms(per, plain_ms=1000)
    if found is None or not per_ms or not 1 <= int(found[1]) <= _MOST:
        raise click.BadParameter(
            f"{text!r} is no rate: write it as 100/m, 5/s or 20/1h30m, or none"
        )
    return Rate(int(found[1]), per_ms / 1000)


def _concurrency(text: str) -> int | str:
    """Read a number of jobs; "none" is no bound."""
    return _NONE if text == _NONE else whole(1, _MOST).convert(text, None, None)


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue limit api --concurrency 10 --rate 100/m",
        "magicqueue limit api --rate 5/s --burst 1",
        "magicqueue limit api --rate none",
        "magicqueue limit api",
    ),
)
@click.argument("queue", type=QUEUE)
@click.option(
    "-c",
    "--concurrency",
    type=kind("number", _concurrency),
    help="At most so many jobs at work at once; none: no bound.",
)
@click.option(
    "-r",
    "--rate",
    type=kind("rate", _rate),
    help="So many jobs in a time, such as 100/m; none: no rate.",
)
@click.option(
    "--burst",
    type=whole(1, _MOST),
    help="Of a rate: so many at once, after a pause. [default: all of a time's]",
)
@click.option(
    "--group-concurrency",
    type=kind("number", _concurrency),
    help="The same of each single group of QUEUE's jobs.",
)
@click.option(
    "--group-rate",
    type=kind("rate", _rate),
    help="The same of each single group; its burst is all of a time's.",
)
@with_session
def limit(session: Session, queue: str, *, burst: int | None, **given: Any) -> None:
    """Limit QUEUE, or tell its limits.

    What is not given stays as it is. Jobs beyond a limit wait in their order, also after a
    restart of the server; nothing that is under way is taken back.
    """
    changes = {
        name: None if value == _NONE else value
        for name, value in given.items()
        if value is not None
    }
    if burst is not None:
        rate = changes.get("rate")
        if rate is None:
            raise click.UsageError("--burst is of a rate: give --rate, too")
        changes["rate"] = Rate(rate.jobs, rate.per, burst)
    with session.queue(queue) as client:
        limits = client.limit(**_with_group(client, changes))
        throttled_until = client.stats().throttled_until
    if session.json:
        told = {"concurrency": limits.concurrency, "rate": limits.rate}
        write_json(
            {
                "queue": queue,
                **told,
                "group": limits.group,
                "throttled_until": throttled_until,
            }
        )
        return
    say(f"{queue}: {_phrase(limits)}")
    if throttled_until is not None:
        say(f"{queue} is throttled: its next jobs come {when(throttled_until)}")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue throttle api 30s",
        "magicqueue throttle api 0",
        "magicqueue throttle api --group acme 1h",
    ),
)
@click.argument("queue", type=QUEUE)
@click.argument("for_", metavar="SPAN", type=SPAN)
@click.option("--group", metavar="NAME", help="Only jobs of this group.")
@with_session
def throttle(session: Session, queue: str, for_: float, group: str | None) -> None:
    """Hand out no jobs of QUEUE for a while; 0 ends that.

    Jobs under way go on. Of several such times the later end holds.
    """
    with session.queue(queue) as client:
        until_s = client.throttle(for_, group)
    until_ms = None if until_s is None else round(until_s * 1000)
    whom = queue if group is None else f"{group} of {queue}"
    if session.json:
        told = {} if group is None else {"group": group}
        write_json({"queue": queue, **told, "throttled_until": until_ms})
    elif until_ms is None:
        say(f"{whom} is not throttled")
    else:
        say(f"throttled {whom}: its next jobs come {when(until_ms)}")


def _with_group(client: SyncQueue, changes: dict[str, Any]) -> dict[str, Any]:
    """Make one limit of a group's of what was said of groups, and what there is."""
    of_group = {
        name.removeprefix("group_"): changes.pop(name)
        for name in ("group_concurrency", "group_rate")
        if name in changes
    }
    if not of_group:
        return changes
    before = client.limit().group
    if before is not None:
        of_group.setdefault("concurrency", before.concurrency)
        rate = before.rate
        if rate is not None:
            of_group.setdefault("rate", Rate(rate.jobs, rate.per / 1000, rate.burst))
    if of_group.get("concurrency") is None and of_group.get("rate") is None:
        return {**changes, "group": None}
    return {**changes, "group": GroupLimits(**of_group)}


def _phrase(limits: QueueLimits) -> str:
    parts = _parts(limits.concurrency, limits.rate)
    if limits.group is not None:
        of_group = _parts(limits.group.concurrency, limits.group.rate)
        parts.append(f"of each group {' and '.join(of_group)}")
    return ", ".join(parts) or "no limits"


def _parts(concurrency: int | None, rate: RateLimit | None) -> list[str]:
    parts = []
    if concurrency is not None:
        parts.append(f"up to {concurrency:,} at work")
    if rate is not None:
        burst = (
            "" if rate.burst in {None, rate.jobs} else f" (up to {rate.burst:,} at once)"
        )
        parts.append(f"{rate.jobs:,} in {span(rate.per / 1000)}{burst}")
    return parts
