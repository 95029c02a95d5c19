"""A server below systemd: what it says, sockets it is handed, log files that turn."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import eventually
from magicqueue_server.logs import _FileHandler
from patience import PATIENCE_S
from server.process import (
    BlockingPeer,
    ServerProcess,
    environment,
    run_serve,
    serve_command,
)

PYTHON = ("--core", "python")
PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}\n'
ROOT = Path(__file__).parents[2]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Stand for systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_S)
        yield listening


def test_systemd_is_told(told: socket.socket) -> None:
    with ServerProcess(*PYTHON, env={"NOTIFY_SOCKET": told.getsockname()}) as server:
        ready = told.recv(1000).decode().splitlines()
        assert ready == ["READY=1", "WATCHDOG=1", f"MAINPID={server.process.pid}"]
        with server.connect() as peer:
            assert peer.ask(PING) == PONG
        assert told.recv(1000) == b"WATCHDOG=1"
        server.process.send_signal(signal.SIGTERM)
        words = [told.recv(1000)]
        while words[-1] != b"STOPPING=1":
            words.append(told.recv(1000))
        assert server.wait()[0] == 0


_HANDED = """
import os, sys
for number, descriptor in enumerate(map(int, sys.argv[1].split(",")), 3):
    os.dup2(descriptor, 50 + number)
for number in range(3, 3 + sys.argv[1].count(",") + 1):
    os.dup2(50 + number, number)
os.environ |= {"LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Stands for systemd: puts sockets where it puts them, and becomes the server."""


def _handed(
    sockets: list[socket.socket], *options: str, **env: str
) -> subprocess.Popen[str]:
    descriptors = [one.fileno() for one in sockets]
    return subprocess.Popen(
        [
            *(sys.executable, "-c", _HANDED, ",".join(map(str, descriptors))),
            *serve_command(*PYTHON, *options),
        ],
        env=environment({"LISTEN_FDS": str(len(sockets)), **env}),
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ping(address: str | tuple[str, int]) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    client = socket.socket(family)
    client.settimeout(PATIENCE_S)
    client.connect(address)
    client.sendall(PING + b"\n")
    return client


def test_sockets_are_taken_that_systemd_listens_at(tmp_path: Path) -> None:
    path = str(tmp_path / "q.sock")
    jobs, http, unix = (socket.socket(family) for family in (2, 2, socket.AF_UNIX))
    with jobs, http, unix:
        for one, place in (
            (jobs, ("127.0.0.1", 0)),
            (http, ("127.0.0.1", 0)),
            (unix, path),
        ):
            one.bind(place)
            one.listen()
        # Who connects before the server is there waits for it.
        early = [_ping(jobs.getsockname()), _ping(path)]
        server = _handed(
            [jobs, http, unix],
            *("--http", "127.0.0.1:1"),
            LISTEN_FDNAMES="jobs:http:jobs",
        )
        for client in early:
            with client, BlockingPeer(client) as peer:
                assert peer.line() == PONG
        with socket.create_connection(http.getsockname()) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        server.terminate()
        out, err = server.communicate(timeout=PATIENCE_S)
        assert server.returncode == 0, err
        assert f"listens on 127.0.0.1:{jobs.getsockname()[1]}" in out
        assert f"HTTP at 127.0.0.1:{http.getsockname()[1]}" in out
        assert Path(path).exists(), "it is not the server's"


@pytest.mark.parametrize(
    ("host", "waiting", "code", "said"),
    [("0.0.0.0", 1, 2, "--tokens"), ("127.0.0.1", 0, 1, "Accept=no")],
)
def test_sockets_that_are_not_taken(host: str, waiting: int, code: int, said: str) -> None:
    with socket.socket() as one:
        one.bind((host, 0))
        if waiting:
            one.listen(waiting)
        server = _handed([one])
        _, err = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == code
    assert said in err


def test_what_was_handed_to_another_process_is_not_touched() -> None:
    env = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    with ServerProcess(*PYTHON, env=env) as server:
        assert server.port
        with server.connect() as peer:
            assert peer.ask(PING) == PONG


def test_a_log_file_turns_and_no_line_is_lost(tmp_path: Path) -> None:
    log = tmp_path / "q.log"
    options = (
        *PYTHON,
        "--log-file",
        str(log),
        "--log-format",
        "json",
        "--log-level",
        "debug",
    )
    pings = 300
    with ServerProcess(*options) as server, server.connect() as peer:
        for number in range(pings):
            assert peer.ask(PING) == PONG
            if number == pings // 2:
                log.rename(tmp_path / "q.log.1")
                server.process.send_signal(signal.SIGHUP)
        eventually(log.exists)
        code, err = server.stop()
        assert (code, err) == (0, "")
    old, new = (path.read_text().splitlines() for path in (tmp_path / "q.log.1", log))
    events = [json.loads(line)["event"] for line in [*old, *new]]
    assert any("listens on" in one for one in events)
    assert "stopped" in events[-1]
    assert json.loads(new[0])["event"] == "the log file was opened anew"
    about_pings = [line for line in [*old, *new] if '"PING"' in line]
    assert len(about_pings) == pings


def test_a_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    place = tmp_path / "none" / "q.log"
    refused = run_serve("--log-file", str(place))
    assert refused.returncode == 1
    assert f"cannot write the log file {place}: No such file" in refused.stderr


def test_a_log_file_that_cannot_be_opened_anew_stays(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    handler = _FileHandler(folder / "q.log")
    handler.write("one")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        handler.open()
    handler.write("two")
    handler.close()
    assert (tmp_path / "elsewhere" / "q.log").read_text() == "one\ntwo\n"


def test_logrotate_takes_the_snippet(tmp_path: Path) -> None:
    snippet = (ROOT / "packaging" / "magicqueue.logrotate").read_text()
    pattern, _, rest = snippet.partition("{")
    pattern = pattern.splitlines()[-1].strip()
    assert pattern == "/var/log/magicqueue/*.log"
    unit = (ROOT / "packaging" / "magicqueue.service").read_text()
    assert "LogsDirectory=magicqueue\n" in unit
    assert "systemctl reload magicqueue" in rest
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit
    logrotate = shutil.which("logrotate")
    if logrotate is None:
        pytest.skip("logrotate is not installed: apt-get install logrotate")
    log = tmp_path / "q.log"
    with ServerProcess(*PYTHON, "--log-file", str(log)) as server:
        ours = snippet.replace(pattern, str(log)).replace(
            "systemctl reload magicqueue", f"kill -HUP {server.process.pid}"
        )
        (tmp_path / "conf").write_text(ours.replace("su magicqueue magicqueue", ""))
        (tmp_path / "conf").chmod(0o644)
        subprocess.run(
            [logrotate, "--force", "--state", tmp_path / "state", tmp_path / "conf"],
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
        eventually(log.exists)
        assert server.stop()[0] == 0
    assert "opened anew" in log.read_text()
