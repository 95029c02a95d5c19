"""The application that brings the management command."""

from django.apps import AppConfig


class MagicQueueConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """See the package."""

    name = "magicqueue.django"
    label = "magicqueue"
    verbose_name = "MagicQueue"
