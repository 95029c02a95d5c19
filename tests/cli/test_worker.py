"""magicqueue worker: handlers, processes, signals, and what it says when it cannot work."""

import os
import signal
from pathlib import Path

import orjson
import pytest

from cli.terminal import (
    SERVER,
    Outcome,
    Running,
    Terminal,
    environment,
    eventually,
    no_traceback,
)

_TASKS = """
import asyncio, multiprocessing, os, pathlib, signal, time

def plain(job):
    os.write(1, b"plain %s\\n" % job.raw.strip(b'"'))

async def in_loop(job):
    await asyncio.sleep(0)
    os.write(1, b"async %s\\n" % job.raw)

def failing(job):
    raise ValueError(f"no such user: {job.data}")

def until_told(job):
    print("holds", job.data, "in", os.getpid(), flush=True)
    pathlib.Path("go on").read_text()
    print("finished", job.data, flush=True)

async def until_told_in_loop(job):
    print("holds", job.data, "in", os.getpid(), flush=True)
    await asyncio.to_thread(pathlib.Path("go on").read_text)
    print("finished", job.data, flush=True)

def dies_once(job):
    first = pathlib.Path("died")
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    print("survived", job.data, flush=True)

def hangs(job):
    if job.data == "hangs":
        print("hangs on", job.data, flush=True)
        time.sleep(3600)
    print("ran", job.data, flush=True)

def forks(job):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    child.start()
    child.terminate()
    child.join()
    print("child ended by", -child.exitcode, flush=True)

async def forks_in_loop(job):
    forks(job)

def slow(job):
    if not pathlib.Path("quick").exists():
        print("begins", flush=True)
        time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def tasks(terminal: Terminal) -> Path:
    """A user's module of handlers, and a pipe that lets those go on that wait for it."""
    path = terminal.folder / "tasks.py"
    path.write_text(_TASKS)
    os.mkfifo(terminal.folder / "go on")
    return path


def _stop(worker: Running, number: signal.Signals = signal.SIGTERM) -> Outcome:
    worker.send(number)
    return worker.end()


@pytest.mark.parametrize(
    ("handler", "word", "options", "how"),
    [
        ("plain", "plain", [], "in up to 8 threads"),
        ("plain", "plain", ["-c", "3"], "in up to 3 threads"),
        ("plain", "plain", ["--inline"], "one after the other"),
        ("in_loop", "async", [], "async, up to 50 at once"),
        ("in_loop", "async", ["-p", "2", "-c", "5"], "in 2 processes"),
        ("plain", "plain", ["-p", "2", "--inline"], "in 2 processes"),
    ],
)
def test_it_runs_a_handler_on_each_job(
    terminal: Terminal, queue: str, handler: str, word: str, options: list[str], how: str
) -> None:
    terminal.ok("push", queue, *map(str, range(20)))
    worker = terminal.start("worker", f"tasks:{handler}", "-q", queue, *options)
    worker.wait_for(f"{word} ", times=20)
    eventually(lambda: terminal.ok("stats", queue, "--json").json()["completed"] == 20)
    ended = _stop(worker)
    assert ended.code == 0
    assert how in ended.err
    assert "stopped: 20 jobs done, 0 failed" in ended.err
    no_traceback(ended.err)


def test_a_failure_is_kept_with_the_job(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "7", "--max-attempts", "1")
    worker = terminal.start("worker", "tasks:failing", "-q", queue)
    worker.wait_for("failed (attempt 1): ValueError: no such user: 7")
    ended = _stop(worker, signal.SIGINT)
    assert ended.code == 0
    assert "stopped: 0 jobs done, 1 failed" in ended.err
    (letter,) = terminal.ok("dead", "list", queue, "--json").lines()
    message, _, trace = letter["error"].partition("\n\n")
    assert message == "ValueError: no such user: 7"
    assert "tasks.py" in trace
    assert trace.endswith('raise ValueError(f"no such user: {job.data}")')


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("handler", ["until_told", "until_told_in_loop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish_what_it_holds(
    terminal: Terminal, queue: str, handler: str, processes: str, number: signal.Signals
) -> None:
    terminal.ok("push", queue, "1")
    worker = terminal.start("worker", f"tasks:{handler}", "-q", queue, "-p", processes)
    worker.wait_for("holds 1")
    worker.wait_for("working on", times=int(processes))
    worker.send_to_group(number)
    worker.wait_for("finishing what is held")
    terminal.ok("push", queue, "2")
    (terminal.folder / "go on").write_text("")
    ended = worker.end()
    assert ended.code == 0
    assert "finished 1" in ended.out
    assert "stopped: 1 job done, 0 failed" in ended.err
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["completed"], counts["queued"]) == (1, 1)


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("handler", ["until_told", "until_told_in_loop"])
def test_a_second_ctrl_c_ends_it_at_once(
    terminal: Terminal, queue: str, handler: str, processes: str
) -> None:
    terminal.ok("push", queue, "1")
    worker = terminal.start("worker", f"tasks:{handler}", "-q", queue, "-p", processes)
    worker.wait_for("holds 1")

    def interrupted() -> bool:
        if worker.process.poll() is None:
            worker.send_to_group(signal.SIGINT)
        return worker.process.poll() is not None

    eventually(interrupted)
    ended = worker.end()
    assert ended.code == 130
    assert "finished" not in ended.out
    no_traceback(ended.err)
    back = terminal.ok("pull", queue, "--ack", "--wait", "20s").json()
    assert back["attempts"] == 2


