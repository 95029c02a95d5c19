"""Fixtures: servers over each core, with and without a log."""

from collections.abc import Iterator

import pytest

from conformance.driver import CORES, require_core
from magicqueue_cores.policies import PolicyOptions
from policies.wires import DeskWire, LogWire, Wire


@pytest.fixture(params=[f"{core}{log}" for core in CORES for log in ("", " with a log")])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A server; it is verified at the end."""
    core, _, log = request.param.partition(" ")
    require_core(core)
    made: Wire = LogWire(core, PolicyOptions()) if log else DeskWire(core, PolicyOptions())
    yield made
    made.check()
