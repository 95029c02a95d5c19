"""How a kernel runs, decided in one place.

An entry point (`@kernel("signature")`) is compiled by numba at import, or taken from
numba's cache; or it is the plain Python function, when NUMBA_DISABLE_JIT=1. A `@part` is a
piece of kernels and compiled into the entry points that use it. (Where kernels were
compiled ahead of time, `entry` takes those and nothing here is imported.)

An entry point gets the memory as an array of words and hands pointers to its parts
(`words_of`, `halves_of`, `bytes_of`): arrays would be seven registers each and counted by
reference. These and the functions behind them are what Python cannot say, such as eight
bytes as one number; they have a Python form here and LLVM's in `intrinsics`.

The cache is private to its user, in `$MAGICQUEUE_CACHE_DIR`, else `~/.cache/magicqueue`,
in a folder named after the kernels' sources: numba itself would not notice a change in a
part, only in the entry point's own file.
"""

import logging
import os
import select
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from magicqueue_cores.kernels import sources

F = TypeVar("F", bound=Callable[..., Any])
Memory: TypeAlias = NDArray[np.int64]
"""What an entry point gets."""

_log = logging.getLogger("magicqueue.kernels")


class Words(Protocol):
    """A view of the memory in kernels: of words, halves or bytes, by index."""

    def __getitem__(self, at: int) -> int:
        """One element."""

    def __setitem__(self, at: int, value: int) -> None:
        """Set one element."""


def _cache_folder() -> Path:
    asked = os.environ.get("MAGICQUEUE_CACHE_DIR")
    base = Path(asked) if asked else Path.home() / ".cache" / "magicqueue"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = base / f"kernels-{sources.digest()}"
    if not folder.exists():
        _log.warning("compiling the array core's kernels, once, into %s: some 10 s", folder)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _mode() -> str:
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
    return "python" if disabled else "jit"


if sys.byteorder != "little":
    raise ImportError("kernels read eight bytes as a little-endian number")
MODE: Final = _mode()
"""How kernels run that are not compiled ahead of time: "jit" or "python"."""

if MODE == "jit":
    import numba

    numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]  # set by name
    from magicqueue_cores.kernels import intrinsics


_compiled: Final[list[Any]] = []
"""The dispatchers, which own the machine code."""


def as_array(words: memoryview) -> Memory:
    """Give the memory as entry points take it."""
    return np.frombuffer(words, np.int64)


def compile_entry(function: Any, signature: str) -> Any:
    """Compile an entry point for this processor.

    It is called directly: numba's dispatcher, which would choose by the types of the
    arguments, takes longer than a small kernel.
    """
    compiled: Any = numba.njit(signature, cache=True, nogil=True, error_model="numpy")(
        function
    )
    _compiled.append(compiled)
    (only,) = compiled.overloads.values()
    return only.entry_point


def kernel(signature: str) -> Callable[[F], F]:
    """Make an entry point: its arguments' types are stated, as numba writes them."""

    def decorate(function: F) -> F:
        if MODE == "jit":
            return compile_entry(function, signature)  # type: ignore[no-any-return]

        @wraps(function)
        def plain(memory: Any, *numbers: int) -> int:
            with np.errstate(over="ignore"):
                return int(function(memory, *map(np.int64, numbers)))

        return plain  # type: ignore[return-value]

    return decorate


def part(function: F) -> F:
    """Make a piece of kernels, for LLVM to inline where it sees fit."""
    return _part(function, inlined=False)


def inlined(function: F) -> F:
    """Make a piece of kernels that is always inlined."""
    return _part(function, inlined=True)


def _part(function: F, *, inlined: bool) -> F:
    if MODE != "jit":
        return function
    made: Any = intrinsics.part(function, inlined=inlined)  # type: ignore[no-untyped-call]
    return made  # type: ignore[no-any-return]


def _words_of(memory: Memory) -> Words:
    """The memory as a kernel sees it: words."""
    return memory


def _halves_of(memory: Memory) -> Words:
    """The same memory as 32-bit halves."""
    return memory.view(np.int32)


def _bytes_of(memory: Memory) -> Words:
    """The same memory as bytes."""
    return memory.view(np.uint8)


def _load8(b: Any, at: int) -> np.uint64:
    """Eight bytes from `at` as a number, the first byte lowest."""
    return np.uint64(int.from_bytes(b[at : at + 8].tobytes(), "little"))


def _store8(b: Any, at: int, value: np.uint64) -> None:
    """Write a number as eight bytes."""
    b[at : at + 8] = np.frombuffer(int(value).to_bytes(8, "little"), np.uint8)


def _copy16(b: Any, to: int, at: int) -> None:
    """Copy sixteen bytes."""
    b[to : to + 16] = b[at : at + 16].copy()


def _lowest_byte(mask: np.uint64) -> int:
    """Which byte of a number, from 0, has the lowest bit that is set."""
    value = int(mask)
    return ((value & -value).bit_length() - 1) >> 3


def _prefetch(w: Any, at: int) -> None:
    """Let the processor fetch a word that will be needed soon."""


def _as_instruction(function: F) -> F:
    if MODE != "jit":
        return function
    return getattr(intrinsics, function.__name__[1:])  # type: ignore[no-any-return]


def _receive_bytes(memory: Any, descriptor: int, at: int, size: int) -> int:
    """Receive into the memory what is there; gives how much, 0 at the end, or -1."""
    try:
        data = os.read(int(descriptor), int(size))
    except OSError:
        return -1
    memory.view(np.uint8)[at : at + len(data)] = np.frombuffer(data, np.uint8)
    return len(data)


def _send_bytes(memory: Any, descriptor: int, at: int, size: int) -> int:
    """Send bytes of the memory; gives how many went, or -1."""
    try:
        return os.write(int(descriptor), memory.view(np.uint8)[at : at + size])
    except OSError:
        return -1


def _poll_events(memory: Any, poller: int, at: int, most: int) -> int:
    """Ask an epoll descriptor what is ready, without waiting; gives how many are."""
    with select.epoll.fromfd(os.dup(int(poller))) as epoll:
        ready = epoll.poll(0, int(most))
    for k, (descriptor, flags) in enumerate(ready):
        memory.view(np.int32)[at // 4 + 3 * k : at // 4 + 3 * k + 2] = flags, descriptor
    return len(ready)


words_of = _as_instruction(_words_of)
halves_of = _as_instruction(_halves_of)
bytes_of = _as_instruction(_bytes_of)
load8 = _as_instruction(_load8)
store8 = _as_instruction(_store8)
copy16 = _as_instruction(_copy16)
lowest_byte = _as_instruction(_lowest_byte)
prefetch = _as_instruction(_prefetch)
receive_bytes = _as_instruction(_receive_bytes)
send_bytes = _as_instruction(_send_bytes)
poll_events = _as_instruction(_poll_events)
