"""A Nuitka plugin: modules go into the executable as bytecode, libraries without symbols.

CPython's interpreter specialises code while it runs, which C made of Python does not: the
python core took 1.2 to 1.4 times as long in C, the array core's surroundings 1.1 times.
The executable is also smaller and is built in a fraction of the time. What has to be fast
is machine code anyway: kernels, codec, event loop.
"""

import subprocess
from pathlib import Path
from typing import Final

from nuitka.plugins.PluginBase import NuitkaPluginBase

_PACKAGES: Final = {
    *("magicqueue", "magicqueue_cores", "magicqueue_server"),
    *("click", "crc32c", "cronsim", "httptools", "msgspec", "no_tls", "orjson", "rich"),
    *("tzdata", "uvloop"),
}


class Packing(NuitkaPluginBase):  # type: ignore[misc]  # it has no types
    """What Nuitka asks while it looks at modules, and tells when all are in the folder."""

    plugin_name = "packing"
    plugin_desc = "Include modules as bytecode, and strip libraries"

    @staticmethod
    def decideCompilation(module_name: str) -> str | None:  # noqa: N802 - Nuitka's name
        """Say how to include a module; Nuitka's own, such as the main one, have to be C."""
        package = str(module_name).partition(".")[0]
        return "bytecode" if package in _PACKAGES else None

    @staticmethod
    def onStandaloneDistributionFinished(dist_dir: str) -> None:  # noqa: N802 - Nuitka's name
        """Strip the libraries, before they may go into a single file."""
        libraries = [str(path) for path in Path(dist_dir).rglob("*.so*")]
        subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)  # noqa: S607 - the build's tool
