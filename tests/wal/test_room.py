"""A disk that is slow to give the next segment: no reply waits that cannot come."""

import errno

import pytest

from wal import simulated
from wal.memory_disk import MemoryFolder
from wal.simulated import Server

PUSH = {"cmd": "PUSH", "queue": "q", "data": "x" * 100}


def full_folder(fault_at: list[bool]) -> MemoryFolder:
    """A folder that has no room for another file while `fault_at` is [True]."""
    folder = MemoryFolder()

    def fault(_number: int, name: str) -> OSError | None:
        if name == "allocate" and fault_at[0]:
            return OSError(errno.ENOSPC, "no space")
        return None

    folder.fault = fault
    return folder


@pytest.mark.parametrize("mode", ["everysec", "never"])
def test_pushes_wait_until_it_is_known_whether_there_is_room(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "IDS_AHEAD", 10_000)  # ids are no reason to wait
    is_full = [False]
    server = Server(full_folder(is_full), mode=mode)
    client = server.client()
    while len(server.log.journal.segments) < 2:
        assert client.ask(**PUSH) == {"ok": True, "id": len(client.replies)}
    server.tasks.stalled = is_full[0] = True  # it works on the next segment, for long
    before = len(client.replies)
    while client.ask(**PUSH) is not None:
        assert server.log.journal.room > 0
    assert len(client.replies) > before + 5, "half of a segment may be used meanwhile"
    assert 3 * server.log.journal.room > server.log.journal.current.file_bytes
    server.tasks.stalled = False
    server.pump()
    assert client.replies[-1]["code"] == "FULL", "what waited is refused, and not stored"
    stored = len(client.replies) - 1
    for job_id in range(1, 9):
        pulled = client.ask(cmd="PULL", queue="q")
        assert pulled is not None
        assert pulled["job"]["id"] == job_id
        assert client.ask(cmd="ACK", id=job_id) == {"ok": True}
    is_full[0] = False
    server.tick(1000)
    assert client.ask(**PUSH) == {"ok": True, "id": stored + 1}
