"""Marked jobs of the python core, and who is told what befalls them and others.

The ids are in the table, as far as their jobs are. While there are none, reports go to the
log alone, so nobody pays for marks who has none. So it is with those who listen to rare
turns of all jobs.
"""

from collections.abc import Iterable
from typing import Final

from magicqueue_cores.contract import RecordSink
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.records import Acked, Record, Removed
from magicqueue_cores.turns import Ears

_ENDS: Final = (Acked, Removed)


class Marks:
    """Passes records on: to the log, and those of marked jobs to the observer."""

    def __init__(self, table: JobTable, record: RecordSink | None) -> None:
        self._table = table
        self._record = record
        self.observer: RecordSink | None = None
        self.ears: Final = Ears(self._queue_of)

    @property
    def sink(self) -> RecordSink | None:
        """Where reports go as things are."""
        told = self._table.marked or self.ears.sink is not None
        return self._tell if told else self._record

    def mark(self, ids: Iterable[int], *, marked: bool) -> None:
        """Mark those of the jobs that are here, or let them be as others."""
        if marked:
            self._table.marked.update(filter(self._table.jobs.__contains__, ids))
        else:
            self._table.marked.difference_update(ids)

    def forget(self, record: Record) -> None:
        """Forget the marks of jobs that are gone by a record."""
        if isinstance(record, _ENDS):
            self._table.marked.difference_update(record.ids)

    def _tell(self, record: Record) -> None:
        if self._record is not None:
            self._record(record)
        self.ears.hear(record)
        ids = getattr(record, "ids", ())
        if not self._table.marked.isdisjoint(ids):
            if self.observer is not None:
                self.observer(record)
            self.forget(record)

    def _queue_of(self, job_id: int) -> str | None:
        job = self._table.jobs.get(job_id)
        return None if job is None else job.queue.name
