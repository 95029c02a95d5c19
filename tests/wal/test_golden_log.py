"""Logs of every released format open as they were meant, and today's format is as it was.

How to go on when the format changes: see `golden_log`.
"""

import errno
import json
import os
from array import array
from collections.abc import Callable, Iterable
from itertools import accumulate, count
from pathlib import Path

import msgspec
import pytest

from magicqueue_cores import records
from magicqueue_server.wal import checksum, encode
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import layouts as lay
from magicqueue_server.wal.scan import Refused, Scan
from wal import golden_log
from wal.golden_log import ALGORITHMS, DAYS, GOLDEN
from wal.memory_disk import MemoryFolder
from wal.sample_logs import plain, read_log
from wal.simulated import Server

VERSIONS = sorted(GOLDEN.iterdir())
CURRENT = GOLDEN / f"version-{fmt.VERSION}"


def needs(name: str) -> int:
    """Skip where a checksum cannot be computed."""
    algorithm = ALGORITHMS[name]
    if algorithm > checksum.PREFERRED:
        pytest.skip("crc32c is not installed here")
    return algorithm


def test_every_version_has_its_golden_log() -> None:
    numbers = [f"version-{number}" for number in range(1, fmt.VERSION + 1)]
    assert [path.name for path in VERSIONS] == sorted(numbers)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_golden_log_opens_on_every_core(version: Path, name: str, core_name: str) -> None:
    needs(name)
    expected = json.loads((version / "state.json").read_text())
    assert golden_log.state(golden_log.read(version / name), core_name) == expected
    assert len(expected["jobs"]) > 10
    assert expected["clean"] is True


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_records_are_the_same_bytes(name: str) -> None:
    folder = golden_log.write(needs(name))
    kept = {path.name: path.read_bytes() for path in (CURRENT / name).iterdir()}
    assert golden_log.segments(folder) == kept, (
        "the format has changed: does format.py say how?"
    )
    assert sorted(kept) == [*map(fmt.segment_name, (2, 3, 4, 5)), "manifest"]


OLDER = [version for version in VERSIONS if version != CURRENT]
FULL = ({"write", "allocate", "rename"}, {"allocate"})
"""What fails where there is no room at all, and where files still have some."""


def full_from(first: int, failing: set[str]) -> Callable[[int, str], object]:
    """Plan that the disk has no room from the operation `first` on."""

    def plan(number: int, name: str) -> object:
        full = number >= first and name in failing
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else None

    return plan


def killed(version: Path) -> MemoryFolder:
    """A golden log as a kill leaves one, with room behind its end."""
    folder = golden_log.read(version)
    last = max(name for name in folder.names() if name.endswith(fmt.SUFFIX))
    folder.put(last, folder.data(last) + bytes(64 * 1024))
    return folder


def served(folder: MemoryFolder) -> Server | None:
    """Start on a log and have records of every version written; None if it is refused."""
    try:
        server = Server(folder, now=golden_log.T, with_policies=True)
    except (Refused, OSError):
        return None
    client = server.client()
    pushed = client.ask(cmd="PUSH", queue="q", data=1) or {}
    client.ask(cmd="PULL", queue="q")
    client.ask(cmd="RELEASE", id=pushed.get("id", 1))
    client.ask(cmd="PULL", queue="q")
    server.engine.postpone(10, server.now)
    server.policies.mark("q", {pushed.get("id", 1): b"a mark"})
    server.policies.keep("s", {b"key": b"value", b"other": b""})
    server.policies.drop("s", [b"other"])
    server.tick(600)
    return server


