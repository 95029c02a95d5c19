"""Fixtures of the client's tests: servers, and every event loop that there is."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import pytest
import uvloop

from client.fake_server import FakeServer
from client.real_server import RealServer

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]

_names = (f"queue-{number}" for number in itertools.count())
_LOOPS = {
    "debug": (asyncio.new_event_loop, True),
    "asyncio": (asyncio.new_event_loop, False),
    "uvloop": (uvloop.new_event_loop, False),
}


@pytest.fixture(params=_LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine to its end, on each event loop in turn."""
    factory, debug = _LOOPS[request.param]
    with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
        yield runner.run


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RealServer]:
    with RealServer() as server:
        yield server


@pytest.fixture
def url(shared_server: RealServer) -> str:
    """The address of a real server that other tests use too."""
    return shared_server.url


@pytest.fixture
def name() -> str:
    """A queue's name that no other test uses."""
    return next(_names)


@pytest.fixture
def own_server() -> Iterator[RealServer]:
    """A real server to stop, kill and start again."""
    with RealServer() as server:
        yield server
