"""The obvious model of crons: all ticks of a span are listed, and then sorted out."""

from dataclasses import dataclass, field

from magicqueue_cores.policies import CronPlan
from policies.layered import minutes_of

FRESH_MS = 60_000
ALL_MAX = 1_000


@dataclass
class NaiveCron:
    """A cron, and the ticks whose jobs are there."""

    name: str
    plan: CronPlan
    after_ms: int
    paused: bool = False
    last_tick_ms: int = 0
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("fired", "skipped", "missed", "refused"), 0)
    )
    tried_ms: int | None = None
    again_ms: int = 0
    caught_ms: int = 0
    jobs: list[int] = field(default_factory=list)

    def ticks(self, upto_ms: int) -> list[int]:
        """All ticks behind the last decision, up to a moment and one beyond."""
        plan = self.plan
        if self.paused or 0 < plan.limit <= self.counts["fired"]:
            return []
        begin_ms = max(self.after_ms + 1, plan.start_ms)
        if plan.schedule is None:
            first = begin_ms + (plan.offset_ms - begin_ms) % plan.every_ms
            found = list(
                range(first, max(upto_ms, first) + plan.every_ms + 1, plan.every_ms)
            )
        else:
            minutes = minutes_of(plan.schedule, plan.tz).minutes
            first = begin_ms + -begin_ms % 60_000
            end_ms = max(upto_ms, first) + 3_600_000
            found = [
                tick
                for tick in range(first, end_ms + 1, 60_000)
                if tick // 60_000 % 60 in minutes
            ]
        return [tick for tick in found if not plan.end_ms or tick <= plan.end_ms]

    @property
    def next_ms(self) -> int | None:
        return next(iter(self.ticks(0)), None)


class NaiveCrons:
    """Crons by name."""

    def __init__(self) -> None:
        self.crons: dict[str, NaiveCron] = {}

    def set(self, name: str, plan: CronPlan, now_ms: int) -> tuple[bool, bool]:
        """Return whether it was created, and whether anything changed."""
        cron = self.crons.get(name)
        if cron is None:
            self.crons[name] = NaiveCron(name, plan, now_ms)
            return True, True
        if cron.plan == plan:
            return False, False
        over = cron.next_ms is None and not cron.paused
        if plan.times != cron.plan.times or over:
            cron.after_ms = max(now_ms, cron.last_tick_ms)
            cron.tried_ms = None
        cron.plan, cron.again_ms = plan, 0
        return False, True

    def pause(self, name: str, *, paused: bool) -> None:
        cron = self.crons[name]
        if cron.paused is not paused:
            cron.paused, cron.tried_ms, cron.caught_ms = paused, None, 0
            cron.again_ms = 0

    def restart(self) -> None:
        for cron in self.crons.values():
            cron.tried_ms, cron.caught_ms, cron.again_ms = None, 0, 0

    def fire(self, now_ms: int, *, refused: bool) -> None:
        for cron in self.crons.values():
            while self.turn(cron, now_ms, refused=refused):
                pass

    def turn(self, cron: NaiveCron, now_ms: int, *, refused: bool) -> bool:
        """Let one tick fire, or be dropped; return whether to look again."""
        due = [tick for tick in cron.ticks(now_ms) if tick <= now_ms]
        if not due or now_ms < cron.again_ms:
            return False
        first = due[0]
        if cron.tried_ms == first and first >= cron.caught_ms:
            if len(due) == 1:
                return self.attempt(cron, first, now_ms, refused=refused)
            cron.counts["refused"] += 1
            cron.after_ms, cron.tried_ms = first, None
            return True
        old = [tick for tick in due if tick < now_ms - FRESH_MS]
        if first not in old or first < cron.caught_ms:
            return self.attempt(cron, first, now_ms, refused=refused)
        keep = [tick for tick in old if tick >= now_ms - cron.plan.catchup_ms]
        if cron.plan.missed == "skip" or (
            cron.plan.missed == "one" and len(old) < len(due)
        ):
            keep = []
        keep = keep[-1:] if cron.plan.missed == "one" else keep[-ALL_MAX:]
        cron.counts["missed"] += keep[:1] != old[:1]
        if not keep:
            cron.after_ms = now_ms - FRESH_MS - 1
            return True
        if cron.plan.missed == "all":
            cron.caught_ms = now_ms - FRESH_MS
        return self.attempt(cron, keep[0], now_ms, refused=refused)

    def attempt(self, cron: NaiveCron, tick_ms: int, now_ms: int, *, refused: bool) -> bool:
        """Push the job of a tick, unless one of before is there or none is taken in."""
        if cron.plan.overlap == "skip" and cron.jobs:
            cron.counts["skipped"] += 1
        elif refused:
            if tick_ms != cron.next_ms:
                cron.after_ms = tick_ms - 1
            cron.tried_ms, cron.again_ms = tick_ms, now_ms + 1000
            return False
        else:
            cron.counts["fired"] += 1
            cron.jobs.append(tick_ms)
        cron.after_ms = cron.last_tick_ms = tick_ms
        cron.tried_ms = None
        return True
