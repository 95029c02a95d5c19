"""What was promised to clients, and whether a restarted server keeps it.

`Promises` drives a simulated server with a random script of commands and notes each
request before it is sent and each answer. `check` then looks at a server that opened the
same log: nothing that was answered may be missing, nothing that was settled may be back,
nothing may come from nowhere. What was asked but not answered may have happened or not.
"""

import random
from typing import Any

from wal.simulated import Client, Server


class Promises:
    """The script and its answers, over any number of restarts."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.serial = 0
        self.data_of: dict[int, str] = {}
        """Answered pushes, by id."""
        self.asked_data: set[str] = set()
        self.settling: set[int] = set()
        """Jobs whose settlement was asked for."""
        self.settled: set[int] = set()
        """Those of them where it was answered."""
        self.active: dict[int, int] = {}
        """Jobs that were handed out in this run, with their attempt."""
        self.attempts: dict[int, int] = {}
        """The highest attempt that a worker has seen."""
        self.paused: dict[str, bool | None] = {}
        """None: asked for and not answered."""

    def step(self, client: Client) -> None:
        """Do something at random."""
        rng = self.rng
        choice = rng.randrange(12)
        queue = rng.choice("ab")
        if choice <= 2:
            self.push(client, queue)
        elif choice == 3:
            self.push(client, queue, rng.randrange(2, 8))
        elif choice <= 6:
            self.pull(client, queue)
        elif choice <= 9:
            self.settle(client)
        elif choice == 10:
            self.fail(client)
        elif rng.random() < 0.3:
            self.pause(client, queue)
        else:
            client.server.tick(rng.randrange(400))

    def push(self, client: Client, queue: str, count: int = 0) -> None:
        fresh = [f"job {self.serial + n}" for n in range(count or 1)]
        self.serial += len(fresh)
        self.asked_data.update(fresh)
        if count:
            jobs = [{"data": text, "priority": self.rng.randrange(3)} for text in fresh]
            reply = client.ask(cmd="PUSHB", queue=queue, jobs=jobs)
            ids = reply.get("ids", []) if reply else []
        else:
            reply = client.ask(cmd="PUSH", queue=queue, data=fresh[0])
            ids = [reply["id"]] if reply and reply["ok"] else []
        for job_id, text in zip(ids, fresh, strict=False):
            assert job_id not in self.data_of, f"id {job_id} was given twice"
            assert not self.data_of or job_id > max(self.data_of), "ids do not rise"
            self.data_of[job_id] = text

    def pull(self, client: Client, queue: str) -> None:
        reply = client.ask(cmd="PULLB", queue=queue, count=5, timeout=0)
        for job in (reply or {}).get("jobs", []):
            self.delivered(job)

    def delivered(self, job: dict[str, Any]) -> None:
        job_id = job["id"]
        assert job_id not in self.settled, f"job {job_id} is back though it was settled"
        assert job["data"] in self.asked_data, f"job {job_id} comes from nowhere"
        assert self.data_of.setdefault(job_id, job["data"]) == job["data"]
        assert job_id not in self.active, f"job {job_id} is leased twice"
        assert job["attempts"] > self.attempts.get(job_id, 0), "an attempt was forgotten"
        self.active[job_id] = self.attempts[job_id] = job["attempts"]

    def settle(self, client: Client) -> None:
        ids = self.rng.sample(sorted(self.active), min(6, len(self.active)))
        self.settling.update(ids)
        reply = client.ask(cmd="ACKB", ids=ids)
        for job_id in ids:
            self.active.pop(job_id)
        if reply and reply["ok"]:
            self.settled |= set(ids) - set(reply["missing"])

    def fail(self, client: Client) -> None:
        for job_id in self.rng.sample(sorted(self.active), min(1, len(self.active))):
            client.ask(cmd="FAIL", id=job_id, error="why not")
            del self.active[job_id]

    def pause(self, client: Client, queue: str) -> None:
        paused = self.rng.random() < 0.5
        self.paused[queue] = None
        reply = client.ask(cmd="PAUSE" if paused else "RESUME", queue=queue)
        if reply and reply["ok"]:
            self.paused[queue] = paused

    def check(self, server: Server) -> None:
        """Look at a server that has just started."""
        server.engine.core.check()
        client = server.client()
        self.active.clear()
        for job_id, text in self.data_of.items():
            reply = client.ask(cmd="GETJOB", id=job_id)
            assert reply is not None
            if job_id in self.settled:
                assert not reply["ok"], f"job {job_id} is back though it was settled"
            elif job_id not in self.settling:
                assert reply["ok"], f"job {job_id} is lost: {reply}"
                assert reply["job"]["data"] == text, f"job {job_id} has other data"
            if reply["ok"]:
                seen = reply["job"]["attempts"]
                known = self.attempts.get(job_id, 0)
                assert seen >= known, f"job {job_id} forgot an attempt"
                if reply["job"]["state"] == "active":
                    self.active[job_id] = seen
        self._check_rest(client)

    def _check_rest(self, client: Client) -> None:
        last = max(self.data_of, default=0)
        for job_id in range(1, last + 20):
            if job_id in self.data_of:
                continue
            reply = client.ask(cmd="GETJOB", id=job_id)
            assert reply is not None
            if reply["ok"]:
                text = reply["job"]["data"]
                assert text in self.asked_data, f"job {job_id} comes from nowhere"
                assert text not in self.data_of.values(), f"{text} is there twice"
                self.data_of[job_id] = text
        for queue, paused in self.paused.items():
            reply = client.ask(cmd="STATS", queue=queue)
            assert reply is not None
            if paused is not None:
                assert reply["paused"] is paused, f"queue {queue} forgot its pause"
            self.paused[queue] = reply["paused"]
        client.close()
