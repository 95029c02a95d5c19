"""Django's tasks: `django.tasks`, or the package `django-tasks` where Django has none."""

from typing import Any, Final

try:
    from django import tasks as _tasks
    from django.tasks import base, exceptions, signals
    from django.tasks.backends.base import BaseTaskBackend
except ImportError:
    import django_tasks as _tasks
    from django_tasks import base, exceptions, signals
    from django_tasks.backends.base import BaseTaskBackend

__all__ = ["BaseTaskBackend", "base", "exceptions", "signals", "task_backends"]

task_backends: Final[Any] = _tasks.task_backends
