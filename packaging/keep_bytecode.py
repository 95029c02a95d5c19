"""A Nuitka plugin: modules go into the executable as bytecode, not as C.

CPython's interpreter specialises code while it runs, which C made of Python does not: the
python core took 1.2 to 1.4 times as long in C, the array core's surroundings 1.1 times.
The executable is also smaller and is built in a fraction of the time. What has to be fast
is machine code anyway: kernels, codec, event loop.
"""

from typing import Final

from nuitka.plugins.PluginBase import NuitkaPluginBase

_PACKAGES: Final = {
    *("magicqueue", "magicqueue_cores", "magicqueue_server"),
    *("click", "crc32c", "msgspec", "no_tls", "orjson", "rich", "uvloop"),
}


class KeepBytecode(NuitkaPluginBase):  # type: ignore[misc]  # it has no types
    """What Nuitka asks while it looks at modules."""

    plugin_name = "keep-bytecode"
    plugin_desc = "Include modules as bytecode"

    @staticmethod
    def decideCompilation(module_name: str) -> str | None:  # noqa: N802 - Nuitka's name
        """Say how to include a module; Nuitka's own, such as the main one, have to be C."""
        package = str(module_name).partition(".")[0]
        return "bytecode" if package in _PACKAGES else None
