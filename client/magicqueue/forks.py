"""What becomes of connections when the process forks.

The child has the parent's sockets, locks and buffers, but none of its threads and no place
of its own on the server: a request of the child's over the parent's connection would take
the parent's replies, or the parent the child's. So in the child, before any of its code
runs, whatever was registered here by `after_fork` starts anew: locks that some thread held
are replaced, and connections are let go of. They are closed in the child only, without a
word to the server, so the parent goes on undisturbed; and since they are closed at once, a
connection that the parent closes later is closed, however long a child lives.

What is run without Python's own fork (os.fork, multiprocessing) goes unnoticed.
"""

import contextlib
import os
import weakref
from typing import Final, Protocol

_parents: Final[list[object]] = []


class Forkable(Protocol):
    """What has something to do in a child process."""

    def forked(self) -> None:
        """Start anew; called in the child, where no other thread runs."""


_registered: Final["weakref.WeakSet[Forkable]"] = weakref.WeakSet()


def after_fork(thing: Forkable) -> None:
    """Have `forked` called in every child that is forked while the thing is alive."""
    _registered.add(thing)


def let_go(descriptor: int) -> None:
    """Close a socket in this process only, and leave its number taken.

    Whoever owns the number, such as an event loop of the parent's, may still close it,
    and must not find it to be another's by then.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.dup2(nowhere, descriptor, inheritable=False)
    finally:
        os.close(nowhere)


def keep(thing: object) -> None:
    """Keep what belongs to an event loop of the parent's alive, so that it does nothing.

    It would warn, or reach for its loop, if it were collected.
    """
    _parents.append(thing)


def _forked() -> None:
    for thing in list(_registered):
        with contextlib.suppress(Exception):
            thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
