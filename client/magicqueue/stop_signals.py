"""The signals that stop a worker: the first asks it to end, a later one ends the process.

An init system, `timeout` or a terminal may send one signal to the process and to its
group, so what comes within 0.2 s of the first is the same signal once more. A worker that
ends sooner keeps catching signals for that long, lest the repeat kills its process.

Python runs a signal's handler in the main thread and between two bytecodes: a long call
into C, or a poll or a lock that is entered just then, puts it off. The interpreter's C
code, however, writes each signal to a descriptor at once (`signal.set_wakeup_fd`), and
`watched_signals` has a thread read that. Event loops do the same for themselves: see
`loop_signals`.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, ClassVar, Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

SAME_SIGNAL_S: Final = 0.2
"""Signals that are no further apart are one."""

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class StopSignal:
    """What a signal does; call it with the signal's number, from any thread.

    only_asks: never end the process, and say nothing: that is for a parent to do.
    """

    def __init__(
        self, request_stop: Callable[[], None], *, only_asks: bool = False
    ) -> None:
        self._request_stop = request_stop
        self._only_asks = only_asks
        self._first_at: float | None = None

    def __call__(self, number: int) -> None:
        """Ask for the end; if that was asked for before, exit with 128 + number."""
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            if not self._only_asks:
                logger.info("%s: finishing what is held", signal.Signals(number).name)
        elif not self._only_asks and now - self._first_at > SAME_SIGNAL_S:
            os._exit(128 + number)
        self._request_stop()

    def repeat_left_s(self) -> float:
        """Give how long the first signal may still be repeated."""
        if self._first_at is None or self._only_asks:
            return 0.0
        return max(0.0, self._first_at + SAME_SIGNAL_S - time.monotonic())


@contextlib.contextmanager
def watched_signals(stop: StopSignal) -> Iterator[None]:
    """Have a thread call `stop` at a signal, whatever the main thread is doing.

    Only a main thread can arrange for that; in another one it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    thread = threading.Thread(
        target=_watch, args=(woken, stop), name="magicqueue-signals", daemon=True
    )
    thread.start()
    fd_before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    before: dict[signal.Signals, Any] = {}
    try:
        with parents_only(before):
            for number in STOP_SIGNALS:
                before[number] = signal.signal(number, ignore)
            yield
            time.sleep(stop.repeat_left_s())
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was not installed from Python
                signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        os.close(wake)
        thread.join()
        os.close(woken)


class _Forks(threading.local):
    """Forks, while signals are caught: `before` says what those did before.

    Signals are held up in the thread that forks, so that one to the child, as soon as it
    is there, comes when the child catches none any more.
    """

    before: ClassVar[list[Mapping[signal.Signals, Any]]] = []
    """Of the whole process; the innermost is the last."""
    mask: set[signal.Signals | int] | None = None

    def begin(self) -> None:
        """Called before a fork."""
        if self.before:
            self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def end(self) -> None:
        """Called in the parent, or in the child when it catches nothing any more."""
        mask, self.mask = self.mask, None
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def end_in_child(self) -> None:
        """Called in the child."""
        if self.before:
            signal.set_wakeup_fd(-1)
            for before in reversed(self.before):
                for number, handler in before.items():
                    if handler is not None:
                        signal.signal(number, handler)
            self.before.clear()
        self.end()


_forks: Final = _Forks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_forks.begin, after_in_parent=_forks.end, after_in_child=_forks.end_in_child
    )


@contextlib.contextmanager
def parents_only(before: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Let signals that are caught meanwhile do in child processes what they did before.

    A child that is forked shares the descriptor that signals are written to: a signal to
    the child would stop its parent, and leave the child alone.
    """
    _Forks.before.append(before)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a child has none
            _Forks.before.remove(before)


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Let Python note a signal in its wake-up descriptor and do nothing else."""


def _watch(woken: int, stop: StopSignal) -> None:
    while byte := os.read(woken, 1):
        if byte[0] in STOP_SIGNALS:
            stop(byte[0])
