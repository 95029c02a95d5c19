"""Crons as the client has them: jobs that come again and again.

Their names are the server's, not a queue's: one that is asked for again under its name is
the same cron, and nothing changes where the same is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from magicqueue.arguments import whole_number
from magicqueue.browse_commands import PAGE_BYTES
from magicqueue.commands import with_rid
from magicqueue.durations import Duration, Moment, datetime_of, duration_ms, moment_ms
from magicqueue.encoding import json_of
from magicqueue.job import NULL, Count, Id, decode, optional_datetime
from magicqueue.job_options import NO_OPTIONS, JobOptions, needs_of, tail_of
from magicqueue.protocol import Command
from magicqueue.readers import decoder, done
from magicqueue.refusals import Line
from magicqueue.wire import requests
from magicqueue.wire.limits import CRON_RUNS_MAX, LIST_PAGE
from magicqueue.wire.replies import CronReply, CronTicks
from magicqueue.wire.values import Missed, Overlap

CRON: Final = "cron"
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])


class CronOptions(JobOptions, total=False):
    """The options of `cron`: when, what of ticks that cannot be, and the jobs' JobOptions.

    every: instead of a schedule, so often, at multiples of it since 1970 (plus offset), so
    that nothing shifts them. tz: the zone of a schedule, such as "Europe/Berlin" (UTC).
    start, end: no tick before or after. limit: so many jobs at most. spread: each job runs
    up to that long after its tick, always the same for a name and tick.

    missed: of ticks at which no server ran, or the cron was paused, the latest fires
    ("one"), none ("skip") or all ("all"), if it is not older than catchup (a day).
    overlap: drop a tick while a job of before is there ("skip"), or not ("allow").
    """

    every: Duration | None
    offset: Duration | None
    tz: str | None
    start: Moment | None
    end: Moment | None
    limit: int | None
    spread: Duration | None
    missed: Missed
    catchup: Duration | None
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class CronSet:
    """What became of a cron that was asked for, and its next runs (UTC), soonest first."""

    created: bool
    changed: bool
    next_runs: list[datetime]

    @property
    def next_run(self) -> datetime | None:
        """Its next run (UTC), None if none is to come."""
        return self.next_runs[0] if self.next_runs else None


class CronDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A cron: what was asked for, and how far it is; times in milliseconds since 1970."""

    name: str
    queue: str
    _data: Raw = msgspec.field(name="data", default=NULL)
    schedule: str | None = None
    every_ms: Count | None = msgspec.field(name="every", default=None)
    offset_ms: Count = msgspec.field(name="offset", default=0)
    tz: str | None = None
    start_ms: Count | None = msgspec.field(name="start", default=None)
    end_ms: Count | None = msgspec.field(name="end", default=None)
    limit: Count | None = None
    spread_ms: Count = msgspec.field(name="spread", default=0)
    missed: str
    catchup_ms: Count = msgspec.field(name="catchup")
    overlap: str
    priority: int = 0
    paused: bool
    next_run_ms: Count | None = msgspec.field(name="next_run", default=None)
    next_runs_ms: list[Count] = msgspec.field(name="next_runs", default_factory=list)
    trouble: str | None = None
    """Why it does not tick, where its schedule is not known to the server any more."""
    last_tick_ms: Count | None = msgspec.field(name="last_tick", default=None)
    last_job: Id | None = None
    live: Count
    """Its jobs that are neither done nor dead."""
    ticks: CronTicks
    """What became of its ticks: how many fired, were skipped, missed, refused."""
    source: str
    """`client`, or `file`: the server's configuration."""

    @property
    def data(self) -> Any:
        """The data of its jobs."""
        return decode(self._data)

    @property
    def raw(self) -> bytes:
        """The data of its jobs, as JSON."""
        return bytes(self._data)

    @property
    def next_run(self) -> datetime | None:
        """Its next run (UTC), None if none is to come."""
        return optional_datetime(self.next_run_ms)

    @property
    def next_runs(self) -> list[datetime]:
        """Its next runs (UTC), where they were asked for."""
        return [datetime_of(run_ms) for run_ms in self.next_runs_ms]

    @property
    def last_tick(self) -> datetime | None:
        """Its last tick that came (UTC)."""
        return optional_datetime(self.last_tick_ms)


class CronsPage(msgspec.Struct, frozen=True):
    """Some crons, by name; `next` continues the listing, None at the end."""

    crons: list[CronDetails]
    next: str | None = None


