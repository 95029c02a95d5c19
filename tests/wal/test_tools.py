"""`wal check | dump | repair`, `backup`, and what they say, on logs in real folders."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeGuard

import msgspec
import pytest
from click.testing import CliRunner, Result

from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.commands import backup, wal
from magicqueue_server.wal.disk import Lock, Locked, SystemFolder
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.recovery import recover
from magicqueue_server.wal.verdict import Corrupt
from wal.sample_logs import NOW_MS, group_of, life

FIRST = fmt.segment_name(1)


def written(
    path: Path, *, clean: bool = False, segment_bytes: int = 4096, mode: str = "always"
) -> LocalJournal:
    frames = life(3, 60)
    return written_frames(path, frames, clean=clean, segment_bytes=segment_bytes, mode=mode)


def written_frames(
    path: Path,
    frames: Iterable[Sequence[records.Record]],
    *,
    clean: bool = True,
    segment_bytes: int = 4096,
    mode: str = "always",
) -> LocalJournal:
    folder = SystemFolder(path)
    journal = LocalJournal(
        folder,
        [],
        lsn=0,
        segment_bytes=segment_bytes,
        salts=lambda: 77,
        now_ms=lambda: NOW_MS,
        mode=mode,
    )
    journal.begin(0, 0)
    last_id = sequence = 0
    for number, some in enumerate(frames):
        group = group_of(some, number)
        group.last_id, group.sequence = last_id, sequence
        for record in some:
            sequence += records.sequence_span(record)
            if isinstance(record, records.Pushed):
                last_id = record.first_id + len(record.payloads) - 1
        journal.prepare()
        journal.write([group])
        journal.sync()
    journal.close(clean=clean)
    return journal


def run(*arguments: object) -> Result:
    command = backup if arguments[0] == "backup" else wal
    rest = arguments[1:] if arguments[0] == "backup" else arguments
    return CliRunner().invoke(command, [str(argument) for argument in rest])


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_check_of_a_whole_log(tmp_path: Path) -> None:
    journal = written(tmp_path / "log", clean=True)
    before = {f.name: f.read_bytes() for f in (tmp_path / "log").iterdir()}
    result = run("check", "--data-dir", tmp_path / "log")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("ok: every frame and record is whole")
    assert "stopped cleanly" in result.output
    report = json.loads(run("check", "--json", "--data-dir", tmp_path / "log").output)
    assert report["segments"] == len(journal.segments) > 2
    assert report["frames"] == 60
    assert report["last_lsn"] == journal.lsn
    assert report["records"]["pushed"] > 5
    assert before == {f.name: f.read_bytes() for f in (tmp_path / "log").iterdir()}


def test_check_of_a_torn_log(tmp_path: Path) -> None:
    journal = written(tmp_path)
    last = tmp_path / fmt.segment_name(journal.current.number)
    data, at = last.read_bytes(), journal.current.used_bytes - 40
    last.write_bytes(data[:at] + bytes(len(data) - at))
    result = run("check", "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("torn: the log ends in the middle of a write")


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("always", "no answer had been given for it"),
        ("everysec", "it may hold answers of the last second"),
        ("never", "it may hold answers since the system last wrote it out"),
    ],
)
def test_what_a_torn_end_may_hold_is_said(tmp_path: Path, mode: str, says: str) -> None:
    journal = written(tmp_path, mode=mode)
    last = tmp_path / fmt.segment_name(journal.current.number)
    flip(last, journal.current.used_bytes - 9)
    assert says in run("check", "--data-dir", tmp_path).output


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    journal = written(tmp_path / "log")
    last = tmp_path / "log" / fmt.segment_name(journal.current.number)
    for size in (journal.current.used_bytes, fmt.FRAMES_AT, 100, 0):
        os.truncate(last, size)
        result = run("check", "--data-dir", tmp_path / "log")
        assert result.exit_code == 2, result.output
        with pytest.raises(Corrupt, match=last.name):
            recover(SystemFolder(tmp_path / "log"), make_core("python", CoreOptions()))
    assert run("repair", "--data-dir", tmp_path / "log").exit_code == 0
    assert run("check", "--data-dir", tmp_path / "log").exit_code == 0


@pytest.mark.parametrize("which", ["first", "middle", "last", "all", "manifest"])
def test_a_file_that_is_missing_is_refused(tmp_path: Path, which: str) -> None:
    path = tmp_path / "log"
    journal = written(path, clean=True)
    numbers = [segment.number for segment in journal.segments]
    names = {
        "first": [fmt.segment_name(numbers[0])],
        "middle": [fmt.segment_name(numbers[1])],
        "last": [fmt.segment_name(numbers[-1])],
        "all": [fmt.segment_name(number) for number in numbers],
        "manifest": ["manifest"],
    }[which]
    for name in names:
        (path / name).unlink()
    result = run("check", "--data-dir", path)
    assert result.exit_code == 2
    assert f"{names[0]} is missing" in result.output
    with pytest.raises(Corrupt, match="is missing"):
        recover(SystemFolder(path), make_core("python", CoreOptions()))
    assert run("backup", "--data-dir", path, tmp_path / "copy").exit_code == 3
    assert run("repair", "--data-dir", path).exit_code == 0
    found = recover(SystemFolder(path), make_core("python", CoreOptions()))
    assert found.last_id >= 60, "ids could be given again"


def test_check_and_repair_of_a_damaged_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    journal = written(path)
    flip(path / fmt.segment_name(2), 700)
    damaged = {f.name: f.read_bytes() for f in path.iterdir()}
    result = run("check", "--data-dir", path)
    assert result.exit_code == 2
    assert "0000000000000002.wal at byte" in result.output
    mended = json.loads(run("repair", "--json", "--data-dir", path).output)
    assert mended["cut"] == fmt.segment_name(2)
    assert mended["lost_lsns"][1] == journal.lsn
    assert mended["lost_jobs"] >= len(mended["lost_job_ids"]) > 0
    copy = Path(mended["copy"])
    assert copy.name == "log.damaged-1"
    kept = {f.name: f.read_bytes() for f in copy.iterdir()}
    log = {n: d for n, d in damaged.items() if fmt.segment_number(n) or n == "manifest"}
    assert kept == log
    assert run("check", "--data-dir", path).exit_code == 0
    again = run("repair", "--data-dir", path)
    assert (again.exit_code, again.output[:18]) == (0, "there is no damage")
    core = make_core("python", CoreOptions())
    found = recover(SystemFolder(path), core)
    core.check()
    assert found.last_id >= max(mended["lost_job_ids"]), "ids could be given again"


def test_repair_says_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    flip(path / FIRST, fmt.FRAMES_AT + 8)
    output = run("repair", "--data-dir", path).output
    for part in (
        "was copied to",
        "was cut at byte 256",
        "not used any more",
        "jobs pushed",
    ):
        assert part in output


def test_repair_beside_a_server_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    lock = Lock(tmp_path)
    with pytest.raises(Locked, match="another server"):
        Lock(tmp_path)
    result = run("repair", "--data-dir", tmp_path)
    assert result.exit_code == 3
    assert "another server" in result.output
    lock.release()
    Lock(tmp_path).release()


def test_dump_shows_every_record(tmp_path: Path) -> None:
    written(tmp_path, clean=True)
    rows = [
        json.loads(row) for row in run("dump", "--data-dir", tmp_path).output.splitlines()
    ]
    assert [row["lsn"] for row in rows] == sorted(row["lsn"] for row in rows)
    assert {"pushed", "leased", "mark"} <= {row["record"] for row in rows}
    assert sum(row["record"] != "mark" for row in rows) == sum(map(len, life(3, 60)))


def test_a_backup_opens_as_a_log(tmp_path: Path) -> None:
    written(tmp_path / "log")
    result = run("backup", "--data-dir", tmp_path / "log", tmp_path / "copy")
    assert result.exit_code == 0, result.output
    cores = [make_core("python", CoreOptions()) for _ in range(2)]
    for core, name in zip(cores, ("log", "copy"), strict=True):
        recover(SystemFolder(tmp_path / name), core)
    for job_id in range(1, 80):
        assert cores[0].job(job_id, NOW_MS) == cores[1].job(job_id, NOW_MS)
    result = run("backup", "--data-dir", tmp_path / "log", tmp_path / "copy")
    assert result.exit_code == 3
    assert "is not empty" in result.output


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for command in ("check", "dump", "repair"):
        result = run(command, "--data-dir", tmp_path / "nowhere")
        assert result.exit_code == 3
        assert "No such file or directory" in result.output
    assert run("backup", "--data-dir", tmp_path, tmp_path / "b").exit_code == 3


def test_a_newer_format_is_refused_and_not_touched(tmp_path: Path) -> None:
    written(tmp_path)
    newer = fmt.Header(
        number=1, salt=1, first_lsn=1, last_id=0, sequence=0, begun_ms=0, version=9
    )
    data = fmt.header_bytes(newer) + (tmp_path / FIRST).read_bytes()[fmt.FRAMES_AT :]
    (tmp_path / FIRST).write_bytes(data)
    result = run("check", "--data-dir", tmp_path)
    assert result.exit_code == 3
    assert "format version 9" in result.output
    assert (tmp_path / FIRST).read_bytes() == data


def test_what_is_said_of_one_is_said_in_the_singular(tmp_path: Path) -> None:
    written(tmp_path / "log", segment_bytes=2**20)
    assert "\n1 segment, " in run("check", "--data-dir", tmp_path / "log").output
    result = run("backup", "--data-dir", tmp_path / "log", tmp_path / "copy")
    assert ": 1 segment, " in result.output


def test_repair_and_backup_answer_in_json(tmp_path: Path) -> None:
    written(tmp_path / "log")
    whole = run("repair", "--json", "--data-dir", tmp_path / "log")
    assert json.loads(whole.output) == {"damaged": False}
    copied = run("backup", "--json", "--data-dir", tmp_path / "log", tmp_path / "copy")
    report = json.loads(copied.output)
    assert report["folder"] == str(tmp_path / "copy")
    assert report["state"] == "ok"
    flip(tmp_path / "log" / FIRST, fmt.FRAMES_AT + 20)
    mended = json.loads(run("repair", "--json", "--data-dir", tmp_path / "log").output)
    assert mended["damaged"] is True
    assert mended["cut"] == FIRST


def test_errors_in_json_are_one_document(tmp_path: Path) -> None:
    for command in ("check", "dump", "repair"):
        result = run(command, "--json", "--data-dir", tmp_path / "nowhere")
        error = json.loads(result.stderr)
        assert result.exit_code == 3
        assert error["code"] == "UNREADABLE"
        assert error.keys() == {"ok", "error", "code"}


def test_dump_commands_no_terminal(tmp_path: Path) -> None:
    folder = SystemFolder(tmp_path)
    journal = LocalJournal(
        folder, [], lsn=0, segment_bytes=4096, salts=lambda: 77, now_ms=lambda: NOW_MS
    )
    journal.begin(0, 0)
    nasty = '"\x9b31m\u202e\u2028"'
    pushed = next(one for some in life(3, 60) for one in some if is_pushed(one))
    count = len(pushed.payloads)
    journal.write(
        [group_of([msgspec.structs.replace(pushed, payloads=[nasty.encode()] * count)], 0)]
    )
    journal.close(clean=True)
    output = run("dump", "--data-dir", tmp_path).output
    assert not set(output) & set("\x9b\u202e\u2028")
    rows = [json.loads(row) for row in output.splitlines()]
    (row,) = [row for row in rows if row["record"] == "pushed"]
    assert row["payloads"] == [nasty] * count


def is_pushed(record: records.Record) -> TypeGuard[records.Pushed]:
    return isinstance(record, records.Pushed)


def test_what_policies_wrote_is_checked_shown_copied_and_repaired(tmp_path: Path) -> None:
    no_mark = b"\x92\x01\xa1\xbd"  # MessagePack of a string that is no UTF-8
    pushed = records.Pushed("q", 1, NOW_MS, [b"1", b"2"], NOW_MS, 0, 25, 0, jitters=False)
    some: list[records.Record] = [
        pushed,
        records.Marked("q", [1, 2], [no_mark, b"plain"]),
        records.Kept("request", [b"q\0k", b"\xff"], ["ü".encode(), b"\x93\x01"]),
        records.Gone("request", [b"q\0k"]),
        records.Promoted([2], NOW_MS + 1),
        records.Replaced([1], [b"3"], [7], [NOW_MS], NOW_MS + 2),
    ]
    journal = written_frames(tmp_path / "log", [some, [records.Acked([1])]])
    report = json.loads(run("check", "--json", "--data-dir", tmp_path / "log").output)
    names = ["pushed", "marked", "kept", "gone", "promoted", "replaced", "acked"]
    assert report["records"] == dict.fromkeys(sorted(names), 1)
    lines = run("dump", "--data-dir", tmp_path / "log").output.splitlines()
    rows = {row["record"]: row for row in map(json.loads, lines)}
    assert (rows["marked"]["queue"], rows["marked"]["ids"]) == ("q", [1, 2])
    assert rows["marked"]["texts"] == ["\\x92\x01\\xa1\\xbd", "plain"]
    assert rows["kept"]["keys"] == ["q\0k", "\\xff"]
    assert rows["kept"]["values"] == ["ü", "\\x93\x01"]
    assert rows["gone"]["keys"] == ["q\0k"]
    assert rows["replaced"]["payloads"] == ["3"]
    assert run("backup", tmp_path / "copy", "--data-dir", tmp_path / "log").exit_code == 0
    assert (
        run("dump", "--data-dir", tmp_path / "copy").output.splitlines()[: len(some)]
        == (lines[: len(some)])
    )
    flip(
        tmp_path / "log" / FIRST, journal.current.used_bytes - 2 * fmt.FRAME_HEAD_BYTES - 9
    )
    mended = json.loads(run("repair", "--json", "--data-dir", tmp_path / "log").output)
    assert mended["damaged"]
    assert run("check", "--data-dir", tmp_path / "log").exit_code == 0
