"""Sockets that systemd listens at for a server, and hands to it when it starts.

With a socket unit those who connect while the server restarts wait in the system's queue
instead of being refused. LISTEN_FDS says how many there are, from file descriptor 3 on,
LISTEN_PID for whom, and LISTEN_FDNAMES how they are called: the one called "http" is for
HTTP, all others are for jobs. They are systemd's: their files are not ours to remove.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

import msgspec

_FIRST: Final = 3
HTTP: Final = "http"


class Inherited(msgspec.Struct, frozen=True):
    """What was handed over: sockets for jobs, and for HTTP."""

    jobs: tuple[socket.socket, ...] = ()
    http: tuple[socket.socket, ...] = ()


def inherited(environ: Mapping[str, str]) -> Inherited:
    """Take what is there, once: child processes are not for it. Raises OSError."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return Inherited()
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    jobs: list[socket.socket] = []
    http: list[socket.socket] = []
    for number in range(int(count) if count.isdecimal() else 0):
        descriptor = _FIRST + number
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - Python's own
        name = names[number] if number < len(names) else ""
        (http if name == HTTP else jobs).append(socket.socket(fileno=descriptor))
    return Inherited(tuple(jobs), tuple(http))
