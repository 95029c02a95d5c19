"""magicqueue worker NAME: which Tasks it finds, and what it says where there are none."""

import signal

import pytest

from cli.terminal import Terminal, no_traceback

_TASKS = """
import os
from magicqueue import Tasks

tasks = Tasks("{queue}")

@tasks.task(name="{name}")
def ran() -> None:
    os.write(1, b"ran {name}\\n")
"""


@pytest.fixture(autouse=True)
def shop(terminal: Terminal, queue: str) -> None:
    folder = terminal.folder / "shop"
    for inner in ("", "mail/deep", "mail", "bills/tasks", "bills", "views"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
        (folder / inner / "__init__.py").write_text("")
    (folder / "views" / "__init__.py").write_text(
        "raise RuntimeError('not to be imported')"
    )
    (folder / "tasks.py").write_text(_TASKS.format(queue=queue, name="top"))
    for name, place in (
        ("deep", "mail/deep/tasks.py"),
        ("bills", "bills/tasks/__init__.py"),
    ):
        (folder / place).write_text(_TASKS.format(queue=f"{queue}-{name}", name=name))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_package_is_all_tasks_in_it(
    terminal: Terminal, queue: str, processes: str
) -> None:
    terminal.ok("push", queue, '{"task":"top"}')
    terminal.ok("push", f"{queue}-deep", '{"task":"deep"}')
    terminal.ok("push", f"{queue}-bills", '{"task":"bills"}')
    worker = terminal.start("worker", "shop", "-p", processes)
    for name in ("top", "deep", "bills"):
        worker.wait_for(f"ran {name}")
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert ended.code == 0
    assert "stopped: 3 jobs done" in ended.err


def test_a_module_is_the_tasks_in_it(terminal: Terminal, queue: str) -> None:
    terminal.ok("push", f"{queue}-deep", '{"task":"deep"}')
    worker = terminal.start("worker", "shop.mail.deep.tasks")
    worker.wait_for("ran deep")
    assert f"tasks of {queue}-deep, up to 50 of each at once" in worker.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shop.mail.deep.nothing", "there is no module 'shop.mail.deep.nothing'"),
        ("json", "there are no Tasks in json: name a handler or Tasks as module:name"),
        ("shop.views", "not to be imported"),
    ],
)
def test_it_says_where_it_has_looked(terminal: Terminal, name: str, sentence: str) -> None:
    refused = terminal.run("worker", name)
    assert refused.code == 2
    assert sentence in refused.err
    no_traceback(refused.err)
