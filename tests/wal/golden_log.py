"""Golden logs: small ones of each format version, kept as the bytes that were written.

`golden/version-1/crc32c` and `golden/version-1/crc32` are the same log with either of its
checksums: every kind of record, payloads end to end and apart, columns and shared values,
a segment that was left out before the others, marks, and a clean end. `state.json` is what
must come of it, whole and in order, on any core, in this version and every later one.

**When the format changes** (see `format` for when that takes a new version): the folder
of the old version stays as it is, and every later version has to read it. Write the new
one beside it, look at it with `magicqueue wal dump`, and commit it:

    PYTHONPATH=client:cores:server:tests python tests/wal/golden_log.py

The tests fail until that is done, and if the bytes change without a new version's number.
A new kind of record goes into `DAYS` with the version that brings it; the older golden
logs cannot have it and do not change.
"""

import json
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import msgspec

from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions, JobState
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest
from magicqueue_server.wal.checksum import CRC32C, ZLIB_CRC32
from magicqueue_server.wal.encode import encode
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.recovery import recover
from wal.memory_disk import MemoryFolder
from wal.sample_logs import plain
from wal.stub_policies import StubPolicies

GOLDEN: Final = Path(__file__).parent / "golden"
ALGORITHMS: Final = {"crc32": ZLIB_CRC32, "crc32c": CRC32C}
T: Final = 1_700_000_000_000
SEGMENT_BYTES: Final = 2048
LINE: Final = b'{"jobs":[{"data":{"a":[1,2.50]}},{"data":"zwei \xc3\xa4"},{"data":null}]}'


def _pushed(queue: str, first_id: int, payloads: Sequence[bytes], **more: Any) -> Any:
    usual = {"run_ats_ms": T, "priorities": 0, "max_attempts": 25, "backoffs_ms": 0}
    columns = {"jitters": False, **usual, **more}
    return records.Pushed(queue, first_id, T, payloads, **columns)


def _moved() -> records.Moved:
    """Jobs 2 to 4 in three states; job 1 was done."""
    return records.Moved(
        ids=[2, 3, 4],
        queues=["old", "old", "größe"],
        payloads=[b'"two"', b"3", b"{}"],
        priorities=[-1, 0, 2**31 - 1],
        created_ats_ms=[T - 9, T - 9, T - 8],
        run_ats_ms=[T - 9, T + 10**6, T - 8],
        max_attempts=[25, 0, 1],
        backoffs_ms=[0, 1000, 0],
        jitters=[False, True, False],
        states=[int(JobState.ACTIVE), int(JobState.DELAYED), int(JobState.DEAD)],
        returned=[False, False, False],
        sequences=[2, 0, 5],
        attempts=[2, 1, 1],
        failures=[1, 1, 1],
        losses=[0, 0, 0],
        sessions=[6, 0, 0],
        untils_ms=[T + 10**7, 0, 0],
        died_ats_ms=[0, 0, T - 1],
        errors=["once", None, "kaputt: ü"],
        reasons=[None, None, "failed"],
    )


BEFORE: Final[list[list[Any]]] = [
    [_pushed("old", 1, [b"1", b'"two"', b"3"])],
    [_pushed("größe", 4, [b"{}"])],
    [records.Leased([1, 2, 3, 4], 5, T + 10**7)],
    [records.Acked([1]), records.Failed([2], ["once"], [T], T)],
]
"""What was in the segment that is left out."""
DAYS: Final[list[list[Any]]] = [
    [_moved()],
    [records.Extended([2], T + 2 * 10**7)],
    [_pushed("emails", 5, [b'{"to":1}'], jitters=True, backoffs_ms=7)],
    [_pushed("emails", 6, [b"0", b"-1e400", b"[[]]"], priorities=3)],
    [
        _pushed(
            "emails",
            9,
            records.PayloadBlob(memoryview(LINE), [17, 42, 63], [34, 52, 67]),
            run_ats_ms=[T, T + 500, T + 400],
            priorities=array("q", [1, 2, 3]),
            max_attempts=(1, 2, 3),
            backoffs_ms=[0, 10, 20],
            jitters=[True, False, True],
        ),
        records.Paused("new", paused=True),
    ],
    [records.Matured([11, 10])],
    [_pushed("many", 12, [b"%d" % n for n in range(70)])],
    [records.Leased(range(12, 82), 9, T + 60_000), records.Leased([6, 9], 7, T + 30_000)],
    [records.Acked(array("q", range(20, 82)))],
    [records.Failed([12, 13, 6], [None, "später", ""], [T + 1, T + 9000, T], T + 1)],
    [records.Lost([14, 15])],
    [records.Released([18], 0), records.Released([19], T + 500)],
    [records.Postponed(7_200_000, T + 1)],
    [records.Died([9], "failed", ["zu spät"], T + 2)],
    [records.Died([16, 17], "worker_lost", [None, None], T + 3)],
    [records.Revived([16], T + 4), records.Paused("emails", paused=True)],
    [_pushed("gone", 82, [b"x", b"y"]), records.Removed([82, 83], "drained")],
    [records.Removed([17], "purged")],
    [records.Paused("emails", paused=False), _pushed("new", 84, [b'"last"'])],
    [
        _pushed("marked", 85, [b'"a"', b'"b"'], run_ats_ms=[T, T + 900]),
        records.Marked("marked", [85, 86], [b'{"ttl":1}', "ü".encode()]),
        records.Kept("request", [b"key", b"\xff\0"], [b"85 2", b""]),
    ],
    [records.Promoted([3, 86], T + 5)],
    [
        records.Replaced(
            [85, 86], [b"null", b'"other"'], [7, -7], [T + 6, T + 9000], T + 6
        ),
        records.Marked("marked", [86], [b""]),
    ],
    [records.Kept("result", [b"r"], [b"{}"]), records.Gone("request", [b"key"])],
    [records.Marked("old", [2], [b"later"]), records.Removed([84], "cancelled")],
    [
        _pushed("held", 87, [b"1", b"2", b"3", b"4"], held=True),
        records.Unheld([88, 89], [T + 7, T + 9000], T + 7),
        records.Leased([87], 7, T + 60_000),
        records.Lost([87]),
        records.Held([88]),
    ],
]


