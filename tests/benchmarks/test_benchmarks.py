"""Every benchmark runs once, at a tiny size, so that none can rot unseen."""

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "benchmarks").glob("bench_*.py"))


def suites(module: Any) -> list[type]:
    """The classes asv would find: those with a time_ or a track_ method."""
    found = [cls for _, cls in inspect.getmembers(module, inspect.isclass)]
    return [cls for cls in found if cls.__module__ == module.__name__ and methods(cls)]


def methods(cls: type) -> list[str]:
    named = [name for name in dir(cls) if name.startswith(("time_", "track_"))]
    return [name for name in named if getattr(cls, name) is not None]


def run(suite: Any, method: str, before: tuple[Any, ...], params: tuple[Any, ...]) -> Any:
    """One call as asv makes it; NotImplementedError in setup means not applicable."""
    if hasattr(suite, "setup"):
        try:
            suite.setup(*before, *params)
        except NotImplementedError:
            return None
    try:
        result = getattr(suite, method)(*before, *params)
    finally:
        if hasattr(suite, "teardown"):
            suite.teardown(*before, *params)
    if method.startswith("track_"):
        assert result >= 0, (method, params)
    return True


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_runs(name: str, load: Callable[[str], Any]) -> None:
    module = load(name)
    ran = 0
    for cls in suites(module):
        params = [list(axis) for axis in getattr(cls, "params", [])]
        before = (cls().setup_cache(),) if hasattr(cls, "setup_cache") else ()
        for method in methods(cls):
            for chosen in itertools.product(*params):
                ran += bool(run(cls(), method, before, chosen))
    assert ran, f"{name} has no benchmark that ran"


@pytest.mark.parametrize("name", MODULES)
def test_the_first_line_says_what_can_move_the_figures(name: str) -> None:
    first = (ROOT / "benchmarks" / f"{name}.py").read_text().splitlines()[0]
    assert first.startswith('"""Moved by '), first
