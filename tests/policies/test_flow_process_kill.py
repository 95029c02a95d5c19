"""kill -9 of a real server at random moments, while flows are pushed and worked off.

Clients push flows, pull, acknowledge and cancel. After each start a flow is there whole or
not at all, a job is blocked exactly while a parent is there, and no job was handed out
before its parents were acknowledged. In the end all that was stored has come to its end.
"""

import random
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from policies.killed_crowd import OPTIONS, KilledClient, KilledCrowd
from wal.server_process import Connection, Server, serving

CLIENTS: Final = 4
FOREVER_MS: Final = 10**9
QUEUES: Final = ("q", "r")
AFTER: Final = {"a": (), "b": ("a",), "c": (), "d": ("b", "c"), "e": ("d",)}
"""The jobs of each flow, and those that each comes after."""
RULES: Final = {"b": ("wait", "fail"), "d": ("wait", "fail"), "e": ("run",)}

Name = tuple[int, int]
"""A flow: the client that pushed it, and its number there."""


def flow(name: Name, rng: random.Random) -> list[dict[str, Any]]:
    """Make a PUSHF's jobs, in any order and of any queues."""
    jobs = [
        {
            "ref": letter,
            "queue": rng.choice(QUEUES),
            "data": [*name, letter],
            "max_attempts": 0,
            **({"depends_on": list(after)} if after else {}),
            **({"on_parent_failure": rng.choice(RULES[letter])} if after else {}),
            **({"unique_key": f"{name} {letter}"} if rng.random() < 0.3 else {}),
            **({"group": rng.choice("gh")} if rng.random() < 0.3 else {}),
        }
        for letter, after in AFTER.items()
    ]
    rng.shuffle(jobs)
    return jobs


class Client(KilledClient):
    """One client, of flows."""

    def __init__(self, crowd: "Crowd", number: int, seed: int) -> None:
        super().__init__(number, seed)
        self.crowd = crowd
        self.held: dict[int, tuple[int, Name, str]] = {}
        """Jobs at work: the attempt, the flow and the letter."""

    def step(self, connection: Connection) -> None:
        choice = self.rng.randrange(12)
        if choice < 3:
            self.push(connection)
        elif choice < 7:
            self.pull(connection, self.rng.choice(QUEUES), self.rng.randrange(1, 5))
        elif choice < 11:
            self.done(connection)
        else:
            self.cancel(connection)

    def push(self, connection: Connection) -> None:
        name = self.number, next(self.serial)
        self.crowd.asked.add(name)
        jobs = flow(name, self.rng)
        reply = connection.ask(cmd="PUSHF", jobs=jobs)
        ids = dict(zip([job["data"][2] for job in jobs], reply["ids"], strict=True))
        self.crowd.told[name] = ids

    def pull(self, connection: Connection, queue: str, count: int) -> None:
        reply = connection.ask(
            cmd="PULLB", queue=queue, count=count, timeout=0, lease=FOREVER_MS
        )
        for job in reply["jobs"]:
            one, two, letter = job["data"]
            self.crowd.taken(job, (one, two), letter)
            self.held[job["id"]] = job["attempts"], (one, two), letter

    def done(self, connection: Connection) -> None:
        some = self.rng.sample(sorted(self.held), min(3, len(self.held)))
        items = []
        for job_id in some:
            attempt, name, letter = self.held.pop(job_id)
            items.append({"id": job_id, "attempt": attempt})
            self.crowd.done.add((name, letter))
        if items:
            self.crowd.seen["done"] += connection.ask(cmd="ACKB", ids=items)["acked"]

    def cancel(self, connection: Connection) -> None:
        told = sorted(self.crowd.told.copy())[-20:]
        if told:
            name = self.rng.choice(told)
            self.crowd.cancelled.add(name)
            reply = connection.ask(cmd="CANCEL", ids=[self.crowd.told[name]["a"]])
            self.crowd.seen["cancelled"] += len(reply["cancelled"])


