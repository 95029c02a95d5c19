"""How far the compiling of kernels is: `jit` counts, and who starts a server shows it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Counts of this process."""

    parts: int = 0
    """Pieces of kernels that are known by now."""
    done: int = 0
    """Those that are compiled."""
    compiling: bool = False
    """Whether the compiler runs, since some kernel was not in the cache."""
    announced: bool = False
    """Whether it was said that it does."""


progress = Progress()
