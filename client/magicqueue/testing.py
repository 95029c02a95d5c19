"""Jobs made up for the tests of handlers, and tasks run where they are pushed.

    from magicqueue.testing import eager, job

    def test_a_welcome_is_sent():
        welcome(job({"to": "ada@example.org"}, attempts=3))

    def test_a_visit_sends_one():
        with eager(tasks):
            visit()             # where it pushes a task, the task runs at once

Such a job behaves as one that a worker has pulled: its data has been through JSON, and
`heartbeat` and `progress` may be called, though nobody hears of it. A test of a handler
that calls `check` may set `cancelled`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from msgspec import Raw
from orjson import Fragment

from magicqueue.arguments import whole_number
from magicqueue.commands import queue_name
from magicqueue.durations import Moment, moment_ms
from magicqueue.encoding import json_of
from magicqueue.errors import NotFound
from magicqueue.job import Job
from magicqueue.job_log import set_current
from magicqueue.tasks.dependencies import Opened
from magicqueue.tasks.registry import Tasks
from magicqueue.tasks.running import QueueTasks
from magicqueue.tasks.task import Task

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_ids: Final = count(1)


def job(  # noqa: PLR0913 - keywords, as many as a job has
    data: Any = None,
    *,
    queue: str = "test",
    attempts: int = 1,
    job_id: int | None = None,
    priority: int = 0,
    created_at: Moment = _LONG_AGO,
    run_at: Moment | None = None,
) -> Job:
    """Make a job as a handler gets it.

    data: anything that could be pushed. attempts: how often it was handed out, this time
    included. job_id: its `id`; without, each job made has another. created_at, run_at:
    datetimes or epoch seconds; it is due when it is created unless told otherwise.

    Raises what `push` does for the same arguments.
    """
    created_at_ms = moment_ms(created_at, "created_at")
    made = Job(
        id=next(_ids) if job_id is None else whole_number(job_id, "job_id"),
        queue=queue_name(queue),
        _data=Raw(json_of(data)),
        priority=whole_number(priority, "priority", -(2**31), 2**31 - 1),
        created_at_ms=created_at_ms,
        run_at_ms=created_at_ms if run_at is None else moment_ms(run_at, "run_at"),
        attempts=whole_number(attempts, "attempts"),
    )
    made._worker = NO_WORKER  # noqa: SLF001 - as a worker does, see `Job.heartbeat`
    return made


class _NoWorker:
    """Stands for a worker that is told things."""

    def beat_now(self) -> None:
        """Extend no lease."""

    def progress(self, job: Job, percent: int | None, note: str | None) -> None:
        """Tell nobody."""

    def parent_results(self, _job: Job) -> dict[int, Any]:
        """Know of none."""
        return {}


NO_WORKER: Final = _NoWorker()


@contextlib.contextmanager
def eager(*tasks: Tasks) -> Iterator[None]:
    """Run each call where it is pushed, at once, in place of storing it.

    It goes through JSON as in a worker, with middleware and what the task depends on. What
    it raises is raised by the push, Retry and Discard too: nothing is tried again. Options
    such as a delay say nothing here. For all of that, see `magicqueue_server.testing`.
    """
    before = [one.producer.instead for one in tasks]
    for one in tasks:
        one.load()
        one.producer.instead = _Eager(one)
    try:
        yield
    finally:
        for one, instead in zip(tasks, before, strict=True):
            one.producer.instead = instead


class Inline:
    """Runs plain tasks where they are, in place of threads."""

    async def run(self, function: Callable[[], Any], limit_s: float | None = None) -> Any:
        """Call it; it cannot be given up."""
        del limit_s
        return function()


class _Eager:
    """Takes calls in place of a server."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._results: dict[int, Raw] = {}

    async def push(self, task: Task[..., Any], data: bytes) -> int:
        """Run a call; gives a number for it."""
        from magicqueue.tasks.service import opened_for  # noqa: PLC0415 - workers are slow to import

        made = job(Fragment(data), queue=task.queue)
        async with opened_for([self._tasks], opened := Opened()):
            running = QueueTasks(task.queue, [self._tasks], opened, Inline())
            result = await asyncio.create_task(_as_job(running, made))
        self._results[made.id] = Raw(json_of(result))
        return made.id

    def result(self, number: int) -> Raw:
        """Give what came of a call. Raises NotFound."""
        try:
            return self._results[number]
        except KeyError:
            raise NotFound(f"call {number} was not made here") from None

    def push_sync(self, task: Task[..., Any], data: bytes) -> int:
        """Run a call; gives a number for it. Raises RuntimeError in an event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.push(task, data))
        if task.is_async:
            raise RuntimeError(
                f"{task.name} is async and cannot be run by push_sync in an event loop:"
                " await push there"
            )
        with ThreadPoolExecutor(1) as aside:  # a loop of its own needs a thread of its own
            return aside.submit(asyncio.run, self.push(task, data)).result()


async def _as_job(running: QueueTasks, made: Job) -> Any:
    set_current(made)
    return await running.handle(made)
