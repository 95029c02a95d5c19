"""Clients that work on shared queues and note what they ask and hear, over many restarts.

They push, pull with long and short leases, and settle with and without naming the
attempt, at random. All that goes into one history, which its checker judges at the end.
After each start the crowd looks at every job that it knows and that may be there.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from history.operations import Delivered, History, Look, Pull, Push, Restart, Seen, Settle
from wal.server_process import Connection, Server

QUEUES: Final = ("a", "b", "c")
LONG_MS: Final = 10**7
SHORT_MS: Final = 25
UNSETTLED_MAX: Final = 1500
"""With more jobs than these nobody pushes, so that a look takes no longer than a life."""
LOOKS_MAX: Final = 2
"""So often a job is looked at that is not there any more: it could come back."""


class Worker:
    """One client. Its error, if any, is one that no server's end explains."""

    def __init__(self, crowd: "Crowd", number: int, seed: int) -> None:
        self.crowd = crowd
        self.number = number
        self.rng = random.Random(seed * 1000 + number)
        self.serial = 0
        self.held: dict[int, int] = {}
        """The attempt of each job that is in hand."""
        self.replies = 0
        self.error: BaseException | None = None
        self.connection_number = 0

    def work(self, server: Server) -> None:
        """Go on until the server is gone."""
        self.connection_number = next(self.crowd.history.connections)
        try:
            with closing(Connection(server, is_deaf=lambda: self.crowd.deaf)) as connection:
                self._work(connection)
        except (OSError, ValueError):
            pass
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error

    def _work(self, connection: Connection) -> None:
        try:
            while True:
                self.step(connection)
                self.replies += 1
                self.crowd.count_reply()
        except ConnectionError:
            if self.crowd.deaf:  # a server that sees us go gives our jobs to others
                self.crowd.server_is_gone.wait()
            raise

    def step(self, connection: Connection) -> None:
        choice = self.rng.randrange(4 * (self.crowd.unsettled > UNSETTLED_MAX), 10)
        if choice < 4:
            self.push(connection, self.rng.randrange(1, 30) if choice < 2 else 1)
        elif choice < 7:
            self.pull(connection)
        else:
            self.settle(connection, done=choice < 9)

    def push(self, connection: Connection, count: int) -> None:
        rng = self.rng
        data = [f"{self.number}: {self.serial + n}" for n in range(count)]
        self.serial += count
        delayed = rng.random() < 0.1
        more: dict[str, Any] = {"delay": rng.randrange(30)} if delayed else {}
        queue, priorities = rng.choice(QUEUES), [rng.randrange(3) for _ in data]
        rows = [
            {"data": text, "priority": priority, **more}
            for text, priority in zip(data, priorities, strict=True)
        ]
        history = self.crowd.history
        push = history.begin(
            Push(queue=queue, data=data, priorities=priorities, delayed=delayed)
        )
        if count > 1:
            reply = connection.ask(cmd="PUSHB", queue=queue, jobs=rows)
        else:
            reply = connection.ask(cmd="PUSH", queue=queue, **rows[0])
        if not reply["ok"]:
            history.end(push, refused=True)
            return
        ids = reply["ids"] if count > 1 else [reply["id"]]
        history.end(push, ids=ids)
        self.crowd.known.update(dict.fromkeys(ids, 0))
        self.crowd.unsettled += count

    def pull(self, connection: Connection) -> None:
        queue = self.rng.choice(QUEUES)
        lease_ms = SHORT_MS if self.rng.random() < 0.2 else LONG_MS
        history = self.crowd.history
        pull = history.begin(
            Pull(connection=self.connection_number, queue=queue, lease_ms=lease_ms)
        )
        reply = connection.ask(
            cmd="PULLB", queue=queue, count=12, timeout=0, lease=lease_ms
        )
        if not reply["ok"]:
            assert reply["code"] == "READ_ONLY", reply
            raise ConnectionError("it has lost its log, and is about to end")
        jobs = [Delivered(job["id"], job["data"], job["attempts"]) for job in reply["jobs"]]
        history.end(pull, jobs=jobs)
        for job in jobs:
            self.held[job.id] = job.attempt
            self.crowd.known.setdefault(job.id, 0)

    def settle(self, connection: Connection, *, done: bool) -> None:
        some = self.rng.sample(sorted(self.held), min(15 if done else 2, len(self.held)))
        named = self.rng.random() < 0.5
        attempts = [self.held.pop(job_id) for job_id in some]
        history = self.crowd.history
        settle = history.begin(
            Settle(ids=some, attempts=attempts if named else (), done=done)
        )
        items: list[Any] = list(some)
        if named or not done:
            items = [
                {"id": job_id, **({"attempt": attempt} if named else {})}
                for job_id, attempt in zip(some, attempts, strict=True)
            ]
        if done:
            reply = connection.ask(cmd="ACKB", ids=items)
        elif self.rng.random() < 0.5:
            reply = connection.ask(cmd="RELEASE", ids=items)
        else:
            reply = connection.ask(cmd="FAILB", jobs=items)
        if not reply["ok"]:
            assert reply["code"] == "READ_ONLY", reply
            raise ConnectionError("it has lost its log, and is about to end")
        history.end(settle, missing=frozenset(reply["missing"]))
        self.crowd.unsettled -= len(some) if done else 0


