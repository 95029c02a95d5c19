"""Drives `Policies` above one core by hand: a clock to turn, short verbs, what was told."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from conformance.driver import BYTES_MAX, START_MS, answered
from magicqueue_cores import make_core
from magicqueue_cores.contract import (
    Core,
    CoreOptions,
    Delivery,
    JobState,
    JobView,
    NewJobs,
    Settled,
    Step,
)
from magicqueue_cores.policies import (
    Beats,
    Cancelled,
    Failures,
    Policies,
    PolicyOptions,
    PushAnswer,
    Wishes,
)
from magicqueue_cores.policies.schedules import BadCron
from magicqueue_cores.policies.wishes import TOLD
from magicqueue_cores.records import Origin, Record, sequence_span

TURNS_MAX = 5_000
"""Crons that have more turns than this at one time would never end."""


class Layered:
    """Policies above a core, their clock `now`, all records, and who was told of ends."""

    def __init__(
        self, name: str, bounds: PolicyOptions | None = None, **options: int
    ) -> None:
        self.name = name
        self.bounds = bounds or PolicyOptions(step_jobs=options.get("step_jobs", 0))
        self.options = CoreOptions(**options)
        self.records: list[Record] = []
        self.ended: list[int] = []
        self.doomed: list[int] = []
        self.now = START_MS
        self.woken: list[str] = []
        """Queues that somebody who waits was told of, by the core or by limits."""
        self.core: Core = make_core(
            name, self.options, record=self.note, on_ready=self.woken.append
        )
        self.policies = Policies(self.core, self.bounds, self.note, minutes_of)
        self.policies.limits.on_ready = self.woken.append
        self.policies.groups.on_ready = self.woken.append
        self.policies.on_end = self.ended.append
        self.policies.on_doomed = self.doomed.append

    def note(self, record: Record) -> None:
        """Keep a record as a log would: columns may be memory that is used again."""
        self.records.append(copied(record))

    def check(self) -> None:
        self.core.check()
        self.policies.check()

    def tick(self, span_ms: int) -> None:
        """Turn the clock forward, until nothing is left to do; leases end."""
        self.now += span_ms
        self.policies.advance(self.now)
        while self.policies.next_deadline_ms <= self.now and self.lags():
            self.policies.advance(self.now)
        self.settle()
        while not self.policies.end_leases(self.now, self.now):
            pass
        self.check()

    def fire(self, span_ms: int = 0, *, refused: bool = False) -> None:
        """Turn the clock forward, and let crons fire, as long as one does."""
        self.tick(span_ms)
        for _ in range(TURNS_MAX):
            if self.policies.crons.due_ms > self.now:
                break
            self.policies.crons.fire(self.now, 2, refused=refused)
        else:
            raise AssertionError("crons fire for ever")
        self.check()

    def lags(self) -> bool:
        return self.policies._clock.due_ms <= self.now

    def push(
        self,
        payload: bytes = b"1",
        queue: str = "q",
        *,
        delay_ms: int = 0,
        priority: int = 0,
        max_attempts: int = 25,
        req_key: str | None = None,
        backoff_ms: int = 0,
        **wishes: Any,
    ) -> PushAnswer:
        """Push one job with wishes."""
        batch = NewJobs(
            payloads=[payload],
            run_ats_ms=self.now + delay_ms,
            priorities=priority,
            max_attempts=max_attempts,
            backoffs_ms=backoff_ms,
        )
        asked = [Wishes(**wishes)] if wishes else None
        answer = self.policies.push(queue, batch, asked, req_key, self.now)
        self.check()
        return answer

    def push_id(self, payload: bytes = b"1", queue: str = "q", **options: Any) -> int:
        """Push one job that must be new; gives its id."""
        answer = self.push(payload, queue, **options)
        assert not answer.duplicates
        assert not answer.replaced
        return answer.ids[0]

    def push_items(
        self, *items: dict[str, Any], queue: str = "q", req_key: str | None = None
    ) -> PushAnswer:
        """Push a batch; an item has payload, delay_ms, priority and wishes."""
        batch = NewJobs(
            payloads=[item.get("payload", b"1") for item in items],
            run_ats_ms=[self.now + item.get("delay_ms", 0) for item in items],
            priorities=[item.get("priority", 0) for item in items],
            max_attempts=[item.get("max_attempts", 25) for item in items],
        )
        plain = {"payload", "delay_ms", "priority", "max_attempts"}
        wishes = [
            Wishes(**{name: item[name] for name in item.keys() - plain})
            if item.keys() - plain
            else None
            for item in items
        ]
        answer = self.policies.push(queue, batch, wishes, req_key, self.now)
        self.check()
        return answer

    def deliver(
        self,
        count: int = 1,
        queue: str = "q",
        lease_ms: int = 10_000,
        session: int = 1,
        payload_bytes_max: int = BYTES_MAX,
    ) -> Delivery:
        """Pull by the core, as the server does."""
        policies = self.policies
        ruled = policies.lagging or policies.ruling.any
        pull = policies.pull if ruled else self.core.pull
        bounds = payload_bytes_max, lease_ms, session
        delivery = answered(pull(queue, count, *bounds, self.now))
        self.settle()
        return delivery

    def pull(self, count: int = 1, queue: str = "q", **options: int) -> list[int]:
        return self.deliver(count, queue, **options).ids

    def settle(self) -> None:
        if self.policies.pending:
            self.policies.settle(self.now)
        self.check()

    def ack(
        self,
        *ids: int,
        results: Sequence[bytes | None] | None = None,
        attempts: Sequence[int] | None = None,
    ) -> Settled:
        settled = self.policies.ack(ids, attempts, results, self.now)
        self.check()
        return settled

    def fail(
        self,
        *ids: int,
        attempts: Sequence[int] | None = None,
        delays_ms: Sequence[int | None] | None = None,
    ) -> Failures:
        failures = self.policies.fail(
            ids, attempts, ["broken"] * len(ids), self.now, delays_ms
        )
        self.check()
        return failures

    def release(self, *ids: int, delay_ms: int = 0) -> Settled:
        settled = self.policies.release(ids, None, delay_ms, self.now)
        self.check()
        return settled

    def heartbeat(self, *ids: int, lease_ms: int = 10_000) -> Beats:
        beats = self.policies.heartbeat(ids, None, lease_ms, self.now)
        self.check()
        return beats

    def cancel(self, *ids: int) -> Cancelled:
        cancelled = self.policies.cancel(ids, self.now)
        self.check()
        return cancelled

    def close_session(self, session: int = 1) -> None:
        while not self.policies.close_session(session, self.now):
            self.check()
        self.check()

    def drain(self, queue: str = "q") -> int:
        return self.steps(lambda upto: self.policies.drain(queue, self.now, upto))

    def retry(self, job_id: int | None = None, queue: str = "q") -> int:
        return self.steps(
            lambda upto: self.policies.retry_dead(queue, job_id, self.now, upto)
        )

    def purge(self, job_id: int | None = None, queue: str = "q") -> int:
        return self.steps(
            lambda upto: self.policies.purge_dead(queue, job_id, self.now, upto)
        )

    def steps(self, step: Callable[[int | None], Step]) -> int:
        done = step(None)
        count = done.count
        while done.upto is not None:
            done = step(done.upto)
            count += done.count
        self.check()
        return count

    def view(self, job_id: int) -> JobView | None:
        return answered(self.core.job(job_id, self.now))

    def state(self, job_id: int) -> str:
        """Where a job is, in a word; or how it ended, or that it left no trace."""
        view = self.view(job_id)
        if view is not None:
            return view.state.name.lower()
        ending = self.policies.ending(job_id, self.now)
        return "gone" if ending is None else ending.state

    def dead_one(self, **options: Any) -> int:
        """Push a job that dies of its first failure."""
        job_id = self.push_id(max_attempts=1, **options)
        assert self.pull() == [job_id]
        assert self.fail(job_id).states == [JobState.DEAD]
        return job_id

    def restarted(self, name: str | None = None) -> "Layered":
        """Another layer above a new core, which was told all records."""
        other = Layered(name or self.name, self.bounds)
        other.options = self.options
        other.core = make_core(
            other.name, self.options, record=other.note, on_ready=other.woken.append
        )
        other.policies = Policies(other.core, self.bounds, other.note, minutes_of)
        other.policies.limits.on_ready = other.woken.append
        other.policies.groups.on_ready = other.woken.append
        other.policies.on_end = other.ended.append
        other.now = self.now
        for record in self.records:
            other.policies.replay(record)
        other.policies.flows.rebuild()  # as at the end of a recovery
        other.records = list(self.records)
        other.check()
        return other

    def moved(self, name: str | None = None) -> "Layered":
        """As `restarted`, with a log from which all old records were left out."""
        other = Layered(name or self.name, self.bounds)
        other.now = self.now
        last_id = self.core.last_id
        sequence = 0
        for record in self.records:
            if isinstance(record, Origin):  # this log began with places used up before
                sequence = record.sequence
            sequence += sequence_span(record)
        kept: list[Record] = [Origin(last_id, sequence)]
        kept += self.policies.export(range(1, last_id + 1))
        for space, shelf in self.policies._ground.shelves.items():
            keys = [*shelf._facts, b"not here"]
            kept.append(self.policies.export_facts(space, keys))
        for record in kept:
            other.policies.replay(record)
        other.records = [copied(record) for record in kept]
        other.check()
        return other

    def image(self) -> dict[str, Any]:
        """All that is durable, to be compared."""
        ground = self.policies._ground
        last_id = max((job_id for job_id in ground.marks.by_id), default=0)
        last_id = max(last_id, 200)
        return {
            "jobs": [self.view(job_id) for job_id in range(1, last_id + 1)],
            "marks": {
                job_id: msgspec.structs.replace(mark, flags=mark.flags & TOLD)
                for job_id, mark in sorted(ground.marks.by_id.items())
                if not mark.is_bare
            },
            "keys": ground.marks.keys._by_queue,
            "facts": {
                space: dict(sorted(shelf._facts.items()))
                for space, shelf in ground.shelves.items()
            },
            "cancelled": ground.marks.doomed.ids(),
        }


class Minutes:
    """The minutes of an hour, as a calendar that needs no rules of time zones."""

    def __init__(self, minutes: list[int]) -> None:
        self.minutes = minutes

    def after(self, moment_ms: int) -> int:
        tick_ms = moment_ms // 60_000 * 60_000 + 60_000
        while tick_ms // 60_000 % 60 not in self.minutes:
            tick_ms += 60_000
        return tick_ms

    def latest(self, from_ms: int, before_ms: int, most: int) -> list[int]:
        ticks = range(-(-from_ms // 60_000) * 60_000, before_ms, 60_000)
        return [tick for tick in ticks if tick // 60_000 % 60 in self.minutes][-most:]


def minutes_of(text: str, tz: str) -> Minutes:
    """Read "5,20" as those minutes of each hour."""
    try:
        minutes = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadCron(f"schedule {text!r} is none") from None
    if tz != "UTC":
        raise BadCron(f"tz {tz!r} is none")
    return Minutes(minutes)


def copied(record: Record) -> Record:
    """A record whose columns are lists, as far as they are no numbers or texts."""
    plain = (str, bytes, int, bool)
    columns: dict[str, Any] = {
        name: value if isinstance(value, plain) else list(value)
        for name in record.__struct_fields__
        for value in [getattr(record, name)]
    }
    return type(record)(**columns)
