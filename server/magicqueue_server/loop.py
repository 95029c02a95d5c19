"""Which event loop runs: uvloop where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Callable

LOOPS = ("auto", "uvloop", "asyncio")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Give what makes the loop; raises ImportError for "uvloop" where it is missing."""
    if name != "asyncio":
        try:
            import uvloop  # noqa: PLC0415 - only where it is wanted and there
        except ImportError:
            if name == "uvloop":
                raise ImportError(
                    "--loop uvloop: uvloop is not installed; install it, or use --loop auto"
                ) from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def loop_name(loop: asyncio.AbstractEventLoop) -> str:
    """Name a loop for people."""
    return "uvloop" if type(loop).__module__.startswith("uvloop") else "asyncio"
