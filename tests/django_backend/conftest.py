"""The example's Django project, set up once, with a database of its own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import docs.pages
from magicqueue_server.testing.plugin import magicqueue

__all__ = ["magicqueue"]

PROJECT = docs.pages.DOCS / "examples" / "django_shop"


@pytest.fixture(scope="session", autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set Django up for this process."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    os.environ["SHOP_DATABASE"] = str(tmp_path_factory.mktemp("shop") / "shop.sqlite3")
    sys.path.insert(0, str(PROJECT))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    yield PROJECT
    from django.db import connections

    connections.close_all()
    sys.path.remove(str(PROJECT))
