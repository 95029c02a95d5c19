"""Tens of thousands of jobs through real clients, a bad network and processes that die.

Eight producers push by every way that `Queue` has, eight workers of every kind run the
jobs, five of them processes of their own. All talk to a real server process through the
chaos proxy, which cuts connections at random bytes, and all at once now and then. Worker
processes are killed, or held up for longer than their leases; handlers fail, some always.

At the end every job that was pushed is done or dead, and every execution is accounted
for: no attempt ran twice, an execution without an end stood in a process that was killed,
what was done last was what counted, and all repeats together are no more than what the
server counts as failed or lost. A push whose reply was lost may have happened, once.
"""

import asyncio
import logging
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from chaos import handlers
from chaos.handlers import DOOMED, LEASE_S, SHAKY, Line
from chaos.proxy import Proxy
from chaos.worker_processes import COMMANDS, WorkerProcess
from magicqueue import ConnectionLost, JobDetails, Queue, SyncWorker, Worker
from magicqueue.wire.replies import ServerCounts
from server.process import ServerProcess

JOBS: Final = int(os.environ.get("MAGICQUEUE_CHAOS_JOBS", "30000"))
PRODUCERS: Final = 8
KILLS: Final = 8
BACKLOG: Final = 3000
"""Producers pause while more jobs than this are queued, so that faults meet work."""

CUT_BYTES: Final = 200_000
LOOK_S: Final = 0.05

Push: TypeAlias = Callable[[Queue, list[int]], Awaitable[Sequence[int | BaseException]]]


@dataclass
class Journal:
    """What the producers know, by the number that is a job's data."""

    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    ids: dict[int, int] = field(default_factory=dict)
    """The id of each job whose push was confirmed."""
    unsure: set[int] = field(default_factory=set)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    faults_over: bool = False


async def _push_singly(queue: Queue, numbers: list[int]) -> list[int | BaseException]:
    pushes = [queue.push(n, **_options(n)) for n in numbers]
    return await asyncio.gather(*pushes, return_exceptions=True)


async def _push_batch(queue: Queue, numbers: list[int]) -> list[int]:
    return await queue.push_batch(numbers, max_attempts=2, backoff=0.02)


async def _push_many(queue: Queue, numbers: list[int]) -> list[int]:
    return await queue.push_many(iter(numbers), batch_size=40, max_attempts=2, backoff=0.02)


def _options(number: int) -> Any:
    delay = 0.03 if number % 17 == 0 else None
    return {"priority": number % 3, "delay": delay, "max_attempts": 2, "backoff": 0.02}


async def _produce(
    url: str,
    journal: Journal,
    push: Push,
    batch: int,
) -> None:
    async with Queue("chaos", url) as queue:
        while len(journal.ids) < JOBS or not journal.faults_over:
            await journal.room.wait()
            numbers = list(islice(journal.numbers, batch))
            journal.unsure.update(numbers)
            try:
                told = await push(queue, numbers)
            except ConnectionLost:
                continue
            for number, answer in zip(numbers, told, strict=True):
                if isinstance(answer, int):
                    journal.ids[number] = answer
                    journal.unsure.discard(number)
                else:
                    assert isinstance(answer, ConnectionLost), answer


async def _watch_backlog(queue: Queue, journal: Journal) -> None:
    while True:
        if (await queue.stats()).queued < BACKLOG:
            journal.room.set()
        else:
            journal.room.clear()
        await asyncio.sleep(LOOK_S)


async def _cut_all(proxy: Proxy, rng: random.Random) -> None:
    while True:
        await asyncio.sleep(0.5 + rng.random())
        proxy.cut()


async def _break_processes(places: list[WorkerProcess], rng: random.Random) -> None:
    """Kill processes that work, at random moments, and hold up others meanwhile."""
    for _ in range(KILLS):
        victim, other = rng.sample(places, 2)
        for place in (victim, other):
            await _until_it_works(place)
        other.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(rng.random() * LEASE_S)
            victim.kill()
            victim.start()
            await asyncio.sleep(LEASE_S * 1.2)
        finally:
            other.send(signal.SIGCONT)
    for place in places:
        await _until_it_works(place)


