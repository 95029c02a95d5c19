"""What was promised to clients, and whether a restarted server keeps it.

`Promises` drives a simulated server with a random script of commands by some clients, up
to three of which ask at the same time, and notes all that is asked and heard. `check` has
a look at a server that opened the same log, and lets the history be judged: nothing that
was answered may be missing, nothing that was settled may be back, and so on. What was
asked and not answered may have happened or not.
"""

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from history.checker import check
from history.operations import (
    MS,
    Delivered,
    History,
    Look,
    Operation,
    Pause,
    Pull,
    Push,
    Restart,
    Seen,
    Settle,
)
from wal.simulated import Client, Server

CLIENTS: Final = 3
LEASES_MS: Final = (300, 10**6, 10**6)
IDS_BEHIND: Final = 20
"""So many ids above the last known one are looked at, too."""

Reply = dict[str, Any]
Hear = Callable[[Reply], None]


class Talker:
    """A client, and what it has asked that is not answered yet."""

    def __init__(self, server: Server, number: int) -> None:
        self.client: Client = server.client()
        self.number = number
        self.waiting: deque[Hear] = deque()

    def ask(self, request: dict[str, Any], hear: Hear) -> None:
        self.waiting.append(hear)
        self.client.send(request)

    def hear(self) -> None:
        """Take the replies that have come."""
        replies, self.client.replies = self.client.replies, []
        for reply in replies:
            self.waiting.popleft()(reply)


