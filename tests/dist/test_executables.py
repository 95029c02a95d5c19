"""What the executables do by themselves: start, tell what they are, and run the tools."""

import json
import platform
import shutil
import time
from pathlib import Path

import pytest

from dist.conftest import Run
from dist.serving import seconds_of_a_bare_start, serving
from patience import PATIENCE_S


def test_version_says_what_it_is(executable: str, run: Run) -> None:
    done = run(executable, "--version")
    name, build, core, python = done.stdout.splitlines()
    assert name.startswith("magicqueue ")
    assert build.startswith("build: executable, commit ")
    assert core.startswith("array core: compiled ahead of time for x86-64-v")
    assert python.startswith("Python 3.")
    assert platform.machine() in python


def test_an_older_processor_gets_its_kernels(folder_executable: str, run: Run) -> None:
    done = run(folder_executable, "--version", MAGICQUEUE_CPU="x86-64-v2")
    assert "compiled ahead of time for x86-64-v2\n" in done.stdout


def test_auto_is_the_array_core_and_uvloop(executable: str, tmp_path: Path) -> None:
    with serving([executable], tmp_path) as server:
        assert server.said[1].startswith("array core (compiled ahead of time for x86-64")
        assert server.said[1].endswith(" on uvloop")


def test_every_command_has_its_help(folder_executable: str, run: Run) -> None:
    commands = (
        *("push", "pull", "ack", "fail", "job", "queues", "stats", "dead", "pause"),
        *("resume", "drain", "worker", "bench", "ping", "serve", "wal", "backup"),
    )
    listed = run(folder_executable, "--help").stdout
    for command in commands:
        assert f"  {command} " in listed
        shown = run(folder_executable, command, "--help")
        assert shown.returncode == 0, shown.stderr
        assert f"Usage: magicqueue {command} " in shown.stdout
        for section in ("Options:", "  Examples:", "  Exit codes:"):
            assert f"\n{section}\n" in shown.stdout


def test_jobs_go_in_and_out(executable: str, run: Run, tmp_path: Path) -> None:
    with serving([executable], tmp_path) as server:
        url = f"unix://{server.place}"
        pushed = run(executable, "push", "q", '{"n":1}', "2", MAGICQUEUE_URL=url)
        assert pushed.returncode == 0, pushed.stderr
        pulled = run(executable, "pull", "q", "-n", "2", "--ack", MAGICQUEUE_URL=url)
        assert '{"n":1}' in pulled.stdout
        stats = run(executable, "stats", "--json", MAGICQUEUE_URL=url)
        assert '"completed":2' in stats.stdout.replace(" ", "")
        table = run(executable, "queues", MAGICQUEUE_URL=url)
        assert table.returncode == 0, table.stderr
        bench = run(executable, "bench", "--jobs", "2000", MAGICQUEUE_URL=url)
        assert bench.returncode == 0, bench.stderr


def test_time_zones_are_inside(
    executable: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONTZPATH", "")
    with serving([executable], tmp_path) as server:
        url = f"unix://{server.place}"
        times = ("--schedule", "30 2 * * *", "--tz", "Asia/Kolkata", "--json")
        where = {"MAGICQUEUE_URL": url}
        done = run(executable, "cron", "set", "report", "-q", "q", *times, **where)
        assert done.returncode == 0, done.stderr
        following = run(executable, "cron", "next", "report", "--json", **where)
        for run_ms in json.loads(following.stdout)["next_runs"]:
            assert run_ms // 60_000 % 1440 == 21 * 60  # 2:30 there


def test_a_worker_says_whose_python_it_needs(executable: str, run: Run) -> None:
    done = run(executable, "worker", "tasks:send", "-q", "emails")
    assert done.returncode == 2
    assert "python -m magicqueue worker tasks:send -q emails" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_tools_of_the_log_are_there(executable: str, run: Run, tmp_path: Path) -> None:
    log = ("--data-dir", str(tmp_path / "log"))
    with serving([executable], tmp_path, "--persist", *log) as server:
        with server.connect() as peer:
            peer.ask(b'{"cmd":"PUSH","queue":"q","data":1}\n', 1)
        copied = run(executable, "backup", *log, str(tmp_path / "copy"))
        assert copied.returncode == 0, copied.stderr
    for folder in ("log", "copy"):
        done = run(executable, "wal", "check", "--data-dir", str(tmp_path / folder))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 jobs pushed" in done.stdout
    dumped = run(executable, "wal", "dump", *log)
    assert '"record":"pushed"' in dumped.stdout
    assert run(executable, "wal", "repair", *log).returncode == 0


def test_nothing_of_numba_is_inside(folder_executable: str) -> None:
    names = {path.name.lower() for path in Path(folder_executable).parent.rglob("*")}
    assert not [n for n in names if "numba" in n or "numpy" in n or "llvm" in n]


def test_a_stop_waits_for_jobs_as_long_as_it_is_told_to(
    executable: str, tmp_path: Path
) -> None:
    """A single file's own process would by itself kill its server after 5 seconds."""
    with serving([executable], tmp_path, "--shutdown-grace", "60s") as server:
        with server.connect() as holder:
            job = b'{"cmd":"PUSH","queue":"q","data":1}\n'
            assert b'"id":1' in holder.ask(job + b'{"cmd":"PULL","queue":"q"}\n', 2)
            server.process.terminate()
            end_s = time.monotonic() + 6
            while time.monotonic() < end_s:
                assert b"pong" in holder.ask(b'{"cmd":"PING"}\n', 1)
            assert b"SHUTTING_DOWN" in holder.ask(job, 1)
            assert holder.ask(b'{"cmd":"ACK","id":1}\n', 1) == b'{"ok":true}\n'
        server.process.communicate(timeout=PATIENCE_S)
        assert server.process.returncode == 0


def test_it_can_be_moved(folder_executable: str, run: Run, tmp_path: Path) -> None:
    moved = tmp_path / "a folder" / "magicqueue"
    shutil.copytree(Path(folder_executable).parent, moved)
    assert run(str(moved / "magicqueue"), "--version").returncode == 0


def test_it_starts_at_once(
    folder_executable: str, single_executable: str, tmp_path: Path
) -> None:
    """They and the control take turns, so that all are as busy."""
    folder_s: list[float] = []
    single_s: list[float] = []
    control_s: list[float] = []
    for _ in range(5):
        for executable, seconds in (
            (folder_executable, folder_s),
            (single_executable, single_s),
        ):
            with serving([executable], tmp_path) as server:
                seconds.append(server.seconds)
        control_s.append(seconds_of_a_bare_start())
    assert min(folder_s) < 5 * min(control_s)
    assert min(single_s) < 12 * min(control_s)
