"""A worker below systemd, which is told of it, and as the first process of a container."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import Running, Terminal, environment, eventually
from patience import PATIENCE_S

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: orphans come to this process, as to process 1."""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Stand for systemd."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


@pytest.mark.parametrize("processes", ["1", "2"])
def test_systemd_is_told(
    terminal: Terminal, queue: str, told: socket.socket, processes: str
) -> None:
    (terminal.folder / "app.py").write_text("async def handle(job): pass")
    worker = terminal.start("worker", "app:handle", "-q", queue, "-p", processes)
    ready = told.recv(1000).decode().splitlines()
    assert ready == ["READY=1", "WATCHDOG=1", f"MAINPID={worker.process.pid}"]
    assert "WATCHDOG=1" in told.recv(1000).decode()
    worker.send(signal.SIGTERM)
    words = [told.recv(1000).decode()]
    while words[-1] != "STOPPING=1":
        words.append(told.recv(1000).decode())
    assert worker.end().code == 0


_FIRST = f"""
import ctypes, os, signal, subprocess, sys, time
from magicqueue.cli.first_process import be_first_process

assert ctypes.CDLL(None).prctl({_SUBREAPER}, 1, 0, 0, 0) == 0
be_first_process()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
subprocess.Popen(["/bin/sh", "-c", "sleep 0.1 & echo orphan $!"])
print("parent", os.getppid(), flush=True)
time.sleep({PATIENCE_S})
"""


def test_the_first_process_reaps_orphans_and_ends_as_its_worker(tmp_path: Path) -> None:
    assert ctypes.CDLL(None).prctl is not None
    script = tmp_path / "first.py"
    script.write_text(textwrap.dedent(_FIRST))
    first = Running([sys.executable, str(script)], env=environment())
    first.wait_for("parent ")
    first.wait_for("orphan ")
    words = first.out.split()
    assert int(words[words.index("parent") + 1]) == first.process.pid
    orphan = words[words.index("orphan") + 1]
    eventually(lambda: not Path("/proc", orphan).exists())
    first.send(signal.SIGTERM)
    assert first.end().code == 7


def test_who_is_not_process_1_works_itself() -> None:
    code = (
        "import os; from magicqueue.cli.first_process import work_below_first_process as f;"
        "before = os.getpid(); f(); assert os.getpid() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
    assert os.getpid() != 1