class Promises:
    """The script and its answers, over any number of restarts."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.history = History(self._moment)
        self.held: dict[int, int] = {}
        """The attempt of each job that somebody has in hand."""
        self.last_id = 0
        self.paused: dict[str, bool | None] = {}
        """None: asked for and not answered."""
        self._last_pause: dict[str, Pause] = {}
        self._serial = 0
        self.talkers: list[Talker] = []
        self._server: Server | None = None
        self._last_moment = 0

    def copy(self) -> "Promises":
        """The same, to check a server with and go on from here later."""
        other = Promises(0)
        other.history.operations = list(self.history.operations)
        other.history.connections = self.history.connections
        other.last_id, other.held = self.last_id, dict(self.held)
        other.paused = dict(self.paused)
        other._last_moment = self._moment()
        return other

    def _moment(self) -> int:
        now = self._server.now * MS if self._server is not None else 0
        self._last_moment = max(self._last_moment + 1, now)
        return self._last_moment

    def meet(self, server: Server) -> None:
        """Connect the clients to a server."""
        self._server = server
        self.talkers = [self._connect() for _ in range(CLIENTS)]

    def _connect(self) -> Talker:
        assert self._server is not None
        return Talker(self._server, next(self.history.connections))

    def step(self) -> None:
        """Do something at random, or some things at a time."""
        server = self._server
        assert server is not None
        for index, talker in enumerate(self.talkers):
            if talker.client.hung_up:
                talker.client.close()
                self.talkers[index] = self._connect()
        if self.rng.random() < 0.06:
            server.tick(self.rng.randrange(400))
        for talker in self.rng.sample(self.talkers, self.rng.choice((1, 1, 2, 3))):
            self._ask(talker)
        server.pump()
        self.hear()

    def hear(self) -> None:
        """Take the replies that have come."""
        for talker in self.talkers:
            talker.hear()

    def _ask(self, talker: Talker) -> None:
        rng = self.rng
        choice, queue = rng.randrange(12), rng.choice("ab")
        if choice <= 2:
            self.push(talker, queue)
        elif choice == 3:
            self.push(talker, queue, rng.randrange(2, 8))
        elif choice <= 6:
            self.pull(talker, queue)
        elif choice <= 9:
            self.settle(talker, 6, done=True)
        elif choice == 10:
            self.settle(talker, 1, done=False)
        elif rng.random() < 0.2:
            self.pause(talker, queue)

    def push(self, talker: Talker, queue: str, count: int = 0) -> None:
        data = [f"job {self._serial + n}" for n in range(count or 1)]
        self._serial += len(data)
        priorities = [self.rng.randrange(3) for _ in data]
        push = Push(queue=queue, data=data, priorities=priorities)
        rows = [
            {"data": text, "priority": priority}
            for text, priority in zip(data, priorities, strict=True)
        ]

        def heard(reply: Reply) -> None:
            if not reply["ok"]:
                assert reply["code"] in {"FULL", "READ_ONLY"}
                self.history.end(push, refused=True)
                return
            ids = reply["ids"] if count else [reply["id"]]
            self.history.end(push, ids=ids)
            self.last_id = max(self.last_id, *ids)

        request = {"cmd": "PUSHB", "jobs": rows} if count else {"cmd": "PUSH", **rows[0]}
        self._begin(talker, push, {**request, "queue": queue}, heard)

    def _begin(
        self, talker: Talker, operation: Operation, request: dict[str, Any], heard: Hear
    ) -> None:
        operation.connection = talker.number
        self.history.begin(operation)
        talker.ask(request, heard)

    def pull(self, talker: Talker, queue: str) -> None:
        lease_ms = self.rng.choice(LEASES_MS)
        pull = Pull(queue=queue, lease_ms=lease_ms)

        def heard(reply: Reply) -> None:
            if not reply["ok"]:
                assert reply["code"] == "READ_ONLY"
                self.history.end(pull, refused=True)
                return
            rows = reply["jobs"]
            jobs = [Delivered(row["id"], row["data"], row["attempts"]) for row in rows]
            self.history.end(pull, jobs=jobs)
            self.held |= {job.id: job.attempt for job in jobs}
            self.last_id = max([self.last_id, *(job.id for job in jobs)])

        request = {"cmd": "PULLB", "queue": queue, "count": 5, "timeout": 0}
        self._begin(talker, pull, {**request, "lease": lease_ms}, heard)

    def settle(self, talker: Talker, count: int, *, done: bool) -> None:
        named = self.rng.random() < 0.5
        ids = self.rng.sample(sorted(self.held), min(count, len(self.held)))
        attempts = [self.held.pop(job_id) for job_id in ids]
        settle = Settle(ids=ids, attempts=attempts if named else (), done=done)
        items = [
            {"id": job_id, **({"attempt": attempt} if named else {})}
            for job_id, attempt in zip(ids, attempts, strict=True)
        ]

        def heard(reply: Reply) -> None:
            if reply["ok"]:
                self.history.end(settle, missing=frozenset(reply["missing"]))
            else:
                assert reply["code"] == "READ_ONLY"
                self.history.end(settle, ids=(), attempts=())

        request = {"cmd": "ACKB", "ids": items} if done else {"cmd": "FAILB", "jobs": items}
        self._begin(talker, settle, request, heard)

    def pause(self, talker: Talker, queue: str) -> None:
        paused = self.rng.random() < 0.5
        pause = Pause(queue=queue)
        self.paused[queue] = None
        self._last_pause[queue] = pause

        def heard(reply: Reply) -> None:
            if reply["ok"] and self._last_pause[queue] is pause:
                self.paused[queue] = paused

        request = {"cmd": "PAUSE" if paused else "RESUME", "queue": queue}
        self._begin(talker, pause, request, heard)

    def check(self, server: Server) -> None:
        """Look at a server that has just started; then let all be judged."""
        server.engine.core.check()
        self._moment()
        self._server = server
        server.tick(max(0, self._last_moment // MS + 1 - server.now))
        self.history.begin(Restart())
        client = server.client()
        self._look_at_jobs(client)
        for queue, paused in self.paused.items():
            reply = client.ask(cmd="STATS", queue=queue)
            assert reply is not None
            if paused is not None:
                assert reply["paused"] is paused, f"queue {queue} forgot its pause"
            self.paused[queue] = reply["paused"]
        client.close()
        check(self.history)

    def _look_at_jobs(self, client: Client) -> None:
        ids = range(1, self.last_id + IDS_BEHIND)
        look = self.history.begin(Look(jobs={}))
        for job_id in ids:
            client.send({"cmd": "GETJOB", "id": job_id})
        client.server.pump()
        assert len(client.replies) == len(ids)
        self.held.clear()
        for job_id, reply in zip(ids, client.replies, strict=True):
            look.jobs[job_id] = None
            if reply["ok"]:
                job = reply["job"]
                look.jobs[job_id] = Seen(job["data"], job["state"], job["attempts"])
                self.last_id = max(self.last_id, job_id)
                if job["state"] == "active":
                    self.held[job_id] = job["attempts"]
        client.replies.clear()
        self.history.end(look)
