"""The verbs of the array core that only look: what is here, and how much of it."""

from collections.abc import Sequence

from magicqueue_cores import records
from magicqueue_cores.array_core.browsing import browse, in_turn
from magicqueue_cores.array_core.moves import export_jobs
from magicqueue_cores.array_core.queues import Queues
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.array_core.views import core_stats, dead_page
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


class Reading:
    """A part of `ArrayCore`, which sets the attributes and has the verb `advance`."""

    _store: Store
    _queues: Queues

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
        self.advance(now_ms)
        return dead_page(self._store, queue, count, payload_bytes_max, after_id)

    def job(self, job_id: int, now_ms: int) -> JobView | None:
        """Look one job up. O(1)."""
        self.advance(now_ms)
        slot = self._store.find(job_id)
        return self._store.view(slot) if slot else None

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
        self.advance(now_ms)
        return browse(self._store, search, after_id, count, scan_max, payload_bytes_max)

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
        self.advance(now_ms)
        return in_turn(self._store, queue, state, after, count, payload_bytes_max)

    def stats(self, now_ms: int) -> CoreStats:
        """Totals over all queues. O(1) amortised."""
        self.advance(now_ms)
        return core_stats(self._store, now_ms)

    def queue_stats(self, queue: str, now_ms: int) -> QueueStats:
        """Counts of one queue, zeros if it is unknown. O(1) amortised."""
        self.advance(now_ms)
        known = self._queues.by_name.get(queue)
        return QueueStats(queue) if known is None else self._queues.stats(known, now_ms)

    def queues(
        self,
        now_ms: int,
        count: int | None = None,
        after: str | None = None,
        prefix: str = "",
    ) -> list[QueueStats]:
        """Counts of known queues, by name; see the contract. O(log q + count)."""
        self.advance(now_ms)
        queues = self._queues
        names = queues.names.page(count, after, prefix)
        return [queues.stats(queues.by_name[name], now_ms) for name in names]

    def export(self, ids: Sequence[int]) -> records.Moved:
        """Tell the whole state of those of `ids` that are here. O(1) a job."""
        return export_jobs(self._store, ids)
