"""The extension of kernels that were compiled ahead of time, if it is here and fits.

One that was built from other sources than those beside it is not used, with a warning.
"""

import importlib
import logging
from functools import cache
from types import ModuleType

from magicqueue_cores.kernels import sources

_log = logging.getLogger("magicqueue.kernels")


@cache
def extension() -> ModuleType | None:
    """Import it; gives None where there is none to use."""
    try:
        built = importlib.import_module("magicqueue_cores._kernels_aot")
    except ImportError:
        return None
    if sources.digest() not in {None, built.SOURCES}:
        _log.warning(
            "%s was built from other kernels than these and is not used: build it anew"
            " or remove it",
            built.__file__,
        )
        return None
    return built
