"""The pytest plugin: two fixtures, loaded by pytest where this package is installed.

They are plain fixtures, so they serve plain tests, and async ones under pytest-asyncio or
anyio (with asyncio). Nothing of the server is imported before one is asked for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from magicqueue_server.testing.memory_server import InMemory
    from magicqueue_server.testing.server_process import ServerProcess


@pytest.fixture
def magicqueue() -> Iterator["InMemory"]:
    """A server in the test's process, empty, whose clock the test moves: see InMemory.

    Until the test ends, every queue and all tasks are connected to it, whatever their
    address.
    """
    from magicqueue_server.testing.memory_server import (  # noqa: PLC0415 - only if asked for
        in_memory,
    )

    with in_memory() as made:
        yield made


@pytest.fixture(scope="session")
def magicqueue_server() -> Iterator["ServerProcess"]:
    """A real server on a free port, for all tests of the session: `.url` is its address."""
    from magicqueue_server.testing.server_process import (  # noqa: PLC0415 - the same
        ServerProcess,
    )

    with ServerProcess() as server:
        yield server
