"""Fixtures: a server that speaks HTTP, in the test's own loop."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from http_client import Scenario, with_http


@pytest.fixture(params=["asyncio", "uvloop", "array"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a scenario against a server with options."""
    uv = request.param != "asyncio"
    core = "array" if request.param == "array" else "python"

    def run_it(scenario: Scenario, **options: str) -> None:
        factory = uvloop.new_event_loop if uv else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_http(scenario, {"core": core} | options))

    return run_it
