"""Every operation on the disk fails once, or from then on; and again during recovery."""

import errno
import os
import random
from collections.abc import Callable
from functools import cache

import pytest

from history.operations import Push
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.wal.format import SUFFIX
from magicqueue_server.wal.recovery import recover
from magicqueue_server.wal.scan import Refused
from wal.memory_disk import Killed, MemoryFolder
from wal.promises import Promises
from wal.simulated import Server, after

STEPS = 80
STEPS_MAX = 1000
SEGMENT_BYTES = 700
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


def failing(
    first: int, fault: Fault, *, sticky: bool, failed: list[int] | None = None
) -> Callable[[int, str], object]:
    """Plan a fault: at operation `first`, or from there on. failed: notes which did."""

    def plan(number: int, name: str) -> object:
        hit = number >= first if sticky else number == first
        if name == "read" and sticky:
            hit = number == first
        if hit and failed is not None:
            failed.append(number)
        return fault() if hit else None

    return plan


def script(
    folder: MemoryFolder,
    seed: int,
    mode: str,
    plan: Callable[[int, str], object] | None,
    steps: int,
) -> tuple[Promises, Server | None]:
    """Run the script until it is done or the process ends."""
    promises = Promises(seed)
    folder.operations = 0
    if plan is not None:
        folder.fault = plan
    server: Server | None = None
    try:
        server = Server(folder, mode=mode, segment_bytes=SEGMENT_BYTES)
        promises.meet(server)
        for _ in range(steps):
            promises.step()
        for _ in range(4):
            server.tick(600)
            promises.hear()
    except (Killed, Refused, OSError):
        pass
    folder.fault = no_fault
    return promises, server


def no_fault(_number: int, _name: str) -> object:
    return None


@cache
def whole_script(seed: int, mode: str) -> tuple[int, int]:
    """How many steps the script needs to free a segment, and how many operations."""
    for steps in range(STEPS, STEPS_MAX, 20):
        folder = MemoryFolder()
        promises, server = script(folder, seed, mode, None, steps)
        assert server is not None
        if server.reclaimer.freed:
            assert promises.held or promises.last_id > steps // 4
            return steps, folder.operations
    raise AssertionError(f"{STEPS_MAX} steps are too few to free a segment")


def endings(mode: str) -> list[str]:
    """The ends of a process that must lose nothing at all."""
    return ["kill", "power"] if mode == "always" else ["kill"]


def sweep(
    seed: int, mode: str, fault: str, *, sticky: bool, step: int = 1, offset: int = 0
) -> int:
    """Let each operation of the script fail, or one in `step` of them from `offset` on.

    Then the process ends, and something else fails during the recovery. Gives how many
    operations were made to fail.
    """
    rng = random.Random(seed)
    steps, operations = whole_script(seed, mode)
    swept = 0
    for first in range(1 + offset % step, operations + 1, step):
        folder = MemoryFolder()
        failed: list[int] = []
        plan = failing(first, FAULTS[fault], sticky=sticky, failed=failed)
        promises, server = script(folder, seed, mode, plan, steps)
        assert failed
        assert failed[0] == first
        swept += 1
        if server is not None and not sticky and FAULTS[fault] is not Killed:
            continue_after(promises, server)
        for ending in endings(mode):
            disk = after(folder, rng, ending)
            fail_again(disk, rng, promises, mode)
            promises.copy().check(Server(disk, mode=mode, segment_bytes=SEGMENT_BYTES))
    return swept


def recovery_operations(disk: MemoryFolder, mode: str) -> int:
    """How many operations opening this log takes."""
    copy = disk.after_kill()
    Server(copy, mode=mode, segment_bytes=SEGMENT_BYTES)
    return copy.operations


def fail_again(
    disk: MemoryFolder, rng: random.Random, promises: Promises, mode: str
) -> None:
    """Let some operation of the recovery fail, and the process end, too."""
    first = rng.randrange(1, recovery_operations(disk, mode) + 1)
    fail_in_recovery(disk, promises, mode, first, rng.choice(list(FAULTS)))


def fail_in_recovery(
    disk: MemoryFolder, promises: Promises, mode: str, first: int, fault: str
) -> None:
    """Let an operation of the recovery fail; what it promises then has to hold."""
    disk.operations = 0
    failed: list[int] = []
    disk.fault = failing(first, FAULTS[fault], sticky=False, failed=failed)
    try:
        server = Server(disk, mode=mode, segment_bytes=SEGMENT_BYTES)
        if server.log.failure is None:
            promises.copy().check(server)
    except (Killed, Refused, OSError):
        pass
    assert failed == [first]
    disk.fault = no_fault


