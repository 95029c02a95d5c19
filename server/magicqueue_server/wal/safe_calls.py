"""Who wants to be told when something is on the disk."""

from collections import deque
from collections.abc import Callable
from typing import Final

_ALL: Final = 1 << 63


class SafeCalls:
    """Calls that wait until the groups up to one are on the disk, or never will be."""

    def __init__(self) -> None:
        self._durable = 0
        self._wanted: deque[tuple[int, Callable[[], None]]] = deque()

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._wanted)

    def add(self, group: int, call: Callable[[], None]) -> None:
        """Call when groups up to this one are on the disk; at once if they are."""
        self._wanted.append((group, call))
        self.tell(self._durable)

    def tell(self, durable: int) -> None:
        """Groups up to this one are on the disk."""
        self._durable = max(durable, self._durable)
        while self._wanted and self._wanted[0][0] <= self._durable:
            self._wanted.popleft()[1]()

    def give_up(self) -> None:
        """Nothing more will be on the disk: there is nothing to wait for."""
        self.tell(_ALL)
