"""Fixtures for all tests. `core` is one of every core that can run here."""

import pytest

from conformance.driver import CORES, Driver, require_core


@pytest.fixture(params=CORES)
def core_name(request: pytest.FixtureRequest) -> str:
    """The name of a core that can run here."""
    return require_core(request.param)


@pytest.fixture
def core(core_name: str) -> Driver:
    """A new core with the usual bounds, and the means to drive it."""
    return Driver(core_name)
