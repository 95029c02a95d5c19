"""The backend: a task that is enqueued is a job, and a result's id is that of its job.

The job's data is that of `Tasks`, with the task's path as its name: `{"task":
"shop.tasks.send", "args": […], "kwargs": {…}}`. What a task returned, and what it was
called with, is kept as the job's result for `RESULT_TTL`; what failed is a dead letter,
until somebody throws it away.
"""

from datetime import datetime
from typing import Any, Final

from django.core import checks
from django.utils import timezone
from django.utils.module_loading import import_string

from magicqueue.address import AccessOptions
from magicqueue.django.framework import BaseTaskBackend, base, exceptions, signals
from magicqueue.durations import datetime_of
from magicqueue.errors import BadAddress, NotFound
from magicqueue.job import JobDetails
from magicqueue.job_options import JobOptions
from magicqueue.sync_queue import SyncQueue

DAY_S: Final = 86_400
_OPTIONS: Final = {"URL", "TOKEN", "MAX_ATTEMPTS", "BACKOFF", "RESULT_TTL", "TIME_LIMIT"}
_READY: Final = {"ready", "delayed", "blocked"}
_WORKER: Final = "magicqueue"
"""Servers count attempts and name no workers."""


class MagicQueueBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """`TASKS = {"default": {"BACKEND": "magicqueue.django.MagicQueueBackend", …}}`.

    OPTIONS: URL and TOKEN (or the environment's MAGICQUEUE_URL and MAGICQUEUE_TOKEN);
    MAX_ATTEMPTS (1: what fails has failed) and BACKOFF (1 s); RESULT_TTL, how long results
    are kept (a day); TIME_LIMIT, after which an attempt fails. Times are in seconds.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.url: str | None = self.options.get("URL")
        token = self.options.get("TOKEN")
        self.access: AccessOptions = {} if token is None else {"token": token}
        self._options: JobOptions = {
            "max_attempts": self.options.get("MAX_ATTEMPTS", 1),
            "backoff": self.options.get("BACKOFF", 1.0),
            "keep_result": self.options.get("RESULT_TTL", DAY_S),
            "timeout": self.options.get("TIME_LIMIT"),
        }
        self._queues: dict[str, SyncQueue] = {}

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Store a call now: within a transaction too, see `transaction.on_commit`."""
        self.validate_task(task)
        options: JobOptions = {**self._options, "priority": task.priority}
        if task.run_after is not None:
            naive = timezone.is_naive(task.run_after)
            options["run_at"] = (
                timezone.make_aware(task.run_after) if naive else task.run_after
            )
        result = base.TaskResult(
            task=task,
            id="",
            status=base.TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        data = {"task": task.module_path, "args": result.args, "kwargs": result.kwargs}
        job_id = self._queue(task.queue_name).push(data, **options)
        object.__setattr__(result, "id", str(job_id))
        object.__setattr__(result, "enqueued_at", timezone.now())
        signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Look a call up, as the server knows it now. Raises TaskResultDoesNotExist."""
        if not result_id.isdecimal():
            raise exceptions.TaskResultDoesNotExist(result_id)
        try:
            details = self._queue(min(self.queues, default="default")).job(int(result_id))
        except NotFound as error:
            raise exceptions.TaskResultDoesNotExist(result_id) from error
        told = details.result if details.state == "done" else details.data
        if not isinstance(told, dict) or "task" not in told:
            raise exceptions.TaskResultDoesNotExist(result_id)
        return self._result_of(details, told)

    def check(self, **kwargs: Any) -> list[Any]:
        """Say what is wrong with the settings, for `manage.py check`."""
        problems = list(super().check(**kwargs))
        unknown = set(self.options) - _OPTIONS
        if unknown:
            known = ", ".join(sorted(_OPTIONS))
            problems.append(
                checks.Error(
                    f"TASKS[{self.alias!r}] has an unknown option {min(unknown)!r}",
                    hint=f"There are {known}.",
                    id="magicqueue.E001",
                )
            )
        try:
            SyncQueue("default", self.url, **self.access).close()
        except BadAddress as error:
            problems.append(checks.Error(str(error), id="magicqueue.E002"))
        return problems

    def close(self) -> None:
        """End the connections; a task that is enqueued later connects anew."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            queue.close()

    def _queue(self, name: str) -> SyncQueue:
        if name not in self._queues:
            self._queues[name] = SyncQueue(name, self.url, **self.access)
        return self._queues[name]

    def _result_of(self, details: JobDetails, told: dict[str, Any]) -> Any:
        status = base.TaskResultStatus
        is_done = details.state == "done"
        if is_done:
            state = status.SUCCESSFUL
        elif details.state in _READY:
            state = status.READY
        else:
            state = status.RUNNING if details.state == "active" else status.FAILED
        began = _moment(told.get("started_at"))
        result = base.TaskResult(
            task=task_of(told["task"]).using(queue_name=details.queue, backend=self.alias),
            id=str(details.id),
            status=state,
            enqueued_at=_moment(told["enqueued_at"]) if is_done else details.created_at,
            started_at=began,
            finished_at=details.finished_at if is_done else details.died_at,
            last_attempted_at=began,
            args=told.get("args", []),
            kwargs=told.get("kwargs", {}),
            backend=self.alias,
            errors=[] if details.error is None else [error_of(details.error)],
            worker_ids=[_WORKER] * details.attempts,
        )
        if is_done:
            object.__setattr__(result, "_return_value", told.get("value"))
        return result


def task_of(path: str) -> Any:
    """Import a task. Raises ImportError."""
    task = import_string(path)
    if not isinstance(task, base.Task):
        kind = type(task).__name__
        raise ImportError(f"{path} is no task but of type {kind}")  # noqa: TRY004
    return task


def error_of(text: str) -> Any:
    """Make what Django calls an error of what the server keeps of a failure."""
    message, _, trace = text.partition("\n\n")
    name = message.partition(":")[0].strip()
    path = name if "." in name else f"builtins.{name}"
    return base.TaskError(
        exception_class_path=path, traceback=f"{trace}\n{message}".strip()
    )


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime_of(epoch_ms)
