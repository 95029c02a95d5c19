"""A Nuitka plugin: modules go into the executable as bytecode, not as C.

CPython's interpreter specialises code while it runs, which C made of Python does not: the
python core took 1.2 to 1.4 times as long in C, the array core's surroundings 1.1 times.
The executable is also smaller and is built in a fraction of the time. What has to be fast
is machine code anyway: kernels, codec, event loop.
"""

from nuitka.plugins.PluginBase import NuitkaPluginBase


class KeepBytecode(NuitkaPluginBase):  # type: ignore[misc]  # it has no types
    """What Nuitka asks while it looks at modules."""

    plugin_name = "keep-bytecode"
    plugin_desc = "Include modules as bytecode"

    @staticmethod
    def decideCompilation(module_name: str) -> str | None:  # noqa: N802 - Nuitka's name
        """Say how to include a module; the main module has to be C."""
        return None if module_name == "__main__" else "bytecode"
