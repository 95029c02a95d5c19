"""What browsing means for any core: when a page ends, and what is told of where it did."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from magicqueue_cores.contract import (
    JobsPage,
    JobState,
    JobView,
    Place,
    QueueStats,
    TooFar,
    TurnPage,
)

T = TypeVar("T")

OTHERS_MAX: Final = 50_000
"""So many jobs of other queues are passed over in an order that all queues share."""
_COUNTS: Final = {
    JobState.READY: "queued",
    JobState.DELAYED: "delayed",
    JobState.ACTIVE: "processing",
    JobState.DEAD: "dead",
}


def has_any(stats: QueueStats, held: int, states: frozenset[JobState]) -> bool:
    """Return whether a queue has a job in one of the states. held: how many are held."""
    return any(
        held if state is JobState.HELD else getattr(stats, _COUNTS[state])
        for state in states
    )


class Scanned:
    """How far a scan of ids went: `count` jobs up to `end_id`; `more`: not to the end."""

    __slots__ = ("count", "end_id", "more")

    def __init__(self, count: int, end_id: int, *, more: bool) -> None:
        self.count = count
        self.end_id = end_id
        self.more = more


def jobs_page(
    fitting: Iterable[tuple[int, int, int, T]],
    scanned: Scanned,
    fits: Callable[[T], bool] | None,
    view: Callable[[T], JobView],
    count: int,
    payload_bytes_max: int,
) -> JobsPage:
    """Make a page of a scan.

    fitting: of jobs that fit by queue and state, the place in the scan from 1, the id, the
    size of the payload, and what `fits` (by payload) and `view` take.
    """
    jobs: list[JobView] = []
    size = 0
    for place, job_id, payload_bytes, job in fitting:
        if size and size + payload_bytes > payload_bytes_max:
            return JobsPage(jobs, job_id - 1, place - 1, size)
        size += payload_bytes
        if fits is not None and not fits(job):
            continue
        jobs.append(view(job))
        if len(jobs) >= count and (scanned.more or place < scanned.count):
            return JobsPage(jobs, job_id, place, size)
    return JobsPage(jobs, scanned.end_id if scanned.more else None, scanned.count, size)


def turn_page(
    entries: Iterable[tuple[Place, T]],
    view: Callable[[T], JobView],
    count: int,
    payload_bytes_max: int,
) -> TurnPage:
    """Make a page of jobs in order, each with its place."""
    jobs: list[JobView] = []
    last: Place | None = None
    for place, entry in entries:
        if len(jobs) >= count:
            return TurnPage(jobs, last)
        job = view(entry)
        payload_bytes_max -= len(job.payload)
        if jobs and payload_bytes_max < 0:
            return TurnPage(jobs, last)
        jobs.append(job)
        last = place
    return TurnPage(jobs, None)


def too_far(queue: str, state: JobState) -> TooFar:
    """Say that an order cannot be listed at a price that others do not feel."""
    return TooFar(
        f"more than {OTHERS_MAX} {state.name.lower()} jobs of other queues come before"
        f" those of {queue!r}: list them by id instead"
    )