class Crowd:
    """Some workers and what they know together."""

    def __init__(self, clients: int, seed: int) -> None:
        self.history = History()
        self.workers = [Worker(self, number, seed) for number in range(clients)]
        self.unsettled = 0
        """About so many jobs were pushed and not settled."""
        self.known: dict[int, int] = {}
        """Jobs to look at: how often each was not found."""
        self.deaf = False
        """What comes from now on was not heard: the power is off."""
        self.server_is_gone = threading.Event()
        self._wanted = (0, threading.Event())

    def after_replies(self, count: int, call: threading.Event) -> None:
        """Have an event set when about so many more replies were heard."""
        self._wanted = (self._replies() + count, call)

    def count_reply(self) -> None:
        """Be told of a reply."""
        count, event = self._wanted
        if self._replies() >= count:
            event.set()

    def _replies(self) -> int:
        return sum(worker.replies for worker in self.workers)

    @contextmanager
    def at_work(self, server: Server) -> Iterator[None]:
        """Have all work. The server has to be gone, or to go, at the end."""
        threads = [
            threading.Thread(target=worker.work, args=(server,)) for worker in self.workers
        ]
        self.server_is_gone.clear()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.server_is_gone.set()
            for thread in threads:
                thread.join()
            self.deaf = False
        self.history.begin(Restart())
        for worker in self.workers:
            if worker.error is not None:
                raise worker.error

    def look(self, server: Server) -> None:
        """Look at all known jobs, and give those that nobody has in hand to somebody."""
        with closing(Connection(server)) as connection:
            ids = sorted(self.known)
            look = self.history.begin(Look(jobs={}))
            asked = [{"cmd": "GETJOB", "id": job_id} for job_id in ids]
            rows: dict[int, Seen | None] = {}
            for job_id, reply in zip(ids, connection.ask_all(asked), strict=True):
                rows[job_id] = None
                if reply["ok"]:
                    job = reply["job"]
                    rows[job_id] = Seen(job["data"], job["state"], job["attempts"])
            self.history.end(look, jobs=rows)
        self.unsettled = sum(row is not None for row in rows.values())
        in_hand = {job_id for worker in self.workers for job_id in worker.held}
        for job_id, row in rows.items():
            if row is None:
                self.known[job_id] += 1
                if self.known[job_id] > LOOKS_MAX:
                    del self.known[job_id]
            elif row.state == "active" and job_id not in in_hand:
                worker = self.workers[job_id % len(self.workers)]
                worker.held[job_id] = row.attempts

    def seen(self) -> Counter[str]:
        """Count what the history has, to know that it tests something."""
        found: Counter[str] = Counter()
        for one in self.history.operations:
            kind = type(one).__name__.lower()
            found[kind if one.answered else f"{kind} without a reply"] += 1
            if isinstance(one, Pull):
                found["jobs handed out"] += len(one.jobs)
                found["jobs handed out again"] += sum(job.attempt > 1 for job in one.jobs)
            if isinstance(one, Settle) and one.answered:
                found["verdicts"] += len(one.ids) - len(one.missing)
                found["verdicts refused"] += len(one.missing)
        return found
