"""All records of a command are in one frame: what is cut or killed leaves all or none."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from conformance.driver import require_core
from magicqueue_cores import records
from magicqueue_cores.contract import NewJobs
from magicqueue_server.wal import log as log_module
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.scan import Refused
from wal.memory_disk import Killed, MemoryFolder
from wal.sample_logs import read_log
from wal.simulated import Server
from wal.test_faults import failing

TINY = 64
"""Bytes of a group that is long: less than any command here writes."""


def server_of_marked_jobs(folder: MemoryFolder, mode: str = "everysec") -> Server:
    """A server whose pushes mark their jobs and keep a fact of each."""
    server = Server(folder, mode=mode, with_policies=True)
    policies, real = server.policies, server.engine.core.push

    def push(queue: str, jobs: NewJobs, now_ms: int) -> int:
        first_id = real(queue, jobs, now_ms)
        assert isinstance(first_id, int)
        ids = range(first_id, first_id + len(jobs.payloads))
        policies.mark(queue, {job_id: b"mark %d" % job_id for job_id in ids})
        policies.keep("request", {b"key %d" % job_id: b"%d" % job_id for job_id in ids})
        return first_id

    server.engine.core.push = push  # type: ignore[method-assign]  # on purpose
    return server


def is_whole(server: Server) -> int:
    """Check that each job here has its mark and its fact; gives how many there are."""
    ids = list(server.engine.core.export(range(1, 1000)).ids)
    assert sorted(server.policies.marks) == ids
    keys = {key for _, key in server.policies.facts}
    assert keys == {b"key %d" % job_id for job_id in ids}
    return len(ids)


def commands(server: Server) -> None:
    """Some pushes in one piece, and one alone."""
    client = server.client()
    some = [{"cmd": "PUSH", "queue": "q", "data": n} for n in range(3)]
    jobs = [{"data": n} for n in range(4)]
    client.send(*some, {"cmd": "PUSHB", "queue": "q", "jobs": jobs}, *some)
    server.pump()
    client.ask(cmd="PUSH", queue="q", data=1)


def last_segment(folder: MemoryFolder) -> str:
    return max(name for name in folder.names() if name.endswith(".wal"))


def cuts(folder: MemoryFolder) -> Iterator[int]:
    """Cut the power at every byte; gives how many whole jobs each leaves."""
    name = last_segment(folder)
    data = folder.data(name)
    used = len(data.rstrip(b"\0"))
    for at in range(used + 1):
        torn = data[:at] + bytes(len(data) - at)
        try:
            server = Server(folder.changed(name, torn, cut=True), with_policies=True)
        except Refused:
            continue
        yield is_whole(server)


def cut_at_every_byte() -> None:
    folder = MemoryFolder()
    commands(server_of_marked_jobs(folder))
    found = list(cuts(folder))
    assert len(found) > 500
    assert set(found) == {0, 10, 11}, "the pushes of one piece share a frame"


def killed_at_every_operation(mode: str) -> None:
    whole = MemoryFolder()
    commands(server_of_marked_jobs(whole, mode))
    for number in range(1, whole.operations + 1):
        folder = MemoryFolder()
        folder.fault = failing(number, Killed, sticky=False)
        with pytest.raises(Killed):
            commands(server_of_marked_jobs(folder, mode))
        is_whole(Server(folder.after_kill(), with_policies=True))


def while_the_disk_is_busy() -> None:
    """Groups that are long are closed between commands while the disk takes its time."""
    folder = MemoryFolder()
    server = server_of_marked_jobs(folder, "always")
    client = server.client()
    server.tasks.stalled = True
    for number in range(6):
        client.send(
            {"cmd": "PUSH", "queue": "q", "data": number},
            {"cmd": "PUSHB", "queue": "q", "jobs": [{"data": 1}, {"data": 2}]},
        )
        server.pump()
    server.tasks.stalled = False
    server.pump()
    frames = [[type(record) for record in frame] for frame in read_log(folder)[1]]
    one = [records.Pushed, records.Marked, records.Kept]
    assert frames == [2 * one] * 6, "each piece of lines is a frame, and closed in time"


@pytest.fixture
def long_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "GROUP_BYTES_MAX", TINY)


@pytest.mark.usefixtures("long_groups")
def test_a_power_cut_at_any_byte_leaves_all_of_a_command_or_none() -> None:
    cut_at_every_byte()


@pytest.mark.usefixtures("long_groups")
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
def test_a_kill_at_any_operation_leaves_all_of_a_command_or_none(mode: str) -> None:
    killed_at_every_operation(mode)


@pytest.mark.usefixtures("long_groups")
def test_groups_close_between_commands_while_the_disk_is_busy() -> None:
    while_the_disk_is_busy()


def pieces_of_lines() -> list[bytes]:
    """Lines of many kinds, some of which come to several records."""
    push = {"cmd": "PUSH", "queue": "q", "data": 1, "max_attempts": 1}
    batch = {"cmd": "PUSHB", "queue": "q", "jobs": [{"data": n} for n in range(20)]}
    pull = {"cmd": "PULLB", "queue": "q", "count": 8}
    fail = {"cmd": "FAILB", "jobs": [{"id": n} for n in range(1, 6)]}
    ack = {"cmd": "ACKB", "ids": [6, 7]}
    lines = [push] * 5 + [batch, pull, fail, ack, pull]
    return [b"".join(json.dumps(line).encode() + b"\n" for line in lines)] * 3


@pytest.mark.usefixtures("long_groups")
@pytest.mark.parametrize("core", ["python", "array"])
def test_what_lines_did_in_one_turn_is_one_frame(core: str) -> None:
    """Kernels run many lines a call; what they did is never split."""
    folder = MemoryFolder()
    server = Server(folder, mode="everysec", core=require_core(core), with_policies=True)
    seen: list[list[records.Record]] = []
    real, session = server.log.record, server.client().session

    def record(one: records.Record) -> None:
        seen[-1].append(one)
        real(one)

    server.policies._record = record
    for lines in pieces_of_lines():
        seen.append([])
        server.engine.feed(session, lines, server.now)
        server.pump()
    frames = read_log(folder)[1]
    assert [list(map(type, frame)) for frame in frames] == [
        list(map(type, s)) for s in seen
    ]
    assert {records.Died, records.Acked, records.Leased} <= set(map(type, frames[0]))


def split_by_size(patch: pytest.MonkeyPatch) -> None:
    """Close a group as soon as it is long, wherever that is."""
    real = Log.record

    def record(log: Log, what: records.Record) -> None:
        real(log, what)
        if log._open.body_bytes > TINY:
            log._close_group()

    patch.setattr(Log, "record", record)


DETECTORS: Sequence[Callable[[], Any]] = (
    cut_at_every_byte,
    lambda: killed_at_every_operation("everysec"),
    while_the_disk_is_busy,
)


@pytest.mark.parametrize("detector", DETECTORS, ids=["cuts", "kills", "a busy disk"])
def test_a_group_that_is_split_in_a_command_is_caught(
    detector: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    split_by_size(monkeypatch)
    with pytest.raises(AssertionError):
        detector()
