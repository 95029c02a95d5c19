"""magicqueue worker app:tasks: queues, processes, what it says when it cannot work."""

import signal

import pytest

from cli.terminal import Terminal, eventually, no_traceback

_APP = """
import logging, os
from magicqueue import Tasks

tasks = Tasks("{queue}", modules=["more"])

@tasks.task
async def welcome(to: str) -> None:
    logging.getLogger("app").info("welcomes %s", to)
    os.write(1, b"welcome %s\\n" % to.encode())

@tasks.task(queue="{queue}-two", max_attempts=1)
def fails(n: int) -> None:
    raise ValueError(f"no {{n}}")

def handler(job):
    pass
"""
_MORE = """
import os
from app import tasks

@tasks.task
def further() -> None:
    os.write(1, b"further\\n")
"""


@pytest.fixture(autouse=True)
def app(terminal: Terminal, queue: str) -> None:
    (terminal.folder / "app.py").write_text(_APP.format(queue=queue))
    (terminal.folder / "more.py").write_text(_MORE)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_it_runs_the_tasks_of_all_their_queues(
    terminal: Terminal, queue: str, processes: str
) -> None:
    terminal.ok("push", queue, '{"task":"welcome","args":["ada"]}', '{"task":"further"}')
    terminal.ok(
        "push", f"{queue}-two", '{"task":"fails","args":[7]}', "--max-attempts", "1"
    )
    worker = terminal.start("worker", "app:tasks", "-p", processes, "--json")
    worker.wait_for("welcome ada")
    worker.wait_for("further")
    eventually(lambda: terminal.ok("stats", f"{queue}-two", "--json").json()["dead"] == 1)
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert ended.code == 0
    assert "stopped: 2 jobs done, 1 failed" in ended.err
    assert '"message": "welcomes ada", "job":' in ended.err
    lines = [line for line in ended.err.splitlines() if '"job": ' in line]
    assert len(lines) == 4
    assert all('"task": "' in line for line in lines)


def test_it_may_be_told_which_queues(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", queue, '{"task":"welcome","args":["ada"]}')
    worker = terminal.start("worker", "app:tasks", "-q", queue)
    worker.wait_for("welcome ada")
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert f"tasks of {queue}, up to 50 of each at once" in ended.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["app:tasks", "-q", "three"], "none of the tasks is of queue 'three'"),
        (["app:tasks", "--inline"], "--inline is for a plain handler: app:tasks are Tasks"),
        (["app:welcome", "-q", "one"], "app:welcome is one task: name the Tasks"),
        (["app:handler"], "app:handler is a handler, which works on the queues"),
        (["app:_APP"], "the handler 'app:_APP' cannot be found"),
        (["more:os", "-q", "one"], "is no function but of type module"),
        (["bad:tasks"], "n of task two cannot be read from JSON"),
        (["lacks:tasks"], "the modules of lacks:tasks cannot be imported"),
        (["empty:tasks"], "there are no tasks to work on"),
    ],
)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_it_says_what_it_cannot_work_on(
    terminal: Terminal, arguments: list[str], sentence: str, processes: str
) -> None:
    for name, text in {
        "bad": "@tasks.task\ndef two(n: type(tasks)) -> None: ...",
        "lacks": 'tasks = Tasks("q", modules=["nowhere"])',
        "empty": "",
    }.items():
        start = 'from magicqueue import Tasks\ntasks = Tasks("q")\n'
        (terminal.folder / f"{name}.py").write_text(start + text)
    refused = terminal.run("worker", *arguments, "-p", processes)
    assert refused.code == 2
    assert sentence in refused.err
    no_traceback(refused.err)
