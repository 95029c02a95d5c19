"""Memory that is not needed any more goes back to the system, in time and in steps.

Once a second the core is asked what it keeps for later. If that is much, and still is a
moment later, so that it is no busy server's coming and going, it is given back a part in a
turn; then the C heap gives back what is free at its end and in whole pages.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from magicqueue_cores.contract import Core
from magicqueue_server.turns import Turns

SPARE_BYTES_MAX: Final = 32 * 2**20
"""What is kept for the next jobs without being asked about."""
AGAIN_S: Final = 0.2


class Trimmer:
    """Looks after the memory of a core.

    trim_heap: has the C heap give back what is free.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: Core,
        turns: Turns,
        trim_heap: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._core = core
        self._turns = turns
        self._trim_heap = trim_heap
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Begin, if there is much to give back; called once a second."""
        if not self._busy and self._core.spare_bytes > SPARE_BYTES_MAX:
            self._busy = True
            self._timer = self._loop.call_later(AGAIN_S, self._look_again)

    def close(self) -> None:
        """Begin nothing any more."""
        self._busy = True
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        self._busy = False
        if self._core.spare_bytes > SPARE_BYTES_MAX:
            self._go_on()

    def _step(self) -> None:
        self._busy = False  # also where a step fails: the next look begins anew
        if self._core.trim():
            self._trim_heap()
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._busy = True
        self._turns.go_on_later(self._step)
