"""What is built answers, byte for byte, what the sources answer, and logs the same."""

import random
import re
from pathlib import Path

import pytest

from differential.line_makers import Lines
from dist.serving import FROM_SOURCE, WITHOUT_CRC32C, Server, serving
from magicqueue_server.wal import tools

CORES = pytest.mark.parametrize("core", ["array", "python"])
_TIMES = re.compile(
    rb'"(created_at|run_at|died_at|lease_until|oldest_ready_ms|uptime_ms)":\d+'
)


def _session(seed: int) -> list[bytes]:
    """Lines of a client that waits for nothing: so the replies depend on them alone."""
    made = Lines(random.Random(seed))
    lines = []
    for _ in range(1500):
        line = made.line()
        upper = line.upper()
        if b"STATS" in upper or b"HELLO" in upper or not line.strip():
            continue
        if b"PULL" in upper and b'"TIMEOUT":0' not in upper:
            continue
        if b"DELAY" in upper or b"RUN_AT" in upper or b"BACKOFF" in upper:
            continue
        if b'"LEASE":' in upper or b"MEMORY" in upper:
            continue
        lines.append(line if line.endswith(b"\n") else line + b"\n")
    return lines


def _replies(
    command: list[str], folder: Path, core: str, lines: list[bytes]
) -> list[bytes]:
    folder.mkdir()
    with serving(command, folder, "--core", core) as server, server.connect() as peer:
        replies = peer.ask(b'{"cmd":"PING"}\n' + b"".join(lines), len(lines) + 1)
        return _TIMES.sub(rb'"\1":0', replies).splitlines()


@CORES
@pytest.mark.parametrize("seed", [1, 2])
def test_a_recorded_session(build: str, tmp_path: Path, core: str, seed: int) -> None:
    lines = _session(seed)
    assert len(lines) > 300
    ours = _replies(FROM_SOURCE, tmp_path / "sources", core, lines)
    theirs = _replies([build], tmp_path / "build", core, lines)
    assert len({line[:20] for line in ours}) > 10
    assert theirs == ours


@CORES
@pytest.mark.parametrize("writer", ["sources", "sources without crc32c", "build"])
def test_a_log_opens_in_the_other(
    build: str, tmp_path: Path, core: str, writer: str
) -> None:
    commands = [FROM_SOURCE if writer != "sources without crc32c" else WITHOUT_CRC32C]
    commands.insert(0 if writer == "build" else 1, [build])
    first, second = commands
    options = ("--persist", "--data-dir", str(tmp_path / "log"), "--core", core)
    batch = b",".join(b'{"data":{"n":%d},"priority":%d}' % (n, n % 3) for n in range(100))
    lines = (
        b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}\n' % batch,
        b'{"cmd":"PULLB","queue":"q","count":10}\n{"cmd":"ACKB","ids":[3,6]}\n',
        b'{"cmd":"FAIL","id":9,"error":"no \xc3\xa9"}\n',
        b'{"cmd":"PAUSE","queue":"other"}\n',
    )
    told = [b'{"cmd":"GETJOB","id":%d}\n' % n for n in (1, 3, 9, 100)]
    told += [b'{"cmd":"PULLB","queue":"q","count":100,"timeout":0}\n']
    with serving(first, tmp_path, *options) as server, server.connect() as peer:
        assert peer.ask(b"".join(lines), 5).count(b'{"ok":true') == 5
        before = peer.ask(b"".join(told[:4]), 4)
    named = "zlib.crc32" if first is WITHOUT_CRC32C else "crc32c"
    assert tools.check(tmp_path / "log").checksum == named
    with serving(second, tmp_path, *options) as server, server.connect() as peer:
        assert peer.ask(b"".join(told[:4]), 4) == before
        rest = peer.ask(told[4], 1)
        assert rest.count(b'"id":') == 98
    last = FROM_SOURCE if first is WITHOUT_CRC32C else first
    with serving(last, tmp_path, *options) as server, server.connect() as peer:
        assert b'"state":"' in peer.ask(told[3], 1)
    assert tools.check(tmp_path / "log").state == "ok"


@CORES
@pytest.mark.parametrize("writer", ["sources", "build"])
def test_the_log_of_one_that_was_killed_opens_in_the_other(
    folder_executable: str, tmp_path: Path, core: str, writer: str
) -> None:
    commands = [FROM_SOURCE, [folder_executable]]
    first, second = commands if writer == "sources" else commands[::-1]
    options = ("--persist", "--data-dir", str(tmp_path / "log"), "--core", core)
    push = b'{"cmd":"PUSH","queue":"q","data":"x"}\n'
    killed = Server(first, tmp_path, *options)
    with killed.connect() as peer:
        assert peer.ask(push * 500, 500).count(b'"ok":true') == 500
        assert peer.ask(b'{"cmd":"PULL","queue":"q"}\n{"cmd":"ACK","id":1}\n', 2)
        killed.process.kill()
    killed.process.communicate()
    with serving(second, tmp_path, *options) as server, server.connect() as peer:
        rest = peer.ask(b'{"cmd":"PULLB","queue":"q","count":1000,"timeout":0}\n', 1)
        assert rest.count(b'"id":') == 499


@CORES
def test_logs_are_the_same_to_the_byte(build: str, tmp_path: Path, core: str) -> None:
    """But for the times in them, and what tells one log from another."""
    written = []
    for name, command in (("sources", FROM_SOURCE), ("build", [build])):
        (tmp_path / name).mkdir()
        options = ("--persist", "--data-dir", str(tmp_path / name / "log"), "--core", core)
        with (
            serving(command, tmp_path / name, *options) as server,
            server.connect() as peer,
        ):
            for line in _session(3)[:400]:
                peer.ask(line, 1)
        rows = [
            {field: value for field, value in row.items() if not field.endswith("_ms")}
            for row in tools.dump(tmp_path / name / "log")
        ]
        assert len(rows) > 90
        written.append(rows)
    assert written[0] == written[1]
