"""A job of a queue of tasks, run: which task it is, its arguments, hooks around it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from orjson import Fragment

from magicqueue import commands
from magicqueue.failures import Discard, SoftTimeLimitExceeded
from magicqueue.handler_awaits import within
from magicqueue.job import Job
from magicqueue.job_log import label
from magicqueue.tasks.dependencies import Opened
from magicqueue.tasks.envelope import Envelope, open_envelope
from magicqueue.tasks.middleware import Hooks, Run
from magicqueue.tasks.registry import Tasks
from magicqueue.tasks.task import Task


class RunsPlain(Protocol):
    """What runs plain tasks: threads, or in tests the caller."""

    async def run(
        self, function: Callable[[], Any], limit_s: float | None = None, /
    ) -> Any:
        """Call it, in the context of whoever awaits this; gives or raises its outcome.

        Raises TimeLimitExceeded when it has run for so long.
        """


class RunsApart(Protocol):
    """What runs plain tasks in other processes."""

    async def run(
        self, task: Task[..., Any], job: Job, args: Sequence[Any], kwargs: dict[str, Any], /
    ) -> Any:
        """Call it, within its limits; gives or raises its outcome."""


class UnknownTask(Exception):
    """A job's task is none of the worker's: it is tried again, by a newer one maybe."""


class QueueTasks:
    """The tasks of one queue. `handle` is a worker's handler.

    registries: their tasks of this queue are taken together. processes: without them, tasks
    that want one run in threads. Raises ValueError for two tasks of the same name.
    """

    def __init__(
        self,
        queue: str,
        registries: Sequence[Tasks],
        opened: Opened,
        threads: RunsPlain,
        processes: RunsApart | None = None,
    ) -> None:
        self._queue = queue
        self._opened = opened
        self._threads = threads
        self._processes = processes
        self._tasks: dict[str, tuple[Task[..., Any], Hooks]] = {}
        for registry in registries:
            for name, task in registry.of_queue(queue).items():
                if name in self._tasks:
                    raise ValueError(
                        f"two tasks of queue {queue} are called {name}: give one of them"
                        " another name=…"
                    )
                self._tasks[name] = (task, registry.hooks)

    async def handle(self, job: Job) -> Any:
        """Run one job's task. Gives what it returned, as JSON; raises what it does."""
        envelope = open_envelope(job._data)  # noqa: SLF001 - without a copy
        task, hooks = self._task_of(envelope)
        label(job, task=task.name)
        args, kwargs = task.signature.read(envelope)
        if task.signature.dependencies:
            kwargs |= self._opened.arguments(task.signature.dependencies)
        try:
            if task.is_async and not hooks.around_runs:
                result = await _limited(task, task.function, args, kwargs)
            else:
                run = Run(task.name, job, args, kwargs, envelope.headers)
                result = await self._with_hooks(task, hooks, run)
        except task.discard_on as error:
            raise Discard(commands.message_of(error)) from error
        return None if result is None else Fragment(task.result_json(result))

    def task_of(self, job: Job) -> Task[..., Any]:
        """Give the task of a job. Raises NoTask or UnknownTask."""
        return self._task_of(open_envelope(job._data))[0]  # noqa: SLF001

    def _task_of(self, envelope: Envelope) -> tuple[Task[..., Any], Hooks]:
        found = self._tasks.get(envelope.task)
        if found is None:
            known = ", ".join(self._tasks) or "none"
            raise UnknownTask(
                f"queue {self._queue} has no task {envelope.task!r} in this worker, which"
                f" knows {known}"
            )
        return found

    async def _with_hooks(self, task: Task[..., Any], hooks: Hooks, run: Run) -> Any:
        apart = self._processes if task.process else None
        if not task.is_async and apart is None:
            call = partial(_plain_with_hooks, task, hooks, run)
            return await self._threads.run(call, task.time_limit_s)
        try:
            hooks.before(run)
            if apart is not None:
                result = await apart.run(task, run.job, run.args, run.kwargs)
            else:
                result = await _limited(task, task.function, run.args, run.kwargs)
        except BaseException as error:
            hooks.error(run, error)
            raise
        hooks.after(run, result)
        return result


def _plain_with_hooks(task: Task[..., Any], hooks: Hooks, run: Run) -> Any:
    """Call a plain task in its thread."""
    try:
        hooks.before(run)
        result = task.function(*run.args, **run.kwargs)
    except BaseException as error:
        hooks.error(run, error)
        raise
    hooks.after(run, result)
    return result


async def _limited(
    task: Task[..., Any],
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> Any:
    """Await a call of an async task for as long as it may run."""
    awaitable = function(*args, **kwargs)
    if task.soft_time_limit_s is not None:
        awaitable = within(task.soft_time_limit_s, awaitable, SoftTimeLimitExceeded)
    if task.time_limit_s is None:
        return await awaitable
    return await within(task.time_limit_s, awaitable)
