"""What happens while a server starts, which may take long: kernels compiled, a log read.

The main thread may then be in C code for seconds, where Python handles no signal, and the
kernel keeps SIGTERM and SIGINT from a process 1 (of a container) that has no handler. So
they are blocked, and a thread waits for them: it ends the process at once, which is safe,
for nothing of a start is half done when it is killed. The same thread says, every few
seconds, how far the compiler is.
"""

import logging
import os
import signal
import threading
import time
from types import TracebackType
from typing import Final, Self

from magicqueue_cores.kernels.progress import progress
from magicqueue_server.logs import event

_TELL_EVERY_S: Final = 5.0
_POLL_S: Final = 0.5
_DONE: Final = signal.SIGURG
"""What wakes the thread when the start is over: a signal that does nothing by itself."""

_log = logging.getLogger("magicqueue.start")


class Start:
    """A context around a start; `over` ends it sooner, when signals are handled again."""

    def __init__(self) -> None:
        self._signals = {
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        self._thread: threading.Thread | None = None
        self._over = False

    def __enter__(self) -> Self:
        signal.pthread_sigmask(signal.SIG_BLOCK, {*self._signals, _DONE})
        self._thread = threading.Thread(target=self._watch, name="start", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.over()

    def over(self) -> None:
        """End the watch: what arrives from now on goes to the process's own handlers."""
        if self._thread is None:
            return
        self._over = True
        if self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, _DONE)
        self._thread.join()
        self._thread = None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*self._signals, _DONE})

    def _watch(self) -> None:
        began_s: float | None = None
        told_s = 0.0
        while not self._over:
            caught = signal.sigtimedwait({*self._signals, _DONE}, _POLL_S)
            if caught is not None and caught.si_signo != _DONE:
                self._end_at_once(caught.si_signo)
            now_s = time.monotonic()
            if progress.compiling and began_s is None:
                began_s = told_s = now_s
            if (
                progress.compiling
                and began_s is not None
                and now_s - told_s >= _TELL_EVERY_S
            ):
                told_s = now_s
                event(
                    _log,
                    logging.INFO,
                    "still compiling",
                    parts_done=progress.done,
                    parts=progress.parts,
                    seconds=round(now_s - began_s),
                )
        if began_s is not None:
            seconds = round(time.monotonic() - began_s)
            event(_log, logging.INFO, "the kernels are compiled", seconds=seconds)

    @staticmethod
    def _end_at_once(number: int) -> None:
        event(
            _log,
            logging.WARNING,
            "stopped while it was starting: nothing was served, nothing is half done",
            signal=signal.Signals(number).name,
        )
        os._exit(128 + number)
