"""Fixtures: an engine at hand, over cores that answer at once or later."""

import pytest

from server.desk import Desk


@pytest.fixture(params=[None, 1], ids=["at_once", "later"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """An engine with the usual limits."""
    return Desk(request.param)