class Crowd(KilledCrowd):
    """Some clients and what they know together."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.clients: list[Client] = [
            Client(self, number, seed) for number in range(CLIENTS)
        ]
        self.asked: set[Name] = set()
        self.told: dict[Name, dict[str, int]] = {}
        """Flows of whose push the answer was heard."""
        self.done: set[tuple[Name, str]] = set()
        """Jobs of which an ACK was sent."""
        self.cancelled: set[Name] = set()
        """Flows of which `a` may have been cancelled."""
        self.mended = False
        """Whether dead jobs were retried."""

    def taken(self, job: dict[str, Any], name: Name, letter: str) -> None:
        """Be told of a job that was handed out: whatever it comes after was done."""
        assert len(job.get("parents", ())) == len(AFTER[letter])
        died = name in self.cancelled and (letter == "e" or self.mended)
        for parent in AFTER[letter]:
            assert (name, parent) in self.done or died, (job, "too soon")
        self.seen["after others"] += bool(AFTER[letter])

    def look(self, server: Server) -> None:
        """Compare the jobs there are with what is known; release those nobody holds."""
        with closing(Connection(server)) as connection:
            here = jobs_of(connection)
            held = {job_id for client in self.clients for job_id in client.held}
            lost = [i for i, job in here.items() if job["state"] == "active"]
            lost = [job_id for job_id in lost if job_id not in held]
            connection.ask(cmd="RELEASE", ids=lost)
        letters: dict[Name, dict[str, str]] = {}
        for job in here.values():
            one, two, letter = job["data"]
            letters.setdefault((one, two), {})[letter] = job["state"]
            waits = [parent for parent in job.get("parents", ()) if parent in here]
            if letter == "e":
                waits = [parent for parent in waits if here[parent]["state"] != "dead"]
            if job["state"] == "dead":
                assert job["reason"] == "parent_failed"
                assert (one, two) in self.cancelled, job
            else:
                assert (job["state"] == "blocked") is bool(waits), job
                assert job.get("waits_for", 0) == len(waits), job
        for name in self.asked:
            whole = set(letters.get(name, ())) | {
                letter for letter in AFTER if (name, letter) in self.done
            }
            missing = set(AFTER) - whole
            if name in self.cancelled:
                missing -= {"a"}
            assert not missing or (not whole and name not in self.told), (name, whole)

    def end(self, server: Server) -> None:
        """Work all off: flows that were cancelled are left, and then mended."""
        one = self.clients[0]
        for client in self.clients:
            one.held |= client.held
        with closing(Connection(server)) as connection:
            self.work_off(connection, one)
            for job in jobs_of(connection).values():
                assert job["state"] in {"dead", "blocked"}
                assert tuple(job["data"][:2]) in self.cancelled
            self.mended = True
            for queue in QUEUES:
                connection.ask(cmd="RETRYDEAD", queue=queue)
            self.work_off(connection, one)
            counts = connection.ask(cmd="STATS")
            kinds = ("queued", "processing", "delayed", "blocked", "dead")
            assert [counts[kind] for kind in kinds] == [0] * 5

    def work_off(self, connection: Connection, one: Client) -> None:
        """Work as one client until no job is ready."""
        while True:
            while one.held:
                one.done(connection)
            for queue in QUEUES:
                one.pull(connection, queue, 500)
            if not one.held:
                return


def jobs_of(connection: Connection) -> dict[int, dict[str, Any]]:
    """All jobs that are there, by id."""
    found: dict[int, dict[str, Any]] = {}
    after = None
    while True:
        page = connection.ask(cmd="JOBS", count=1000, after=after)
        found |= {job["id"]: job for job in page["jobs"]}
        after = page["next"]
        if after is None:
            return found


def kill_loop(folder: Path, mode: str, kills: int, seed: int) -> Counter[str]:
    crowd = Crowd(seed)
    crowd.live_and_die(folder, mode, kills, random.Random(seed), most_steps=400)
    with serving(folder, f"--fsync={mode}", *OPTIONS) as server:
        crowd.look(server)
        crowd.end(server)
        assert server.stop() == 0
    return crowd.seen


def worked(seen: Counter[str], kills: int) -> bool:
    """Whether so much happened that the kills hit something."""
    return (
        seen["done"] > 20 * kills
        and seen["after others"] > 10 * kills
        and seen["cancelled"] > kills
    )


@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_kills_at_random_moments_leave_flows_exact(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 6, seed=1)
    assert worked(seen, 6), seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_hundreds_of_kills_leave_flows_exact(tmp_path: Path, mode: str) -> None:
    seen = kill_loop(tmp_path, mode, 200, seed=2)
    assert worked(seen, 200), seen
