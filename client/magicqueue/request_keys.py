"""Keys by which a server knows a push again, so that it may be sent twice.

A push whose connection broke may have been stored or not. With a key of its own it is sent
once more, over a new connection: the server remembers the keys of the pushes that it has
answered, and answers the same. It is told in HELLO whether a server does (`req_key`).

A key costs the server a look-up and something to remember, and the quickest path there
takes no line with one. So they are asked for: `Queue(…, repeat_pushes=True)`.
"""

import itertools
from collections.abc import Callable, Iterator

from magicqueue.forks import after_fork


class RequestKeys:
    """Makes the keys of one client: none if not `wanted`."""

    next: Callable[[], bytes]
    """Gives a key as the member of a request's object that it is, a comma before."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self.forked()
        after_fork(self)

    def forked(self) -> None:
        """Begin anew: two processes must not give the same; called in a child process."""
        # of each push: an iterator's own method is the quickest call there is
        keys = _keys() if self._wanted else itertools.repeat(b"")
        self.next = keys.__next__


def _keys() -> Iterator[bytes]:
    import secrets  # noqa: PLC0415 - slow, and only where keys are wanted

    client = secrets.token_hex(9).encode()
    return (b',"req_key":"%b-%d"' % (client, number) for number in itertools.count(1))
