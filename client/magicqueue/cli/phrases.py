"""Numbers, spans and times as people read them."""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from magicqueue.command_line import many
from magicqueue.errors import ConnectionRefused, MagicQueueError
from magicqueue.plain_text import plain
from magicqueue.wire.replies import JobInfo

_UNITS: Final = (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_FEW: Final = 10
_IDS_SHOWN: Final = 20
_YEAR_10000_MS: Final = 253_402_300_800_000
_YEAR_MS: Final = 31_556_952_000


def count(number: int) -> str:
    """Group digits: 1,234,567."""
    return f"{number:,}"


def jobs(number: int) -> str:
    """Write "1 job" or "1,234 jobs"."""
    return many(number, "job")


def span(seconds: float) -> str:
    """Write a span in its two largest units: "320 ms", "4 s", "2 min", "1 h 5 min"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _FEW:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for (unit, size), (smaller, smaller_size) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller_size
            more = f" {rest} {smaller}" if rest else ""
            return f"{whole // size:,} {unit}{more}"
    return f"{whole} s"


def when(moment_ms: int, now_ms: int | None = None) -> str:
    """Write a moment from now: "3 s ago", "in 2 min".

    One that no calendar of people has is a slip, so its milliseconds are given too.
    """
    if moment_ms >= _YEAR_10000_MS:
        year = 10_000 + (moment_ms - _YEAR_10000_MS) // _YEAR_MS
        return f"in the year {year:,} ({moment_ms} ms)"
    if now_ms is None:
        now_ms = time.time_ns() // 1_000_000
    seconds = (moment_ms - now_ms) / 1000
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def rate(per_second: float) -> str:
    """Write a rate: "1,234/s", "0.5/s"."""
    digits = 0 if per_second >= _FEW or per_second == int(per_second) else 1
    return f"{per_second:,.{digits}f}/s"


def short(text: str, chars_max: int) -> str:
    """Cut a text to one harmless line of at most `chars_max` characters."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def state_of(job: JobInfo) -> str:
    """Say where a job stands, with the time that matters."""
    if job.state == "delayed" and job.run_at is not None:
        return f"delayed, due {when(job.run_at)}"
    if job.state == "active" and job.lease_until is not None:
        ends = f"its lease ends {when(job.lease_until)}"
        return f"active, cancelled, {ends}" if job.cancelled else f"active, {ends}"
    if job.state == "dead" and job.died_at is not None:
        return f"dead, died {when(job.died_at)}: {reason_of(job.reason)}"
    if job.finished_at is not None:
        return f"{job.state} {when(job.finished_at)}"
    return f"blocked, until {_others(job)}" if job.state == "blocked" else job.state


def _others(job: JobInfo) -> str:
    if job.waits_for == 1:
        return "a job that it depends on is done"
    return f"{count(job.waits_for)} jobs that it depends on are done"


def reason_of(reason: str | None) -> str:
    """Say why a job is dead."""
    why = {
        "failed": "it failed too often",
        "worker_lost": "its workers were lost",
        "expired": "its time to live was over",
        "timeout": "it timed out too often",
        "parent_failed": "a job that it depends on failed",
    }
    return why.get(reason or "", reason or "")


def said_here(error: MagicQueueError) -> str:
    """Give an error's sentence, with the command line's way of naming a server."""
    if isinstance(error, ConnectionRefused):
        return (
            f"{error.fact}: start one with `magicqueue serve`, or give its address with"
            " --url or in MAGICQUEUE_URL"
        )
    return str(error)


def ids_listed(ids: Sequence[int]) -> str:
    """List the first ids, and say how many more there are."""
    more = f" and {count(len(ids) - _IDS_SHOWN)} more" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(map(str, ids[:_IDS_SHOWN])) + more
