"""The executable's main module: the command line, which learns here that it is frozen."""

import sys

import no_tls

sys.modules["ssl"] = no_tls
sys.frozen = True  # type: ignore[attr-defined]  # the usual name for an executable's Python

from magicqueue.cli import main  # noqa: E402 - it may import uvloop, which asks for ssl

if __name__ == "__main__":
    main()