def test_a_process_that_dies_is_replaced(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    worker = terminal.start("worker", "tasks:dies_once", "-q", queue, "-p", "2")
    worker.wait_for("was killed by SIGKILL: another is started in")
    worker.wait_for("survived 1")
    worker.wait_for("is started anew")
    assert _stop(worker).code == 0


def test_the_children_end_with_their_parent(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1")
    worker = terminal.start("worker", "tasks:until_told", "-q", queue, "-p", "2")
    worker.wait_for("holds 1")
    child = int(worker.out.rpartition(" in ")[2])
    worker.send(signal.SIGKILL)
    worker.wait_for("the parent process is gone")
    (terminal.folder / "go on").write_text("")
    eventually(lambda: _is_gone(child))
    assert terminal.ok("stats", queue, "--json").json()["completed"] == 1


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_it_waits_for_a_server_and_says_so(terminal: Terminal, queue: str) -> None:
    path = terminal.folder / "later.sock"
    url = f"unix://{path}"
    worker = terminal.start("worker", "tasks:plain", "-q", queue, "--inline", url=url)
    worker.wait_for("waiting for a server: no server answers at")
    server = Running([*SERVER, "--unix-socket", str(path)], env=environment())
    server.wait_for("listens on")
    assert terminal.run("push", queue, '"late"', url=url).code == 0
    worker.wait_for("plain late")
    assert _stop(worker).code == 0
    server.send(signal.SIGTERM)
    assert server.end().code == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_while_it_waits_for_a_server(terminal: Terminal, processes: str) -> None:
    url = f"unix://{terminal.folder}/never.sock"
    worker = terminal.start("worker", "tasks:plain", "-q", "q", "-p", processes, url=url)
    worker.wait_for("waiting for a server")
    worker.send_to_group(signal.SIGINT)
    ended = worker.end()
    assert ended.code == 0
    no_traceback(ended.err)


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(
    ("module", "source", "handler", "complaints"),
    [
        ("gone", None, "gone:run", ["there is no module 'gone'"]),
        (
            "needs",
            "x = 1\nimport not_there",
            "needs:run",
            ["needs 'not_there', which", "needs.py, line 2"],
        ),
        (
            "syntax",
            "def f(:\n",
            "syntax:run",
            ["SyntaxError", "syntax.py, line 1: def f(:"],
        ),
        (
            "raises",
            "def setting():\n    return {}['DSN']\nsetting()",
            "raises:run",
            ["KeyError: 'DSN'", "raises.py, line 2, in setting: return {}['DSN']"],
        ),
        ("empty", "", "empty:run", ["empty has no 'run'"]),
        ("odd", "run = 3", "odd:run", ["is no function but of type int"]),
        ("plain", None, "tasks", ["there are no Tasks in tasks", "as module:name"]),
        ("plain", None, ":run", ["is not written as module:function"]),
    ],
)
def test_a_handler_that_cannot_be_imported_says_why(
    terminal: Terminal,
    processes: str,
    module: str,
    source: str | None,
    handler: str,
    complaints: list[str],
) -> None:
    if source is not None:
        (terminal.folder / f"{module}.py").write_text(source)
    refused = terminal.run("worker", handler, "-q", "q", "-p", processes)
    assert refused.code == 2
    for complaint in complaints:
        assert refused.err.count(complaint) == 1, refused.err


def test_inline_is_for_plain_handlers(terminal: Terminal) -> None:
    refused = terminal.run("worker", "tasks:in_loop", "-q", "q", "--inline")
    assert refused.code == 2
    assert "tasks:in_loop is an async def" in refused.err
    refused = terminal.run("worker", "tasks:plain", "-q", "q", "--inline", "-c", "2")
    assert "leave out -c" in refused.err
    assert "--queue" in terminal.run("worker", "tasks:plain").err


def test_its_log_can_be_json(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, "1", "--max-attempts", "1")
    worker = terminal.start("worker", "tasks:failing", "-q", queue, "--json")
    worker.wait_for("no such user")
    lines = [orjson.loads(line) for line in _stop(worker).err.splitlines()]
    assert {"level": "info"}.items() <= lines[0].items()
    (failure,) = (line for line in lines if "failed (attempt" in line["message"])
    assert failure["level"] == "warning"
    assert "ValueError" in failure["traceback"]


@pytest.mark.parametrize("options", [["--inline"], ["--inline", "-p", "2"]])
def test_an_inline_handler_that_hangs_is_replaced_with_its_process(
    terminal: Terminal, queue: str, options: list[str]
) -> None:
    terminal.ok("push", queue, '"hangs"', "--max-attempts", "1")
    worker = terminal.start(
        *("worker", "tasks:hangs", "-q", queue, "--time-limit", "1s", *options)
    )
    worker.wait_for("was ended with a handler that hangs: another is started in")
    terminal.ok("push", queue, '"next"')
    worker.wait_for("ran next")
    assert _stop(worker).code == 0
    (letter,) = terminal.ok("dead", "list", queue, "--json").lines()
    assert (letter["data"], letter["reason"], letter["failures"]) == ("hangs", "failed", 1)
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["failed"], counts["lost"]) == (1, 0)


@pytest.mark.parametrize("options", [["--inline"], ["--inline", "-p", "2"]])
def test_an_inline_handler_that_is_cut_off_gives_its_job_back(
    terminal: Terminal, queue: str, options: list[str]
) -> None:
    terminal.ok("push", queue, '"hangs"')
    worker = terminal.start("worker", "tasks:hangs", "-q", queue, "--grace", "0s", *options)
    worker.wait_for("hangs on hangs")
    ended = _stop(worker)
    assert ended.code == 0
    assert "1 given back" in ended.err
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["queued"], counts["lost"], counts["failed"]) == (1, 0, 0)


