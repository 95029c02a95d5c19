import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[[str], Any]]:
    """Imports a module of benchmarks/ at its tiny size, which is chosen on import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGICQUEUE_BENCH", "tiny")
        patch.syspath_prepend(str(ROOT))
        yield lambda name: import_module(f"benchmarks.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]
