"""MagicQueue's client: queues and workers, for asyncio code and for plain code.

    from magicqueue import Queue, Worker          # async / await
    from magicqueue import SyncQueue, SyncWorker  # blocking, without asyncio
    from magicqueue import Tasks                  # functions that workers call

    async with Queue("emails") as queue:
        await queue.push({"to": "ada@example.org"})

`queue` and `worker` describe them. Names are loaded when they are first asked for, so
that `magicqueue.wire`, which the server uses, comes without the client's own modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from magicqueue.address import AccessOptions
    from magicqueue.answers import Cancelling, Ending, PushedId
    from magicqueue.crons import CronDetails, CronOptions, CronSet
    from magicqueue.errors import (
        BadAddress,
        BadJson,
        BadRequest,
        Cancelled,
        Closed,
        ConnectionLost,
        ConnectionRefused,
        Duplicate,
        Forbidden,
        Full,
        HandlerNotFound,
        InternalError,
        MagicQueueError,
        NoResult,
        NotDone,
        NotFound,
        NotJson,
        Paused,
        ProtocolError,
        ReadOnly,
        RequestError,
        RequestTimeout,
        ShuttingDown,
        Stale,
        TooLarge,
        Unauthorized,
        UnknownCommand,
        Unsupported,
    )
    from magicqueue.events import Event
    from magicqueue.failures import (
        Discard,
        Retry,
        SoftTimeLimitExceeded,
        Throttle,
        TimeLimitExceeded,
    )
    from magicqueue.flow import Flow, FlowJob
    from magicqueue.job import DeadPage, Job, JobDetails, NewJob, Progress
    from magicqueue.job_log import JobLogFilter, current_job
    from magicqueue.job_options import JobOptions
    from magicqueue.limits import GroupLimits, Rate
    from magicqueue.queue import Queue
    from magicqueue.sync_queue import SyncQueue
    from magicqueue.sync_worker import SyncWorker
    from magicqueue.tasks.dependencies import Depends
    from magicqueue.tasks.middleware import Middleware, Pushing, Run
    from magicqueue.tasks.registry import Tasks
    from magicqueue.tasks.service import TaskWorker
    from magicqueue.tasks.signature import BadArguments
    from magicqueue.tasks.task import AsyncTask, Handle, PlainTask, Task, TaskCall
    from magicqueue.wire.replies import (
        Counts,
        CronTick,
        GroupCounts,
        OneQueueCounts,
        QueueCounts,
        QueueLimits,
        ServerCounts,
        ServerInfo,
    )
    from magicqueue.worker import Worker

    __version__: str

_HOMES: Final = {
    "address": ("AccessOptions",),
    "queue": ("Queue",),
    "worker": ("Worker",),
    "sync_queue": ("SyncQueue",),
    "sync_worker": ("SyncWorker",),
    "answers": ("Cancelling", "Ending", "PushedId"),
    "job_options": ("JobOptions",),
    "tasks.dependencies": ("Depends",),
    "tasks.middleware": ("Middleware", "Pushing", "Run"),
    "tasks.registry": ("Tasks",),
    "tasks.service": ("TaskWorker",),
    "tasks.signature": ("BadArguments",),
    "tasks.task": ("AsyncTask", "Handle", "PlainTask", "Task", "TaskCall"),
    "failures": (
        "Discard",
        "Retry",
        "SoftTimeLimitExceeded",
        "Throttle",
        "TimeLimitExceeded",
    ),
    "flow": ("Flow", "FlowJob"),
    "limits": ("GroupLimits", "Rate"),
    "crons": ("CronDetails", "CronOptions", "CronSet"),
    "job_log": ("JobLogFilter", "current_job"),
    "events": ("Event",),
    "job": ("DeadPage", "Job", "JobDetails", "NewJob", "Progress"),
    "wire.replies": (
        "Counts",
        "CronTick",
        "GroupCounts",
        "OneQueueCounts",
        "QueueCounts",
        "QueueLimits",
        "ServerCounts",
        "ServerInfo",
    ),
    "errors": (
        "BadAddress",
        "BadJson",
        "BadRequest",
        "Cancelled",
        "Closed",
        "ConnectionLost",
        "ConnectionRefused",
        "Duplicate",
        "Forbidden",
        "Full",
        "HandlerNotFound",
        "InternalError",
        "MagicQueueError",
        "NoResult",
        "NotDone",
        "NotFound",
        "NotJson",
        "Paused",
        "ProtocolError",
        "ReadOnly",
        "RequestError",
        "RequestTimeout",
        "ShuttingDown",
        "Stale",
        "TooLarge",
        "Unauthorized",
        "UnknownCommand",
        "Unsupported",
    ),
}
_HOME: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccessOptions",
    "AsyncTask",
    "BadAddress",
    "BadArguments",
    "BadJson",
    "BadRequest",
    "Cancelled",
    "Cancelling",
    "Closed",
    "ConnectionLost",
    "ConnectionRefused",
    "Counts",
    "CronDetails",
    "CronOptions",
    "CronSet",
    "CronTick",
    "DeadPage",
    "Depends",
    "Discard",
    "Duplicate",
    "Ending",
    "Event",
    "Flow",
    "FlowJob",
    "Forbidden",
    "Full",
    "GroupCounts",
    "GroupLimits",
    "Handle",
    "HandlerNotFound",
    "InternalError",
    "Job",
    "JobDetails",
    "JobLogFilter",
    "JobOptions",
    "MagicQueueError",
    "Middleware",
    "NewJob",
    "NoResult",
    "NotDone",
    "NotFound",
    "NotJson",
    "OneQueueCounts",
    "Paused",
    "PlainTask",
    "Progress",
    "ProtocolError",
    "PushedId",
    "Pushing",
    "Queue",
    "QueueCounts",
    "QueueLimits",
    "Rate",
    "ReadOnly",
    "RequestError",
    "RequestTimeout",
    "Retry",
    "Run",
    "ServerCounts",
    "ServerInfo",
    "ShuttingDown",
    "SoftTimeLimitExceeded",
    "Stale",
    "SyncQueue",
    "SyncWorker",
    "Task",
    "TaskCall",
    "TaskWorker",
    "Tasks",
    "Throttle",
    "TimeLimitExceeded",
    "TooLarge",
    "Unauthorized",
    "UnknownCommand",
    "Unsupported",
    "Worker",
    "__version__",
    "current_job",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import (  # noqa: PLC0415 - slow, and seldom asked for
            PackageNotFoundError,
            version,
        )

        try:
            value: Any = version("magicqueue-server")
        except PackageNotFoundError:
            value = "0+uninstalled"
    elif name in _HOME:
        value = getattr(import_module(f"magicqueue.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'magicqueue' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