class _Ran(msgspec.Struct):
    id: Id


_set: Final = decoder(CronReply)
_ran: Final = decoder(_Ran)
_page: Final = decoder(CronsPage)


def cron(
    queue: str, name: str, schedule: str | None, data: Any, options: CronOptions
) -> Command[CronSet]:
    """Have a cron be so."""
    given: dict[str, Any] = dict(options)
    times = {field: given.pop(field) for field in TIMES if field in given}
    for field in ("delay", "run_at"):
        if given.get(field) is not None:
            raise ValueError(f"{field} is for one push: a cron's jobs come at its ticks")
    tail = tail_of(given)  # type: ignore[arg-type]  # what is left are those
    of_jobs = {} if tail == NO_OPTIONS else _FIELDS.decode(b"{" + tail[1:])
    return with_rid(
        requests.Cron(
            name=_word(name, "name"),
            queue=queue,
            schedule=None if schedule is None else _word(schedule, "schedule"),
            data=Raw(json_of(data)),
            **_times(times),
            **of_jobs,
        ),
        _was_set,
        needs=(CRON, *needs_of(tail)),
        repeat=True,
    )


def crons(after: str | None) -> Command[CronsPage]:
    """List a page of crons."""
    request = requests.CronList(count=LIST_PAGE, after=after)
    return _listing(request, lambda page: _check_page(page, after))


def one_cron(name: str, runs: int) -> Command[CronsPage]:
    """Look one up, with so many of its next runs."""
    request = requests.CronList(
        name=_word(name, "name"), runs=whole_number(runs, "runs", 1, CRON_RUNS_MAX)
    )
    return _listing(request, lambda page: _check_one(page, name))


def delete_cron(name: str) -> Command[None]:
    """Forget a cron."""
    return with_rid(requests.CronDelete(name=_word(name, "name")), done, needs=(CRON,))


def pause_cron(name: str) -> Command[datetime | None]:
    """Let a cron push no more jobs."""
    request = requests.CronPause(name=_word(name, "name"))
    return with_rid(request, _next_run, needs=(CRON,), repeat=True)


def resume_cron(name: str) -> Command[datetime | None]:
    """Let it push them again; gives its next run."""
    request = requests.CronResume(name=_word(name, "name"))
    return with_rid(request, _next_run, needs=(CRON,), repeat=True)


def run_cron(name: str) -> Command[int]:
    """Push a job of a cron now; gives its id."""
    request = requests.CronRun(name=_word(name, "name"))
    return with_rid(request, lambda line: _ran(line).id, needs=(CRON,))


TIMES: Final = tuple(
    name for name in CronOptions.__annotations__ if name not in JobOptions.__annotations__
)
"""The options that say when, and what of ticks that cannot be."""


def _times(times: dict[str, Any]) -> dict[str, Any]:
    """Check and convert what says when."""
    fields: dict[str, Any] = {}
    for name, value in times.items():
        if value is None:
            continue
        if name in {"start", "end"}:
            fields[name] = moment_ms(value, name)
        elif name == "limit":
            fields[name] = whole_number(value, name)
        elif name in {"tz", "missed", "overlap"}:
            fields[name] = _word(value, name)
        else:
            least_ms = 1 if name == "every" else 0
            fields[name] = duration_ms(value, name, least_ms=least_ms)
    return fields


def _word(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    return value


def _listing(
    request: requests.CronList, check: Callable[[CronsPage], None]
) -> Command[CronsPage]:
    def read(line: Line) -> CronsPage:
        page = _page(line)
        check(page)
        return page

    return with_rid(
        request, read, needs=(CRON,), repeat=True, reply_bytes=PAGE_BYTES, holds_data=True
    )


def _was_set(line: Line) -> CronSet:
    reply = _set(line)
    return CronSet(reply.created, reply.changed, list(map(datetime_of, reply.next_runs)))


def _next_run(line: Line) -> datetime | None:
    return optional_datetime(_set(line).next_run)


def _check_page(page: CronsPage, after: str | None) -> None:
    names = [one.name for one in page.crons]
    if names != sorted(set(names)) or (after is not None and names and names[0] <= after):
        raise ValueError("its crons are not in order")
    if page.next is not None and names[-1:] != [page.next]:
        raise ValueError("its listing does not go on")


def _check_one(page: CronsPage, name: str) -> None:
    if [one.name for one in page.crons] != [name]:
        raise ValueError("it is not about that cron")
