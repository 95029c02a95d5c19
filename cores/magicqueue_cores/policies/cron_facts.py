"""What is kept of a cron: two facts by its name, what was asked and how far it is.

They are two since the second one changes with each tick and is small, where the first has
the data of the jobs. `CronShelf` notes which of them changed; whoever needs the crons reads
those again, so a replay costs no more than the storing.
"""

from typing import Final

import msgspec

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies.cron_plans import CronPlan, CronState
from magicqueue_cores.policies.moments import Clock, Tally
from magicqueue_cores.policies.schedules import Schedule
from magicqueue_cores.policies.shelf import Shelf

UNKNOWN_MS: Final = -1
"""Stands for a next run that was not worked out yet."""


class Cron(msgspec.Struct, eq=False):
    """A cron that is here; what follows from its facts, and what a restart forgets.

    next_ms: its next run, NEVER_MS for none. turn_ms: when to look at it. tried_ms: the
    tick whose job was refused. caught_ms: missed ticks before that are being made up.
    trouble: why it has no ticks, where its schedule was known once and is not any more.
    """

    name: str
    plan: CronPlan
    state: CronState
    schedule: Schedule
    next_ms: int = UNKNOWN_MS
    turn_ms: int = NEVER_MS
    tried_ms: int = 0
    caught_ms: int = 0
    trouble: str | None = None

    def first_after(self, moment_ms: int) -> int:
        """Return the first tick after a moment within `start` and `end`, else NEVER_MS."""
        plan = self.plan
        tick_ms = self.schedule.after(max(moment_ms, plan.start_ms - 1))
        if tick_ms is None or (plan.end_ms and tick_ms > plan.end_ms):
            return NEVER_MS
        return tick_ms

    @property
    def run_ms(self) -> int:
        """Return its next run, NEVER_MS for none."""
        if self.next_ms == UNKNOWN_MS:
            plan, state = self.plan, self.state
            if state.paused or 0 < plan.limit <= state.fired:
                self.next_ms = NEVER_MS
            else:
                self.next_ms = self.first_after(state.after_ms)
        return self.next_ms

    def runs(self, most: int) -> list[int]:
        """Return its next runs, as far as they are known by now."""
        found, run_ms = list[int](), self.run_ms
        if self.plan.limit:
            most = min(most, self.plan.limit - self.state.fired)
        while run_ms != NEVER_MS and len(found) < most:
            found.append(run_ms)
            run_ms = self.first_after(run_ms)
        return found


class CronShelf(Shelf):
    """Facts of crons, which have no end, and no bound: `Crons` refuses what is too much."""

    def __init__(self, tally: Tally, changed: set[bytes]) -> None:
        """Start empty. changed: gets the keys of facts that came or went."""
        super().__init__(Clock(), tally, 0, 0)
        self._changed = changed

    def put(self, key: bytes, value: bytes) -> None:
        """Store a fact."""
        super().put(key, value)
        self._changed.add(key)

    def remove(self, key: bytes) -> None:
        """Forget a fact."""
        super().remove(key)
        self._changed.add(key)
