"""What befalls jobs of the python core other than by a plain verdict: as in the array core.

Each is decided here, recorded, and applied through `JobTable`.
"""

from collections.abc import Iterable, Sequence

from magicqueue_cores import records
from magicqueue_cores.contract import OnReady, RecordSink
from magicqueue_cores.dead_letters import DEATHS_SHOWN, OnDeath
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import Queue
from magicqueue_cores.python_taking import bury, remove
from magicqueue_cores.python_views import job_view


class Fates:
    """Decides over the jobs of a table; its callbacks are those of `make_core`."""

    def __init__(
        self,
        table: JobTable,
        on_ready: OnReady | None,
        record: RecordSink | None,
        on_death: OnDeath | None = None,
    ) -> None:
        self._table = table
        self._on_ready = on_ready
        self.record = record
        self._on_death = on_death

    def wake(self, queues: Iterable[Queue]) -> None:
        """Say that watched queues may have jobs now, if they have.

        Of ruled ones others may hand out held jobs.
        """
        if self._on_ready is None or not self._table.watched:
            return
        watched, roomy = self._table.watched, self._table.roomy
        for queue in dict.fromkeys(queues):
            if queue.name not in watched or queue.paused:
                continue
            if queue.ready.count or (queue.held and queue.name in roomy):
                self._on_ready(queue.name)

    def freed_by(self, ids: Iterable[int]) -> list[Queue]:
        """The ruled queues that somebody waits for, of which these jobs are."""
        jobs, roomy = self._table.jobs, self._table.roomy
        queues = [jobs[job_id].queue for job_id in ids if job_id in jobs]
        return [queue for queue in queues if queue.name in roomy]

    def retry(self, retried: dict[int, tuple[str | None, int]], now_ms: int) -> None:
        """Active jobs failed: `retried` has the error and next run_at of each."""
        ids = list(retried)
        errors, run_ats_ms = zip(*retried.values(), strict=True)
        if self.record:
            self.record(records.Failed(ids, errors, run_ats_ms, now_ms))
        self._table.retry(ids, errors, run_ats_ms, now_ms)
        self.wake(self._table.jobs[job_id].queue for job_id in ids)

    def lose(self, ids: Sequence[int], now_ms: int) -> None:
        """The workers of active jobs are gone."""
        lost_max, jobs = self._table.options.lost_max, self._table.jobs
        dying = [job_id for job_id in ids if jobs[job_id].lost_too_often(lost_max)]
        back = [job_id for job_id in ids if not jobs[job_id].lost_too_often(lost_max)]
        if back:
            if self.record:
                self.record(records.Lost(back))
            self._table.lose(back)
            self.wake(jobs[job_id].queue for job_id in back)
        errors = [job_view(job_id, jobs[job_id]).error for job_id in dying]
        self.bury(dying, records.WORKER_LOST, errors, now_ms)

    def release(self, ids: Sequence[int], run_at_ms: int) -> None:
        """Active jobs are given back; 0 is to their old place."""
        if self.record:
            self.record(records.Released(ids, run_at_ms))
        self._table.release(ids, run_at_ms)
        self.wake(self._table.jobs[job_id].queue for job_id in ids)

    def bury(
        self, ids: Sequence[int], reason: str, errors: Sequence[str | None], now_ms: int
    ) -> None:
        """Live jobs die; the oldest dead letters go if there are too many."""
        if not ids:
            return
        table = self._table
        if self.record:
            self.record(records.Died(ids, reason, errors, now_ms))
        bury(table, ids, reason, errors, now_ms)
        if self._on_death:
            shown = [job_view(job_id, table.jobs[job_id]) for job_id in ids[:DEATHS_SHOWN]]
            self._on_death(shown, len(ids))
        if table.roomy:
            self.wake(self.freed_by(ids))
        for queue in dict.fromkeys([table.jobs[job_id].queue for job_id in ids]):
            dropped = queue.dead.overflow()
            if dropped:
                if self.record:
                    self.record(records.Removed(dropped, "dropped"))
                remove(table, dropped, "dropped")
