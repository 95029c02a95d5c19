"""The least that Django needs, and MagicQueue as the backend of its tasks."""

import os
from pathlib import Path

SECRET_KEY = "of an example"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get(
            "SHOP_DATABASE", str(Path(__file__).parents[1] / "shop.sqlite3")
        ),
    }
}
INSTALLED_APPS = ["magicqueue.django", "shop"]
TASKS = {
    "default": {
        "BACKEND": "magicqueue.django.MagicQueueBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"MAX_ATTEMPTS": 3, "BACKOFF": 0.1},
    }
}