@pytest.mark.parametrize(("option", "value"), [("-c", "3"), ("--time-limit", "1s")])
def test_an_option_given_twice_is_refused(
    terminal: Terminal, option: str, value: str
) -> None:
    refused = terminal.run("worker", "tasks:plain", "-q", "a", *[option, value] * 2)
    assert refused.code == 2


def test_a_queue_given_twice_is_one_of_several(terminal: Terminal, queue: str) -> None:
    ids = [
        terminal.ok("push", name, "1", "--json").json()["ids"][0]
        for name in (queue, f"{queue}-more")
    ]
    options = ("-q", queue, "-q", f"{queue}-more", "-q", f"{queue}-more")
    worker = terminal.start("worker", "tasks:plain", *options)
    for job_id in ids:
        worker.wait_for(f"job {job_id} of ")
    assert _stop(worker).code == 0


@pytest.mark.parametrize("how", ["text", "json"])
def test_a_line_says_job_queue_attempt_process_and_time(
    terminal: Terminal, queue: str, how: str
) -> None:
    (job_id,) = terminal.ok("push", queue, "1", "--json").json()["ids"]
    worker = terminal.start("worker", "tasks:plain", "-q", queue, "--log-format", how)
    worker.wait_for(f"job {job_id} of {queue} done in ")
    pid = worker.process.pid
    (line,) = (one for one in _stop(worker).err.splitlines() if " done in " in one)
    if how == "text":
        assert f"[{pid}] job {job_id} of {queue} done in " in line
        assert line.endswith("s (attempt 1)")
        return
    told = orjson.loads(line)
    assert (told["job"], told["queue"], told["attempt"]) == (job_id, queue, 1)
    assert told["pid"] == pid
    assert told["duration_ms"] >= 0


@pytest.mark.parametrize("options", [["--inline"], ["-c", "2"]])
@pytest.mark.parametrize("handler", ["forks", "forks_in_loop"])
def test_a_signal_to_a_forked_child_does_not_stop_the_worker(
    terminal: Terminal, queue: str, handler: str, options: list[str]
) -> None:
    if handler == "forks_in_loop" and options == ["--inline"]:
        pytest.skip("inline is for plain handlers")
    terminal.ok("push", queue, '"first"')
    worker = terminal.start("worker", f"tasks:{handler}", "-q", queue, *options)
    worker.wait_for("child ended by 15")
    terminal.ok("push", queue, '"second"')
    worker.wait_for("child ended by 15", times=2)
    assert "finishing what is held" not in worker.err
    assert _stop(worker).code == 0


def test_deploys_lose_and_bury_no_job(terminal: Terminal, queue: str) -> None:
    """Each deploy cuts handlers off; a job that is cut off four times is none the worse."""
    terminal.ok("push", queue, *map(str, range(45)), "--max-attempts", "1")
    for _ in range(4):
        worker = terminal.start("worker", "tasks:slow", "-q", queue, "--grace", "0s")
        worker.wait_for("begins", times=8)
        ended = _stop(worker)
        assert ended.code == 0
        assert "given back" in ended.err
    (terminal.folder / "quick").touch()
    worker = terminal.start("worker", "tasks:slow", "-q", queue)
    eventually(lambda: terminal.ok("stats", queue, "--json").json()["completed"] == 45)
    assert _stop(worker).code == 0
    counts = terminal.ok("stats", queue, "--json").json()
    assert (counts["dead"], counts["lost"], counts["failed"]) == (0, 0, 0)
