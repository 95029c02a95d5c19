"""A server for one test: pushes go to it, the test runs what is due and moves the clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from magicqueue import in_process
from magicqueue.durations import Duration, datetime_of, duration_ms
from magicqueue.encoding import json_of
from magicqueue.failures import Discard, Retry, Throttle, failure_of
from magicqueue.handlers import Handler
from magicqueue.job import Job, JobDetails
from magicqueue.job_commands import ack_with_results
from magicqueue.job_log import set_current
from magicqueue.queue import Queue
from magicqueue.settling import group_throttled
from magicqueue.sync_queue import SyncQueue
from magicqueue.tasks.dependencies import Opened
from magicqueue.tasks.envelope import open_envelope
from magicqueue.tasks.registry import Tasks
from magicqueue.tasks.running import QueueTasks
from magicqueue.tasks.service import opened_for
from magicqueue.tasks.task import Task
from magicqueue.testing import NO_WORKER, Inline
from magicqueue.wire.replies import Counts
from magicqueue_server.testing.engine_here import EngineHere

Runs: TypeAlias = Tasks | Mapping[str, Handler]
"""What jobs are run by: tasks, or handlers by their queue."""

_JOBS_MAX: Final = 10_000
"""More jobs than this in one `run_all` push each other for ever."""
_PUSHES: Final = (b'{"cmd":"PUSH"', b'{"cmd":"PUSHB"', b'{"cmd":"PUSHF"')
_OF_REQUESTS: Final = ("cmd", "rid")


@dataclass(frozen=True, slots=True)
class PushedJob:
    """A job that was pushed."""

    queue: str
    data: Any
    options: dict[str, Any]
    """As they went over the wire: spans in milliseconds."""


@dataclass(frozen=True, slots=True)
class PushedCall:
    """A call of a task that was pushed, with its arguments as the task gets them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    """As they went over the wire: spans in milliseconds."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A job that `run_all` has run."""

    job: Job
    result: Any
    """What its handler or task returned."""
    error: BaseException | None
    """What it raised."""


