"""A session that alone sends is answered within its turn; others share a frame."""

import pytest

from magicqueue_server.wal.alone import ALONE_AFTER
from wal.memory_disk import MemoryFolder
from wal.simulated import Server

CORES = ("python", "array")
PUSH = {"cmd": "PUSH", "queue": "q", "data": 1}


def frames(server: Server) -> int:
    """Count the frames of the log."""
    return server.log.journal.lsn


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("mode", ["everysec", "never"])
def test_who_sends_alone_is_answered_within_the_turn(mode: str, core: str) -> None:
    server = Server(MemoryFolder(), mode=mode, core=core)
    client = server.client()
    for _ in range(ALONE_AFTER + 1):
        client.ask(**PUSH)
    before = len(client.replies)
    client.send(PUSH, PUSH)
    assert len(client.replies) == before + 2


@pytest.mark.parametrize("core", CORES)
def test_who_sends_together_shares_a_frame(core: str) -> None:
    server = Server(MemoryFolder(), mode="everysec", core=core)
    clients = [server.client(), server.client()]
    for _ in range(ALONE_AFTER + 1):
        for client in clients:
            client.send(PUSH)
        server.pump()
    before = frames(server)
    for client in clients:
        client.send(PUSH)
    assert frames(server) == before
    server.pump()
    assert frames(server) == before + 1


def test_always_answers_when_it_is_on_the_disk_and_not_before() -> None:
    folder = MemoryFolder()
    server = Server(folder, mode="always")
    client = server.client()
    for _ in range(ALONE_AFTER + 1):
        client.ask(**PUSH)
    before, syncs = len(client.replies), folder.log.count("sync")
    client.send(PUSH)
    assert len(client.replies) == before
    server.pump()
    assert len(client.replies) == before + 1
    assert folder.log.count("sync") > syncs


def test_who_is_no_longer_alone_shares_frames_again() -> None:
    server = Server(MemoryFolder(), mode="never")
    first, second = server.client(), server.client()
    for _ in range(ALONE_AFTER + 1):
        first.ask(**PUSH)
    before = frames(server)
    second.send(PUSH)
    first.send(PUSH)
    assert frames(server) == before
