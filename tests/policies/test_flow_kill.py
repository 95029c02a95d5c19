"""A kill, or a power cut, at each operation on the disk leaves flows exact.

A flow is there whole or not at all. Afterwards a job is blocked exactly while a parent is
there that it waits for, the children of one that was cancelled are dead, and whoever works
on comes to the end of every other flow: nobody waits for ever, and nobody runs too soon.
"""

import random
from typing import Any

import pytest

from conformance.driver import CORES, require_core
from wal.memory_disk import Killed, MemoryFolder
from wal.simulated import Client, Server, after
from wal.test_faults import failing

SEGMENT_BYTES = 700
FLOWS = 6
SIZE = 4
OPERATIONS_MAX = 2_000


def flow(number: int) -> list[dict[str, Any]]:
    """A chain of two and one job beside, and a last one after both."""
    return [
        {"ref": "a", "queue": "q", "data": [number, "a"]},
        {"ref": "d", "queue": "r", "data": [number, "d"], "depends_on": ["b", "c"]},
        {"ref": "b", "queue": "r", "data": [number, "b"], "depends_on": ["a"]},
        {"ref": "c", "queue": "q", "data": [number, "c"]},
    ]


class Story:
    """What a client of a server did and heard, until that was no more."""

    def __init__(self) -> None:
        self.flows: dict[int, list[int]] = {}
        self.cancelled: set[int] = set()
        self.begun = 0

    def live(self, server: Server, seed: int) -> None:
        """Push flows, work on some, cancel some, and let segments go."""
        client, rng = server.client(), random.Random(seed)
        while self.begun < FLOWS:
            self.begun += 1
            reply = client.ask(cmd="PUSHF", jobs=flow(self.begun)) or {}
            self.flows[self.begun] = reply["ids"]
            for _ in range(3):
                work(client, rng)
            if self.begun % 3 == 0:
                doomed = self.flows[self.begun][0]
                self.cancelled.add(doomed)
                client.ask(cmd="CANCEL", ids=[doomed])
            server.tick(rng.choice((1, 600)))


def work(client: Client, rng: random.Random) -> bool:
    """Take a job and settle it; gives whether there was one."""
    for queue in rng.sample("qr", 2):
        job = (client.ask(cmd="PULL", queue=queue, timeout=0) or {}).get("job")
        if job is not None:
            client.ask(cmd="ACK", id=job["id"], attempt=job["attempts"])
            return True
    return False


def look(server: Server, story: Story) -> None:
    """Check what a server knows after a start, and go on to the end of all flows."""
    client, core = server.client(), server.engine.core
    core.check()
    assert server.engine.policies is not None
    server.engine.policies.check()
    told = {}
    for job_id in range(1, core.last_id + 1):
        reply = client.ask(cmd="GETJOB", id=job_id) or {}
        told[job_id] = reply.get("job")
    for job_id, job in told.items():
        if job is None or not job.get("parents"):
            continue
        here = [parent for parent in job["parents"] if told.get(parent) is not None]
        if job["state"] == "dead":
            assert job["reason"] == "parent_failed"
            assert set(job["parents"]) & story.cancelled or not here
        else:
            assert (job["state"] == "blocked") is bool(here), job_id
            assert job.get("waits_for", 0) == len(here)
    counts: dict[int, int] = {}
    for job in filter(None, told.values()):
        counts[job["data"][0]] = counts.get(job["data"][0], 0) + 1
    for number, ids in story.flows.items():
        if not any(told.get(job_id) for job_id in ids):
            assert counts.get(number, 0) == 0
    last = counts.get(story.begun, SIZE)
    if story.begun not in story.flows:
        assert last == SIZE, "a flow that nobody was told of is whole, or is not there"
    server.tick(400_000)  # leases of the client that is gone
    rng = random.Random(1)
    while work(client, rng):
        pass
    left = (client.ask(cmd="JOBS") or {})["jobs"]
    assert {job["state"] for job in left} <= {"dead", "blocked"}
    dead = {job["id"] for job in left if job["state"] == "dead"}
    assert all(set(job["parents"]) & dead for job in left if job["state"] == "blocked")
    server.engine.policies.check()


@pytest.mark.parametrize("how", ["kill", "power cut"])
@pytest.mark.parametrize("core_name", CORES)
def test_a_kill_at_each_operation_leaves_flows_exact(core_name: str, how: str) -> None:
    require_core(core_name)
    step = {"python": 1, "array": 19}[core_name] * (1 if how == "kill" else 4)
    for first in range(1, OPERATIONS_MAX, step):
        folder, story = MemoryFolder(), Story()
        folder.fault = failing(first, Killed, sticky=False)
        try:
            server = Server(folder, core=core_name, segment_bytes=SEGMENT_BYTES)
            story.live(server, first)
        except Killed:
            ended = False
        else:
            ended = True
        left = after(folder, random.Random(first), "kill" if how == "kill" else "power")
        again = "array" if core_name == "python" and first % 41 == 0 else "python"
        look(Server(left, core=again, segment_bytes=SEGMENT_BYTES), story)
        if ended:
            assert first > 60, "it was killed often enough"
            return
    pytest.fail("it never came to its end")
