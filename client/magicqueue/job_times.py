"""How long handlers of a worker take, counted along as a histogram.

All that a worker says of a job's end goes through its log (`job_log`), so times are counted
by a log of the same face. Labels are few: the queue, the task if it is one that the worker
knows, and how it came out.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from magicqueue.job import Job
from magicqueue.job_log import JobLog

BOUNDS_S: Final = (
    *(0.001, 0.005, 0.01, 0.05, 0.1, 0.5),
    *(1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
Cells: TypeAlias = Mapping[tuple[str, str, str], tuple[tuple[int, ...], float]]
"""By queue, task and outcome: jobs up to each bound and beyond the last, and their sum."""


class Logs(Protocol):
    """What jobs of a worker are held by."""

    log: JobLog


class Worker(Protocol):
    """What is to be measured."""

    @property
    def _runners(self) -> Sequence[Logs]: ...


class JobTimes:
    """Counts by time, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}

    def follow(self, worker: Worker) -> None:
        """Count the jobs of a worker that has not begun."""
        for runner in worker._runners:  # noqa: SLF001 - as what shows its counts
            runner.log = MeasuringLog(self)

    def note(self, queue: str, task: str, outcome: str, took_s: float) -> None:
        """Count one job."""
        with self._lock:
            counts, total = self._cell((queue, task, outcome))
            counts[bisect_left(BOUNDS_S, took_s)] += 1
            total[0] += took_s

    def add(self, cells: Cells) -> None:
        """Count what others counted."""
        with self._lock:
            for key, (counts, total_s) in cells.items():
                mine, total = self._cell(key)
                mine[:] = map(sum, zip(mine, counts, strict=True))
                total[0] += total_s

    def cells(self) -> Cells:
        """Copy all counts."""
        with self._lock:
            return {
                key: (tuple(counts), total[0])
                for key, (counts, total) in self._cells.items()
            }

    def _cell(self, key: tuple[str, str, str]) -> tuple[list[int], list[float]]:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = ([0] * (len(BOUNDS_S) + 1), [0.0])
        return cell


class MeasuringLog(JobLog):
    """The log of a worker whose jobs are counted."""

    wanted: Final = True
    """So the worker looks at the clock."""

    def __init__(self, times: JobTimes) -> None:
        super().__init__()
        self._times = times

    def done(self, jobs: Sequence[Job]) -> None:
        """Handlers have returned."""
        now = time.monotonic()
        for job in jobs:
            if job._took_s < 0:  # noqa: SLF001 - a worker's note on it
                job._took_s = now - job._started_at  # noqa: SLF001
            self._note(job, "done")
        super().done(jobs)

    def failed(self, job: Job) -> None:
        """A handler raised, or was over its time limit."""
        super().failed(job)
        self._note(job, "failed")

    def cancelled(self, job: Job) -> None:
        """A cancelled job has ended, or does not begin."""
        super().cancelled(job)
        if job._started_at:  # noqa: SLF001
            self._note(job, "cancelled")

    def _note(self, job: Job, outcome: str) -> None:
        took_s = job._took_s  # noqa: SLF001
        if took_s < 0:
            took_s = time.monotonic() - job._started_at if job._started_at else 0.0  # noqa: SLF001
        task = (job._labels or {}).get("task", "")  # noqa: SLF001
        self._times.note(job.queue, str(task), outcome, took_s)


def merged(some: Iterable[Cells]) -> JobTimes:
    """Count what several counted."""
    times = JobTimes()
    for cells in some:
        times.add(cells)
    return times
