"""A child process that calls plain tasks, one after the other: see `processes`.

It is not for Ctrl-C or SIGTERM, which the worker answers by letting tasks finish: a service
manager sends them to all processes at once. It ends when the worker does, even in the midst
of a task.
"""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

import msgspec

from magicqueue.failures import SoftTimeLimitExceeded, users_part
from magicqueue.job import Job
from magicqueue.job_log import label, set_current
from magicqueue.tasks.processes import Order
from magicqueue.tasks.task import Task

_PARENT_LOOK_S: Final = 0.5


def main() -> NoReturn:
    """Do what comes through the socket that the command line names, to its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    pipe = Connection(int(sys.argv[1]))
    try:
        set_up = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
        if set_up is not None:
            set_up()
        while True:
            order = msgspec.msgpack.decode(pipe.recv_bytes(), type=Order)
            pipe.send_bytes(_reply(order, lambda: pipe.send_bytes(b"")))
    except (EOFError, OSError):
        os._exit(0)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
    os._exit(0)


def _reply(order: Order, begun: Callable[[], None]) -> bytes:
    """Do a call, and write what came of it: whether it returned, what, and a traceback.

    begun: called when the function is about to be.
    """
    try:
        job = msgspec.json.decode(order.job, type=Job)
        if order.labels is not None:
            label(job, **order.labels)
        set_current(job)
        function = _function(order)
        args, kwargs = pickle.loads(order.arguments)  # noqa: S301 - from our own parent
    except BaseException as error:  # noqa: BLE001 - what is imported may raise anything
        begun()
        return _told(error)
    begun()
    try:
        value = _called(order.soft_limit_s, function, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - a task may raise anything
        return _told(error)
    try:
        return pickle.dumps((True, value, ""))
    except Exception as error:  # noqa: BLE001 - a user's value may fail in any way
        return _told(TypeError(f"what {order.name} returned cannot be sent: {error}"))


def _function(order: Order) -> Any:
    """Find a task's function, under whose name there is the task."""
    found = reduce(getattr, order.name.split("."), import_module(order.module))
    return found.function if isinstance(found, Task) else found


def _called(limit_s: float | None, function: Any, args: Any, kwargs: Any) -> Any:
    if limit_s is None:
        return function(*args, **kwargs)

    def tell(*_: object) -> NoReturn:
        raise SoftTimeLimitExceeded(limit_s)

    signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return function(*args, **kwargs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _told(error: BaseException) -> bytes:
    calls = users_part(error.__traceback__)
    trace = "".join(traceback.format_exception(type(error), error, calls))
    try:
        told = pickle.dumps((False, error, trace))
        pickle.loads(told)  # noqa: S301 - some can be written and not be read
    except Exception:  # noqa: BLE001 - a user's exception may fail in any way
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        return pickle.dumps((False, plain, trace))
    return told
