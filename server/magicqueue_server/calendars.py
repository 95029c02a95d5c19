"""Calendars: the ticks of a schedule's text in a time zone.

Texts are read and walked by cronsim, which is Debian's cron: where hour and minute are
fixed, a local time that a change of the clock skips is right after the gap, and one that
comes twice is the first; where one of them begins with a star, real time counts. cronsim
does the former for five fields only, so a text whose seconds are one number is walked as
the other five, and the seconds are added. For the latter it is asked for local time alone,
and the changes of the clock are seen to here: it goes by whole hours there, and would miss
ticks where the clock is put by half of one.

What walks forward defines the ticks. Walking back is only a guess at where to begin, since
a step back cannot tell the two times of a local time that comes twice.

The rules of time zones come from the machine or from the package `tzdata`. Both libraries
are loaded when the first cron needs them.
"""

from bisect import bisect_left
from collections import deque
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from magicqueue_cores.policies.schedules import LAST_MS, BadCron, Schedule

if TYPE_CHECKING:
    from cronsim import CronSim

TEXT_MAX: Final = 255
"""Characters that a schedule's text may have."""
_NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_SECONDS: Final = {text for number in range(60) for text in (str(number), f"{number:02}")}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = 86_400_000
_SHARED_MAX: Final = 1_000
"""Schedules that are remembered; then they are gathered anew."""


