"""The proof that the tests of leases bite, as `test_seeded_faults` for the log."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from magicqueue_cores import records
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.leases import Leases
from magicqueue_cores.python_core import PythonCore
from magicqueue_cores.python_fates import Fates
from magicqueue_server.turns import Turns
from magicqueue_server.wal.scan import Refused
from seeded import noticed
from server import test_timekeeper
from wal.memory_disk import MemoryFolder
from wal.simulated import Server

Patch = pytest.MonkeyPatch
ONE_LOSS = CoreOptions(lost_max=1)


def releases() -> None:
    """Jobs given back keep their places and lose nothing, also after a restart."""
    server = Server(MemoryFolder(), options=ONE_LOSS)
    client = server.client()
    for number in range(3):
        client.ask(cmd="PUSH", queue="q", data=number)
    for _ in range(3):
        client.ask(cmd="PULLB", queue="q", count=3)
        assert (client.ask(cmd="RELEASE", ids=[2, 1]) or {})["released"] == 2
        client.ask(cmd="RELEASE", id=3)
    restarted = Server(server.folder.after_kill(), options=ONE_LOSS)
    for one in (server, restarted):
        jobs = (one.client().ask(cmd="PULLB", queue="q", count=3) or {})["jobs"]
        assert [job["data"] for job in jobs] == [0, 1, 2]
        assert (one.client().ask(cmd="GETJOB", id=1) or {})["job"]["lost"] == 0


def restarts_after_a_step() -> None:
    """Leases that were postponed are so after a restart, under either core's log."""
    server = Server(MemoryFolder())
    client = server.client()
    client.ask(cmd="PUSH", queue="q", data=1)
    client.ask(cmd="PULL", queue="q", lease=5000)
    server.now += 7_200_000
    server.engine.postpone(7_200_000, server.now)
    server.pump()
    restarted = Server(server.folder.after_kill(), now=server.now)
    for one in (server, restarted):
        one.tick(4000)
        assert (one.client().ask(cmd="GETJOB", id=1) or {})["job"]["state"] == "active"
        one.tick(1000)
        assert (one.client().ask(cmd="GETJOB", id=1) or {})["job"]["state"] == "ready"


def old_leases() -> None:
    """A worker's late word on a job that another one has by now is refused."""
    server = Server(MemoryFolder())
    one, two = server.client(), server.client()
    one.ask(cmd="PUSH", queue="q", data=1)
    one.ask(cmd="PULL", queue="q", lease=100)
    server.tick(150)
    assert ((two.ask(cmd="PULL", queue="q") or {})["job"] or {}).get("attempts") == 2
    server = Server(server.folder.after_kill())
    reply = server.client().ask(cmd="ACK", id=1, attempt=1)
    assert reply is not None
    assert reply.get("code") == "STALE", reply
    assert (server.client().ask(cmd="ACK", id=1, attempt=2) or {})["ok"]


def unread_heartbeats() -> None:
    test_timekeeper.heartbeats_that_lie_in_sockets_are_read_first("python")


DETECTORS: tuple[Callable[[], None], ...] = (
    releases,
    restarts_after_a_step,
    old_leases,
    unread_heartbeats,
)


def a_release_counts_as_a_loss(patch: Patch) -> None:
    patch.setattr(JobTable, "release", lambda table, ids, _run_at_ms: table.lose(ids))


def a_release_loses_its_place(patch: Patch) -> None:
    patch.setattr(JobTable, "_give_back", JobTable._append)


def a_release_is_not_recorded(patch: Patch) -> None:
    def release(fates: Fates, ids: Any, run_at_ms: int) -> None:
        fates._table.release(ids, run_at_ms)

    patch.setattr(Fates, "release", release)


def leases_are_not_postponed(patch: Patch) -> None:
    patch.setattr(Leases, "postpone", lambda _leases, _by_ms: None)


def leases_end_before_what_arrived_is_read(patch: Patch) -> None:
    patch.setattr(Turns, "when_all_had_a_turn", lambda _turns, call: call())


def attempts_are_not_looked_at(patch: Patch) -> None:
    real = PythonCore.ack
    patch.setattr(PythonCore, "ack", lambda core, ids, _, now: real(core, ids, None, now))


def leases_end_with_the_server(patch: Patch) -> None:
    real = PythonCore.replay

    def replay(core: PythonCore, record: records.Record) -> None:
        if isinstance(record, records.Leased):
            record = msgspec.structs.replace(record, until_ms=0)
        real(core, record)

    patch.setattr(PythonCore, "replay", replay)


def attempts_are_not_replayed(patch: Patch) -> None:
    real = PythonCore.replay

    def replay(core: PythonCore, record: records.Record) -> None:
        real(core, record)
        if isinstance(record, records.Leased):
            for job_id in record.ids:
                core._table.jobs[job_id].attempts -= 1

    patch.setattr(PythonCore, "replay", replay)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    a_release_counts_as_a_loss,
    a_release_loses_its_place,
    a_release_is_not_recorded,
    leases_are_not_postponed,
    leases_end_before_what_arrived_is_read,
    attempts_are_not_looked_at,
    leases_end_with_the_server,
    attempts_are_not_replayed,
)


def detections() -> Iterator[str]:
    yield from noticed(DETECTORS, Refused)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