def continue_after(promises: Promises, server: Server) -> None:
    """Whatever was full has room again: pushes work without a restart."""
    if server.log.failure is None:
        try:
            server.tick(1100)
            promises.hear()
            promises.meet(server)
            promises.push(promises.talkers[0], "z")
            server.pump()
            promises.hear()
        except (Killed, OSError):
            return
        push = promises.history.operations[-1]
        assert isinstance(push, Push)
        assert push.ids, "it is not taken"


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_the_nth_operation_fails(mode: str, fault: str, *, sticky: bool) -> None:
    """One operation in five by each fault, so that together they fail every one."""
    if sticky and fault == "kill":
        pytest.skip("a process is killed once")
    offset = list(FAULTS).index(fault) + sticky
    assert sweep(2, mode, fault, sticky=sticky, step=5, offset=offset) > 40


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_the_nth_operation_of_a_recovery_fails(mode: str, fault: str) -> None:
    """One operation in three by each fault, so that together they fail every one."""
    recoveries_fail(mode, fault, (1,), step=3, offset=list(FAULTS).index(fault))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_the_nth_operation_of_many_recoveries_fails(mode: str, fault: str) -> None:
    recoveries_fail(mode, fault, (4, 5, 6))


def recoveries_fail(
    mode: str, fault: str, seeds: tuple[int, ...], step: int = 1, offset: int = 0
) -> None:
    """Let each operation of a recovery fail; the log has many segments and a torn end."""
    for seed in seeds:
        steps, operations = whole_script(seed, mode)
        folder = MemoryFolder()
        plan = failing(operations - 30, FAULTS["kill"], sticky=False)
        promises, _ = script(folder, seed, mode, plan, steps)
        torn = folder.after_kill()
        last = max(name for name in torn.files if name.endswith(SUFFIX))
        found = recover(torn.after_kill(), make_core("python", CoreOptions()))
        assert len(found.segments) > 2
        end, frame = found.segments[-1].used_bytes, b"MQFr torn"
        assert end + len(frame) <= len(torn.files[last].cache)
        torn.files[last].cache[end : end + len(frame)] = frame  # its room stays
        count = recovery_operations(torn, mode)
        assert count > 20
        for first in range(1 + offset % step, count + 1, step):
            disk = torn.after_kill()
            fail_in_recovery(disk, promises, mode, first, fault)
            for ending in endings(mode):
                again = after(disk, random.Random(first), ending)
                server = Server(again, mode=mode, segment_bytes=SEGMENT_BYTES)
                promises.copy().check(server)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 13))
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


@pytest.mark.parametrize("mode", ["always", "everysec"])
def test_no_later_reply_is_taken_for_one_that_never_comes(mode: str) -> None:
    """The log fails while an ACK waits for it, and behind it a pull waits for a job."""
    folder = MemoryFolder()
    server = Server(folder, mode=mode)
    client = server.client()
    client.ask(cmd="PUSH", queue="q", data=1)
    assert (client.ask(cmd="PULL", queue="q") or {})["job"]["id"] == 1
    client.replies.clear()
    failing_now = {"always": {"sync"}, "everysec": {"write"}}[mode]
    folder.fault = lambda _number, name: (
        _os_error(errno.EIO) if name in failing_now else None
    )
    client.send({"cmd": "ACK", "id": 1}, {"cmd": "PULL", "queue": "r"}, {"cmd": "PING"})
    for _ in range(4):
        server.tick(600)
    assert server.log.failure is not None
    assert client.hung_up
    assert client.replies == []


def test_what_was_done_before_is_answered_when_it_is_safe() -> None:
    """A second pause changes nothing, and yet says what the first one has to keep."""
    server = Server(MemoryFolder(), mode="always")
    one, two = server.client(), server.client()
    server.tasks.stalled = True
    for client in (one, two):
        client.send({"cmd": "PAUSE", "queue": "q"})
        server.pump()
        assert client.replies == []
    server.tasks.stalled = False
    server.pump()
    assert one.replies == two.replies == [{"ok": True}]
    assert two.ask(cmd="PAUSE", queue="q") == {"ok": True}


@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_power_cut_amid_a_stop_leaves_no_short_file(mode: str) -> None:
    """A new length may get to the disk before what was written ahead of it."""
    lengths: set[int] = set()
    ended = False
    for first in range(1, 60):
        folder = MemoryFolder()
        server = Server(folder, mode=mode, segment_bytes=9000)
        server.client().ask(cmd="PUSH", queue="q", data=1)
        server.tick(600)
        folder.operations = 0
        folder.fault = failing(first, Killed, sticky=False)
        try:
            server.log.journal.close(clean=True)
            ended = True
        except Killed:
            ended = False
        cut = MemoryFolder()
        cut.machine = folder.machine + 1
        for name, file in folder.on_disk.items():
            cut.put(name, bytes(file.disk[: len(file.cache)]))
        lengths.add(len(cut.data(f"{1:016x}{SUFFIX}")))
        Server(cut, mode=mode, segment_bytes=9000)
        if ended:
            break
    assert ended
    assert len(lengths) > 1, "nothing was cut off"
