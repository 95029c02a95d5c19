"""`manage.py magicqueue_worker`, in a process of its own, with a real server."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.terminal import MAGICQUEUE, Running, environment, eventually
from magicqueue_server.testing import ServerProcess


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    from magicqueue.django.framework import task_backends

    with ServerProcess() as server:
        monkeypatch.setattr(task_backends["default"], "url", server.url)
        task_backends["default"].close()
        yield server
        task_backends["default"].close()


@pytest.fixture
def started(server: ServerProcess) -> Iterator[Any]:
    running: list[Running] = []

    def start(command: list[str], folder: Path) -> Running:
        env = environment(
            MAGICQUEUE_URL=server.url,
            DJANGO_SETTINGS_MODULE="shop.settings",
            SHOP_DATABASE=os.environ["SHOP_DATABASE"],
        )
        running.append(Running(command, cwd=folder, env=env))
        return running[-1]

    yield start
    for one in running:
        one.kill()


def test_the_management_command_runs_all_queues(started: Any, project: Path) -> None:
    from shop import tasks

    worker = started([sys.executable, "manage.py", "magicqueue_worker"], project)
    worker.wait_for("running the tasks of default, mail")
    counted = tasks.count.enqueue([1, 2])
    order = tasks.order("ada@example.org")

    def is_done() -> bool:
        counted.refresh()
        order.refresh_from_db()
        return bool(counted.is_finished and order.confirmed)

    eventually(is_done)
    assert counted.return_value == 3
    worker.send(signal.SIGTERM)
    ended = worker.end()
    assert ended.code == 0, ended.err
    assert "stopped: 2 done, 0 failed" in ended.err


def test_so_does_magicqueues_own_worker(started: Any, project: Path) -> None:
    from shop import tasks

    command = [*MAGICQUEUE, "worker", "magicqueue.django.running:run", "-q", "default"]
    worker = started(command, project)
    counted = tasks.count.enqueue([1, 2])

    def is_done() -> bool:
        counted.refresh()
        return bool(counted.is_finished)

    eventually(is_done)
    worker.send(signal.SIGTERM)
    assert worker.end().code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--backend", "nope"], "nope"), (["-q", "other"], "has no queue 'other'")],
)
def test_it_says_what_is_wrong(
    started: Any, project: Path, arguments: list[str], sentence: str
) -> None:
    worker = started(
        [sys.executable, "manage.py", "magicqueue_worker", *arguments], project
    )
    ended = worker.end()
    assert ended.code != 0
    assert sentence in ended.err
