"""The verbs of the python core that only look: what is here, and how much of it."""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.contract import (
    CoreStats,
    DeadPage,
    JobsPage,
    JobState,
    JobView,
    Place,
    QueueStats,
    Search,
    TurnPage,
)
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_browsing import browse, in_turn
from magicqueue_cores.python_moves import export_jobs
from magicqueue_cores.python_views import core_stats, dead_page, job_view, queue_stats


class Reading:
    """A part of `PythonCore`, which sets the attributes and has the verb `advance`."""

    _table: JobTable
    _due_ms: int

    def advance(self, now_ms: int) -> None:
        """Let time pass."""
        raise NotImplementedError

    def dead(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        after_id: int | None,
        now_ms: int,
    ) -> DeadPage:
        """List dead letters behind `after_id`; raises `NotFound` for a lost cursor."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return dead_page(self._table, queue, count, payload_bytes_max, after_id)

    def job(self, job_id: int, now_ms: int) -> JobView | None:
        """Look one job up. O(1)."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        job = self._table.jobs.get(job_id)
        return None if job is None else job_view(job_id, job)

    def browse(
        self,
        search: Search,
        after_id: int,
        count: int,
        scan_max: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> JobsPage:
        """Look through jobs behind `after_id`, by id. O(scanned), but for long gaps."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return browse(self._table, search, after_id, count, scan_max, payload_bytes_max)

    def in_turn(
        self,
        queue: str,
        state: JobState,
        after: Place | None,
        count: int,
        payload_bytes_max: int,
        now_ms: int,
    ) -> TurnPage:
        """List the first jobs of a queue in the order they will come, behind `after`."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return in_turn(self._table, queue, state, after, count, payload_bytes_max)

    def stats(self, now_ms: int) -> CoreStats:
        """Totals over all queues. O(1) amortised."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        return core_stats(self._table, now_ms)

    def queue_stats(self, queue: str, now_ms: int) -> QueueStats:
        """Counts of one queue, zeros if it is unknown. O(1) amortised."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        known = self._table.queues.get(queue)
        return (
            QueueStats(queue) if known is None else queue_stats(self._table, known, now_ms)
        )

    def queues(
        self,
        now_ms: int,
        count: int | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> list[QueueStats]:
        """Counts of known queues, by name; see the contract. O(log q + count)."""
        if now_ms >= self._due_ms:
            self.advance(now_ms)
        table = self._table
        names = table.names.page(count, after, prefix)
        return [queue_stats(table, table.queues[name], now_ms) for name in names]

    def export(self, ids: Sequence[int]) -> records.Moved:
        """Tell the whole state of those of `ids` that are here. O(1) a job."""
        return export_jobs(self._table, ids)
