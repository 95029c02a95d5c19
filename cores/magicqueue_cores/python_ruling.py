"""The verbs of the python core about queues that others have rules for."""

from magicqueue_cores.admission import admit_queue
from magicqueue_cores.python_reading import Reading


class Ruling(Reading):
    """A part of `PythonCore`, which sets the attributes."""

    def rule(self, queue: str, *, ruled: bool) -> None:
        """Say whether jobs of a queue are pulled under rules. O(1)."""
        table = self._table
        if ruled:
            table.queue_of(queue)
            table.ruled.add(queue)
        else:
            table.ruled.discard(queue)
            known = table.queues.get(queue)
            if known is not None:
                table.forget_unused(known)
        table.watch_room(queue)

    def refuse_queue(self, queue: str) -> None:
        """Raise `Full` if a queue of this name would be one too many."""
        admit_queue(self._table, queue)

    def processing(self, queue: str) -> int:
        """Count the active jobs of a queue. O(1)."""
        known = self._table.queues.get(queue)
        return 0 if known is None else known.active
