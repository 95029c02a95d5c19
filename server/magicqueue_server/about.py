"""What runs here, for people who report a fault: version, commit, build, core, Python.

A wheel or executable has a module `_build`, which its build wrote; a source tree has none.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from typing import Final

from magicqueue_cores import array_kernels

DISTRIBUTION: Final = "magicqueue-server"
"""The name that pip knows; the import and the command are called magicqueue."""


def version() -> str:
    """Give the version of the installed package."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "0+uninstalled"


def lines() -> Iterator[str]:
    """Say what this is, a line a thing (`magicqueue --version`)."""
    yield f"magicqueue {version()}"
    yield f"build: {_build()}"
    yield f"array core: {array_kernels()}"
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    yield f"Python {platform.python_version()}, {loop}, {platform.machine()}"


def way_to_psycopg() -> str:
    """Return how to have the package that a log in PostgreSQL needs."""
    install = "`pip install psycopg[binary]`"
    if _is_executable():
        return f"this executable has none; run the wheel that was built with it: {install}"
    return install


def _is_executable() -> bool:
    return getattr(sys, "frozen", False)


def _build() -> str:
    kind = "executable" if _is_executable() else "package"
    try:
        made = importlib.import_module("magicqueue_server._build")
    except ImportError:
        return f"{kind}, from source"
    return f"{kind}, commit {made.COMMIT}"
