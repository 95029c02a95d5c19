"""Processes for plain tasks that need a processor to themselves, or that may hang.

A task declared with `process=True` has its function called in a child process: others run
on meanwhile, whatever it does. Its time limits hold there for certain: the soft one raises
`SoftTimeLimitExceeded` in it, and at the other, as when its job is cancelled, the process
is killed, and the next call gets a new one. All else of a task (hooks, conversions,
verdicts) stays in the worker's process.

A thread of this process waits for each call. A limit counts from when the function is
called, not from when a process for it is to be had. Arguments and results are pickled. A
child is no fork: it imports the task's module by its name, and only the first call in it
waits for that.
"""

import asyncio
import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from magicqueue.failures import RemoteTraceback
from magicqueue.job import Job
from magicqueue.tasks.task import Task
from magicqueue.tasks.threads import Threads

_MAIN: Final = """\
import sys; sys.path[:] = {!r}
from magicqueue.tasks.process_child import main; main()
"""
_GONE_S: Final = 5.0


class ProcessDied(Exception):
    """The process of a task ended while it ran: it was killed, or crashed."""


class Order(msgspec.Struct, array_like=True):
    """One call, as it goes to a child."""

    module: str
    name: str
    job: bytes
    labels: dict[str, str | int] | None
    soft_limit_s: float | None
    arguments: bytes
    """Pickled: the positional ones and those by name."""


class Processes:
    """Up to `count` children, started when they are needed; a `with` ends them.

    set_up: called in each child before its first task, to configure logging, say; what a
    child imports can find it by its name.
    """

    def __init__(
        self, count: int | None, set_up: Callable[[], object] | None = None
    ) -> None:
        self._set_up = set_up
        count = count or os.cpu_count() or 1
        self._places = asyncio.Semaphore(count)
        self._threads = Threads(count)
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()

    def __enter__(self) -> Self:
        self._threads.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.close()
        for child in [*self._idle, *self._busy]:
            child.kill()
        self._idle.clear()

    async def run(
        self,
        task: Task[..., Any],
        job: Job,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call a task's function in a child; gives what it returns, or raises what it does.

        Raises TimeLimitExceeded, ProcessDied, and TypeError for what cannot be pickled.
        """
        order = msgspec.msgpack.encode(
            Order(
                task.function.__module__,
                task.function.__qualname__,
                _as_it_came(job),
                job._labels,  # noqa: SLF001 - the records of its logging have them, too
                task.soft_time_limit_s,
                _pickled((tuple(args), dict(kwargs)), f"the arguments of {task.name}"),
            )
        )
        async with self._places:
            child = self._idle.pop() if self._idle else _Child(self._set_up)
            self._busy.add(child)
            try:
                await self._threads.run(partial(child.begin, order))
                reply = await self._threads.run(child.answer, task.time_limit_s)
            except BaseException:
                child.kill()
                raise
            finally:
                self._busy.discard(child)
            self._idle.append(child)
        return _outcome_of(reply)


class _Child:
    """One child process."""

    def __init__(self, set_up: Callable[[], object] | None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-c", _MAIN.format(sys.path), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,  # Ctrl-C is for the worker, which lets tasks finish
            )
        self._pipe = Connection(ours.detach())
        self._set_up: bytes | None = pickle.dumps(set_up)

    def begin(self, order: bytes) -> None:
        """Have it begin a call: all is there, and the function is called now.

        Raises ProcessDied.
        """
        with self._alive():
            if self._set_up is not None:
                self._pipe.send_bytes(self._set_up)
                self._set_up = None
            self._pipe.send_bytes(order)
            self._pipe.recv_bytes()

    def answer(self) -> bytes:
        """Give what came of the call. Raises ProcessDied."""
        with self._alive():
            return self._pipe.recv_bytes()

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self.kill()
            code = self._process.wait(_GONE_S)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise ProcessDied(f"the process of the task ended with {how}") from None

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_GONE_S)


def _as_it_came(job: Job) -> bytes:
    """Write a job as the server did, without what this worker knows of it."""
    fields = {
        "id": job.id,
        "queue": job.queue,
        "data": job._data,  # noqa: SLF001 - as it is
        "priority": job.priority,
        "created_at": job.created_at_ms,
        "run_at": job.run_at_ms,
        "attempts": job.attempts,
    }
    return msgspec.json.encode(fields)


def _pickled(what: Any, name: str) -> bytes:
    try:
        return pickle.dumps(what)
    except Exception as error:
        raise TypeError(f"{name} cannot go to another process: {error}") from error


def _outcome_of(reply: bytes) -> Any:
    returned, value, trace = pickle.loads(reply)  # noqa: S301 - from our own child
    if returned:
        return value
    assert isinstance(value, BaseException)
    value.__cause__ = RemoteTraceback(trace)
    raise value
