"""The log stays small, also while commands never stop coming."""

import pytest

from wal.memory_disk import MemoryFolder
from wal.simulated import Server

SEGMENT_BYTES = 4096


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
    assert (again.ask(cmd="PUSH", queue="q", data=1) or {})["id"] == kept + 1501
