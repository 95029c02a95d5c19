"""A server is killed at each of its calls to the disk: no tick is doubled or lost."""

import random
from collections import Counter
from typing import Any

import pytest

from conformance.driver import CORES, require_core
from wal.memory_disk import Killed, MemoryFolder
from wal.simulated import Server, after
from wal.test_faults import failing

HOUR = 3_600_000
TICKS = 3
CRONS: list[dict[str, Any]] = [
    {"name": "a", "queue": "q", "every": HOUR, "overlap": "allow"},
    {"name": "b", "queue": "q", "schedule": "0 * * * *", "overlap": "allow", "data": 1},
    {"name": "c", "queue": "r", "every": HOUR, "overlap": "allow", "keep_result": HOUR},
]


class Days:
    """A life of crons, which may be interrupted, and goes on where it was."""

    def __init__(self, core: str, mode: str) -> None:
        self.core = core
        self.mode = mode
        self.now = 1_700_000_000_000
        self.folder = MemoryFolder()
        self.first_ms = 0
        self.tick = 0
        self.server: Server | None = None

    def run(self) -> None:
        """Go on to the end."""
        server = self.server = Server(
            self.folder, mode=self.mode, core=self.core, now=self.now, segment_bytes=4096
        )
        client = server.client()
        if not self.tick:
            for cron in CRONS:
                asked = client.ask(cmd="CRON", **cron)
                assert asked is not None
                self.first_ms = self.first_ms or asked["next_run"]
        while self.tick < TICKS:
            self.now = max(self.now, self.first_ms + self.tick * HOUR)
            server.tick(self.now - server.now)
            for _ in range(4):  # a step each: jobs, and next runs
                server.tick(0)
                server.tick(1)
            client.ask(cmd="STATS")
            self.tick += 1
        self.now = server.now

    def jobs(self) -> Counter[tuple[str, int]]:
        """Count the jobs of each tick."""
        assert self.server is not None
        client = self.server.client()
        pulls = [
            client.ask(cmd="PULLB", queue=queue, count=99, timeout=0) for queue in "qr"
        ]
        self.server.engine.core.check()
        assert self.server.engine.policies is not None
        self.server.engine.policies.check()
        jobs = [job for pull in pulls if pull is not None for job in pull["jobs"]]
        return Counter((job["cron"]["name"], job["cron"]["tick"]) for job in jobs)

    def wanted(self) -> Counter[tuple[str, int]]:
        return Counter(
            (cron["name"], self.first_ms + tick * HOUR)
            for cron in CRONS
            for tick in range(TICKS)
        )


def interrupted(core: str, mode: str, how: str, number: int) -> Days:
    """Run with an end at one operation of the disk, and go on behind it."""
    days = Days(core, mode)
    days.folder.fault = failing(number, Killed, sticky=False)
    with pytest.raises(Killed):
        days.run()
    if days.server is not None:
        days.now = max(days.now, days.server.now)
    days.folder = after(days.folder, random.Random(number), how)
    days.run()
    return days


def operations(core: str, mode: str) -> int:
    days = Days(core, mode)
    days.run()
    number = days.folder.operations
    assert days.jobs() == days.wanted()
    return number


def kill_at(core: str, mode: str, how: str, every: int) -> None:
    require_core(core)
    for number in range(1, operations(core, mode) + 1, every):
        days = interrupted(core, mode, how, number)
        assert days.jobs() == days.wanted(), f"{how} at operation {number}"


@pytest.mark.parametrize(("mode", "how"), [("everysec", "kill"), ("always", "power")])
def test_each_tick_is_one_job_after_an_end_anywhere(mode: str, how: str) -> None:
    kill_at("python", mode, how, 3)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "power"])
@pytest.mark.parametrize("core", CORES)
def test_each_tick_is_one_job_after_an_end_at_each_call(core: str, how: str) -> None:
    for mode in ("everysec", "always") if how == "kill" else ("always",):
        kill_at(core, mode, how, 1)
