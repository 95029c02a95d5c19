"""Handlers: what a worker calls with each job, and how it runs them.

A handler is any callable that takes a `Job`. An `async def` one runs as a task; a plain
one runs in a thread, or inline, one job after the other. What it returns is ignored; what
it raises is the job's failure.

`Runner` is what both workers share, without I/O: it knows the jobs held, runs plain
handlers, and keeps the verdicts until they are taken as commands to send.
"""

import inspect
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from magicqueue import commands
from magicqueue.errors import HandlerNotFound
from magicqueue.job import Job
from magicqueue.protocol import Command

Handler: TypeAlias = Callable[[Job], Any]
"""Plain or async; its result is ignored."""

OnError: TypeAlias = Callable[[Job, BaseException], object]
"""Called with a job that failed, besides the log."""

BREATH_S: Final = 0.02
"""Inline jobs run for this long between looks at anything else."""

logger = logging.getLogger("magicqueue")


def load_handler(path: str) -> Handler:
    """Import a handler named as `package.module:name` (or `:name.inner`).

    Raises HandlerNotFound that says what is wrong with the name or the module.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise HandlerNotFound(f"the handler {path!r} is not written as module:function")
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise HandlerNotFound(
                f"the handler {path!r} cannot be imported: there is no module"
                f" {error.name!r} (is its folder the current one, or in PYTHONPATH?)"
            ) from None
        raise HandlerNotFound(
            f"the handler {path!r} cannot be imported: {module_name} needs {error.name!r},"
            " which is not installed"
        ) from error
    except Exception as error:
        raise HandlerNotFound(
            f"the handler {path!r} cannot be imported: {module_name} raises"
            f" {commands.message_of(error)}"
        ) from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise HandlerNotFound(
                f"the handler {path!r} cannot be found: {module_name} has no {name!r}"
            ) from None
    if not callable(found):
        kind = type(found).__name__
        raise HandlerNotFound(f"the handler {path!r} is no function but of type {kind}")
    handler: Handler = found
    return handler


def is_async(handler: Handler) -> bool:
    """Tell whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - its kind is asked, not whether
    )


class Runner:
    """The jobs a worker holds, their handler, and the verdicts not sent yet.

    A job is `held` until its verdict is taken, and then `unanswered` until the server has
    taken it: both kinds need their leases. The heartbeat's thread reads the sets while
    others change them, so they are only changed by single operations that hold the
    interpreter.
    """

    def __init__(self, handler: Handler, on_error: OnError | None) -> None:
        self.handler = handler
        self.held: set[Job] = set()
        self.unanswered: set[Job] = set()
        self.completed = 0
        self.failed = 0
        self.lost = 0
        self._on_error = on_error
        self._done: list[Job] = []
        self._failures: list[tuple[Job, str]] = []

    def hold(self, jobs: Sequence[Job], beat: Callable[[], None]) -> None:
        """Jobs have come: they are held until their verdict is taken."""
        for job in jobs:
            job._beat = beat  # noqa: SLF001 - the way back that its heartbeat() takes
        self.held.update(jobs)

    def call(self, job: Job) -> Exception | None:
        """Run a plain handler on one job; gives what it raised."""
        try:
            result = self.handler(job)
            if result is not None and inspect.isawaitable(result):
                _refuse_awaitable(result)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything
            return error
        return None

    def run_in_turn(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Run a plain handler on job after job, pausing now and then for the caller.

        At each pause the verdicts so far are there to be taken.
        """
        handler = self.handler
        done = self._done.append
        clock = time.monotonic
        pause_at = clock() + BREATH_S
        for job in jobs:
            try:
                result = handler(job)
                if result is not None and inspect.isawaitable(result):
                    _refuse_awaitable(result)
            except Exception as error:  # noqa: BLE001 - a handler may raise anything
                self.fail(job, error)
            else:
                done(job)
            if clock() >= pause_at:
                yield
                done = self._done.append  # another list, if the verdicts were taken
                pause_at = clock() + BREATH_S

    def finish(self, job: Job, error: BaseException | None) -> None:
        """Note the verdict of one job."""
        if error is None:
            self._done.append(job)
        else:
            self.fail(job, error)

    def fail(self, job: Job, error: BaseException) -> None:
        """Note that a job failed, log it, and tell `on_error`."""
        message = commands.message_of(error)
        self._failures.append((job, message))
        logger.warning(
            "job %d of %s failed (attempt %d): %s",
            job.id,
            job.queue,
            job.attempts,
            message,
            exc_info=error,
        )
        if self._on_error is not None:
            try:
                self._on_error(job, error)
            except Exception:
                logger.exception("on_error itself failed for job %d", job.id)

    def take_verdicts(self) -> list[tuple[Sequence[Job], Command[list[int]]]]:
        """Give the commands for all verdicts noted; their jobs are no longer held."""
        taken: list[tuple[Sequence[Job], Command[list[int]]]] = []
        if self._done:
            done, self._done = self._done, []
            self.unanswered.update(done)
            self.held.difference_update(done)
            self.completed += len(done)
            taken.append((done, commands.ack(done, repeat=True)))
        if self._failures:
            failures, self._failures = self._failures, []
            failed = [job for job, _ in failures]
            self.unanswered.update(failed)
            self.held.difference_update(failed)
            self.failed += len(failed)
            taken.append((failed, commands.fail(failures, repeat=True)))
        return taken

    def leased(self) -> set[Job]:
        """Copy the jobs whose leases are to be kept up; from any thread."""
        return self.held | self.unanswered

    def settled(self, jobs: Sequence[Job], missing: Sequence[int]) -> None:
        """The server has taken these verdicts, but for jobs not ours any more."""
        self.unanswered.difference_update(jobs)
        if not missing:
            return
        ids = set(missing)
        for job in jobs:
            if job.id in ids:
                job.lost = True
                self.lost += 1
                logger.warning(
                    "job %d of %s (attempt %d) was not ours any more when it was finished:"
                    " it may have run elsewhere too",
                    job.id,
                    job.queue,
                    job.attempts,
                )

    def clear(self) -> None:
        """Forget the jobs left, when the worker ends."""
        self.held.clear()
        self.unanswered.clear()

    def lose_all(self) -> None:
        """The connection that leased the jobs is gone, and their leases with it."""
        held = self.held.copy()
        for job in held:
            job.lost = True
        if held:
            logger.warning(
                "the connection was lost: %d jobs under way may run elsewhere too",
                len(held),
            )


def _refuse_awaitable(result: Any) -> None:
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(
        "the handler returned something to await, which a plain handler cannot:"
        " make it an async def"
    )
