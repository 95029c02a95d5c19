"""Every operation on the disk fails once, or from then on; and again during recovery."""

import errno
import os
import random
from collections.abc import Callable
from copy import deepcopy

import pytest

from magicqueue_server.wal.scan import Refused
from wal.memory_disk import Killed, MemoryFolder
from wal.promises import Promises
from wal.simulated import Server, after

STEPS = 250
SEGMENT_BYTES = 1024
Fault = Callable[[], object]


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


FAULTS: dict[str, Fault] = {
    "EIO": lambda: _os_error(errno.EIO),
    "ENOSPC": lambda: _os_error(errno.ENOSPC),
    "short write": lambda: ("short", _os_error(errno.ENOSPC)),
    "short write, EIO": lambda: ("short", _os_error(errno.EIO)),
    "kill": Killed,
}


def failing(first: int, fault: Fault, *, sticky: bool) -> Callable[[int, str], object]:
    def plan(number: int, name: str) -> object:
        hit = number >= first if sticky else number == first
        if name == "read" and sticky:
            hit = number == first
        return fault() if hit else None

    return plan


def script(
    folder: MemoryFolder, seed: int, mode: str, plan: Callable[[int, str], object] | None
) -> tuple[Promises, Server | None]:
    """Run the script until it is done or the process ends."""
    promises = Promises(seed)
    folder.operations = 0
    if plan is not None:
        folder.fault = plan
    server: Server | None = None
    try:
        server = Server(folder, mode=mode, segment_bytes=SEGMENT_BYTES)
        client = server.client()
        for _ in range(STEPS):
            promises.step(client)
            if client.hung_up:
                client.close()
                promises.active.clear()
                client = server.client()
        for _ in range(4):
            server.tick(600)
    except (Killed, Refused, OSError):
        pass
    folder.fault = lambda _number, _name: None
    return promises, server


def sweep(seed: int, mode: str, fault: str, *, sticky: bool, step: int = 1) -> None:
    """Let each operation of the script fail, or one in `step` of them."""
    rng = random.Random(seed)
    whole = MemoryFolder()
    _, server = script(whole, seed, mode, None)
    assert server is not None
    assert server.reclaimer.freed, "the script is too short to free a segment"
    how = ["kill", "power"] if mode == "always" else ["kill"]
    for first in range(1 + rng.randrange(step), whole.operations + 1, step):
        folder = MemoryFolder()
        plan = failing(first, FAULTS[fault], sticky=sticky)
        promises, server = script(folder, seed, mode, plan)
        if server is not None and not sticky and FAULTS[fault] is not Killed:
            continue_after(promises, server)
        for ending in how:
            disk = after(folder, rng, ending)
            if fault == "kill":
                fail_again(disk, rng, promises, mode)
            deepcopy(promises).check(Server(disk, mode=mode, segment_bytes=SEGMENT_BYTES))


def fail_again(
    disk: MemoryFolder, rng: random.Random, promises: Promises, mode: str
) -> None:
    """Let something fail, and the process end, during the recovery too."""
    first = rng.randrange(1, 30)
    disk.fault = failing(first, rng.choice(list(FAULTS.values())), sticky=False)
    try:
        server = Server(disk, mode=mode, segment_bytes=SEGMENT_BYTES)
        if server.log.failure is None:
            deepcopy(promises).check(server)
    except (Killed, Refused, OSError):
        pass
    disk.fault = lambda _number, _name: None


def continue_after(promises: Promises, server: Server) -> None:
    """Whatever was full has room again: pushes work without a restart."""
    if server.log.failure is None:
        try:
            server.tick(1100)
            reply = server.client().ask(cmd="PUSH", queue="z", data="after")
        except (Killed, OSError):
            return
        assert reply is not None
        assert reply["ok"], reply
        promises.asked_data.add("after")
        promises.data_of[reply["id"]] = "after"


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_the_nth_operation_fails(mode: str, fault: str, *, sticky: bool) -> None:
    if sticky and fault == "kill":
        pytest.skip("a process is killed once")
    sweep(1, mode, fault, sticky=sticky, step=2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("fault", FAULTS)
def test_the_nth_operation_fails_in_many_scripts(fault: str, seed: int) -> None:
    for mode in ("always", "everysec", "never"):
        sweep(seed, mode, fault, sticky=False)
        if fault != "kill":
            sweep(seed, mode, fault, sticky=True)


def test_a_failed_sync_is_never_tried_again() -> None:
    for mode in ("always", "everysec"):
        folder = MemoryFolder()
        server = Server(folder, mode=mode, segment_bytes=SEGMENT_BYTES)
        client = server.client()
        failed: list[int] = []

        def once(number: int, name: str, failed: list[int] = failed) -> object:
            if name != "sync" or failed:
                assert not (failed and name in {"sync", "write"}), "written to after that"
                return None
            failed.append(number)
            return _os_error(errno.EIO)

        folder.fault = once
        client.send({"cmd": "PUSH", "queue": "q", "data": 1})
        server.pump()
        for _ in range(8):
            server.tick(400)
        assert failed
        assert [str(error) for error in server.failures] == ["[Errno 5] Input/output error"]
        if mode == "always":
            assert client.replies == []
            assert client.hung_up
        other = server.client()
        for command in ("PUSH", "PULL", "DRAIN"):
            reply = other.ask(cmd=command, queue="q", data=1)
            assert reply is not None
            assert reply["code"] == "READ_ONLY"
        assert (other.ask(cmd="STATS") or {})["ok"]
        for _ in range(8):
            server.tick(400)
