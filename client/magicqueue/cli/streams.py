"""Standard streams that were closed before the process began, as daemons and cron do it.

The next file that is opened would take the number of a closed one, and what is meant for
people would land in a socket or in a log of jobs. So each is opened anew, on nothing:
standard input and output the wrong way round, so that whoever needs them is told so, where
an empty input or a lost output would look like success; standard error as a sink, since
there is nobody to tell.
"""

import os
import sys
from typing import Final

_NOWHERE: Final = ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY))


def open_closed() -> None:
    """Open 0, 1 and 2 where they are closed, before anything else is opened."""
    for number, flags in _NOWHERE:
        try:
            os.fstat(number)
        except OSError:
            try:
                opened = os.open(os.devnull, flags)
            except OSError:
                return  # not even /dev/null: Python's own streams are None then
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    # Python has None for a stream that was closed when it began.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for good
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - the same
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - the same