async def _until_it_works(place: WorkerProcess) -> None:
    while True:
        if place.works:
            return
        await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def _workers_here(url: str) -> AsyncIterator[None]:
    """Three workers in this process, of the kinds that the others are not."""
    async with AsyncExitStack() as stack:
        for handler in (handlers.in_loop, handlers.in_turn):
            worker = Worker("chaos", handler, url=url, lease=LEASE_S, prefetch=10)
            await stack.enter_async_context(worker)
        sync = SyncWorker("chaos", handlers.in_turn, url=url, lease=LEASE_S)
        sync.start()
        stack.push_async_callback(asyncio.to_thread, sync.stop)
        yield


async def _drained(queue: Queue) -> ServerCounts:
    """Wait until no job is queued, delayed or active; gives the last counts."""
    while True:
        stats = await queue.server_stats()
        if not stats.queued + stats.delayed + stats.processing:
            return stats
        await asyncio.sleep(LOOK_S)


async def _chaos(
    server: ServerProcess, places: list[WorkerProcess], rng: random.Random
) -> "Outcome":
    proxy = Proxy(server.port, rng.randrange(10**6), CUT_BYTES)
    await proxy.start()
    url = f"127.0.0.1:{proxy.port}"
    journal = Journal()
    for place in places:
        place.start(url)
    async with Queue("chaos", f"127.0.0.1:{server.port}") as direct:
        ways: list[tuple[Push, int]] = [
            (_push_singly, 30),
            (_push_batch, 60),
            (_push_many, 200),
        ]
        producing = [
            _produce(url, journal, *ways[index % len(ways)]) for index in range(PRODUCERS)
        ]
        trouble = [
            asyncio.create_task(_cut_all(proxy, rng)),
            asyncio.create_task(_watch_backlog(direct, journal)),
        ]

        async def break_processes() -> None:
            await _break_processes(places, rng)
            journal.faults_over = True

        async with _workers_here(url):
            finish = asyncio.gather(*producing, break_processes())
            await _first_of(finish, *trouble)
            ending = asyncio.ensure_future(_drained(direct))
            await _first_of(ending, *trouble)
            for task in trouble:
                task.cancel()
            await asyncio.gather(*trouble, return_exceptions=True)
            codes = [await asyncio.to_thread(place.stop) for place in places]
        assert codes == [0] * len(places)
        await proxy.stop()
        stats = await _drained(direct)
        dead = [job async for job in direct.all_dead(1000)]
    return Outcome(journal, proxy.cuts, stats, {job.data: job for job in dead})


