"""What a worker does with a job of Django's: import the task, call it, tell the signals.

    magicqueue worker magicqueue.django.running:run -q default

(with DJANGO_SETTINGS_MODULE in its environment) is such a worker, with all that
workers have; `manage.py magicqueue_worker` is one for all
queues of a backend. Tasks run in threads, as Django's own code does; each begins and ends
with database connections that are not too old.

What a task raises is told to the server by the full path of its class, which is what
Django's results name. Retry and Discard mean what they mean in any handler.
"""

from typing import Any

import django
from django.apps import apps
from django.db import close_old_connections
from django.utils import timezone

if not apps.ready and not apps.loading:
    django.setup()

from magicqueue.django.backend import error_of, task_of
from magicqueue.django.framework import base, signals
from magicqueue.failures import Discard, Retry, text_of
from magicqueue.job import Job

WORKER = "magicqueue"


def run(job: Job) -> dict[str, Any]:
    """Run one job; gives what is kept as its result."""
    call = job.data
    if not isinstance(call, dict) or not isinstance(call.get("task"), str):
        raise Discard("the job's data names no task of Django's")
    task = task_of(call["task"]).using(queue_name=job.queue)
    began = timezone.now()
    result = base.TaskResult(
        task=task,
        id=str(job.id),
        status=base.TaskResultStatus.RUNNING,
        enqueued_at=job.created_at,
        started_at=began,
        finished_at=None,
        last_attempted_at=began,
        args=call.get("args", []),
        kwargs=call.get("kwargs", {}),
        backend=task.backend,
        errors=[],
        worker_ids=[WORKER] * job.attempts,
    )
    sender = type(task.get_backend())
    close_old_connections()
    signals.task_started.send(sender, task_result=result)
    try:
        value = _called(task, result)
    except (Retry, Discard):
        _finish(sender, result, base.TaskResultStatus.FAILED)
        raise
    except Exception as error:  # noqa: BLE001 - it is told to the server
        named = _by_its_path(error)
        result.errors.append(error_of(text_of(named)))
        _finish(sender, result, base.TaskResultStatus.FAILED)
        raise named from None
    finally:
        close_old_connections()
    object.__setattr__(result, "_return_value", value)
    _finish(sender, result, base.TaskResultStatus.SUCCESSFUL)
    return {
        **call,
        "value": value,
        "enqueued_at": round(job.created_at.timestamp() * 1000),
        "started_at": round(began.timestamp() * 1000),
    }


def _called(task: Any, result: Any) -> Any:
    if task.takes_context:
        context = base.TaskContext(task_result=result)
        return task.call(context, *result.args, **result.kwargs)
    return task.call(*result.args, **result.kwargs)


def _finish(sender: type, result: Any, status: Any) -> None:
    object.__setattr__(result, "status", status)
    object.__setattr__(result, "finished_at", timezone.now())
    signals.task_finished.send(sender, task_result=result)


def _by_its_path(error: Exception) -> Exception:
    """Give an exception that says the same, and whose name is its class's full path."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return error
    named: Exception = type(f"{kind.__module__}.{kind.__qualname__}", (Exception,), {})(
        str(error)
    )
    named.__traceback__ = error.__traceback__
    return named
