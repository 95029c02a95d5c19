"""Which queues are pulled under rules that the core does not know, and why.

Reasons come and go one by one, and whoever has one says so: limits, jobs of which a pull
tells more than the core knows, and jobs that take turns by group. The core is told of the
first one and of the end of the last.
"""

from collections.abc import Callable
from typing import Final

from magicqueue_cores.contract import Core

LIMITED: Final = 1
"""The queue has a gate, which may be shut."""
TELLING: Final = 2
"""It has jobs of which a pull tells more than the core knows."""
GROUPED: Final = 4
"""It has jobs with a group, which take turns."""


class Ruling:
    """Reasons by queue, as bits."""

    def __init__(self, core: Core) -> None:
        """Start without rules."""
        self._core = core
        self._reasons: dict[str, int] = {}
        self.on_change: Callable[[], None] = _nothing
        """Called when there are ruled queues, or none any more; must not call back."""

    @property
    def any(self) -> bool:
        """Whether there are ruled queues: pulls of these have to go through the layer."""
        return bool(self._reasons)

    def rule(self, queue: str, why: int, *, holds: bool) -> None:
        """Have a reason hold for a queue, or not. O(1)."""
        before = self._reasons.get(queue, 0)
        reasons = before | why if holds else before & ~why
        if reasons == before:
            return
        if reasons:
            self._reasons[queue] = reasons
        else:
            del self._reasons[queue]
        if not before or not reasons:
            self._core.rule(queue, ruled=holds)
            if len(self._reasons) == holds:
                self.on_change()

    def check(self, why: int, queues: set[str]) -> None:
        """Verify for which queues a reason holds: AssertionError names what is broken."""
        found = {queue for queue, reasons in self._reasons.items() if reasons & why}
        assert found == queues, f"rules are not where reason {why} is"


def _nothing() -> None:
    """Do nothing."""
