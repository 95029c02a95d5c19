"""magicqueue worker: processes that are replaced, code that changes, a file for probes."""

import os
import signal
import time
from pathlib import Path

import pytest

from cli.terminal import Terminal, eventually, no_traceback
from magicqueue.cli.process_watch import ProcessWatch
from magicqueue.cli.source_watch import SourceWatch

_HANDLERS = """
import os
kept = []

async def in_loop(job):
    os.write(1, b"ran %d in %d\\n" % (job.data, os.getpid()))

def plain(job):
    os.write(1, b"ran %d in %d\\n" % (job.data, os.getpid()))

def leaks(job):
    kept.append(b"x" * 400_000_000)
    os.write(1, b"ran %d in %d\\n" % (job.data, os.getpid()))
"""


@pytest.fixture(autouse=True)
def handlers(terminal: Terminal) -> Path:
    path = terminal.folder / "handlers.py"
    path.write_text(_HANDLERS)
    return path


def pids(text: str) -> list[str]:
    return [line.split()[3] for line in text.splitlines() if line.startswith("ran ")]


@pytest.mark.parametrize("handler", ["in_loop", "plain"])
def test_a_process_is_replaced_after_so_many_jobs(
    terminal: Terminal, queue: str, handler: str
) -> None:
    worker = terminal.start("worker", f"handlers:{handler}", "-q", queue, "--max-jobs", "2")
    for number in range(3):
        terminal.ok("push", queue, "1", "2")
        worker.wait_for("ran ", times=2 * number + 2)
        worker.wait_for("process 1 has run 2 jobs: it is replaced", times=number + 1)
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert ended.code == 0
    assert len(set(pids(ended.out))) == 3
    assert "stopped: 6 jobs done, 0 failed" in ended.err
    no_traceback(ended.err)
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["completed"], counts["lost"]) == (6, 0)


def test_a_process_is_replaced_when_it_has_grown(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    worker = terminal.start("worker", "handlers:leaks", "-q", queue, "--max-memory", "300M")
    worker.wait_for("MiB: it is replaced")
    terminal.ok("push", queue, "2")
    worker.wait_for("ran 2")
    worker.send(signal.SIGTERM)
    assert len(set(pids(worker.end().out))) == 2


@pytest.mark.parametrize("size", ["0", "x", "5T", "-1"])
def test_a_size_that_is_none_is_refused(terminal: Terminal, size: str) -> None:
    refused = terminal.run("worker", "handlers:plain", "-q", "q", f"--max-memory={size}")
    assert refused.code == 2
    assert "write it as 500M or 2G" in refused.err


def test_changed_code_is_loaded_anew(
    terminal: Terminal, queue: str, handlers: Path
) -> None:
    worker = terminal.start("worker", "handlers:plain", "-q", queue, "--reload", "-p", "2")
    terminal.ok("push", queue, "1")
    worker.wait_for("ran 1")
    handlers.write_text(_HANDLERS.replace("ran %d in", "new %d in"))
    worker.wait_for("handlers.py has changed: starting anew")
    terminal.ok("push", queue, "2")
    worker.wait_for("new 2 in")
    handlers.write_text("def broken(:")
    worker.wait_for("handlers.py, line 1: def broken(:")
    handlers.write_text(_HANDLERS)
    terminal.ok("push", queue, "3")
    worker.wait_for("ran 3 in")
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert ended.code == 0
    no_traceback(ended.err)


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("handler", ["in_loop", "plain"])
def test_a_file_is_touched_while_all_is_well(
    terminal: Terminal, queue: str, handler: str, processes: str
) -> None:
    path = terminal.folder / "health"
    options = ["-p", processes, "--health-file", "health"]
    worker = terminal.start("worker", f"handlers:{handler}", "-q", queue, *options)
    eventually(path.exists)
    os.utime(path, (0, 0))
    eventually(lambda: path.stat().st_mtime > 0)
    worker.send(signal.SIGTERM)
    assert worker.end().code == 0
    assert not path.exists()


def test_a_loop_that_hangs_is_not_alive() -> None:
    watch = ProcessWatch()

    class Loop:
        def call_soon_threadsafe(self, _: object) -> None:
            """Never come round."""

    loop: object = Loop()
    watch._came_round.set()
    assert watch._is_alive(loop)  # type: ignore[arg-type]  # all that is called of it
    assert not watch._is_alive(loop)  # type: ignore[arg-type]
    watch._came_round.set()
    assert watch._is_alive(loop)  # type: ignore[arg-type]


def test_files_that_change_are_found(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for name in (".git", "__pycache__", "venv"):
        (tmp_path / name).mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    watch = SourceWatch(str(tmp_path))
    assert watch.changed() == ""
    for name in (".git", "__pycache__", "venv"):
        (tmp_path / name / "x.py").touch()
    (tmp_path / "app" / "notes.txt").touch()
    assert watch.changed() == ""
    one = tmp_path / "app" / "one.py"
    one.touch()
    assert watch.changed() == "app/one.py"
    assert watch.changed() == ""
    os.utime(one, ns=(0, time.time_ns() + 10))
    assert watch.changed() == "app/one.py"
    one.unlink()
    assert watch.changed() == "app/one.py"
