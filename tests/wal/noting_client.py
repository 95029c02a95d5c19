"""A client that notes what it asked and heard, and so what a restarted server owes it."""

import random
from typing import Any

from wal.server_process import Connection, Server


class Worker:
    """One client with a queue of its own, which notes what it asked and what it heard."""

    def __init__(self, number: int, seed: int) -> None:
        self.queue = f"queue {number}"
        self.rng = random.Random(seed * 1000 + number)
        self.serial = 0
        self.asked: set[str] = set()
        self.known: dict[int, str] = {}
        self.settling: set[int] = set()
        self.settled: set[int] = set()
        self.active: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.replies = 0
        self.deaf = False
        """What comes from now on was not heard: the power is off."""
        self.error: BaseException | None = None

    def work(self, server: Server) -> None:
        """Go on until the server is gone."""
        try:
            connection = Connection(server, is_deaf=lambda: self.deaf)
            try:
                while True:
                    self.step(connection)
                    self.replies += 1
            finally:
                connection.close()
        except (OSError, ValueError):
            pass
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error

    def step(self, connection: Connection) -> None:
        choice = self.rng.randrange(10)
        if choice < 2:
            self.push(connection, self.rng.randrange(1, 30))
        elif choice < 4:
            self.push(connection, 0)
        elif choice < 7:
            reply = connection.ask(
                cmd="PULLB", queue=self.queue, count=12, timeout=0, lease=10**7
            )
            self.take(reply["jobs"])
        elif choice < 9:
            self.settle(connection)
        else:
            for job_id in self.rng.sample(sorted(self.active), min(2, len(self.active))):
                del self.active[job_id]
                connection.ask(cmd="FAIL", id=job_id, error="no")

    def push(self, connection: Connection, count: int) -> None:
        texts = [f"{self.queue}: {self.serial + n}" for n in range(count or 1)]
        self.serial += len(texts)
        self.asked.update(texts)
        if count:
            jobs = [{"data": text} for text in texts]
            ids = connection.ask(cmd="PUSHB", queue=self.queue, jobs=jobs)["ids"]
        else:
            ids = [connection.ask(cmd="PUSH", queue=self.queue, data=texts[0])["id"]]
        for job_id, text in zip(ids, texts, strict=True):
            assert job_id not in self.known, f"id {job_id} was given twice"
            self.known[job_id] = text

    def take(self, jobs: list[dict[str, Any]]) -> None:
        for job in jobs:
            job_id = job["id"]
            assert job["data"] in self.asked, f"job {job_id} comes from nowhere"
            assert self.known.setdefault(job_id, job["data"]) == job["data"]
            assert job_id not in self.settled, f"job {job_id} is back, it was settled"
            assert job_id not in self.active, f"job {job_id} is leased twice"
            assert job["attempts"] > self.attempts.get(job_id, 0), "an attempt is forgotten"
            self.active[job_id] = self.attempts[job_id] = job["attempts"]

    def settle(self, connection: Connection) -> None:
        ids = self.rng.sample(sorted(self.active), min(15, len(self.active)))
        self.settling.update(ids)
        for job_id in ids:
            del self.active[job_id]
        missing = connection.ask(cmd="ACKB", ids=ids)["missing"]
        assert not missing, f"jobs {missing} were active"
        self.settled.update(ids)

    def check(self, connection: Connection) -> None:
        """After a restart: every job is where it has to be, or where it may be."""
        self.active.clear()
        ids = sorted(self.known)
        replies = connection.ask_all([{"cmd": "GETJOB", "id": job_id} for job_id in ids])
        for job_id, reply in zip(ids, replies, strict=True):
            if job_id in self.settled:
                assert not reply["ok"], f"job {job_id} is back, it was settled"
            elif job_id not in self.settling:
                assert reply["ok"], f"job {job_id} is lost: {reply}"
                assert reply["job"]["data"] == self.known[job_id]
            if reply["ok"]:
                assert reply["job"]["attempts"] >= self.attempts.get(job_id, 0)
                if reply["job"]["state"] == "active":
                    self.active[job_id] = self.attempts[job_id] = reply["job"]["attempts"]
        for job_id in self.settled - self.settling:
            self.known.pop(job_id)
        self.forget()

    def forget(self) -> None:
        """Settled jobs have been looked at often enough when there are many."""
        if len(self.settled) > 600:
            for job_id in sorted(self.settled)[:400]:
                self.settled.discard(job_id)
                self.settling.discard(job_id)
                self.known.pop(job_id, None)
