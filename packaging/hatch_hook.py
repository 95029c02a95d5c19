"""Put kernels that were compiled ahead of time into a wheel, which then has a platform.

MAGICQUEUE_KERNELS is the extension's path (`dist.py` sets it). Without it the wheel is
the same everywhere, and numba compiles the kernels.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface):  # type: ignore[misc]  # it has no types
    """What hatchling calls while it makes a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the extension and name the platform."""
        extension = os.environ.get("MAGICQUEUE_KERNELS")
        if not extension or version == "editable":
            return
        inside = f"magicqueue_cores/{Path(extension).name}"
        build_data["force_include"][extension] = inside
        build_data["tag"] = "cp311-abi3-manylinux_2_17_x86_64"
        build_data["pure_python"] = False
