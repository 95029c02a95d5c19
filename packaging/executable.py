"""The executable's main module: the command line, which learns here that it is frozen."""

import sys

from magicqueue.cli import main

sys.frozen = True  # type: ignore[attr-defined]  # the usual name for an executable's Python

if __name__ == "__main__":
    main()
