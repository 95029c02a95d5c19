"""Times and spans: seconds and datetimes outside, whole milliseconds on the wire.

The public API takes a span as seconds (int or float, as `time.sleep` does) or as a
`timedelta`, and a moment as an aware `datetime` or as epoch seconds (as `time.time`
gives). This is the one place where they become the protocol's milliseconds.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from magicqueue.wire.limits import ID_MAX

Duration: TypeAlias = float | timedelta
"""A span: seconds, or a timedelta."""

Moment: TypeAlias = datetime | float
"""A point in time: an aware datetime, or seconds since 1970."""

_MS: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_LATEST_MS: Final = (_LATEST - _EPOCH) // timedelta(milliseconds=1)


def duration_ms(duration: Duration, name: str, *, least_ms: int = 0) -> int:
    """Convert a span, rounded to the nearest millisecond.

    name: the argument's name, for the error. least_ms: the shortest allowed; a span
    above 0 that would round below it becomes it. Raises TypeError or ValueError.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, bool) or not isinstance(duration, (int, float)):
        kind = type(duration).__name__
        raise TypeError(f"{name} must be seconds or a timedelta, not {kind}")
    else:
        seconds = duration
    if not math.isfinite(seconds) or not 0 <= seconds * _MS <= ID_MAX:
        raise ValueError(
            f"{name} is {duration!r}: it must be 0 seconds or more, and finite"
        )
    if not seconds and least_ms:
        raise ValueError(f"{name} is 0: it must be longer")
    return max(round(seconds * _MS), least_ms)


def moment_ms(moment: Moment, name: str) -> int:
    """Convert a point in time to epoch milliseconds, rounded to the nearest.

    Raises TypeError or ValueError, the latter also for a datetime without a time zone.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(
                f"{name} is a datetime without a time zone: give it one, as in"
                " datetime.now(UTC) or moment.astimezone()"
            )
        seconds = moment.timestamp()
    elif isinstance(moment, bool) or not isinstance(moment, (int, float)):
        kind = type(moment).__name__
        raise TypeError(f"{name} must be an aware datetime or epoch seconds, not {kind}")
    else:
        seconds = moment
    if not math.isfinite(seconds) or not 0 <= seconds * _MS <= ID_MAX:
        raise ValueError(f"{name} is {moment!r}: it must be a time from 1970 on")
    return round(seconds * _MS)


def datetime_of(epoch_ms: int) -> datetime:
    """Convert epoch milliseconds to an aware datetime in UTC.

    A datetime ends with the year 9999: a later time gives its last moment.
    """
    if epoch_ms > _LATEST_MS:
        return _LATEST
    return _EPOCH + timedelta(milliseconds=epoch_ms)
