"""A look at a worker's process, from a thread of it: whether it is alive, and worn out.

It is worn out after so many jobs, or when it has grown to so much memory: then it is
stopped as by SIGTERM, finishes what it holds, and its supervisor starts another. That is
for handlers that leak, or libraries that do.

It is alive while its event loop comes round, or, without one, while it runs at all.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from magicqueue import systemd

_LOOK_S: Final = 0.1
ALIVE_S: Final = 2.0
"""A process says so often that it is alive."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Counts(Protocol):
    """What is asked of a worker."""

    @property
    def completed(self) -> int:
        """Jobs whose handler returned."""
        ...

    @property
    def failed(self) -> int:
        """Jobs whose handler raised."""
        ...


class ProcessWatch:
    """Watches this process; `begin` is called with the worker, in its event loop's thread.

    max_jobs, max_memory: when it is worn out; None is never. on_worn: told why, before the
    process stops. on_alive: called every `ALIVE_S` while it is alive.
    """

    def __init__(
        self,
        max_jobs: int | None = None,
        max_memory: int | None = None,
        on_worn: Callable[[str], object] = lambda _: None,
        on_alive: Callable[[], object] | None = None,
    ) -> None:
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._on_worn = on_worn
        self._on_alive = on_alive
        self._ended = threading.Event()
        self._came_round = threading.Event()

    def begin(self, worker: Counts) -> None:
        """Watch it in a thread, until `end` or the process's end."""
        if self._max_jobs is None and self._max_memory is None and self._on_alive is None:
            return
        loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):  # a worker without one
            loop = asyncio.get_running_loop()
        self._came_round.set()
        threading.Thread(
            target=self._watch, args=(worker, loop), name="magicqueue-watch", daemon=True
        ).start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _watch(self, worker: Counts, loop: asyncio.AbstractEventLoop | None) -> None:
        until_alive = 0.0
        while not self._ended.wait(_LOOK_S):
            why = self._worn(worker)
            if why:
                self._max_jobs = self._max_memory = None  # once is enough
                self._on_worn(why)
                os.kill(os.getpid(), signal.SIGTERM)
            until_alive -= _LOOK_S
            if self._on_alive is not None and until_alive <= 0 and self._is_alive(loop):
                self._on_alive()
                until_alive = ALIVE_S

    def _worn(self, worker: Counts) -> str:
        """Say why the process is worn out; empty if it is not."""
        done = worker.completed + worker.failed
        if self._max_jobs is not None and done >= self._max_jobs:
            return f"has run {done:,} jobs"
        if self._max_memory is not None and (size := memory_bytes()) > self._max_memory:
            return f"uses {size / 2**20:,.0f} MiB"
        return ""

    def _is_alive(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Tell whether the loop has come round since it was asked last, and ask again."""
        if loop is None:
            return True
        if not self._came_round.is_set():
            return False
        self._came_round.clear()
        with contextlib.suppress(RuntimeError):  # it is over
            loop.call_soon_threadsafe(self._came_round.set)
        return True


def memory_bytes() -> int:
    """Give how much memory of the machine this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * _PAGE_BYTES


class Health:
    """Tells that a worker is healthy: by the age of a file, for probes, and systemd."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)

    def tell(self) -> None:
        """Say that all is well. What cannot be written is an old file: not healthy."""
        systemd.ready()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.touch()

    def end(self) -> None:
        """Say that no worker runs."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
