"""What systemd is told, where a unit says Type=notify: ready, alive, stopping.

A datagram to the socket that NOTIFY_SOCKET names, by the process that systemd started:
a server, or a worker (which is ready once all its processes work, and alive as often as it
touches a health file). With WatchdogSec= in the unit, who does not say for so long that it
is alive is started anew.
"""

import os
import socket
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


def is_wanted() -> bool:
    """Whether anybody wants to be told."""
    return bool(os.environ.get(VARIABLE))


def tell(*words: str) -> None:
    """Tell systemd, if it wants to be told; one that does not listen is none's trouble."""
    path = os.environ.get(VARIABLE, "")
    if not path:
        return
    if path.startswith("@"):
        path = f"\0{path[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(0)
            to.sendto("\n".join(words).encode(), path)
    except OSError:
        return


def ready() -> None:
    """It works, and is alive."""
    tell("READY=1", "WATCHDOG=1", f"MAINPID={os.getpid()}")


def alive() -> None:
    """It still is."""
    tell("WATCHDOG=1")


def stopping() -> None:
    """No more is taken."""
    tell("STOPPING=1")
