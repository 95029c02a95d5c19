"""MagicQueue as a backend of Django's tasks.

    INSTALLED_APPS = [..., "magicqueue.django"]
    TASKS = {"default": {"BACKEND": "magicqueue.django.MagicQueueBackend"}}

Django 6 has `django.tasks`; on older ones the package `django-tasks` is the same, and is
taken where Django has none (`framework`). `backend` enqueues tasks and looks results up,
`running` is what a worker does with them, and `manage.py magicqueue_worker` is one.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magicqueue.django.backend import MagicQueueBackend

__all__ = ["MagicQueueBackend"]


def __getattr__(name: str) -> Any:
    if name != "MagicQueueBackend":
        raise AttributeError(f"module 'magicqueue.django' has no attribute {name!r}")
    from magicqueue.django.backend import (  # noqa: PLC0415 - Django imports this early
        MagicQueueBackend,
    )

    return MagicQueueBackend