@contextmanager
def _checksum_is(algorithm: int) -> Iterator[None]:
    """Have segments begun with this checksum, whatever is preferred here."""
    real = fmt.Header

    def header(**fields: Any) -> fmt.Header:
        return real(**{"algorithm": algorithm, **fields})

    with patch.object(fmt, "Header", header):
        yield


def write(
    algorithm: int, change: Callable[[records.Record], records.Record] = lambda one: one
) -> MemoryFolder:
    """Write the log, as a server would that gets these records, with salts 1, 2, …

    change: what a record is made of may change, if it says the same.
    """
    folder, salts = MemoryFolder(), count(1)
    with _checksum_is(algorithm):
        journal = LocalJournal(
            folder,
            [],
            lsn=0,
            segment_bytes=SEGMENT_BYTES,
            salts=lambda: next(salts),
            now_ms=lambda: T,
            mode="everysec",
        )
        journal.begin(0, 0)
        last_id = sequence = 0
        for number, some in enumerate([*BEFORE, *DAYS]):
            group = Group(number=number + 1, last_id=last_id, sequence=sequence)
            for record in some:
                group.body_bytes += encode(change(record), group.parts)
                sequence += records.sequence_span(record)
                if isinstance(record, records.Pushed):
                    last_id = record.first_id + len(record.payloads) - 1
            if number == len(BEFORE):
                journal.prepare()
                journal._roll(last_id, sequence)
            journal.write([group])
            if number % 3:
                journal.sync()
            if number % 5 == 0:
                journal.mark()
        assert journal._manifest is not None
        while journal.segments[0].number < 2:
            journal.drop()
        journal.close(clean=True)
    return folder


def segments(folder: MemoryFolder) -> dict[str, bytes]:
    """The files that are the log."""
    names = [
        name
        for name in folder.names()
        if fmt.segment_number(name) is not None or name == manifest.NAME
    ]
    return {name: folder.data(name) for name in names}


def read(path: Path) -> MemoryFolder:
    """Load a golden log."""
    folder = MemoryFolder()
    for file in path.iterdir():
        folder.put(file.name, file.read_bytes())
    return folder


def state(folder: MemoryFolder, core_name: str) -> Any:
    """All that comes of a log, as plain JSON."""
    policies = StubPolicies()
    core = policies.core = make_core(core_name, CoreOptions())
    found = recover(folder, policies)
    core.check()
    moved = core.export(range(1, found.last_id + 1))
    columns: dict[str, Any] = dict(
        zip(moved.__struct_fields__, plain(moved)[1:], strict=True)
    )
    columns["payloads"] = [bytes(payload).decode() for payload in columns["payloads"]]
    jobs = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    numbers = {
        name: getattr(found, name)
        for name in ("lsn", "last_id", "sequence", "session", "clean")
    }
    paused = sorted(found.paused)
    built: Any = {"jobs": jobs, "paused": paused, **numbers}
    if policies.facts or policies.marks:
        built["marks"] = {str(n): text.decode() for n, (_, text) in policies.marks.items()}
        built["facts"] = sorted(
            [space, key.decode("latin-1"), value.decode(), found.facts.segment(space, key)]
            for (space, key), value in policies.facts.items()
        )
    built = msgspec.to_builtins(built)
    return json.loads(json.dumps(built))


def main() -> None:
    """Write the golden logs of this version. There must be none of it yet."""
    target = GOLDEN / f"version-{fmt.VERSION}"
    if target.exists():
        sys.exit(f"{target} is there: what it holds was released and does not change")
    for name, algorithm in ALGORITHMS.items():
        folder = write(algorithm)
        (target / name).mkdir(parents=True)
        for file, data in segments(folder).items():
            (target / name / file).write_bytes(data)
    text = json.dumps(state(write(ZLIB_CRC32), "python"), indent=1, ensure_ascii=False)
    (target / "state.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
