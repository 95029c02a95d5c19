"""Fixtures for all tests. `core` is one of every core that can run here."""

import signal
from collections.abc import Iterator

import pytest

from conformance.driver import CORES, Driver, require_core


@pytest.fixture(params=CORES)
def core_name(request: pytest.FixtureRequest) -> str:
    """The name of a core that can run here."""
    return require_core(request.param)


@pytest.fixture(autouse=True)
def signals_stay_as_they_are() -> Iterator[None]:
    """Whoever lets a handler of signals stay ends, or hangs, processes of other tests."""
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    after = {number: signal.getsignal(number) for number in numbers}
    if after != before:
        for number, handler in before.items():
            signal.signal(number, handler)
        pytest.fail(f"signals are handled otherwise than before: {after}")


@pytest.fixture
def core(core_name: str) -> Driver:
    """A new core with the usual bounds, and the means to drive it."""
    return Driver(core_name)
