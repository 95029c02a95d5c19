"""Numbers, spans and times as people read them, and text that is safe to print."""

import re
from datetime import UTC, datetime
from typing import Final

from magicqueue.errors import ConnectionRefused, MagicQueueError
from magicqueue.job import JobDetails

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))
_FEW: Final = 10


def count(number: int) -> str:
    """Group digits: 1,234,567."""
    return f"{number:,}"


def jobs(number: int) -> str:
    """Write "1 job" or "1,234 jobs"."""
    return f"{number:,} job{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Write a span in its two largest units: "320 ms", "4 s", "2 min", "1 h 5 min"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _FEW:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for index, (unit, size) in enumerate(_UNITS):
        if whole >= size:
            smaller, smaller_size = (*_UNITS, ("s", 1))[index + 1]
            rest = whole % size // smaller_size
            more = f" {rest} {smaller}" if rest else ""
            return f"{whole // size} {unit}{more}"
    return f"{whole} s"


def when(moment: datetime, now: datetime | None = None) -> str:
    """Write a moment from now: "3 s ago", "in 2 min"."""
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def rate(per_second: float) -> str:
    """Write a rate: "1,234/s", "0.5/s"."""
    digits = 0 if per_second >= _FEW or per_second == int(per_second) else 1
    return f"{per_second:,.{digits}f}/s"


def printable(text: str) -> str:
    """Write control characters as escapes, so that no job can command a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def short(text: str, chars_max: int) -> str:
    """Cut a text to one line of at most `chars_max` characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def state_of(job: JobDetails) -> str:
    """Say where a job stands, with the time that matters."""
    if job.state == "delayed":
        return f"delayed, due {when(job.run_at)}"
    if job.state == "active" and job.lease_until is not None:
        return f"active, its lease ends {when(job.lease_until)}"
    if job.state == "dead" and job.died_at is not None:
        why = {"failed": "it failed too often", "worker_lost": "its workers were lost"}
        return f"dead since {when(job.died_at)}: {why.get(job.reason or '', job.reason)}"
    return job.state


def said_here(error: MagicQueueError) -> str:
    """Give an error's sentence, with the command line's way of naming a server."""
    if isinstance(error, ConnectionRefused):
        return (
            f"{error.fact}: start one with `magicqueue serve`, or give its address with"
            " --url or in MAGICQUEUE_URL"
        )
    return str(error)
