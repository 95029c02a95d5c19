"""Handlers: what a worker calls with each job, and where it is found.

A handler is any callable that takes a `Job`. An `async def` one runs as a task; a plain
one runs in a thread, or inline, one job after the other. What it returns is ignored,
unless it is to be awaited, as from a decorator around an async one; what it raises is the
job's failure.
"""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from magicqueue import commands
from magicqueue.errors import HandlerNotFound
from magicqueue.job import Job

if TYPE_CHECKING:
    import asyncio

Handler: TypeAlias = Callable[[Job], Any]
"""Plain or async; what it returns is the result of the job, if its producer asked."""

OnError: TypeAlias = Callable[[Job, BaseException], object]
"""Called with a job that failed, besides the log."""


class RunsHandler(Protocol):
    """What runs a handler for a worker in an event loop: tasks, threads, or the loop."""

    def announce(self, jobs: int, /) -> None:
        """So many more jobs wait for their turn; with 0 there may be some, or a place."""

    def replace(self, job: Job, /) -> None:
        """The handler of a job does not end: let another run in its place."""

    def cut_off(self) -> Sequence["asyncio.Task[None]"]:
        """End: what is under way is neither done nor failed. Gives what is to end yet."""


def load_handler(path: str) -> Handler:
    """Import a handler named as `package.module:name` (or `:name.inner`).

    Raises HandlerNotFound that says what is wrong with the name or the module.
    """
    found = load_object(path)
    if not callable(found):
        kind = type(found).__name__
        raise HandlerNotFound(f"the handler {path!r} is no function but of type {kind}")
    handler: Handler = found
    return handler


def load_object(path: str) -> Any:
    """Import whatever is named so; raises as `load_handler`."""
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
    return found


def is_async(handler: Handler) -> bool:
    """Tell whether calling it gives a coroutine for certain."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - its kind is asked, not whether
    )


def wraps_async(handler: Handler) -> bool:
    """Tell whether it is a plain wrapper (see `functools.wraps`) of an async one.

    Most return the coroutine for their caller to await, but some run it themselves.
    """
    inner = getattr(handler, "func", handler)
    while (wrapped := getattr(inner, "__wrapped__", None)) is not None:
        inner = wrapped
    return not is_async(handler) and is_async(inner)
