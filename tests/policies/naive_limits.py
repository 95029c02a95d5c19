"""The obvious model of limits: tokens as fractions, jobs at work counted by scanning."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from conformance.naive_core import NaiveCore
from conformance.naive_jobs import ACTIVE
from magicqueue_cores.contract import JobState
from magicqueue_cores.policies import Rate, Rule


@dataclass
class Queue:
    rule: Rule = field(default_factory=Rule)
    tokens: Fraction = Fraction(0)
    since_ms: int = 0
    shut_until_ms: int = 0

    def fill(self, now_ms: int) -> None:
        rate = self.rule.rate
        if rate is not None:
            came = Fraction(rate.jobs * (now_ms - self.since_ms), rate.per_ms)
            self.tokens = min(Fraction(rate.burst), self.tokens + came)
        self.since_ms = now_ms


class NaiveLimits:
    """Pulls under limits, above the naive core."""

    def __init__(self, core: NaiveCore) -> None:
        self.core = core
        self.queues: dict[str, Queue] = {}

    def of(self, queue: str) -> Queue:
        return self.queues.setdefault(queue, Queue())

    def limit(self, queue: str, rule: Rule, now_ms: int) -> None:
        one = self.of(queue)
        one.fill(now_ms)
        before, rate = one.rule.rate, rule.rate
        one.rule = rule
        if rate is None or rate == before:
            return
        one.tokens = self.converted(one.tokens, rate) if before else Fraction(rate.burst)

    @staticmethod
    def converted(tokens: Fraction, rate: Rate) -> Fraction:
        """What is missing is counted in whole parts, of which a token has `per_ms`."""
        missing = max(Fraction(rate.burst) - tokens, Fraction(0))
        return rate.burst - Fraction(ceil(missing * rate.per_ms), rate.per_ms)

    def throttle(self, queue: str, for_ms: int, now_ms: int) -> None:
        one = self.of(queue)
        one.shut_until_ms = max(one.shut_until_ms, now_ms + for_ms) if for_ms else 0

    def room(self, queue: str, now_ms: int) -> int:
        one = self.of(queue)
        one.fill(now_ms)
        if now_ms < one.shut_until_ms:
            return 0
        room = 10**9
        if one.rule.concurrency is not None:
            jobs = [job.view for job in self.core.all if job.view.queue == queue]
            room = one.rule.concurrency - sum(job.state is ACTIVE for job in jobs)
        if one.rule.rate is not None:
            room = min(room, int(one.tokens))
        return max(room, 0)

    def pull(self, queue: str, count: int, session: int, now_ms: int) -> list[int]:
        count = min(count, self.room(queue, now_ms))
        ids = self.core.pull(queue, count, 2**30, 25, session, now_ms).ids if count else []
        self.of(queue).tokens -= len(ids)
        return ids

    def gives(self, queue: str, now_ms: int) -> bool:
        """Whether a pull would find a job."""
        jobs = [job.view for job in self.core.all if job.view.queue == queue]
        ready = any(job.state is JobState.READY for job in jobs)
        return ready and self.room(queue, now_ms) > 0

    def restart(self, now_ms: int) -> None:
        for one in self.queues.values():
            one.tokens, one.since_ms = Fraction(0), now_ms