class Calendar:
    """The ticks of a text in a time zone. Raises `BadCron` if it can be none.

    Who has the same text and zone shares one of these, and with it the last answer.
    """

    def __init__(self, text: str, tz: str) -> None:
        if len(text) > TEXT_MAX:
            raise BadCron(
                f"schedule has {len(text)} characters: {TEXT_MAX} are the limit (use ranges"
                " and steps, or several crons)"
            )
        fields = _NAMES.get(text.lower(), text).split()
        if text.startswith("@") and text.lower() not in _NAMES:
            raise BadCron(f"schedule {text!r} is not one of {', '.join(_NAMES)}")
        seconds = 0
        if len(fields) == 6 and fields[0] in _SECONDS:  # noqa: PLR2004 - one more than five
            seconds = int(fields.pop(0))
        self._seconds_ms = seconds * 1000
        self._expression = " ".join(fields)
        self._zone = zone_of(tz)
        self._known = (0, 0)
        """The last answer: the tick, and from where on it is the next one."""
        wrong = _sim_error()
        try:
            self._ahead = self._walk(_EPOCH)
        except wrong as error:
            raise BadCron(
                f"schedule {text!r}: {str(error).lower()}: give minute, hour, day of month,"
                ' month and day of week, as in "30 2 * * 1-5", perhaps with seconds before'
            ) from None

    def after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment."""
        from_ms, tick_ms = self._known
        if not from_ms <= moment_ms < tick_ms:
            tick_ms = self._first(moment_ms - self._seconds_ms) + self._seconds_ms
            self._known = (moment_ms, tick_ms)
        return tick_ms if tick_ms <= LAST_MS else None

    def latest(self, from_ms: int, before_ms: int, most: int) -> list[int]:
        """Return the last ticks in a span."""
        if from_ms >= before_ms:
            return []
        begin_ms = self._guess(from_ms, before_ms, most)
        found = deque[int](maxlen=most)
        tick_ms = self.after(begin_ms - 1)
        while tick_ms is not None and tick_ms < before_ms:
            found.append(tick_ms)
            tick_ms = self.after(tick_ms)
        return list(found)

    def _guess(self, from_ms: int, before_ms: int, most: int) -> int:
        """Return a moment from which on there are so many ticks, if there are."""
        # A step more for the second time of a local hour that comes twice.
        steps, guess_ms = most + 1, before_ms
        walk = self._walk(
            self._local(min(before_ms - self._seconds_ms, LAST_MS)), back=True
        )
        for _ in range(steps):
            found = next(walk, None)
            if found is None:
                return from_ms
            guess_ms = _ms_of(found) + self._seconds_ms
            if guess_ms <= from_ms:
                return from_ms
        return guess_ms

    def _first(self, moment_ms: int) -> int:
        """Return the first tick of the five fields after a moment, a far one for none."""
        if moment_ms > LAST_MS:
            return LAST_MS + 1
        walk = self._ahead
        if walk.fixup_tz is None:
            return self._first_in_real_time(moment_ms)
        walk.dt = self._local(moment_ms).replace(tzinfo=None)
        for found in walk:
            tick_ms = _ms_of(found)
            # In the second of two equal local hours, what was in the first comes again.
            if tick_ms > moment_ms:
                return tick_ms
        return LAST_MS + 1

    def _first_in_real_time(self, moment_ms: int) -> int:
        """Do the same where each moment is a tick whose local time matches.

        Between two changes of the clock local time runs on. So what is found there is it,
        unless the clock changes before: then the search goes on from that change.
        """
        offset_ms = self._offset_ms(moment_ms)
        while moment_ms <= LAST_MS:
            walk = self._ahead
            walk.dt = _EPOCH + timedelta(seconds=(moment_ms + offset_ms) // 1000)
            found = next(walk, None)
            tick_ms = LAST_MS + 1 if found is None else _ms_of(found) - offset_ms
            change_ms = self._change(moment_ms, min(tick_ms, LAST_MS), offset_ms)
            if change_ms is None:
                return tick_ms
            moment_ms, offset_ms = change_ms - 1, self._offset_ms(change_ms)
        return LAST_MS + 1

    def _change(self, from_ms: int, until_ms: int, offset_ms: int) -> int | None:
        """Return when the clock first has another offset in a span, its end included."""
        if self._zone is UTC:
            return None
        while from_ms < until_ms:
            step_ms = min(from_ms + _DAY_MS, until_ms)
            if self._offset_ms(step_ms) != offset_ms:
                return from_ms + bisect_left(
                    range(from_ms, step_ms),
                    True,  # noqa: FBT003 - what is sought
                    key=lambda moment_ms: self._offset_ms(moment_ms) != offset_ms,
                )
            from_ms = step_ms
        return None

    def _offset_ms(self, moment_ms: int) -> int:
        """Return how far local time is ahead at a moment."""
        return (self._local(moment_ms).utcoffset() or timedelta()) // _MS

    def _local(self, moment_ms: int) -> datetime:
        whole_s = moment_ms // 1000
        return (_EPOCH + timedelta(seconds=max(0, whole_s))).astimezone(self._zone)

    def _walk(self, local: datetime, *, back: bool = False) -> "CronSim":
        from cronsim import CronSim  # noqa: PLC0415 - see above

        return CronSim(self._expression, local.astimezone(self._zone), reverse=back)


class Calendars:
    """One calendar for all crons whose ticks are the same."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[tuple[str, str], Calendar] = {}

    def __call__(self, text: str, tz: str) -> Schedule:
        """Return the ticks of a text in a zone. Raises `BadCron`."""
        found = self._known.get((text, tz))
        if found is None:
            found = Calendar(text, tz)
            if found.after(0) is None:
                raise BadCron(f"schedule {text!r} never comes: no date matches it")
            if len(self._known) >= _SHARED_MAX:
                self._known.clear()  # crons keep theirs; it is only less shared
            self._known[text, tz] = found
        return found


def zone_of(tz: str) -> tzinfo:
    """Return a time zone by its IANA name. Raises `BadCron`."""
    if tz in {"UTC", "Etc/UTC"}:
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - see above

    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        raise BadCron(
            f"tz {tz!r} is no time zone that is known here: give an IANA name, such as"
            ' "Europe/Berlin"'
        ) from None


def _sim_error() -> type[Exception]:
    """Return what cronsim raises: not kept, as whoever loads it anew has another one."""
    try:
        from cronsim import CronSimError  # noqa: PLC0415 - see above
    except ImportError:
        raise BadCron(
            "this server knows no schedules: it lacks cronsim, which the extra `server`"
            " installs"
        ) from None
    return CronSimError


def _ms_of(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
