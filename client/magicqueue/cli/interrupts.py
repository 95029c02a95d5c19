"""What Ctrl-C does: end the process at once, or raise KeyboardInterrupt to tidy up."""

import os
import signal
import sys
from types import FrameType
from typing import Final

EXIT_INTERRUPTED: Final = 130


def end_at_once() -> None:
    """Let Ctrl-C kill the process, as it does a program in C.

    The kernel does it, so it also works while a name is looked up. A process that was
    started with Ctrl-C ignored (by nohup, say) keeps ignoring it. The kernel spares
    process 1, the first of a container, which needs a handler.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    signal.signal(signal.SIGINT, _exit if os.getpid() == 1 else signal.SIG_DFL)


def raise_it() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP unwind the program too, so that it tidies up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _unwind)


def _unwind(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_INTERRUPTED)
