"""The orders of the python core against a list: jobs leave from wherever they stand."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.delayed_order import DelayedOrder
from magicqueue_cores.memory_tally import Tally
from magicqueue_cores.oldest_ready import OldestReady
from magicqueue_cores.ready_order import ReadyOrder

SEEDS = range(8)


@dataclass
class Ready:
    """A ready job, as the order has to know it."""

    key: int
    priority: int
    payload: bytes = b"x"
    run_at_ms: int = 0

    def ready_key(self, job_id: int) -> int:
        del job_id
        return self.key


@pytest.mark.parametrize("seed", SEEDS)
def test_ready_jobs(seed: int) -> None:
    rng = Random(seed)
    order = ReadyOrder("q", Tally(), OldestReady())
    table: dict[int, Ready] = {}
    gone: dict[int, Ready] = {}
    sequence = 0
    for _ in range(1500):
        here = sorted(table, key=lambda i: (-table[i].priority, table[i].key))
        what = rng.choice(["come", "come", "leave", "leave", "again", "take", "drain"])
        if what == "come":
            ids = [sequence + n for n in range(1, rng.choice([2, 2, 30]))]
            priority = rng.choice([0, 0, 1])
            for job_id in ids:
                sequence += 1
                table[job_id] = Ready(sequence, priority)
            order.append(priority, ids, 0)
        elif what == "leave":
            for job_id in rng.sample(here, min(len(here), rng.choice([1, 1, 20]))):
                order.remove(table[job_id].priority, job_id)
                gone[job_id] = table.pop(job_id)
        elif what == "again" and gone:
            job_id = rng.choice(list(gone))
            table[job_id] = job = gone.pop(job_id)
            if rng.random() < 0.5:
                order.give_back(job.priority, job.key, job_id, 0)
            else:
                sequence += 1
                job.key = sequence
                order.append(job.priority, (job_id,), 0)
        elif what == "take":
            count = rng.choice([1, 1, 2, 10])
            room = rng.choice([1, 3, 100])
            taken = order.take(count, room, table)
            assert taken == here[: min(count, room)]
            gone.update((job_id, table.pop(job_id)) for job_id in taken)
        elif what == "drain" and rng.random() < 0.2:
            upto = sequence - rng.choice([0, 0, 20])
            drained = order.drain_some(upto, 25, table)
            meant = {job_id for job_id in here if table[job_id].key <= upto}
            assert set(drained) <= meant
            assert len(drained) == min(25, len(meant))
            gone.update((job_id, table.pop(job_id)) for job_id in drained)
        assert set(order.check(table)) == set(table)
    assert sorted(order.drain()) == sorted(table)


Place = tuple[str, int]
"""A delayed job's queue, and its time."""


class DelayedBesideDicts:
    """A delayed order, and what should be in it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.order = DelayedOrder(Tally())
        self.waiting: dict[int, Place] = {}
        self.draining: dict[int, Place] = {}
        self.gone: dict[int, Place] = {}
        self.last_id = self.now_ms = 0

    def come(self, queue: str) -> None:
        entries = []
        for _ in range(self.rng.choice([1, 1, 30])):
            self.last_id += 1
            at_ms = self.now_ms + self.rng.randint(1, 50)
            self.waiting[self.last_id] = queue, at_ms
            entries.append((at_ms, self.last_id))
        self.order.add(queue, entries)

    def leave(self, _: str) -> None:
        here = [*self.waiting, *self.draining]
        for job_id in self.rng.sample(here, min(len(here), self.rng.choice([1, 1, 20]))):
            place = self.waiting if job_id in self.waiting else self.draining
            queue, at_ms = self.gone[job_id] = place.pop(job_id)
            self.order.remove(queue, at_ms, job_id)

    def come_again(self, _: str) -> None:
        """At the same time as ever."""
        for job_id in self.rng.sample(list(self.gone), min(3, len(self.gone))):
            queue, at_ms = self.gone.pop(job_id)
            if at_ms > self.now_ms:
                self.waiting[job_id] = queue, at_ms
                self.order.add(queue, [(at_ms, job_id)])

    def mature(self, _: str) -> None:
        self.now_ms += self.rng.choice([0, 1, 5])
        most = self.rng.choice([1, 4, 100])
        due = self.by_time(self.waiting, lambda _, at_ms: at_ms <= self.now_ms)[:most]
        assert self.order.due(self.now_ms, most) == due
        for job_id in due:
            del self.waiting[job_id]

    def drain(self, queue: str) -> None:
        if self.rng.random() < 0.2:
            self.order.begin_drain(queue)
            for job_id in self.by_time(self.waiting, lambda name, _: name == queue):
                self.draining[job_id] = self.waiting.pop(job_id)
        most = self.rng.choice([1, 3])
        meant = self.by_time(self.draining, lambda name, _: name == queue)[:most]
        assert self.order.drain_some(queue, most) == meant
        for job_id in meant:
            self.gone[job_id] = self.draining.pop(job_id)

    def by_time(
        self, places: dict[int, Place], want: Callable[[str, int], bool]
    ) -> list[int]:
        found = [(at, job_id) for job_id, (name, at) in places.items() if want(name, at)]
        return [job_id for _, job_id in sorted(found)]

    def check(self) -> None:
        assert self.order.check() == {**self.waiting, **self.draining}
        times = [at_ms for _, at_ms in self.waiting.values()]
        assert self.order.next_ms == min(times, default=NEVER_MS)


@pytest.mark.parametrize("seed", SEEDS)
def test_delayed_jobs(seed: int) -> None:
    both = DelayedBesideDicts(seed)
    steps = [both.come, both.leave, both.come_again, both.mature, both.drain]
    for _ in range(1500):
        both.rng.choice([*steps, both.come, both.leave])(both.rng.choice("ab"))
        both.check()
    for queue in "ab":
        here = {**both.waiting, **both.draining}
        ids = [job_id for job_id, (name, _) in here.items() if name == queue]
        assert both.order.count(queue) == len(ids)
        assert sorted(both.order.drain(queue)) == sorted(ids)
        assert both.order.count(queue) == 0
