"""When a cron ticks, as points in time.

Ticks `every` so often are worked out here. What a calendar says (a text and a time zone) is
not: it comes from outside, by what this layer was given, since rules of time zones are data
of the machine, and reading them is no matter of a state machine. To a replay they are
constants: nothing that is recorded depends on them but what already happened.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from magicqueue_cores.contract import CoreError
from magicqueue_cores.policies.cron_plans import CronPlan

LAST_MS: Final = 250_000_000_000_000
"""No tick is later: that is in the year 9892, and calendars end with 9999."""


class BadCron(CoreError):
    """A schedule that cannot be: its text says why and what to do."""


class Schedule(Protocol):
    """Ticks, in epoch milliseconds."""

    def after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment; None if there is none."""
        ...

    def latest(self, from_ms: int, before_ms: int, most: int) -> list[int]:
        """Return the last ticks, `most` at most, from one moment on and before another."""
        ...


Calendars: TypeAlias = Callable[[str, str], Schedule]
"""Gives the ticks of a text in a time zone; raises `BadCron` if that can be none."""


class Every:
    """Multiples of a span since 1970, plus an offset: restarts do not shift them."""

    def __init__(self, every_ms: int, offset_ms: int) -> None:
        self._every_ms = every_ms
        self._offset_ms = offset_ms % every_ms

    def after(self, moment_ms: int) -> int | None:
        """Return the first tick after a moment. O(1)."""
        turns = (moment_ms - self._offset_ms) // self._every_ms + 1
        tick_ms = turns * self._every_ms + self._offset_ms
        return tick_ms if tick_ms <= LAST_MS else None

    def latest(self, from_ms: int, before_ms: int, most: int) -> list[int]:
        """Return the last ticks in a span."""
        last_ms = (before_ms - 1 - self._offset_ms) // self._every_ms * self._every_ms
        last_ms += self._offset_ms
        first_ms = max(from_ms, last_ms - (most - 1) * self._every_ms)
        begin_ms = self.after(first_ms - 1)
        return [] if begin_ms is None else list(range(begin_ms, before_ms, self._every_ms))


class Never:
    """No ticks: of a cron whose text or zone was known once, and is not to this server."""

    def after(self, _moment_ms: int) -> int | None:
        """Return none."""
        return None

    def latest(self, _from_ms: int, _before_ms: int, _most: int) -> list[int]:
        """Return none."""
        return []


NEVER: Final = Never()


def no_calendars(_text: str, _tz: str) -> Schedule:
    """Know of no calendar."""
    raise BadCron("this server knows no calendar: give every (ms) instead of schedule")


def schedule_of(plan: CronPlan, calendars: Calendars) -> Schedule:
    """Return the ticks that a cron is asked for. Raises `BadCron`."""
    if plan.schedule is None:
        return Every(plan.every_ms, plan.offset_ms)
    return calendars(plan.schedule, plan.tz)


def refuse_bad(plan: CronPlan) -> None:
    """Raise `BadCron` for bounds that cannot be."""
    if max(plan.start_ms, plan.end_ms) > LAST_MS:
        raise BadCron(f"start and end must be {LAST_MS} at most, which is in the year 9892")
    if plan.end_ms and plan.end_ms < plan.start_ms:
        raise BadCron("end is before start: no tick is between them")
    ttl_ms = plan.wishes.ttl_ms if plan.wishes is not None else None
    if ttl_ms is not None and plan.spread_ms >= ttl_ms:
        raise BadCron(
            f"spread is {plan.spread_ms} ms, but a job expires {ttl_ms} ms after its tick"
            " (ttl): give it more time to live, or less spread"
        )