class InMemory:
    """A server in this process whose clock stands still; made by `in_memory`."""

    def __init__(self) -> None:
        self._pushed: list[PushedJob] = []
        self.engine = EngineHere(self._note)
        self._instead: dict[Callable[..., Any], Any] = {}

    @property
    def now(self) -> datetime:
        """What the server's clock says."""
        return datetime_of(self.engine.clock.ms)

    def advance(self, by: Duration) -> None:
        """Let time pass: delayed jobs become due, leases end. Nothing runs by itself."""
        self.engine.advance(duration_ms(by, "by"))

    def provide(self, factory: Callable[..., Any], value: Any) -> None:
        """Give tasks that depend on a factory this value, which is not opened or closed."""
        self._instead[factory] = value

    def pushed(self, queue: str | None = None) -> list[PushedJob]:
        """List all jobs pushed so far, or those of one queue, in order."""
        return [job for job in self._pushed if queue in {None, job.queue}]

    def calls(self, task: Task[..., Any]) -> list[PushedCall]:
        """List the calls of a task pushed so far, in order."""
        found: list[PushedCall] = []
        for job in self._pushed:
            named = isinstance(job.data, dict) and job.data.get("task") == task.name
            if job.queue == task.queue and named:
                envelope = open_envelope(msgspec.json.encode(job.data))
                args, kwargs = task.signature.read(envelope)
                found.append(PushedCall(tuple(args), kwargs, job.options))
        return found

    def counts(self, queue: str) -> Counts:
        """Count a queue's jobs."""
        with SyncQueue(queue) as there:
            return there.stats()

    def dead(self, queue: str) -> list[JobDetails]:
        """List a queue's dead letters."""
        with SyncQueue(queue) as there:
            return list(there.all_dead())

    def clear(self) -> None:
        """Forget what was pushed so far, for `pushed` and `calls`; jobs stay."""
        self._pushed.clear()

    async def run_all(self, *what: Runs, raises: bool = True) -> list[Ran]:
        """Run the jobs that are due, and those that they push, here; gives what was run.

        what: Tasks, or handlers by their queue: `{"emails": send}`. They run one after the
        other, plain ones too; what fails is tried again once that is due. raises: the first
        error that a job failed with is raised at the end (but no Retry, Discard and
        Throttle, which are meant). What tasks depend on is opened before and closed after.
        """
        registries = [one for one in what if isinstance(one, Tasks)]
        ran: list[Ran] = []
        for one in registries:
            one.load()
        opened = Opened(self._instead)
        async with opened_for(registries, opened):
            handlers = _handlers(what, registries, opened)
            ran_before = -1
            while len(ran) > ran_before:
                ran_before = len(ran)
                async for one_ran in _run_due(handlers):
                    ran.append(one_ran)
                    if len(ran) > _JOBS_MAX:
                        raise RuntimeError(
                            f"more than {_JOBS_MAX:,} jobs: do they push each other?"
                        )
        for one_ran in ran:
            meant = isinstance(one_ran.error, Retry | Discard | Throttle)
            if raises and one_ran.error is not None and not meant:
                raise one_ran.error
        return ran

    def run_all_sync(self, *what: Runs, raises: bool = True) -> list[Ran]:
        """Do the same as `run_all` in a test without asyncio."""
        return asyncio.run(self.run_all(*what, raises=raises))

    def _note(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if line.startswith(_PUSHES):
                fields = msgspec.json.decode(line)
                for job in fields.pop("jobs", [{}]):
                    options = {**fields, **job}
                    for name in _OF_REQUESTS:
                        options.pop(name, None)
                    queue, data = options.pop("queue"), options.pop("data")
                    self._pushed.append(PushedJob(queue, data, options))


@contextlib.contextmanager
def in_memory() -> Iterator[InMemory]:
    """Have all connections of this process lead to a new server in it.

    Whatever address a queue, a worker or Tasks were given. It ends with all its jobs.
    """
    made = InMemory()
    with in_process.connected_to(made.engine):
        try:
            yield made
        finally:
            made.engine.close()


def _handlers(
    what: Sequence[Runs], registries: Sequence[Tasks], opened: Opened
) -> dict[str, Handler]:
    handlers: dict[str, Handler] = {}
    for one in what:
        if isinstance(one, Tasks):
            for queue in one.queues:
                handlers[queue] = QueueTasks(queue, registries, opened, Inline()).handle
        else:
            handlers.update(one)
    return handlers


async def _run_due(handlers: Mapping[str, Handler]) -> AsyncIterator[Ran]:
    """Run the jobs of each queue that are due now."""
    for name, handler in handlers.items():
        async with Queue(name) as queue:
            while (job := await queue.pull(timeout=0)) is not None:
                yield await _run_one(queue, handler, job)


async def _run_one(queue: Queue, handler: Handler, job: Job) -> Ran:
    job._worker = NO_WORKER  # noqa: SLF001 - as a worker does, see `Job.heartbeat`
    result: Any = None
    error: BaseException | None = None
    try:
        result = await asyncio.create_task(_call(handler, job))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise
    except BaseException as raised:  # noqa: BLE001 - a handler may raise anything
        error = raised
    if isinstance(error, Throttle):
        await queue.throttle(error.span_ms / 1000, group_throttled(job, error))
        await queue.release(job)
    elif error is not None:
        told = failure_of(job, error)
        delay = None if told.delay_ms is None else told.delay_ms / 1000
        await queue.fail(job, told.error, retry=told.retry, delay=delay)
    elif result is None:
        await queue.ack(job)
    else:
        await queue._run(ack_with_results([job], [json_of(result)]))  # noqa: SLF001 - as workers do
    return Ran(job, _seen(handler, job, result), error)


def _seen(handler: Handler, job: Job, result: Any) -> Any:
    """Give a result as whoever waits for it gets it."""
    tasks = getattr(handler, "__self__", None)
    if result is None or not isinstance(tasks, QueueTasks):
        return result
    return tasks.task_of(job).result_of(msgspec.Raw(json_of(result)))


async def _call(handler: Handler, job: Job) -> Any:
    set_current(job)
    result = handler(job)
    if asyncio.iscoroutine(result) or isinstance(result, asyncio.Future):
        return await result
    return result
