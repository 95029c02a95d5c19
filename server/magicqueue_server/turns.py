"""Turns: when what has arrived has been read and has run.

The event loop looks at all sockets at once (a *poll*) and then runs what they brought. So
whoever wants to act on everything that had arrived by now, as a lease that ends while its
heartbeat lies unread, has to let one whole poll pass first, and more of them as long as a
read filled its buffer, since then the socket may hold more.
"""

from collections.abc import Callable
from typing import Final

POLLS_MAX: Final = 16
"""So often at most is waited for a connection that always has more: 4 MiB of each."""


class Turns:
    """Knows whether something that had arrived still waits.

    soon: has a function called, with its arguments, after what is to be called already,
    and with a poll in between if that is called from one that it called (the loop's
    `call_soon`).
    """

    def __init__(self, soon: Callable[..., object]) -> None:
        self._soon = soon
        self._leftovers = 0

    def more_to_read(self) -> None:
        """Say that a socket may hold more than was just read of it."""
        self._leftovers += 1

    def when_all_had_a_turn(self, call: Callable[[], None]) -> None:
        """Call once everything that had arrived by now has been read and had its turn.

        What had arrived is what the sockets of open connections hold at this moment, and
        lines that were read already. It has had its turn when it has run, or cannot run
        yet: behind a pull that waits, or with replies that are not read. A connection that
        sends without end delays the call by `POLLS_MAX` polls at most. It never comes from
        within this method; a connection that is yet to be accepted does not count.
        """
        self._soon(self._ask, call, 0, 0)

    def _ask(self, call: Callable[[], None], polls: int, leftovers: int) -> None:
        """Call if the last poll left nothing over, else let another one pass."""
        caught_up = polls and self._leftovers == leftovers
        if caught_up or polls == POLLS_MAX:
            call()
        else:
            self._soon(self._ask, call, polls + 1, self._leftovers)
