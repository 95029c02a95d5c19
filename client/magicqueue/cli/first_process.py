"""A worker as process 1, as in a container: what handlers leave behind is reaped.

Process 1 inherits the orphans of all others, and who does not wait for them collects
zombies. But a Python that waits for any child takes the ends of those that multiprocessing
and subprocess wait for. So process 1 does nothing else: it starts the worker as its child,
hands signals on, waits for whoever ends, and ends as the worker did.
"""

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Final

_HANDED_ON: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def work_below_first_process() -> None:
    """Return in a child process if this one is process 1, and at once if not."""
    if os.getpid() == 1:
        be_first_process()


def be_first_process(handed_on: Iterable[signal.Signals] = _HANDED_ON) -> None:
    """Return in a child process; this one waits for it, and exits as it does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)
    worker = os.fork()
    if worker == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return

    def hand_on(number: int, _: FrameType | None) -> None:
        os.kill(worker, number)

    for number in handed_on:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    while True:
        ended, status = os.wait()
        if ended == worker:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
