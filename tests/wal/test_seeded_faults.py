"""The proof that the tests bite: each of these faults, put in on purpose, is caught.

A fault is a small change to the code; the detectors are short forms of the other tests.
Without a fault none of them finds anything.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import msgspec
import pytest

from magicqueue_cores import records
from magicqueue_cores.contract import JobState
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.wal import checksum
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.gate import Gate
from magicqueue_server.wal.journal import DiskFull
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.reclaim import Reclaimer
from magicqueue_server.wal.recovery import Replay
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.verdict import Corrupt, Refused, Torn
from seeded import noticed
from wal import test_faults, test_torn_or_corrupt
from wal.memory_disk import Killed, MemoryFolder
from wal.promises import Promises
from wal.simulated import Server

Patch = pytest.MonkeyPatch


def crashes() -> None:
    for seed in (1, 2, 3):
        test_faults.sweep(seed, "always", "kill", sticky=False, step=17)
    test_faults.sweep(4, "everysec", "kill", sticky=False, step=7)


def churn(folder: MemoryFolder) -> Server:
    """Some old jobs, and many that come and go, so that the old ones have to be moved."""
    server = Server(folder, segment_bytes=600, mode="everysec")
    client = server.client()
    for number in range(12):
        client.ask(cmd="PUSH", queue="old", data=number)
    for _ in range(4):
        server.tick(400)
    folder.log.append("old jobs are safe")
    for number in range(60):
        client.ask(cmd="PUSH", queue="new", data=number)
        job = (client.ask(cmd="PULL", queue="new") or {})["job"]
        client.ask(cmd="ACK", id=job["id"])
    return server


def crashes_while_a_segment_goes() -> None:
    whole = MemoryFolder()
    assert churn(whole).reclaimer.moved_jobs > 10
    first = whole.log.index("old jobs are safe") + 1
    for number in range(first, whole.operations, 5):
        folder = MemoryFolder()
        folder.fault = test_faults.failing(number, Killed, sticky=False)
        with pytest.raises(Killed):
            churn(folder)
        for disk in (folder.after_kill(), folder.after_power_cut(random.Random(1), 0.0)):
            client = Server(disk, segment_bytes=600).client()
            assert (client.ask(cmd="STATS", queue="old") or {})["queued"] == 12


def full_disks() -> None:
    test_faults.sweep(1, "always", "short write", sticky=False, step=9)


def restarts() -> None:
    """A long life with many restarts and freed segments."""
    for seed in range(6):
        rng = random.Random(seed)
        folder, promises = MemoryFolder(), Promises(seed)
        for _ in range(8):
            server = Server(folder, segment_bytes=600)
            promises.check(server)
            promises.meet(server)
            for _ in range(50):
                promises.step()
            kept = [folder.after_kill(), folder.after_power_cut(rng)]
            for disk in kept:
                promises.copy().check(Server(disk, segment_bytes=600))
            folder = rng.choice(kept)


def order() -> None:
    """Old jobs keep their places among new ones, dead letters too, while segments go."""
    folder = MemoryFolder()
    server = Server(folder, segment_bytes=600)
    client = server.client()
    for number in range(30):
        client.ask(cmd="PUSH", queue="old", data=number, priority=number % 2)
        client.ask(cmd="PUSH", queue="sick", data=number, max_attempts=1)
    for _ in range(8):
        job = (client.ask(cmd="PULL", queue="sick") or {})["job"]
        client.ask(cmd="FAIL", id=job["id"], error=f"because of {job['id']}")
    for number in range(150):
        client.ask(cmd="PUSH", queue="new", data=number)
        job = (client.ask(cmd="PULL", queue="new") or {})["job"]
        assert job["data"] == number
        client.ask(cmd="ACK", id=job["id"])
    assert server.reclaimer.moved_jobs > 40
    for disk in (folder.after_kill(), folder.after_power_cut(random.Random(1))):
        other = Server(disk, segment_bytes=600).client()
        page = (other.ask(cmd="DEAD", queue="sick") or {})["jobs"]
        assert [job["data"] for job in page] == list(range(8))
        assert [job["error"] for job in page] == [f"because of {j['id']}" for j in page]
        found = (other.ask(cmd="PULLB", queue="old", count=30) or {})["jobs"]
        assert [job["data"] for job in found] == [*range(1, 30, 2), *range(0, 30, 2)]
        found = (other.ask(cmd="PULLB", queue="sick", count=30) or {})["jobs"]
        assert [job["data"] for job in found] == list(range(8, 30))


def bytes_changed() -> None:
    test_torn_or_corrupt.test_after_a_clean_stop_no_flipped_bit_loses_anything()
    test_torn_or_corrupt.test_damage_in_an_earlier_segment_is_refused()
    test_torn_or_corrupt.test_a_missing_segment_is_refused()
    test_torn_or_corrupt.random_subsets(1000)


def later_replies() -> None:
    for mode in ("always", "everysec"):
        test_faults.test_no_later_reply_is_taken_for_one_that_never_comes(mode)


DETECTORS: tuple[Callable[[], None], ...] = (
    later_replies,
    test_faults.test_what_was_done_before_is_answered_when_it_is_safe,
    order,
    test_faults.test_a_failed_sync_is_never_tried_again,
    restarts,
    full_disks,
    bytes_changed,
    crashes,
    crashes_while_a_segment_goes,
)


def ack_before_the_sync(patch: Patch) -> None:
    patch.setattr(LocalJournal, "sync", lambda _self: None)


def ack_before_the_write(patch: Patch) -> None:
    def send(_gate: Gate, session: Any, reply: bytes, *_: Any, **__: Any) -> None:
        session.write_now(reply)

    patch.setattr(Gate, "send", send)


def hand_out_before_the_sync(patch: Patch) -> None:
    real = Log._send

    def send(log: Log, session: Any, reply: bytes) -> None:
        if b'"job' in reply:
            session.write_now(reply)
        else:
            real(log, session, reply)

    patch.setattr(Log, "_send", send)


def no_checksum(patch: Patch) -> None:
    patch.setattr(checksum, "checksum", lambda _: lambda _data, _seed: 0)


def every_damage_is_a_torn_tail(patch: Patch) -> None:
    real = Scan._end

    def end(scan: Scan, later: list[int], data: memoryview | None) -> None:
        try:
            real(scan, later, data)
        except Corrupt as error:
            names = tuple(scan.names[number] for number in later)
            scan.torn = Torn(error.name, error.at, error.lsn, names, "unknown")
            scan.clean = False

    patch.setattr(Scan, "_end", end)


def a_gap_is_passed_over(patch: Patch) -> None:
    """What is there is read as if it were all, whatever is missing."""
    patch.setattr(Scan, "_complete", lambda _scan: None)
    patch.setattr(Scan, "_fits", lambda *_: None)
    patch.setattr(Scan, "_end", lambda *_: None)


def durable_is_claimed_too_early(patch: Patch) -> None:
    real = fmt.frame_head

    def frame_head(header: fmt.Header, lsn: int, durable: int, *rest: Any) -> bytes:
        return real(header, lsn, max(durable, lsn - 1), *rest)

    patch.setattr(fmt, "frame_head", frame_head)


def names_are_not_synced(patch: Patch) -> None:
    patch.setattr(MemoryFolder, "sync", lambda _self: None)


def a_failed_sync_is_tried_again(patch: Patch) -> None:
    real = Log.fail
    failed: WeakSet[Log] = WeakSet()

    def fail(log: Log, error: BaseException) -> None:
        if log in failed:
            real(log, error)
        failed.add(log)

    patch.setattr(Log, "fail", fail)


def a_full_disk_is_ignored(patch: Patch) -> None:
    real = LocalJournal._append

    def append(journal: LocalJournal, *arguments: Any) -> None:
        try:
            real(journal, *arguments)
        except DiskFull:
            journal.lsn += 1

    patch.setattr(LocalJournal, "_append", append)


def a_segment_goes_with_its_jobs(patch: Patch) -> None:
    real = PythonCore.export
    patch.setattr(PythonCore, "export", lambda core, _ids: real(core, ()))


def a_segment_goes_before_its_jobs_are_safe(patch: Patch) -> None:
    def when_safe(_log: Log, call: Callable[[], None]) -> None:
        call()

    patch.setattr(Log, "when_safe", when_safe)


def a_segment_in_the_middle_goes(patch: Patch) -> None:
    def drop(journal: LocalJournal) -> None:
        if len(journal.segments) > 2:
            journal._folder.remove(fmt.segment_name(journal.segments[1].number))
        journal.segments.popleft()

    patch.setattr(LocalJournal, "drop", drop)


def ids_begin_anew(patch: Patch) -> None:
    def begin(replay: Replay, segment: Any) -> None:
        replay._number = segment.number
        if replay._horizon < 0:
            replay._horizon = segment.header.last_id
            replay.found.sequence = segment.header.sequence

    patch.setattr(Replay, "begin", begin)


def some_kind_is_forgotten(kind: type[Any]) -> Callable[[Patch], None]:
    def fault(patch: Patch) -> None:
        real = Log.record

        def record(log: Log, what: records.Record) -> None:
            if not isinstance(what, kind):
                real(log, what)

        patch.setattr(Log, "record", record)

    fault.__name__ = f"no_record_of_{kind.__name__.lower()}"
    return fault


def moved_jobs_change(**change: Any) -> Callable[[Patch], None]:
    def fault(patch: Patch) -> None:
        real = PythonCore.export

        def export(core: PythonCore, ids: Any) -> records.Moved:
            moved = real(core, ids)
            columns = {name: [one] * len(moved.ids) for name, one in change.items()}
            return msgspec.structs.replace(moved, **columns)

        patch.setattr(PythonCore, "export", export)

    fault.__name__ = f"moved_jobs_lose_their_{'_and_'.join(change)}"
    return fault


def places_of_moved_jobs_are_lost(patch: Patch) -> None:
    real = PythonCore.export

    def export(core: PythonCore, ids: Any) -> records.Moved:
        moved = real(core, ids)
        places = range(10**6, 10**6 - len(moved.ids), -1)
        return msgspec.structs.replace(moved, sequences=list(places))

    patch.setattr(PythonCore, "export", export)


def pauses_are_left_behind(patch: Patch) -> None:
    patch.setattr(Reclaimer, "_move_pauses", lambda *_: None)


def later_replies_are_written(patch: Patch) -> None:
    patch.setattr(Gate, "silence", lambda _gate, session: session.hang_up_now())


def what_was_done_before_is_answered_at_once(patch: Patch) -> None:
    patch.setattr(Log, "depend", lambda _log: None)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    ack_before_the_sync,
    ack_before_the_write,
    hand_out_before_the_sync,
    no_checksum,
    every_damage_is_a_torn_tail,
    a_gap_is_passed_over,
    durable_is_claimed_too_early,
    names_are_not_synced,
    a_failed_sync_is_tried_again,
    a_full_disk_is_ignored,
    a_segment_goes_with_its_jobs,
    a_segment_goes_before_its_jobs_are_safe,
    a_segment_in_the_middle_goes,
    ids_begin_anew,
    some_kind_is_forgotten(records.Acked),
    some_kind_is_forgotten(records.Leased),
    some_kind_is_forgotten(records.Paused),
    places_of_moved_jobs_are_lost,
    moved_jobs_change(attempts=0),
    moved_jobs_change(states=int(JobState.READY), sequences=1),
    moved_jobs_change(payloads=b'"x"'),
    pauses_are_left_behind,
    later_replies_are_written,
    what_was_done_before_is_answered_at_once,
)


def detections() -> Iterator[str]:
    for found in noticed(DETECTORS, Refused, pytest.fail.Exception):
        if "Timeout" not in found:
            yield found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
