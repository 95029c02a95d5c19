"""The one place for what is to happen around every task: a middleware's hooks.

    class Timing(Middleware):
        def before(self, run): run.notes["t"] = time.monotonic()
        def after(self, run, result):
            observe(run.task, time.monotonic() - run.notes["t"])

    tasks = Tasks("emails", middleware=[Timing()])

`pushing` is called where a task is pushed, the others where it runs: in the same
context as the task itself (its asyncio task, or its thread), so what a hook puts into a
context variable is there in the task. They are plain functions and should be short.

`before` and `pushing` run in the order of the list, `after` and `error` in reverse. A
`before` that raises fails the job as if the task had raised: `raise Discard("…")` there
lets it not run at all. What `after` and `error` raise is logged, and changes nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from magicqueue.job import Job

logger: logging.Logger = logging.getLogger("magicqueue")


@dataclass(slots=True)
class Run:
    """One attempt at a task, in a worker."""

    task: str
    job: Job
    args: Sequence[Any]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """What the middleware of whoever pushed it has sent along."""
    notes: dict[str, Any] = field(default_factory=dict)
    """For hooks to leave something for other hooks."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """A call that is about to be pushed."""

    task: str
    queue: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    headers: dict[str, str]
    """To be filled: it travels with the call, and arrives as `Run.headers`."""


class Middleware:
    """What happens around tasks; override what you need."""

    def pushing(self, call: Pushing) -> None:
        """A task is about to be pushed."""

    def before(self, run: Run) -> None:
        """A task is about to run."""

    def after(self, run: Run, result: Any) -> None:
        """A task has returned."""

    def error(self, run: Run, error: BaseException) -> None:
        """A task, or a hook before it, has raised, or was cancelled."""


class Hooks:
    """The hooks of several middlewares as one; only those that somebody has overridden."""

    def __init__(self, middleware: Sequence[Middleware]) -> None:
        for one in middleware:
            if not isinstance(one, Middleware):
                kind = type(one).__name__
                raise TypeError(f"middleware takes Middleware objects, not {kind}")
        self._pushing = [m.pushing for m in middleware if _overrides(m, "pushing")]
        self._before = [m.before for m in middleware if _overrides(m, "before")]
        self._after = [m.after for m in reversed(middleware) if _overrides(m, "after")]
        self._error = [m.error for m in reversed(middleware) if _overrides(m, "error")]
        self.around_runs: bool = bool(self._before or self._after or self._error)
        """Whether there is anything to call where tasks run."""
        self.around_pushes: bool = bool(self._pushing)

    def pushing(self, call: Pushing) -> None:
        """Call each hook; what it raises is the push's."""
        for hook in self._pushing:
            hook(call)

    def before(self, run: Run) -> None:
        """Call each hook; what it raises fails the job."""
        for hook in self._before:
            hook(run)

    def after(self, run: Run, result: Any) -> None:
        """Call each hook."""
        for hook in self._after:
            try:
                hook(run, result)
            except Exception:
                logger.exception("middleware after task %s failed", run.task)

    def error(self, run: Run, error: BaseException) -> None:
        """Call each hook."""
        for hook in self._error:
            try:
                hook(run, error)
            except Exception:
                logger.exception("middleware on an error of task %s failed", run.task)


def _overrides(middleware: Middleware, name: str) -> bool:
    return getattr(type(middleware), name) is not getattr(Middleware, name)
