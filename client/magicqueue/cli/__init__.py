"""The command `magicqueue`: a group whose commands are imported when they are used.

`group` lists the commands, `run` turns what they raise into sentences and exit codes, and
each command is in a module named after it or its kind. Ctrl-C ends the process at once,
in C code and during imports too, unless a command asks for KeyboardInterrupt to tidy up
first (`interrupts`).
"""

import sys

from magicqueue.cli.interrupts import end_at_once
from magicqueue.cli.streams import open_closed


def main() -> None:
    """Run the command line and exit with its code."""
    end_at_once()
    open_closed()
    from magicqueue.cli.run import run  # noqa: PLC0415 - Ctrl-C is dealt with first

    sys.exit(run(sys.argv[1:]))
