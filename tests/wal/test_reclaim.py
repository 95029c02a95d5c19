"""The log stays small, also while commands never stop coming, or servers are killed."""

import random
from collections.abc import Callable

import pytest

from magicqueue_cores import records
from magicqueue_server.wal.scan import Scan
from wal.memory_disk import Killed, MemoryFolder
from wal.sample_logs import read_log
from wal.simulated import Client, Server
from wal.test_faults import failing

SEGMENT_BYTES = 4096
OPERATIONS_MAX = 10_000
"""More than any of these scripts needs: it would write for ever."""


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_what_is_waited_for_comes_though_more_is_always_written(mode: str) -> None:
    server = Server(MemoryFolder(), mode=mode)
    client = server.client()
    real_run, pushes = server.tasks.run, iter(range(200))

    def run(*work: object) -> None:
        if next(pushes, None) is not None:
            client.send({"cmd": "PUSH", "queue": "q", "data": 1})
        real_run(*work)  # type: ignore[arg-type]  # what it is given

    server.tasks.run = run  # type: ignore[method-assign, assignment]  # on purpose
    client.send({"cmd": "PUSH", "queue": "q", "data": 0})
    left: list[int] = []
    server.log.when_safe(lambda: left.append(len(list(pushes))))
    server.pump()
    for _ in range(3):
        server.tick(600)
    assert left[0] > 100


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
@pytest.mark.parametrize("kept", [0, 40])
def test_the_log_is_bounded_by_what_is_alive(mode: str, kept: int) -> None:
    folder = MemoryFolder()
    server = Server(folder, mode=mode, segment_bytes=SEGMENT_BYTES)
    client = server.client()
    for number in range(kept):
        client.ask(cmd="PUSH", queue="kept", data=f"{number:060}", delay=86_400_000)
    most = 0
    for number in range(1500):
        client.ask(cmd="PUSH", queue="q", data=number)
        job = (client.ask(cmd="PULL", queue="q") or {})["job"]
        client.ask(cmd="ACK", id=job["id"])
        server.tick(3)
        most = max(most, server.log.journal.used_bytes)
    live_bytes = kept * (62 + 160)
    assert most <= 3 * live_bytes + 2 * SEGMENT_BYTES + 1024
    assert server.reclaimer.freed > 20
    again = Server(folder.after_kill(), segment_bytes=SEGMENT_BYTES).client()
    assert (again.ask(cmd="STATS") or {})["delayed"] == kept
    next_id = (again.ask(cmd="PUSH", queue="q", data=1) or {})["id"]
    assert (next_id == kept + 1501) if mode == "always" else next_id > kept + 1501


def short_life(folder: MemoryFolder, seed: int) -> Server | None:
    """Jobs come and go, and ten old ones stay, until the server is killed."""
    rng = random.Random(seed)
    folder.operations = 0
    folder.fault = failing(rng.randrange(20, 150), Killed, sticky=False)
    try:
        server = Server(folder, mode="everysec", segment_bytes=600)
        client = server.client()
        for number in range(60):
            client.ask(cmd="PUSH", queue="new", data=number)
            job = (client.ask(cmd="PULL", queue="new") or {})["job"]
            client.ask(cmd="ACK", id=job["id"])
    except Killed:
        return None
    return server


@pytest.mark.parametrize("seed", range(5))
def test_what_a_kill_cut_short_is_not_moved_again_and_again(seed: int) -> None:
    """A segment's jobs are moved, and the server dies before the segment is gone."""
    folder = MemoryFolder()
    client = Server(folder, mode="everysec", segment_bytes=600).client()
    for number in range(10):
        client.ask(cmd="PUSH", queue="old", data=number)
    killed = 0
    for life in range(60):
        folder = folder.after_kill()
        killed += short_life(folder, 1000 * seed + life) is None
        folder = folder.after_kill()
        for frame in read_log(folder.after_kill())[1]:
            for record in frame:
                if isinstance(record, records.Moved):
                    assert len(set(record.ids)) == len(record.ids)
    server = Server(folder, segment_bytes=600)
    assert (server.client().ask(cmd="STATS", queue="old") or {})["queued"] == 10
    homes = [job_id for ids in server.found.moved.values() for job_id in ids]
    assert len(set(homes)) == len(homes)
    assert killed > 30
    assert Scan(folder).names
    assert min(Scan(folder).names) > 20, "segments went, too"


def dead_letters(client: Client) -> None:
    for number in range(60):
        client.ask(cmd="PUSH", queue="q", data=number, max_attempts=1)
        job = (client.ask(cmd="PULL", queue="q") or {})["job"]
        client.ask(cmd="FAIL", id=job["id"], error="because " * 100)


def retries(client: Client) -> None:
    for number in range(60):
        client.ask(cmd="PUSH", queue="q", data=number, backoff=10**9)
        job = (client.ask(cmd="PULL", queue="q") or {})["job"]
        client.ask(cmd="FAIL", id=job["id"], error="because " * 100)


def paused_queues(client: Client) -> None:
    for number in range(200):
        client.ask(cmd="PAUSE", queue=f"{number:0200}")


def long_payloads(client: Client) -> None:
    for number in range(60):
        client.ask(cmd="PUSH", queue="q", data=f"{number:0900}")


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
@pytest.mark.parametrize("fill", [dead_letters, retries, paused_queues, long_payloads])
def test_an_idle_server_comes_to_rest(fill: Callable[[Client], None], mode: str) -> None:
    """Whatever a moved record takes that the core does not count."""
    folder = MemoryFolder()
    folder.fault = lambda number, _name: Killed() if number > OPERATIONS_MAX else None
    server = Server(folder, mode=mode, segment_bytes=SEGMENT_BYTES)
    fill(server.client())
    for _ in range(20):
        server.tick(600)
    lsn = server.log.journal.lsn
    for _ in range(20):
        server.tick(600)
    assert server.log.journal.lsn == lsn, "it still writes"


@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_what_has_left_is_reclaimed_though_it_had_long_errors(mode: str) -> None:
    server = Server(MemoryFolder(), mode=mode, segment_bytes=SEGMENT_BYTES)
    client = server.client()
    dead_letters(client)
    for _ in range(20):
        server.tick(600)
    client.ask(cmd="PURGEDEAD", queue="q")
    for number in range(100):
        client.ask(cmd="PUSH", queue="r", data=number)
        job = (client.ask(cmd="PULL", queue="r") or {})["job"]
        client.ask(cmd="ACK", id=job["id"])
        server.tick(30)
    assert server.log.journal.used_bytes <= 3 * SEGMENT_BYTES
