"""Limits of a queue as the client has them: what may be at work, what a time may bring."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

from magicqueue.commands import with_rid
from magicqueue.durations import Duration, duration_ms
from magicqueue.job_options import checked_name
from magicqueue.protocol import Command
from magicqueue.readers import groups_page, limited, throttled
from magicqueue.refusals import Line
from magicqueue.wire import requests
from magicqueue.wire.replies import GroupCounts, QueueLimits

R = TypeVar("R")

LIMITS: Final = "limits"
GROUPS: Final = "groups"
GROUPS_PAGE: Final = 1_000
_MOST: Final = 10**9


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `jobs` `per` span (seconds, or a timedelta), and up to `burst` at once.

    burst: None is `jobs`. With 1, jobs are handed out evenly, one after the other.
    """

    jobs: int
    per: Duration = 1.0
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The limits of each single group of a queue's jobs; None is none."""

    concurrency: int | None = None
    rate: Rate | None = None


Kept: TypeAlias = UnsetType
KEPT: Final = UNSET
"""A limit that is not given stays as it is."""


def limit(
    queue: str,
    concurrency: int | Kept | None,
    rate: Rate | Kept | None,
    group: GroupLimits | Kept | None,
) -> Command[QueueLimits]:
    """Change limits, those that are given, and tell what they are then."""
    return with_rid(
        requests.Limit(
            queue=queue,
            concurrency=concurrency
            if concurrency is UNSET
            else _number(concurrency, "concurrency"),
            rate=rate if rate is UNSET else _rate(rate),
            group=group if group is UNSET else _group(group),
        ),
        limited,
        needs=(LIMITS,),
        repeat=True,
    )


def throttle(queue: str, for_ms: int, group: str | None) -> Command[int | None]:
    """Hand out nothing for a while; gives until when, None where it does."""
    if group is not None:
        checked_name(group, "group")
    return _throttle(queue, for_ms, group, throttled)


def throttle_for(queue: str, for_ms: int, group: str | None) -> Command[list[int]]:
    """Throttle a queue, or a group, as a verdict on jobs that does not settle them yet."""

    def read(line: Line) -> list[int]:
        throttled(line)
        return []

    return _throttle(queue, for_ms, group, read)


def groups(queue: str, after: str | None) -> Command[tuple[list[GroupCounts], str | None]]:
    """List a page of the groups of a queue, and where the next page begins."""
    request = requests.Groups(queue=queue, count=GROUPS_PAGE, after=after)
    return with_rid(request, groups_page, needs=(GROUPS,), repeat=True)


def _throttle(
    queue: str, for_ms: int, group: str | None, read: Callable[[Line], R]
) -> Command[R]:
    needs = (LIMITS,) if group is None else (LIMITS, GROUPS)
    request = requests.Throttle(queue=queue, for_ms=for_ms, group=group)
    return with_rid(request, read, needs=needs, repeat=True)


def _rate(rate: Rate | None) -> requests.RateLimit | None:
    if rate is None:
        return None
    if not isinstance(rate, Rate):
        raise TypeError(f"rate must be a Rate, not {type(rate).__name__}")
    jobs, burst = _number(rate.jobs, "jobs"), _number(rate.burst, "burst")
    if jobs is None:
        raise TypeError("jobs of a rate must be an integer, not None")
    return requests.RateLimit(jobs, duration_ms(rate.per, "per", least_ms=1), burst)


def _group(group: GroupLimits | None) -> requests.GroupLimit | None:
    if group is None:
        return None
    if not isinstance(group, GroupLimits):
        raise TypeError(f"group must be GroupLimits, not {type(group).__name__}")
    return requests.GroupLimit(_number(group.concurrency, "concurrency"), _rate(group.rate))


def _number(number: object, name: str) -> int | None:
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{name} must be an integer, not {type(number).__name__}")
    if not 1 <= number <= _MOST:
        raise ValueError(f"{name} is {number}: it must be 1 to {_MOST:,}")
    return number
