"""The obvious model of groups: lists that are searched, rounds that are lists of names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from magicqueue_cores.policies import Bounds

READY, DELAYED, ACTIVE, DEAD = "ready", "delayed", "active", "dead"


@dataclass
class Job:
    id: int
    queue: str
    group: str | None
    priority: int
    run_at: int
    state: str = READY
    place: int = 0
    attempts: int = 0
    failures: int = 0
    session: int = 0
    until: int = 0


@dataclass
class Tokens:
    count: Fraction
    since: int


@dataclass
class Queue:
    rounds: dict[int, list[str | None]] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    tokens: dict[str, Tokens] = field(default_factory=dict)
    empty_at: int | None = None
    shut: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)


class NaiveGroups:
    """Jobs of queues, with and without groups, and pulls by turns."""

    def __init__(self, max_attempts: int = 2) -> None:
        self.jobs: dict[int, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.last_id = self.last_place = 0
        self.max_attempts = max_attempts

    def of(self, queue: str) -> Queue:
        return self.queues.setdefault(queue, Queue())

    def push(
        self, queue: str, items: Iterable[tuple[str | None, int, int]], now: int
    ) -> None:
        for group, priority, delay in items:
            self.last_id += 1
            job = Job(self.last_id, queue, group, priority, now + delay)
            self.jobs[job.id] = job
            if delay:
                job.state = DELAYED
            else:
                self.enter(job)

    def enter(self, job: Job) -> None:
        """A job is ready, behind the others."""
        self.last_place += 1
        job.place = self.last_place
        self.wait(job)

    def wait(self, job: Job) -> None:
        job.state = READY
        if job.group is not None:
            self.let_in(job.queue, job.group, job.priority)

    def let_in(self, queue: str, name: str, priority: int | None = None) -> None:
        """Those lines of a group that are outside of their rounds enter these."""
        for job in self.ready(queue):
            if job.group == name and priority in {None, job.priority}:
                line = self.of(queue).rounds.setdefault(job.priority, [])
                if name not in line:
                    line.append(name)

    def ready(self, queue: str) -> list[Job]:
        found = [job for job in self.jobs.values() if job.queue == queue]
        return sorted((job for job in found if job.state == READY), key=lambda j: j.place)

    def tidy(self) -> None:
        """A line without jobs leaves its round at once; without groups there is none."""
        for name, queue in self.queues.items():
            mine = [job for job in self.jobs.values() if job.queue == name and job.group]
            if all(job.state == DEAD for job in mine):
                queue.rounds.clear()
            for priority, line in queue.rounds.items():
                here = {(j.group, j.priority) for j in self.ready(name)}
                queue.rounds[priority] = [
                    one for one in line if one is None or (one, priority) in here
                ]

    def tokens(self, queue: str, name: str, now: int) -> Tokens:
        """The tokens of a group, as they are now."""
        of, rate = self.of(queue), self.of(queue).bounds.rate
        assert rate is not None
        if name not in of.tokens:
            since = now if of.empty_at is None else of.empty_at
            full = Fraction(rate.burst if of.empty_at is None else 0)
            of.tokens[name] = Tokens(full, since)
        tokens = of.tokens[name]
        came = Fraction(rate.jobs * (now - tokens.since), rate.per_ms)
        tokens.count = min(Fraction(rate.burst), tokens.count + came)
        tokens.since = now
        return tokens

    def may(self, queue: str, name: str, now: int) -> bool:
        """Whether a group may hand out a job."""
        of = self.of(queue)
        if now < of.shut.get(name, 0):
            return False
        most = of.bounds.concurrency
        at_work = [j for j in self.jobs.values() if j.queue == queue and j.group == name]
        if most is not None and sum(j.state == ACTIVE for j in at_work) >= most:
            return False
        rate = of.bounds.rate
        if rate is not None and self.tokens(queue, name, now).count < 1:
            missing = (1 - self.tokens(queue, name, now).count) * rate.per_ms / rate.jobs
            of.asked[name] = now + -(-missing.numerator // missing.denominator)
            return False
        return True

    def turn(self, queue: str, now: int) -> Job | None:
        """Whose turn it is."""
        of, ready = self.of(queue), self.ready(queue)
        first = max((job.priority for job in ready if job.group is None), default=None)
        if first is not None:
            line = of.rounds.setdefault(first, [])
            if None not in line:
                line.append(None)
        for priority in sorted(of.rounds, reverse=True):
            line = of.rounds[priority]
            while line:
                name = line.pop(0)
                if name is None and priority != first:
                    continue
                if name is not None and not self.may(queue, name, now):
                    continue
                mine = [j for j in ready if (j.group, j.priority) == (name, priority)]
                if name is not None and len(mine) > 1:
                    line.append(name)
                if name is not None and of.bounds.rate is not None:
                    self.tokens(queue, name, now).count -= 1
                return mine[0]
        return None

    def pull(self, queue: str, count: int, lease: int, session: int, now: int) -> list[int]:
        ids: list[int] = []
        while len(ids) < count and (job := self.turn(queue, now)):
            job.state, job.session, job.until = ACTIVE, session, now + lease
            job.attempts += 1
            ids.append(job.id)
        self.tidy()
        return ids

    def gives(self, queue: str, now: int) -> bool:
        """Whether a pull would find a job."""
        asked = dict(self.of(queue).asked)
        found = any(
            job.group is None or self.may(queue, job.group, now)
            for job in self.ready(queue)
        )
        self.of(queue).asked = asked
        return found

    def end(self, jobs: Sequence[Job]) -> None:
        """Attempts are over: groups that are bounded may go on."""
        for job in jobs:
            of = self.of(job.queue)
            bounded = of.bounds != Bounds() or of.shut
            if bounded and job.group is not None:
                self.let_in(job.queue, job.group)

    def active(self, ids: Iterable[int]) -> list[Job]:
        found = [self.jobs[i] for i in dict.fromkeys(ids) if i in self.jobs]
        return [job for job in found if job.state == ACTIVE]

    def remove(self, ids: Iterable[int], states: Iterable[str]) -> int:
        found = [self.jobs[i] for i in dict.fromkeys(ids) if i in self.jobs]
        found = [job for job in found if job.state in states]
        for job in found:
            del self.jobs[job.id]
            if job.state == ACTIVE:
                self.end([job])
        self.tidy()
        return len(found)

    def fail(self, ids: Iterable[int]) -> None:
        """Jobs fail without backoff: those that are retried first, then those that die."""
        jobs = self.active(ids)
        retried = [job for job in jobs if job.failures + 1 < self.max_attempts]
        for job in retried:
            job.failures += 1
            job.state = "in between"
            self.end([job])
        for job in jobs:
            if job not in retried:
                job.state = DEAD
                self.end([job])
        for job in retried:
            self.enter(job)

    def lose(self, jobs: Sequence[Job]) -> None:
        """Jobs come back to their old places."""
        for job in jobs:
            self.wait(job)
            self.end([job])

    def close(self, session: int) -> None:
        jobs = [j for j in self.jobs.values() if j.state == ACTIVE]
        self.lose(sorted((j for j in jobs if j.session == session), key=lambda j: j.id))

    def revive(self, ids: Iterable[int]) -> None:
        for job_id in ids:
            job = self.jobs[job_id]
            job.failures = job.attempts = 0
            self.enter(job)

    def promote(self, ids: Iterable[int], now: int) -> None:
        for job in [self.jobs[i] for i in dict.fromkeys(ids) if i in self.jobs]:
            if job.state == DELAYED:
                job.run_at = now
                self.enter(job)

    def limit(self, queue: str, bounds: Bounds, now: int) -> None:
        of, before = self.of(queue), self.of(queue).bounds.rate
        if before is not None:
            for name in list(of.tokens):
                self.tokens(queue, name, now)
        of.bounds, rate = bounds, bounds.rate
        if rate is None:
            of.tokens.clear()
            of.empty_at = None
        elif before is not None and rate != before:
            for tokens in of.tokens.values():
                missing = max(rate.burst - tokens.count, Fraction(0)) * rate.per_ms
                parts = -(-missing.numerator // missing.denominator)
                tokens.count = rate.burst - Fraction(parts, rate.per_ms)
        for job in self.ready(queue):
            if job.group is not None:
                self.let_in(queue, job.group)

    def throttle(self, queue: str, name: str, span: int, now: int) -> None:
        shut = self.of(queue).shut
        if span:
            shut[name] = max(shut.get(name, 0), now + span)
        elif shut.pop(name, None) is not None:
            self.let_in(queue, name)

    def tick(self, now: int) -> None:
        """Everything that is due by now happens, each at its moment."""
        while True:
            events = [
                (job.run_at, 0, "", "", job.id)
                for job in self.jobs.values()
                if job.state == DELAYED
            ]
            for queue, of in self.queues.items():
                events += [(at, 1, queue, name, 0) for name, at in of.shut.items()]
                events += [(at, 2, queue, name, 0) for name, at in of.asked.items()]
            if not events or min(events)[0] > now:
                break
            _, kind, queue, name, job_id = min(events)
            if kind == 0:
                self.enter(self.jobs[job_id])
            else:
                of = self.of(queue)
                del (of.shut if kind == 1 else of.asked)[name]
                self.let_in(queue, name)
        over = [j for j in self.jobs.values() if j.state == ACTIVE and j.until <= now]
        self.lose(sorted(over, key=lambda job: job.id))

    def restart(self, now: int) -> None:
        """Rounds begin anew, in the order of groups' first jobs; buckets are empty."""
        for queue, of in self.queues.items():
            of.rounds.clear()
            of.asked.clear()
            of.tokens.clear()
            if of.bounds.rate is not None:
                of.empty_at = now
            for job in self.ready(queue):
                if job.group is not None:
                    self.let_in(queue, job.group, job.priority)
