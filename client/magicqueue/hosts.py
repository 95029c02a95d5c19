"""Several hosts of which one serves at a time: in which order they are asked.

Servers that share a log beyond their machines listen only while they have it. One that was
paused, or whose machine is gone, may take a connection, or not even refuse it. So each host
has `TRY_S` to connect, and to answer HELLO, before the next one is asked; and the one whose
connection was lost comes last. With one host none of this is done. `finding` does the
asking, and `sync_finding` for blocking code.
"""

from typing import Final

from magicqueue.address import Address
from magicqueue.errors import ConnectionRefused, MagicQueueError, RequestTimeout

TRY_S: Final = 2.0


class Hosts:
    """The hosts of an address."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._each = address.each()
        self._first = 0
        self._reasons: list[str] = []

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self._each) > 1

    @property
    def current(self) -> Address:
        """The one that was found last, or is asked first."""
        return self._each[self._first]

    def lost(self) -> None:
        """Ask the one that was found last after all others."""
        self._first = (self._first + 1) % len(self._each)

    def failed(self, error: MagicQueueError) -> None:
        """Note why the current one does not serve, and go on to the next.

        Raises ConnectionRefused when all have been asked.
        """
        why = error.reason if isinstance(error, ConnectionRefused) else str(error)
        self._reasons.append(f"{self.current}: {why}")
        self.lost()
        if len(self._reasons) == len(self._each):
            reasons, self._reasons = self._reasons, []
            raise ConnectionRefused(str(self._address), "; ".join(reasons))

    def begin(self) -> None:
        """Ask all of them again."""
        self._reasons.clear()


def try_s(timeout_s: float) -> float:
    """How long a host has to connect, and again to answer."""
    return min(timeout_s, TRY_S)


def silent(seconds: float) -> RequestTimeout:
    """Say that a host does not answer."""
    return RequestTimeout(f"it takes connections, and does not answer within {seconds:g} s")
