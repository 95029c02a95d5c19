"""Which tick of a cron fires now.

A tick that is up to `FRESH_MS` late is on time. Older ones were *missed* (no server ran,
the clock jumped, the cron was paused), and `CronPlan.missed` says what becomes of them:

- `skip`: nothing;
- `one`: the latest fires, unless a later one is due, too, which then stands for it;
- `all`: each fires, the last `ALL_MAX` of them;

none of it older than `catchup_ms`. A tick whose job was refused stays due until the next
one is. Whatever is decided moves `CronState.after_ms` on, and nothing else does.
"""

from typing import Final

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies.cron_facts import UNKNOWN_MS, Cron

FRESH_MS: Final = 60_000
ALL_MAX: Final = 1_000


def tick_of(cron: Cron, wall_ms: int) -> int | None:
    """Return the tick that fires now, of a cron whose next run has come.

    None: none does, but the cron has moved on, which is to be recorded.
    """
    next_ms = cron.run_ms
    if cron.tried_ms == next_ms and next_ms >= cron.caught_ms:
        if cron.first_after(next_ms) > wall_ms:
            return next_ms
        cron.state.refused += 1
        move_on(cron, next_ms)
        return None
    horizon_ms = wall_ms - FRESH_MS
    if next_ms >= horizon_ms or next_ms < cron.caught_ms:
        return next_ms
    made_up = _made_up(cron, next_ms, horizon_ms, wall_ms)
    if not made_up or made_up[0] > next_ms:
        cron.state.missed += 1
    if not made_up:
        move_on(cron, horizon_ms - 1)
        return None
    if cron.plan.missed == "all":
        cron.caught_ms = horizon_ms
    return made_up[0]


def _made_up(cron: Cron, next_ms: int, horizon_ms: int, wall_ms: int) -> list[int]:
    """Return the missed ticks that fire, the first of which was to be at `next_ms`."""
    plan = cron.plan
    if plan.missed == "skip":
        return []
    if plan.missed == "one" and cron.first_after(horizon_ms - 1) <= wall_ms:
        return []
    from_ms = max(next_ms, wall_ms - plan.catchup_ms)
    before_ms = min(horizon_ms, plan.end_ms + 1) if plan.end_ms else horizon_ms
    most = ALL_MAX if plan.missed == "all" else 1
    return cron.schedule.latest(from_ms, before_ms, most)


def move_on(cron: Cron, moment_ms: int) -> None:
    """Have a cron's next run be its first tick after a moment."""
    cron.state.after_ms = moment_ms
    cron.next_ms = UNKNOWN_MS
    cron.tried_ms = 0


def next_turn_ms(cron: Cron) -> int:
    """Return when to look at a cron, at the latest, which is no work to tell."""
    if cron.state.paused:
        return NEVER_MS
    if cron.next_ms == UNKNOWN_MS:
        return max(cron.state.after_ms + 1, cron.plan.start_ms)
    return cron.next_ms
