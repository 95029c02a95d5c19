"""A pytest plugin: tests run on kernels compiled ahead of time, where nothing else can be.

MAGICQUEUE_TEST_KERNELS names the folder of the extension. numba and numpy cannot be
imported, as on a machine without them.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import magicqueue_cores

_ABSENT = {"numba", "numpy", "llvmlite"}


class _Absence:
    """Finds nothing, and lets nobody else look."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name.partition(".")[0] in _ABSENT:
            raise ModuleNotFoundError(f"{name} is absent from this test", name=name)
        return None


sys.meta_path.insert(0, _Absence())
magicqueue_cores.__path__.append(os.environ["MAGICQUEUE_TEST_KERNELS"])

from magicqueue_cores.kernels import entry  # noqa: E402 - finds the extension

assert entry.MODE == "aot", "the extension is not used"