@pytest.mark.parametrize("failing", FULL, ids=["no room", "room in its files"])
@pytest.mark.parametrize("version", OLDER, ids=lambda path: path.name)
def test_a_full_disk_brings_no_new_records_into_an_older_segment(
    version: Path, failing: set[str]
) -> None:
    """A server of that version would open it, and not know what they are."""
    before = golden_log.segments(killed(version / "crc32"))
    refused, started, folder = 0, 0, MemoryFolder()
    for first in count(1):
        folder = killed(version / "crc32")
        folder.fault = full_from(first, failing)
        server = served(folder)
        refused += server is None
        started += server is not None
        for file in before.keys() & folder.names():
            data, now = before[file], folder.data(file)
            assert data.startswith(now), f"{file} was written to, with no room from {first}"
            assert now.rstrip(b"\0") == data.rstrip(b"\0"), f"{file} was cut short"
        if server is not None and folder.operations < first:
            break
    assert refused > 3
    assert started > 3
    assert kinds_in(folder) >= {
        records.Released,
        records.Postponed,
        records.Marked,
        records.Kept,
        records.Gone,
    }, "nothing new came"
    again = Server(folder.after_kill(), with_policies=True)
    versions = {segment.header.version for segment in again.log.journal.segments}
    assert versions == {1, fmt.VERSION}
    assert again.policies.facts == {("s", b"key"): b"value"}
    assert list(again.policies.marks.values()) == [("q", b"a mark")]


def kinds_in(folder: MemoryFolder) -> set[type[records.Record]]:
    _, frames = read_log(folder)
    return {type(record) for frame in frames for record in frame}


def joined(record: records.Record) -> records.Record:
    """The same with its payloads end to end in one buffer, as a batch may come."""
    if not isinstance(record, records.Pushed):
        return record
    if isinstance(record.payloads, records.PayloadBlob):
        return record
    offsets = array("I", accumulate(map(len, record.payloads), initial=0))
    blob = records.PayloadBlob.joined(b"".join(record.payloads) + b"rest", offsets)
    return msgspec.structs.replace(record, payloads=blob)


def as_arrays(record: records.Record) -> records.Record:
    """The same with its ids as an array, as of a core that has them in one."""
    if not hasattr(record, "ids"):
        return record
    return msgspec.structs.replace(record, ids=array("q", record.ids))


@pytest.mark.parametrize("change", [joined, as_arrays])
def test_whatever_holds_the_records_the_bytes_are_the_same(
    change: Callable[[records.Record], records.Record],
) -> None:
    folder = golden_log.write(checksum.ZLIB_CRC32, change)
    kept = golden_log.segments(golden_log.read(CURRENT / "crc32"))
    assert golden_log.segments(folder) == kept


def test_the_golden_log_has_all_there_is() -> None:
    """Every kind of record, every flag of a push, and the first segment left out."""
    scan, frames = read_log(golden_log.read(CURRENT / "crc32"))
    assert scan.clean
    assert scan.segments[0].header.last_id == 4
    found = [record for frame in frames for record in frame]
    assert {type(record) for record in found} == set(lay.KINDS)
    assert [plain(one) for one in found] == [plain(one) for day in DAYS for one in day]
    bodies = [bytes(f.body) for _, f in Scan(golden_log.read(CURRENT / "crc32")).frames()]
    flags = 0
    for body in bodies:
        flags |= _push_flags(body)
    every = lay.RUN_ATS | lay.PRIORITIES | lay.MAX_ATTEMPTS | lay.BACKOFFS | lay.APART
    assert flags == every | lay.JITTER | lay.JITTERS | lay.HELD


def _push_flags(body: bytes) -> int:
    at = flags = 0
    while at < len(body):
        kind, some, _, _, length = lay.RECORD_HEAD.unpack_from(body, at)
        flags |= some if kind == lay.KINDS[records.Pushed] else 0
        at += length
    return flags


@pytest.mark.parametrize("change", ["a byte of a record", "a byte of a header"])
def test_a_change_of_the_bytes_is_noticed(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test of the same bytes can fail."""
    if change == "a byte of a record":
        monkeypatch.setattr(encode, "PUSHED", 20)
    else:
        monkeypatch.setattr(fmt, "MAGIC", fmt.MAGIC[:-1] + b"\x1b")
    kept: Iterable[Path] = (CURRENT / "crc32").iterdir()
    written = golden_log.segments(golden_log.write(checksum.ZLIB_CRC32))
    assert written != {path.name: path.read_bytes() for path in kept}
