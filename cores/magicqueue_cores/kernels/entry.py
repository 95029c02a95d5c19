"""The kernels' entry points, as the array core calls them.

They are those of `magicqueue_cores._kernels_aot` where that was built, from these very
sources; what takes the memory as any buffer and needs neither numba nor numpy. Else they
come from `jit`. An extension that was built from other sources is not used, and a
warning says so.
"""

import importlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from magicqueue_cores.kernels import sources

_log = logging.getLogger("magicqueue.kernels")


def _ahead_of_time() -> ModuleType | None:
    try:
        built = importlib.import_module("magicqueue_cores._kernels_aot")
    except ImportError:
        return None
    here = sources.digest()
    if here is not None and here != built.SOURCES:
        _log.warning(
            "%s was built from other kernels than these and is not used: build it anew"
            " or remove it",
            built.__file__,
        )
        return None
    return built


_built: Final = _ahead_of_time()

execute: Callable[[Any, int, int, int], int]
act: Callable[[Any, int, int, int, int], int]
MODE: str
"""How kernels run here: "aot", "jit" or "python"."""
PROCESSOR: str
"""What they were compiled for."""

if _built is not None:
    execute, act = _built.execute, _built.act
    MODE, PROCESSOR = "aot", _built.LEVEL

    def as_entry_takes_it(words: memoryview) -> Any:
        """Give the memory as entry points take it."""
        return words

else:
    from magicqueue_cores.kernels import driver, jit, verbs

    execute, act = driver.execute, verbs.act
    MODE, PROCESSOR = jit.MODE, "this processor"
    as_entry_takes_it = jit.as_array


def require_compiled() -> None:
    """Raise ImportError where kernels would run as plain Python, 100 times slower."""
    if MODE == "python":
        raise ImportError("numba compiles nothing: NUMBA_DISABLE_JIT is set")
