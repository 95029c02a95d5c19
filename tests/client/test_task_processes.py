"""Plain tasks in processes: outcomes, limits that hold, what is killed and replaced."""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from cli.terminal import MAGICQUEUE, Running, environment, eventually
from client.conftest import Run as RunLoop
from client.test_tasks import until
from magicqueue import Middleware, Run, SyncQueue, Tasks, TaskWorker
from patience import PATIENCE_S

_APP = """
import os, signal, time
from datetime import datetime
from pathlib import Path

from magicqueue import Depends, Discard, Retry, SoftTimeLimitExceeded, Tasks, current_job

tasks = Tasks({queue!r}, url={url!r}, max_attempts=1)
marks = Path({marks!r})


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{{one}} and {{two}}")


@tasks.task(process=True, keep_result=60)
def add(one: int, at: datetime) -> tuple[int, datetime, int, int]:
    return one + 1, at, os.getpid(), current_job().id


@tasks.task(process=True)
def fail(how: str):
    if how == "retry":
        raise Retry("later", after=3600)
    if how == "discard":
        raise Discard("never")
    if how == "odd":
        raise Odd(1, 2)
    if how == "exit":
        raise SystemExit(3)
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "lambda":
        return lambda: 1
    raise ValueError("wrong")


@tasks.task(process=True, time_limit=1.5, soft_time_limit=0.3, keep_result=60)
def wind_up(stubborn: bool) -> str:
    (marks / "began").touch()
    while True:
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            if not stubborn:
                return "wound up"


@tasks.task(process=True, time_limit=60)
def sleep() -> None:
    (marks / f"pid-{{os.getpid()}}").touch()
    time.sleep(600)


@tasks.task(soft_time_limit=0.2, time_limit=60, keep_result=60, name="gentle")
async def gentle(catches: bool) -> str:
    import asyncio
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        if catches:
            return "caught"
        raise
    return "never"
"""


@pytest.fixture
def run() -> RunLoop:
    """One kind of loop is enough here: what differs is in other processes."""
    return asyncio.run


@pytest.fixture
def app(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """A module of a user's, as a worker finds it."""
    module = "app_" + name.replace("-", "_")
    code = _APP.format(queue=name, url=url, marks=str(tmp_path))
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module(module)
    yield made
    made.tasks.close_sync()
    del sys.modules[module]


def test_a_task_runs_in_another_process(run: RunLoop, app: ModuleType) -> None:
    now = datetime.now(UTC)

    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1):
            first = await app.add.push(1, now)
            one, at, pid, job_id = await first.result()
            assert (one, at, job_id) == (2, now, first.id)
            assert pid != os.getpid()
            assert (await (await app.add.push(2, now)).result())[2] == pid

    run(scenario())


@pytest.mark.parametrize(
    ("how", "texts"),
    [
        ("error", ["ValueError: wrong", 'raise ValueError("wrong")']),
        ("discard", ["never"]),
        ("odd", ["RuntimeError: Odd: 1 and 2", "raise Odd(1, 2)"]),
        ("exit", ["SystemExit: 3"]),
        ("die", ["ProcessDied: the process of the task ended with signal 9"]),
        ("lambda", ["TypeError: what fail returned cannot be sent"]),
    ],
)
def test_what_it_raises_fails_its_job(
    run: RunLoop,
    app: ModuleType,
    name: str,
    url: str,
    how: str,
    texts: list[str],
) -> None:
    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1):
            await app.fail.push(how)
            await until(lambda: bool(queue.stats().dead))

    with SyncQueue(name, url) as queue:
        run(scenario())
        (dead,) = queue.dead().jobs
    assert dead.reason == "failed"
    assert dead.error is not None
    for text in texts:
        assert text in dead.error


def test_a_retry_keeps_what_it_says(
    run: RunLoop, app: ModuleType, name: str, url: str
) -> None:
    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1):
            await app.fail.options(max_attempts=3).push("retry")
            await until(lambda: bool(queue.stats().delayed))

    with SyncQueue(name, url) as queue:
        run(scenario())
        assert queue.stats().delayed == 1


def test_limits_hold_for_certain(
    run: RunLoop, app: ModuleType, name: str, url: str
) -> None:
    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1):
            assert await (await app.wind_up.push(stubborn=False)).result() == "wound up"
            await app.wind_up.push(stubborn=True)
            await until(lambda: bool(queue.stats().dead))
            # the next has a process of its own
            assert await (await app.wind_up.push(stubborn=False)).result() == "wound up"

    with SyncQueue(name, url) as queue:
        run(scenario())
        (dead,) = queue.dead().jobs
    assert dead.error is not None
    assert dead.error.startswith("TimeLimitExceeded: timed out after 1.5 s")


