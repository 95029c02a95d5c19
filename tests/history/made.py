"""Histories made by a small queue that can be told to do wrong in one way.

Some clients have requests under way at the same time; each takes effect at one moment
between its start and its end, and now and then nobody hears of it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from history.operations import (
    MS,
    Close,
    Delivered,
    History,
    Look,
    Operation,
    Pull,
    Push,
    Seen,
    Settle,
)

CLIENTS: Final = 5
QUEUES: Final = "ab"
LEASES_MS: Final = (20, 100, 5000)
FAULTS: Final = (
    "an ACK is forgotten",
    "a push is forgotten",
    "a leased job is handed out",
    "attempts are not counted",
    "the last comes first",
    "priorities are not looked at",
    "batches are turned round",
    "verdicts of anybody are taken",
    "ids begin anew",
    "a pull finds nothing",
    "a lease is not kept",
)


@dataclass(slots=True)
class _Job:
    id: int
    data: str
    queue: str
    priority: int
    place: int
    attempts: int = 0
    until: int = -1
    """When its lease ends; it is ready if that is over."""


class _Queue:
    """The whole state, and the effect of each operation at a moment."""

    def __init__(self, rng: random.Random, fault: str) -> None:
        self.rng = rng
        self.fault = fault
        self.jobs: dict[int, _Job] = {}
        self.ids = count(1)
        self.places = count(1)

    def wrong(self, fault: str, chance: float = 0.2) -> bool:
        return self.fault == fault and self.rng.random() < chance

    def apply(self, one: Operation, now: int) -> Callable[[], None]:
        """Let it take effect; gives what tells the client."""
        if isinstance(one, Push):
            return self.push(one)
        if isinstance(one, Pull):
            return self.pull(one, now)
        assert isinstance(one, Settle)
        return self.settle(one, now)

    def push(self, one: Push) -> Callable[[], None]:
        if self.wrong("ids begin anew", 0.02):
            self.ids = count(1)
        ids = [next(self.ids) for _ in one.data]
        rows = list(zip(ids, one.data, one.priorities, strict=True))
        if self.wrong("batches are turned round"):
            rows.reverse()
        if not self.wrong("a push is forgotten"):
            for job_id, data, priority in rows:
                job = _Job(job_id, data, one.queue, priority, next(self.places))
                self.jobs[job_id] = job
        return lambda: setattr(one, "ids", ids)

    def pull(self, one: Pull, now: int) -> Callable[[], None]:
        again = self.wrong("a leased job is handed out")
        ready = [
            job
            for job in self.jobs.values()
            if job.queue == one.queue and (job.until < now or again)
        ]
        by_priority = not self.wrong("priorities are not looked at")
        ready.sort(key=lambda job: (-job.priority * by_priority, job.place))
        if self.wrong("the last comes first"):
            ready.reverse()
        if self.wrong("a pull finds nothing"):
            ready.clear()
        given = ready[: self.rng.randrange(1, 8)]
        for job in given:
            job.attempts += not self.wrong("attempts are not counted")
            job.until = now + one.lease_ms * MS
        jobs = [Delivered(job.id, job.data, job.attempts) for job in given]
        return lambda: setattr(one, "jobs", jobs)

    def settle(self, one: Settle, now: int) -> Callable[[], None]:
        missing = set()
        for job_id, attempt in zip(one.ids, one.attempts, strict=True):
            job = self.jobs.get(job_id)
            late = attempt is not None and job is not None and attempt != job.attempts
            if late and self.wrong("verdicts of anybody are taken", 1):
                late = False
            if job is None or late or (attempt is None and job.until < now):
                missing.add(job_id)
            elif one.done:
                if not self.wrong("an ACK is forgotten"):
                    del self.jobs[job_id]
            else:
                job.until = -1
                job.place = next(self.places)
        return lambda: setattr(one, "missing", frozenset(missing))

    def look(self, ids: list[int], now: int) -> Look:
        rows: dict[int, Seen | None] = dict.fromkeys(ids)
        for job_id in ids:
            job = self.jobs.get(job_id)
            if job is not None:
                if self.wrong("a lease is not kept"):
                    job.until = -1
                state = "ready" if job.until < now else "active"
                rows[job_id] = Seen(job.data, state, job.attempts)
        return Look(jobs=rows, start=now, end=now + 1)


class _Client:
    """Asks at random, for what it may have."""

    def __init__(self, number: int, rng: random.Random, data: "count[int]") -> None:
        self.number = number
        self.rng = rng
        self.data = data
        self.held: dict[int, Delivered] = {}
        self.under_way: Operation | None = None
        self.tell: Callable[[], None] | None = None

    def ask(self) -> Operation:
        rng, queue = self.rng, self.rng.choice(QUEUES)
        choice = rng.random()
        if choice < 0.35:
            size = rng.randrange(1, 5)
            data = [f"job {next(self.data)}" for _ in range(size)]
            priorities = [rng.randrange(2) for _ in data]
            return Push(queue=queue, data=data, priorities=priorities)
        if choice < 0.7 or not self.held:
            return Pull(queue=queue, lease_ms=rng.choice(LEASES_MS))
        ids = rng.sample(sorted(self.held), min(len(self.held), rng.randrange(1, 5)))
        some = [self.held.pop(job_id) for job_id in ids]
        named = rng.random() < 0.7
        return Settle(
            ids=[job.id for job in some],
            attempts=[job.attempt if named else None for job in some],
            done=rng.random() < 0.8,
        )


def history(seed: int, operations: int, fault: str = "") -> History:
    """Make one; then all jobs that somebody knows are looked at."""
    rng = random.Random(seed)
    data, made = count(1), History()
    queue = _Queue(rng, fault)
    clients = [_Client(number, rng, data) for number in range(CLIENTS)]
    now = 0
    while len(made.operations) < operations or any(c.under_way for c in clients):
        now += rng.randrange(1, 3 * MS)
        client = rng.choice(clients)
        one = client.under_way
        if one is None:
            if len(made.operations) < operations:
                client.under_way = one = client.ask()
                one.start, one.connection = now, client.number
                made.operations.append(one)
        elif client.tell is None:
            client.tell = queue.apply(one, now)
        else:
            _end(made, client, now)
    _look_at_all(made, queue, now + 1)
    return made


def _end(made: History, client: _Client, now: int) -> None:
    """The reply comes, or the connection ends before it."""
    one, tell = client.under_way, client.tell
    assert one is not None
    assert tell is not None
    client.under_way = client.tell = None
    if client.rng.random() < 0.05:
        made.operations.append(Close(connection=client.number, start=now))
        client.held.clear()
        client.number += CLIENTS
        return
    tell()
    one.end = now
    if isinstance(one, Pull):
        client.held |= {job.id: job for job in one.jobs}


def _look_at_all(made: History, queue: _Queue, now: int) -> None:
    ids = {job_id for one in made.operations if isinstance(one, Push) for job_id in one.ids}
    made.operations.append(queue.look(sorted(ids), now))


def in_a_row(one: History, times: int) -> History:
    """The same again and again, with other jobs each time."""
    ids = max(one_id for op in one.operations if isinstance(op, Push) for one_id in op.ids)
    span = max(op.start for op in one.operations) + 10**9
    made = History()
    for turn in range(times):
        for op in one.operations:
            other = replace(op, start=op.start + turn * span)
            if op.answered:
                other.end = op.end + turn * span
            other.connection += turn * 10**6
            _rename(other, turn * ids, f"{turn}: ")
            made.operations.append(other)
    return made


def _rename(one: Operation, ids: int, data: str) -> None:
    if isinstance(one, Push):
        one.data = [data + text for text in one.data]
        one.ids = [job_id + ids for job_id in one.ids]
    elif isinstance(one, Pull):
        one.jobs = [Delivered(j.id + ids, data + j.data, j.attempt) for j in one.jobs]
    elif isinstance(one, Settle):
        one.ids = [job_id + ids for job_id in one.ids]
        one.missing = frozenset(job_id + ids for job_id in one.missing)
    elif isinstance(one, Look):
        one.jobs = {
            job_id + ids: row and Seen(data + row.data, row.state, row.attempts)
            for job_id, row in one.jobs.items()
        }
