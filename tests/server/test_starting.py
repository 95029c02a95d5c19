"""The start: signals while it takes long, closed streams, broken pipes, a process 1."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patience import PATIENCE_S
from server.process import (
    EXECUTABLE,
    BlockingPeer,
    ServerProcess,
    environment,
    serve_command,
)

pytestmark = pytest.mark.skipif(EXECUTABLE is not None, reason="it starts at once")
NEEDS_NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="nothing is compiled here"
)


def _compiling(cache: Path, *before: str) -> "subprocess.Popen[str]":
    """A server that has begun to compile its kernels."""
    env = environment({"MAGICQUEUE_CACHE_DIR": str(cache), "NUMBA_DISABLE_JIT": "0"})
    server = subprocess.Popen(
        [*before, *serve_command("--port", "0", "--core", "array")],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    assert f"kept in {cache}" in server.stderr.readline()
    return server


@NEEDS_NUMBA
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_compiling_at_once_and_the_next_start_says_so_again(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    for _ in range(2):
        server = _compiling(tmp_path)
        server.send_signal(number)
        _, err = server.communicate(timeout=PATIENCE_S)
        assert server.returncode == code
        (line,) = [line for line in err.splitlines() if "still compiling" not in line]
        assert "stopped while it was starting" in line
        assert not list(tmp_path.rglob("*.nbi"))


def _namespaces_work() -> bool:
    command = ["unshare", "--pid", "--fork", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@NEEDS_NUMBA
@pytest.mark.skipif(not _namespaces_work(), reason="no process can be a process 1 here")
def test_process_1_can_be_stopped_while_it_compiles(tmp_path: Path) -> None:
    server = _compiling(tmp_path, "unshare", "--pid", "--fork", "--kill-child")
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    os.kill(int(children.read_text()), signal.SIGTERM)
    _, err = server.communicate(timeout=PATIENCE_S)
    assert "stopped while it was starting" in err


def _peer(path: Path) -> BlockingPeer:
    sock = socket.socket(socket.AF_UNIX)
    while True:
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.02)
        else:
            return BlockingPeer(sock)


@pytest.mark.parametrize(
    "redirection",
    [">&-", "2>&-", "<&- >&- 2>&-", "| true", "2>&1 | true", "2>&1 >/dev/full"],
)
def test_the_server_outlives_whoever_reads_what_it_says(
    redirection: str, tmp_path: Path
) -> None:
    """The log of jobs, above all, must not get what was meant for a closed stream."""
    path, data = tmp_path / "mq.sock", tmp_path / "data"
    command = serve_command("--core", "python", "--persist", "--unix-socket", str(path))
    command = [sys.executable, "-m", "magicqueue", *command[command.index("serve") :]]
    shell = f'("$@" & echo $! >"$0/pid"; wait $!; echo $? >"$0/code") {redirection}'
    server = subprocess.Popen(
        ["bash", "-c", shell, str(tmp_path), *command, "--data-dir", str(data)],
        env=environment({"PYTHONPATH": environment()["PYTHONPATH"]}),
    )
    with _peer(path) as peer:
        for number in range(1, 4):
            stored = peer.ask(b'{"cmd":"PUSH","queue":"q","data":1}')
            assert stored == b'{"ok":true,"id":%d}\n' % number
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    server.wait(timeout=PATIENCE_S)
    assert (tmp_path / "code").read_text() == "0\n"
    with ServerProcess("--persist", "--data-dir", str(data)) as again:
        _, err = again.stop()
    assert "jobs=3" in err
