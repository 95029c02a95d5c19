"""Queues whose pulls the core leaves to others, each for one reason or more."""

from magicqueue_cores.contract import Core


class Ruled:
    """Which queues the core has to leave pulls of (`Core.rule`), and why."""

    def __init__(self, core: Core) -> None:
        """Start without any."""
        self._core = core
        self._whys: dict[str, set[str]] = {}

    def add(self, queue: str, why: str) -> None:
        """Have a reason to rule a queue. O(1)."""
        whys = self._whys.get(queue)
        if whys is None:
            whys = self._whys[queue] = set()
            self._core.rule(queue, ruled=True)
        whys.add(why)

    def drop(self, queue: str, why: str) -> None:
        """Have it no more. O(1)."""
        whys = self._whys.get(queue)
        if whys is not None:
            whys.discard(why)
            if not whys:
                del self._whys[queue]
                self._core.rule(queue, ruled=False)
