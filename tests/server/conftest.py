"""Fixtures: engines and whole servers, over cores that answer at once or later."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from conformance.driver import CORES
from later_core import LaterCore
from magicqueue_cores import make_core
from magicqueue_cores.contract import Core, CoreOptions, OnReady
from magicqueue_server import app as app_module
from server.desk import Desk
from server.process import EXECUTABLE
from server.running import Scenario, quiet, with_server

Run: TypeAlias = Callable[..., None]


@pytest.fixture(params=[None, 1, 2, 3], ids=["at_once", "later1", "later2", "later3"])
def seed(request: pytest.FixtureRequest) -> int | None:
    """What a `Desk` is made with: None for a core that answers at once."""
    value: int | None = request.param
    return value


@pytest.fixture
def desk(seed: int | None) -> Desk:
    """An engine with the usual limits."""
    return Desk(seed)


def _later(
    _name: str,
    options: CoreOptions,
    *,
    on_ready: OnReady | None = None,
    record: None = None,
    **_: object,
) -> Core:
    core = LaterCore(
        make_core("python", options, on_ready=on_ready, record=record),
        seed=1,
        on_work=lambda: _call_soon(step),
    )

    def step() -> None:
        if core.busy:
            core.step()
            _call_soon(step)

    return core


def _call_soon(callback: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(callback)


IN_THE_TEST = ("debug", "asyncio", "uvloop", "later")
IN_THE_EXECUTABLE = tuple(
    f"{core} core on {loop}" for core in CORES for loop in ("asyncio", "uvloop")
)


@pytest.fixture(params=IN_THE_TEST if EXECUTABLE is None else IN_THE_EXECUTABLE)
def run(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Run:
    """Run a scenario against a server with options, under one of the loops."""
    kind = request.param
    more: dict[str, str] = {}
    if kind in IN_THE_EXECUTABLE:
        if request.node.get_closest_marker("looks_inside"):
            pytest.skip("looks inside the server: no executable can be asked")
        core, loop = kind.split(" core on ")
        more = {"core": core, "loop": loop}
    factory = uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop
    if kind == "later":
        monkeypatch.setattr(app_module, "make_core", _later)

    def run_it(scenario: Scenario, **options: str) -> None:
        main: Coroutine[Any, Any, None] = with_server(scenario, more | options)
        with (
            quiet(caplog),
            asyncio.Runner(loop_factory=factory, debug=kind == "debug") as runner,
        ):
            runner.run(main)

    return run_it
