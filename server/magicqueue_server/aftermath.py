"""What follows from a command, or a step of time, before the next one runs.

Policies settle what befell the jobs that they know; that may make jobs ready, for which
pulls wait; jobs that are handed out so may be known to policies again. When nothing of that
is left, those are told who wait for ends and cancels.
"""

from typing import Final

from magicqueue_cores.contract import NEVER_MS, Core
from magicqueue_cores.policies import Policies, PolicyOptions
from magicqueue_server.blocked import Blocked
from magicqueue_server.calendars import Calendars
from magicqueue_server.executing import OwnLines
from magicqueue_server.wal.log import Log


def policies_above(core: Core, options: PolicyOptions, log: Log | None) -> Policies | None:
    """Make the policies above a core, which report to its log; None if it lets none."""
    if not Policies.available(core):
        return None
    return Policies(core, options, None if log is None else log.record, Calendars())


class _Nothing:
    """Stands for what policies note, and wait for, where there are none."""

    pending = False
    due_ms = NEVER_MS


class Aftermath:
    """See above. became_ready: what the core says that jobs are ready in."""

    def __init__(
        self,
        policies: Policies | None,
        blocked: Blocked,
        own_lines: OwnLines,
        became_ready: list[str],
    ) -> None:
        self._policies = policies
        self.notes: Final = _Nothing() if policies is None else policies.notes
        self.clock: Final = _Nothing() if policies is None else policies.clock
        self.news: Final = [] if blocked.waits is None else blocked.waits.news
        self._became_ready = became_ready
        self._blocked = blocked
        self._own_lines = own_lines
        self._take, self._more_of = blocked.pulls.take, blocked.pulls.more_of
        self._lagging = False
        if policies is not None:
            policies.limits.on_ready = became_ready.append
            policies.groups.on_ready = became_ready.append
            policies.ruling.on_change = self._choose
            self._choose()

    def see_to(self, now_ms: int) -> None:
        """Do what follows, if anything does."""
        notes, became_ready, news = self.notes, self._became_ready, self.news
        while notes.pending or became_ready or news:
            if notes.pending and self._policies is not None:
                self._policies.settle(now_ms)
            elif became_ready:
                self._blocked.pulls.serve(now_ms)
            elif self._blocked.waits is not None:
                self._blocked.waits.serve(now_ms)

    def follow_time(self) -> None:
        """Time went on: see whether policies lag behind, or no longer.

        As long as they do, jobs may be ready whose time to live is over, which only
        policies know to leave out.
        """
        lagging = self._policies is not None and self._policies.lagging
        if lagging != self._lagging:
            self._lagging = lagging
            self._own_lines.lag(lagging=lagging)
            self._choose()

    def _choose(self) -> None:
        """Have policies take part in pulls, or not: while they lag, or rule any queue."""
        policies = self._policies
        needed = policies is not None and (self._lagging or policies.ruling.any)
        pulls = self._blocked.pulls
        pulls.take = policies.pull if policies and needed else self._take
        pulls.more_of = policies.more_of if policies and needed else self._more_of
