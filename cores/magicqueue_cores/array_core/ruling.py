"""The verbs of the array core about queues that others have rules for."""

from magicqueue_cores.array_core.admitting import refuse_queue
from magicqueue_cores.array_core.reading import Reading
from magicqueue_cores.kernels import layout as lo


class Ruling(Reading):
    """A part of `ArrayCore`, which sets the attributes."""

    def rule(self, queue: str, *, ruled: bool) -> None:
        """Say whether jobs of a queue are pulled under rules. O(1)."""
        known = self._queues.of(queue) if ruled else self._queues.by_name.get(queue)
        if known is not None:
            self._queues.rule(known, ruled=ruled)
            if not ruled:
                self._queues.forget_unused(known)

    def refuse_queue(self, queue: str) -> None:
        """Raise `Full` if a queue of this name would be one too many."""
        refuse_queue(self._store, queue)

    def processing(self, queue: str) -> int:
        """Count the active jobs of a queue. O(1)."""
        known = self._queues.by_name.get(queue)
        if known is None:
            return 0
        return int(self._store.memory.words[known.at + lo.Q_PROCESSING])
