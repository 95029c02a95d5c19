"""The kernels' entry points, as the array core calls them.

They are those of `magicqueue_cores._kernels_aot` where that was built from these very
sources: it takes the memory as any buffer, and needs neither numba nor numpy. Else they
come from `jit`.
"""

from collections.abc import Callable
from typing import Any, Final

from magicqueue_cores.kernels import ahead

_built: Final = ahead.extension()

execute: Callable[[Any, int, int, int, int], int]
act: Callable[[Any, int, int, int, int], int]
execute_feeds: Callable[[Any, int, int], int]
receive: Callable[[Any, int], int]
send: Callable[[Any, int], int]
MODE: str
"""How kernels run here: "aot", "jit" or "python"."""

if _built is not None:
    execute, act = _built.execute, _built.act
    execute_feeds, receive, send = _built.execute_feeds, _built.receive, _built.send
    MODE = "aot"

    def as_entry_takes_it(words: memoryview) -> Any:
        """Give the memory as entry points take it."""
        return words

else:
    from magicqueue_cores.kernels import descriptors, driver, jit, verbs

    execute, act = driver.execute, verbs.act
    execute_feeds = driver.execute_feeds
    receive, send = descriptors.receive, descriptors.send
    MODE = jit.MODE
    as_entry_takes_it = jit.as_array


def require_compiled() -> None:
    """Raise ImportError where kernels would run as plain Python, 100 times slower."""
    if MODE == "python":
        raise ImportError("numba compiles nothing: NUMBA_DISABLE_JIT is set")
