"""`python -m magicqueue.demo`, whole, and interrupted."""

import signal
import sys
from pathlib import Path

from cli.terminal import Running, environment, no_traceback

_DEMO = [sys.executable, "-m", "magicqueue.demo"]


def _start(folder: Path) -> Running:
    return Running(_DEMO, cwd=folder, env=environment(TMPDIR=str(folder), PERSIST="1"))


def test_the_demo_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = _start(tmp_path).end()
    assert ended.code == 0, ended
    assert ended.err == ""
    for part in (
        "a server listens on 127.0.0.1:",
        "2 worker processes are started",
        "longest functions",
        "largest packages",
        "are dead letters now",
        "SyntaxError: invalid syntax",
        "broken.py was mended",
        "workers and server are stopped",
    ):
        assert part in ended.out, ended.out
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_demo(tmp_path: Path) -> None:
    demo = _start(tmp_path)
    demo.wait_for(" files, ")
    demo.send_to_group(signal.SIGINT)
    ended = demo.end()
    assert ended.code == 130
    assert "interrupted: everything is stopped" in ended.err
    no_traceback(ended.err)
    assert list(tmp_path.iterdir()) == []