async def _first_of(wanted: "asyncio.Future[Any]", *others: "asyncio.Future[Any]") -> None:
    """Wait for `wanted`; what ends before it has failed."""
    await asyncio.wait({wanted, *others}, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        if other.done():
            other.result()
    await wanted


@dataclass
class Outcome:
    """What everybody says in the end."""

    journal: Journal
    cuts: int
    stats: ServerCounts
    dead: dict[int, JobDetails]


@dataclass
class Executions:
    """All that the handlers wrote down: what became of each attempt that was begun."""

    ids: dict[int, int] = field(default_factory=dict)
    ends: dict[tuple[int, int], str] = field(default_factory=dict)
    """`returned`, `raised`, `cancelled` or `killed`, by number and attempt."""

    def add(self, lines: Iterable[Line], *, killed: bool) -> None:
        """Check and take what one process wrote."""
        begun: set[tuple[int, int]] = set()
        for line in lines:
            key = (line.number, line.attempt)
            assert self.ids.setdefault(line.number, line.id) == line.id, "pushed twice"
            if line.event == "started":
                assert key not in self.ends, "no attempt is handed out twice"
                self.ends[key] = "killed"
                begun.add(key)
            else:
                begun.remove(key)
                self.ends[key] = line.event
        assert killed or not begun, "only a killed process leaves handlers unfinished"

    def last_attempts(self) -> dict[int, int]:
        """Give the last attempt of each job that was seen."""
        last: dict[int, int] = {}
        for number, attempt in self.ends:
            last[number] = max(attempt, last.get(number, 0))
        return last


def _account(outcome: Outcome, ran: Executions) -> dict[str, int]:
    """Compare what producers, handlers and the server say."""
    journal, stats, dead = outcome.journal, outcome.stats, outcome.dead
    last = ran.last_attempts()
    seen = last.keys() | dead.keys()
    happened = journal.unsure & seen
    assert stats.dead == len(dead)
    assert stats.dropped == 0
    assert stats.pushed == stats.completed + stats.dead, "none is lost or made up"
    assert seen == journal.ids.keys() | happened, "each was run, none is from nowhere"
    assert stats.pushed == len(seen)
    for number, job_id in journal.ids.items():
        assert ran.ids.get(number, job_id) == job_id
    for number in last.keys() - dead.keys():
        end = ran.ends[number, last[number]]
        assert end == "returned", "what counted is the last attempt, and it was done"
    for number, job in dead.items():
        if job.reason == "failed":
            assert number % SHAKY == 0
            assert job.failures == 2
        else:
            assert (job.reason, job.lost) == ("worker_lost", 4)
            assert job.attempts >= 4 + job.failures, "the rest was given back unbegun"
        assert last.get(number, 0) <= job.attempts
        last[number] = job.attempts

    raised = sum(end == "raised" for end in ran.ends.values())
    assert stats.failed <= raised, "no failure without a handler that raised"
    repeats = sum(last.values()) - len(last)
    settled_late = stats.lost + stats.released + stats.failed - stats.dead - repeats
    assert 0 <= settled_late <= stats.completed, "each repeat has its cause"
    superseded = Counter(
        ran.ends.get((number, attempt), "unseen")
        for number, final in last.items()
        for attempt in range(1, final)
    )
    back = stats.lost + stats.released
    assert repeats - superseded["raised"] <= back, "what did not fail was lost or released"
    begun = repeats - superseded["raised"] - superseded["unseen"]
    assert begun <= stats.lost, "what was begun and did not fail was lost"
    failed_dead = sum(job.reason == "failed" for job in dead.values())
    return {
        "pushed": stats.pushed,
        "done": stats.completed,
        "dead by failing": failed_dead,
        "dead by loss": len(dead) - failed_dead,
        "cuts": outcome.cuts,
        "unsure pushes": len(journal.unsure),
        "of which happened": len(happened),
        "executions": len(ran.ends),
        "raised": raised,
        "cut short by a kill": sum(end == "killed" for end in ran.ends.values()),
        "lost": stats.lost,
        "repeats": repeats,
        **{f"repeated after {end}": number for end, number in superseded.items()},
        "settled after they came back": settled_late,
    }


def test_every_execution_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seed = int(os.environ.get("MAGICQUEUE_CHAOS_SEED", random.randrange(10**6)))
    print(f"MAGICQUEUE_CHAOS_SEED={seed}")  # noqa: T201 - to run it again
    caplog.set_level(logging.ERROR, "magicqueue")
    here = tmp_path / "here.record"
    monkeypatch.setenv(handlers.VARIABLE, str(here))
    places = [
        WorkerProcess(f"worker-{number}", arguments, tmp_path)
        for number, arguments in enumerate(COMMANDS)
    ]
    with ServerProcess() as server, ExitStack() as ending:
        for place in places:
            ending.callback(place.end)
        outcome = asyncio.run(_chaos(server, places, random.Random(seed)))
        code, err = server.stop()
    assert code == 0
    assert "Traceback" not in err
    killed = {record for place in places for record in place.killed}
    ran = Executions()
    for record in tmp_path.glob("*.record"):
        ran.add(handlers.read(record), killed=record in killed)
    found = _account(outcome, ran)
    print(", ".join(f"{name}: {number}" for name, number in found.items()))  # noqa: T201 - shown with -s, and when the test fails
    assert len(killed) == KILLS
    assert found["pushed"] >= JOBS
    assert found["cuts"] >= 20
    assert found["lost"] > 0
    assert found["settled after they came back"] > 0
    assert found["dead by failing"] >= JOBS // DOOMED // 2
    for place in places:
        assert "never retrieved" not in place.log.read_text()
