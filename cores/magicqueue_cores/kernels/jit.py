"""How a kernel runs, decided in one place.

An entry point (`@kernel("signature")`) is compiled by numba at import, or taken from
numba's cache; or it is the plain Python function, when NUMBA_DISABLE_JIT=1. A `@part` is a
piece of kernels and compiled into the entry points that use it. (Where kernels were
compiled ahead of time, `entry` takes those and nothing here is imported.)

An entry point gets the memory as an array of words and hands pointers to its parts
(`words_of`, `halves_of`, `bytes_of`): arrays would be seven registers each and counted by
reference. These and the functions behind them are what Python cannot say, such as eight
bytes as one number; they have a Python form here and LLVM's in `intrinsics`.

Whether something has to be compiled is numba's to say: `_tell` is called when it begins,
and `progress` counts the pieces. `cache` says where the result is kept.
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

from magicqueue_cores.kernels import cache
from magicqueue_cores.kernels.progress import progress

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


def _mode() -> str:
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}
    return "python" if disabled else "jit"


if sys.byteorder != "little":
    raise ImportError("kernels read eight bytes as a little-endian number")
MODE: Final = _mode()
"""How kernels run that are not compiled ahead of time: "jit" or "python"."""

if MODE == "jit":
    import numba
    from numba.core import event

    _cache = cache.find(os.environ)
    if _cache.folder is not None:
        numba.config.CACHE_DIR = str(_cache.folder)  # type: ignore[attr-defined]  # set by name
    from magicqueue_cores.kernels import intrinsics

    class _Compiling(event.Listener):
        """Hears when numba begins to compile, which it does not for what is cached."""

        def on_start(self, _event: Any) -> None:
            _tell()

        def on_end(self, _event: Any) -> None:
            """Parts may follow."""


_compiled: Final[list[Any]] = []
"""The dispatchers, which own the machine code."""


def as_array(words: memoryview) -> Memory:
    """Give the memory as entry points take it."""
    return np.frombuffer(words, np.int64)


def _tell() -> None:
    """Say, once, that a start takes long, why, and how often it will."""
    progress.compiling = True
    if progress.announced:
        return
    progress.announced = True
    for miss in _cache.misses:
        _log.info("compiled kernels cannot be kept in %s", miss)
    if _cache.folder is None:
        often = f"at each start, since no folder can keep them: set {cache.VARIABLE} to one"
    else:
        often = f"once; they are kept in {_cache.folder}"
    _log.info(
        "compiling the array core's kernels for this processor: 20 to 30 s on an idle"
        " machine, %s",
        often,
    )


def compile_entry(function: Any, signature: str) -> Any:
    """Compile an entry point for this processor, or take it from the cache.

    It is called directly: numba's dispatcher, which would choose by the types of the
    arguments, takes longer than a small kernel. Raises ImportError where numba fails.
    """
    keep = _cache.folder is not None
    with event.install_listener("numba:compile", _Compiling()):
        try:
            return _compiled_by_numba(function, signature, keep=keep)
        except Exception as error:
            files = _kept_files(function)
            if not files:
                raise ImportError(f"numba cannot compile the kernels: {error}") from error
            _log.warning("compiled kernels in %s cannot be used: %r", _cache.folder, error)
        return _compiled_by_numba(function, signature, keep=_removed(files))


def _compiled_by_numba(function: Any, signature: str, *, keep: bool) -> Any:
    compiled: Any = numba.njit(cache=keep, nogil=True, error_model="numpy")(function)
    try:
        compiled.compile(signature)
    except OSError as error:
        if not compiled.overloads:
            raise
        _log.warning(
            "compiled kernels cannot be kept in %s: %s; the next start compiles anew",
            _cache.folder,
            error.strerror,
        )
    finally:
        progress.compiling = False
    compiled.disable_compile()
    _compiled.append(compiled)
    (only,) = compiled.overloads.values()
    return only.entry_point


def _kept_files(function: Any) -> list[Path]:
    """List what is cached of an entry point."""
    if _cache.folder is None:
        return []
    module = function.__module__.rpartition(".")[2]
    return list(_cache.folder.rglob(f"{module}.{function.__name__}-*"))


def _removed(files: list[Path]) -> bool:
    """Remove files; whether that could be done."""
    try:
        for file in files:
            file.unlink(missing_ok=True)
    except OSError:
        return False
    return True


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
