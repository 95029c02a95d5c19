"""What the executables do by themselves: start, tell what they are, and run the tools."""

import platform
import shutil
import time
from pathlib import Path

from dist.conftest import Run
from dist.serving import ROOT, get, seconds_of_a_bare_start, serving
from patience import PATIENCE_S

UI = ROOT / "server" / "magicqueue_server" / "http" / "ui"


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
        *("jobs", "bulk", "cancel", "promote", "wait", "result", "events", "limit"),
        *("throttle", "cron", "groups", "token", "doctor", "cluster"),
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


def test_the_dashboard_is_inside(executable: str, tmp_path: Path) -> None:
    with serving([executable], tmp_path, f"--http=unix:{tmp_path}/web"):
        assert get(tmp_path / "web", "/") == (200, (UI / "index.html").read_bytes())
        for path in UI.rglob("*.*"):
            if path.suffix != ".LICENSE":
                name = path.relative_to(UI).as_posix()
                assert get(tmp_path / "web", f"/ui/{name}") == (200, path.read_bytes())
        for path_of_it in (
            "/health",
            "/ready",
            "/metrics",
            "/v1/stats",
            "/v1/openapi.json",
        ):
            assert get(tmp_path / "web", path_of_it)[0] == 200, path_of_it


def test_tokens_are_made_and_asked_for(executable: str, run: Run, tmp_path: Path) -> None:
    made = run(executable, "token", "new", "eye", "--scope", "read")
    secret = made.stderr.split()[-1]
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(made.stdout)
    tokens.chmod(0o600)
    web = f"--http=unix:{tmp_path}/web"
    with serving([executable], tmp_path, f"--tokens={tokens}", web) as server:
        where = {"MAGICQUEUE_URL": f"unix://{server.place}"}
        assert run(executable, "stats", **where).returncode == 1
        assert run(executable, "stats", MAGICQUEUE_TOKEN=secret, **where).returncode == 0
        assert run(
            executable, "push", "q", "1", MAGICQUEUE_TOKEN=secret, **where
        ).returncode
        assert get(tmp_path / "web", "/v1/stats")[0] == 401
        bearer = f"Bearer {secret}"
        assert get(tmp_path / "web", "/v1/stats", Authorization=bearer)[0] == 200


def test_the_doctor_is_in(executable: str, run: Run, tmp_path: Path) -> None:
    log = ("--persist", "--data-dir", str(tmp_path / "log"))
    with serving([executable], tmp_path, *log) as server:
        done = run(executable, "doctor", *log, "--unix-socket", str(server.place))
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_not_inside_is_said(executable: str, run: Run) -> None:
    for asked in (
        ("serve", "--log=postgresql://localhost/none"),
        ("serve", "--tls-cert=/none.pem"),
    ):
        done = run(executable, *asked)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "executable" in done.stderr, done.stderr


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