def test_an_async_one_is_cancelled_at_its_soft_limit(
    run: RunLoop, app: ModuleType, name: str, url: str
) -> None:
    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks):
            assert await (await app.gentle.push(catches=True)).result() == "caught"
            await app.gentle.push(catches=False)
            await until(lambda: bool(queue.stats().dead))

    with SyncQueue(name, url) as queue:
        run(scenario())
        (dead,) = queue.dead().jobs
    assert dead.error is not None
    assert dead.error.startswith("SoftTimeLimitExceeded: timed out after 0.2 s")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_it_is_killed_when_nobody_wants_it(
    run: RunLoop, app: ModuleType, name: str, url: str, tmp_path: Path, how: str
) -> None:
    def pids() -> list[int]:
        return [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]

    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1, grace=0.1):
            handle = await app.sleep.push()
            await until(lambda: bool(pids()))
            if how == "cancel":
                await handle.cancel()
                await until(lambda: _is_gone(pids()[0]))
        assert _is_gone(pids()[0])

    with SyncQueue(name, url) as queue:
        run(scenario())
        counts = queue.stats()
    assert counts.queued == (how == "stop")
    assert counts.dead == 0


def test_hooks_stay_with_the_worker(
    run: RunLoop, app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    class Watches(Middleware):
        def before(self, run: Run) -> None:
            seen.append((f"before {run.args}", os.getpid()))

        def error(self, run: Run, error: BaseException) -> None:
            assert run.job.attempts == 1
            seen.append((f"error {error}", os.getpid()))

    monkeypatch.setattr(app.tasks, "hooks", type(app.tasks.hooks)([Watches()]))

    async def scenario() -> None:
        async with app.tasks, TaskWorker(app.tasks, processes=1):
            await app.fail.push("error")
            await until(lambda: len(seen) > 1)

    run(scenario())
    assert seen == [("before ['error']", os.getpid()), ("error wrong", os.getpid())]


_ORPHAN = """
import asyncio, sys
from importlib import import_module
from magicqueue.tasks.processes import Processes
from patience import PATIENCE_S
from magicqueue.testing import job

async def begin():
    with Processes(1) as processes:
        await processes.run(import_module(sys.argv[1]).sleep, job(None), [], {})

asyncio.run(begin())
"""


def test_it_ends_with_its_worker(app: ModuleType, tmp_path: Path) -> None:
    """Also when the worker is killed in the midst of a task."""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-c", _ORPHAN, app.__name__]
    worker = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
    try:
        while not (found := list(tmp_path.glob("pid-*"))):
            assert worker.poll() is None
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait(PATIENCE_S)
    child = int(found[0].name.removeprefix("pid-"))
    eventually(lambda: _is_gone(child))


def test_what_cannot_be_is_refused() -> None:
    tasks = Tasks("q")
    with pytest.raises(TypeError, match="declared inside of a function"):

        @tasks.task(process=True)
        def inside() -> None: ...

    with pytest.raises(TypeError, match="is for plain tasks"):

        @tasks.task(process=True)
        async def is_async() -> None: ...

    with pytest.raises(TypeError, match="nothing can be raised in a thread"):

        @tasks.task(soft_time_limit=1)
        def in_a_thread() -> None: ...

    with pytest.raises(ValueError, match="must be less than its time_limit"):

        @tasks.task(soft_time_limit=2, time_limit=1)
        async def too_soft() -> None: ...


def test_the_command_line_has_as_many_as_it_is_told(
    app: ModuleType, name: str, url: str, tmp_path: Path
) -> None:
    code = (tmp_path / f"{app.__name__}.py").read_text()
    code += """

import logging

@tasks.task(process=True, name="told")
def told() -> None:
    logging.getLogger(__name__).info("said in %d", os.getpid())
"""
    (tmp_path / "whole.py").write_text(code)
    command = [*MAGICQUEUE, "worker", "whole", "--pool", "1", "--log-format", "json"]
    worker = Running(command, cwd=tmp_path, env=environment(MAGICQUEUE_URL=url))
    try:
        with SyncQueue(name, url) as queue:
            ids = queue.push_batch([{"task": "told"}, {"task": "told"}])
            worker.wait_for('"message": "said in', 2)
        worker.send(signal.SIGTERM)
        ended = worker.end()
    finally:
        worker.kill()
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.err.splitlines()]
    said = [line for line in lines if line["message"].startswith("said in ")]
    assert {(line["job"], line["task"]) for line in said} == {(one, "told") for one in ids}
    assert len({line["message"] for line in said}) == 1, "both in one process"
    assert {line["pid"] for line in said}.isdisjoint({worker.process.pid})
