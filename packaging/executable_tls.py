"""The main module of the executable that speaks TLS: as `executable`, with Python's ssl."""

import sys

sys.frozen = True  # type: ignore[attr-defined]  # the usual name for an executable's Python

from magicqueue.cli import main  # noqa: E402 - it may look at what was just said

if __name__ == "__main__":
    main()
