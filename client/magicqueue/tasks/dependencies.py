"""What tasks need that is opened once a worker process: pools, clients, models.

    async def database() -> AsyncIterator[Pool]:
        async with make_pool() as pool:
            yield pool

    @tasks.task()
    async def send(to: str, *, pool: Pool = Depends(database)) -> None: ...

A worker opens what its tasks need before its first job, each once, and closes it after its
last, in reverse. What is opened may need other things in the same way.
"""

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, Self, TypeVar, cast, overload

T = TypeVar("T")


class Dependency:
    """A parameter's default that says how a worker makes its value."""

    def __init__(self, factory: Callable[..., Any]) -> None:
        if not callable(factory):
            raise TypeError("Depends takes a function that makes what is needed")
        self.factory = factory

    def __repr__(self) -> str:
        return f"Depends({getattr(self.factory, '__name__', self.factory)})"


@overload
def Depends(factory: Callable[..., AsyncIterator[T]]) -> T: ...
@overload
def Depends(factory: Callable[..., Iterator[T]]) -> T: ...
@overload
def Depends(factory: Callable[..., Awaitable[T]]) -> T: ...
@overload
def Depends(factory: Callable[..., T]) -> T: ...
def Depends(factory: Callable[..., Any]) -> Any:  # noqa: N802 - stands for a value, as in other frameworks
    """Give, as a parameter's default, what a worker makes by `factory` once a process.

    factory: a function that returns it, or a generator that yields it and closes it behind
    the yield; plain or async. Who calls the task passes the argument.
    """
    return Dependency(factory)


class Opened:
    """What has been opened so far, by its factory; used as `async with`.

    instead: values to take in place of what a factory would make, for tests.
    """

    def __init__(self, instead: dict[Callable[..., Any], Any] | None = None) -> None:
        self._values: Final[dict[Callable[..., Any], Any]] = dict(instead or {})
        self._closing = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._values.clear()
        await self._closing.aclose()

    async def open(self, needed: Iterable[Dependency]) -> None:
        """Open what is not open yet; raises what a factory does."""
        for one in needed:
            await self._open(one.factory)

    def arguments(self, needed: dict[str, Dependency]) -> dict[str, Any]:
        """Give the arguments for parameters that need what is open."""
        return {name: self._values[one.factory] for name, one in needed.items()}

    async def _open(self, factory: Callable[..., Any]) -> None:
        if factory in self._values:
            return
        needed = {
            name: one.default
            for name, one in _parameters(factory).items()
            if isinstance(one.default, Dependency)
        }
        await self.open(needed.values())
        made = factory(**self.arguments(needed))
        if inspect.isasyncgen(made):
            manager = contextlib.asynccontextmanager(
                lambda: cast("AsyncIterator[Any]", made)
            )
            made = await self._closing.enter_async_context(manager())
        elif inspect.isgenerator(made):
            plain = contextlib.contextmanager(lambda: cast("Iterator[Any]", made))
            made = self._closing.enter_context(plain())
        elif inspect.isawaitable(made):
            made = await made
        self._values[factory] = made


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # a class of C's says nothing of its parameters
        return {}
