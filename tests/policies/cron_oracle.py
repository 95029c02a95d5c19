"""Ticks of a cron by another way than the server's: all that there are, day by day.

A zone is cut where its offset changes; between two cuts local time runs on, so what matches
there is found by going through dates, hours and minutes. Nothing here walks from a tick to
the next one, and nothing is shared with the library that the server uses.
"""

import calendar
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

_MONTHS = (
    *("JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
MONTHS = {name: number for number, name in enumerate(_MONTHS, 1)}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
DAYS = {name: number for number, name in enumerate(_DAYS)}
HOUR = timedelta(hours=1)


def numbers(field: str, least: int, most: int, names: dict[str, int]) -> set[int]:
    """What a field without L and # stands for."""
    found = set[int]()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = least, most
        else:
            low = names.get(first, -1) if first in names else int(first)
            high = low if not dash else names.get(last, -1) if last in names else int(last)
            if step and not dash:
                high = most
        found.update(range(low, high + 1, int(step or 1)))
    return found


class Days:
    """Which dates the last three fields mean."""

    def __init__(self, dom: str, month: str, dow: str) -> None:
        self.months = numbers(month, 1, 12, MONTHS)
        self.last_day = dom.upper() == "L"
        self.doms = set[int]() if self.last_day else numbers(dom, 1, 31, {})
        self.both = dom.startswith("*") or dow.startswith("*")
        self.nth = self.last = None
        name, hash_, nth = dow.upper().partition("#")
        if hash_:
            self.nth = (DAYS.get(name, int(name) if name.isdigit() else 0) % 7, int(nth))
        elif dow.upper().endswith("L"):
            self.last = int(dow[:-1]) % 7
        self.dows = (
            set[int]()
            if self.nth or self.last is not None
            else {day % 7 for day in numbers(dow, 0, 7, DAYS)}
        )

    def match(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        length = calendar.monthrange(day.year, day.month)[1]
        by_date = day.day in self.doms or (self.last_day and day.day == length)
        weekday = day.isoweekday() % 7
        by_week = weekday in self.dows
        if self.nth is not None:
            by_week = (weekday, (day.day - 1) // 7 + 1) == self.nth
        if self.last is not None:
            by_week = weekday == self.last and day.day > length - 7
        return (by_date and by_week) if self.both else (by_date or by_week)


def changes(zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """When a zone's offset changes, to the second."""
    found, at = [], begin
    while at < end:
        following = min(at + 6 * HOUR, end)
        if at.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if middle.astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        at = following
    return found


def ticks(text: str, tz: str, begin: datetime, end: datetime) -> list[datetime]:
    """All ticks of five fields from `begin` on and before `end`, both in UTC."""
    minute, hour, dom, month, dow = text.split()
    minutes, hours = numbers(minute, 0, 59, {}), numbers(hour, 0, 23, {})
    times = sorted(product(hours, minutes))
    days = Days(dom, month, dow)
    zone = ZoneInfo(tz)
    margin = timedelta(days=3)
    cuts = changes(zone, begin - margin, end + margin)
    pieces = list(zip([begin - margin, *cuts], [*cuts, end + margin], strict=True))
    found = set[datetime]()
    if minute.startswith("*") or hour.startswith("*"):
        for start, stop in pieces:
            offset = start.astimezone(zone).utcoffset()
            assert offset is not None
            found.update(_in_piece(start, stop, offset, times, days))
    else:
        found.update(_once_a_day(pieces, zone, times, days))
    return sorted(tick for tick in found if begin <= tick < end)


def _in_piece(
    start: datetime,
    stop: datetime,
    offset: timedelta,
    times: list[tuple[int, int]],
    days: Days,
) -> list[datetime]:
    """What matches while local time runs on."""
    found = []
    day = (start + offset).date()
    while day <= (stop + offset).date():
        if days.match(day):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - offset
            for hour, minute in times:
                tick = midnight + timedelta(hours=hour, minutes=minute)
                if start <= tick < stop:
                    found.append(tick)
        day += timedelta(days=1)
    return found


def _once_a_day(
    pieces: list[tuple[datetime, datetime]],
    zone: ZoneInfo,
    times: list[tuple[int, int]],
    days: Days,
) -> list[datetime]:
    """Each local time of a matching date once: the first one, or where its gap ends."""
    found = []
    local = [
        (start + (start.astimezone(zone).utcoffset() or 0 * HOUR), start)
        for start, _ in pieces
    ]
    ends = [
        stop + (start.astimezone(zone).utcoffset() or 0 * HOUR) for start, stop in pieces
    ]
    day = local[0][0].date()
    while day <= ends[-1].date():
        if days.match(day):
            for hour, minute in times:
                wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                # The first piece that has not ended by this local time, if it has begun.
                at = bisect_left(ends, wanted + timedelta(microseconds=1))
                if at < len(local):
                    begins, start = local[at]
                    found.append(start + max(wanted - begins, 0 * HOUR))
        day += timedelta(days=1)
    return found
