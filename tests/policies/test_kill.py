"""kill -9 at random moments: keys, repeats, results and cancels are exact afterwards.

Clients push with keys and request keys, acknowledge with results, and cancel. What a client
did not hear the answer to, it sends again to the next server, with the same request key.
"""

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from history.operations import History, Restart
from history.policed import Cancel, Done, Ends, KeyedPush, Taken, broken
from policies.killed_crowd import OPTIONS, KilledClient, KilledCrowd
from wal.server_process import Connection, Server, serving

CLIENTS: Final = 6
FOREVER_MS: Final = 10**9
MORE: Final[list[dict[str, Any]]] = [{}, {"ttl": FOREVER_MS}, {"timeout": FOREVER_MS}]


class Client(KilledClient):
    """One client, of keys, repeats, results and cancels."""

    def __init__(self, crowd: "Crowd", number: int, seed: int) -> None:
        super().__init__(number, seed)
        self.crowd = crowd
        self.held: dict[int, int] = {}
        self.again: tuple[KeyedPush, dict[str, Any]] | None = None
        """A push whose answer was not heard."""
        self.answered: tuple[dict[str, Any], int] | None = None
        """The last push whose answer was heard, and the id in it."""

    def step(self, connection: Connection) -> None:
        choice = self.rng.randrange(10)
        if choice < 4 or self.again is not None:
            self.push(connection)
        elif choice < 6:
            self.pull(connection)
        elif choice < 8:
            self.done(connection)
        elif choice < 9:
            self.fail(connection)
        else:
            self.cancel(connection)

    def push(self, connection: Connection) -> None:
        rng, history = self.rng, self.crowd.history
        if self.again is None and self.answered is not None and rng.random() < 0.1:
            request, job_id = self.answered
            reply = connection.ask(**request)
            assert (reply["id"], reply["repeated"]) == (job_id, True), "as it was answered"
            self.crowd.seen["repeated"] += 1
            return
        if self.again is None:
            queue = rng.choice("ab")
            key = f"key {rng.randrange(30)}" if rng.random() < 0.7 else None
            request = {
                "cmd": "PUSH",
                "queue": queue,
                "data": 1,
                "req_key": f"{self.number}: {next(self.serial)}",
                "keep_result": FOREVER_MS,
                "max_attempts": 0,
                "delay": rng.choice((0, 0, 0, 5, 60_000)),
                **rng.choice(MORE),
            }
            if key is not None:
                request["unique_key"] = key
            self.again = history.begin(KeyedPush(queue=queue, key=key)), request
        push, request = self.again
        reply = connection.ask(**request)
        assert reply["ok"], reply
        duplicate, repeated = reply.get("duplicate", False), reply.get("repeated", False)
        self.crowd.seen["repeated"] += repeated
        self.crowd.seen["duplicate"] += duplicate
        unsure = repeated and push.key is not None
        history.end(push, id=reply["id"], duplicate=duplicate, unsure=unsure)
        self.again = None
        self.answered = request, reply["id"]
        self.crowd.known.add(reply["id"])

    def pull(self, connection: Connection) -> None:
        taken = self.crowd.history.begin(Taken())
        reply = connection.ask(
            cmd="PULLB", queue=self.rng.choice("ab"), count=6, timeout=0, lease=FOREVER_MS
        )
        jobs = reply["jobs"]
        self.crowd.history.end(taken, ids=[job["id"] for job in jobs])
        self.held.update((job["id"], job["attempts"]) for job in jobs)

    def done(self, connection: Connection) -> None:
        history = self.crowd.history
        some = self.rng.sample(sorted(self.held), min(4, len(self.held)))
        items, asked = [], []
        for job_id in some:
            result = f"{self.number} says {next(self.serial)}"
            items.append({"id": job_id, "attempt": self.held.pop(job_id), "result": result})
            asked.append(history.begin(Done(id=job_id, result=result)))
        missing = connection.ask(cmd="ACKB", ids=items)["missing"]
        for one in asked:
            history.end(one, taken=one.id not in missing)
            self.crowd.seen["done"] += one.taken

    def fail(self, connection: Connection) -> None:
        if self.held:
            job_id = self.rng.choice(sorted(self.held))
            connection.ask(cmd="FAIL", id=job_id, attempt=self.held.pop(job_id))

    def cancel(self, connection: Connection) -> None:
        known = self.crowd.known.copy()
        if not known:
            return
        cancel = self.crowd.history.begin(Cancel(id=self.rng.choice(sorted(known)[-60:])))
        reply = connection.ask(cmd="CANCEL", ids=[cancel.id])
        (word,) = [word for word in reply if reply[word] == [cancel.id]]
        self.crowd.history.end(cancel, word=word)
        self.crowd.seen[word] += 1


class Crowd(KilledCrowd):
    """Some clients and what they know together."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.history = History()
        self.clients: list[Client] = [
            Client(self, number, seed) for number in range(CLIENTS)
        ]
        self.known: set[int] = set()

    def live(self, server: Server, steps: int, more_s: float) -> None:
        """Do as all crowds, and note the restart that follows."""
        super().live(server, steps, more_s)
        self.history.begin(Restart())

    def look(self, server: Server) -> None:
        """Look at all known jobs, and give those in nobody's hands to somebody."""
        look = self.history.begin(Ends(rows={}))
        ids = sorted(self.known)
        held = {job_id for client in self.clients for job_id in client.held}
        with closing(Connection(server)) as connection:
            asked = [{"cmd": "GETJOB", "id": job_id} for job_id in ids]
            for job_id, reply in zip(ids, connection.ask_all(asked), strict=True):
                job = reply["job"] if reply["ok"] else None
                look.rows[job_id] = job and (job["state"], job.get("result"))
                if job and job["state"] == "active" and job_id not in held:
                    self.clients[job_id % CLIENTS].held[job_id] = job["attempts"]
        self.history.end(look)


def kill_loop(folder: Path, mode: str, kills: int, seed: int) -> Counter[str]:
    crowd = Crowd(seed)
    crowd.live_and_die(folder, mode, kills, random.Random(seed), most_steps=1000)
    with serving(folder, f"--fsync={mode}", *OPTIONS) as server:
        crowd.look(server)
        assert server.stop() == 0
    assert broken(crowd.history) == []
    return crowd.seen


def worked(seen: Counter[str], kills: int) -> bool:
    """Whether so much happened that the kills hit something."""
    return (
        seen["repeated"] > kills // 4
        and seen["duplicate"] > kills
        and seen["done"] > 5 * kills
        and seen["cancelled"] > kills // 4
        and seen["cancelling"] > kills // 4
    )


@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_kills_at_random_moments_leave_everything_exact(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 20, seed=1)
    assert worked(seen, 20), seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_hundreds_of_kills_leave_everything_exact(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 300, seed=2)
    assert worked(seen, 300), seen
