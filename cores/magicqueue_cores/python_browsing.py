"""How the python core goes through jobs by id, and through its orders from the front.

Ids rise and most are close together, so those that are in use are found by asking for one
after another, in the order of ids, whatever the dict's own order is. Where a long gap shows
that hardly any are in use, the dict is asked for the next one instead, in one go.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from magicqueue_cores.browsing import (
    OTHERS_MAX,
    Scanned,
    has_any,
    jobs_page,
    too_far,
    turn_page,
)
from magicqueue_cores.contract import (
    TURN_JOBS_MAX,
    JobsPage,
    JobState,
    Place,
    Search,
    TurnPage,
)
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.python_job import Job, Queue
from magicqueue_cores.python_views import job_view, queue_stats

_ASKED_AT_ONCE: Final = 1024
_GAP: Final = 4096
_MISSES_MAX: Final = 200_000
_SORTED_MAX: Final = 50_000


def browse(
    table: JobTable,
    search: Search,
    after_id: int,
    count: int,
    scan_max: int,
    payload_bytes_max: int,
) -> JobsPage:
    """Look through jobs behind `after_id`; see the contract."""
    queue: Queue | None = None
    if search.queue is not None:
        queue = table.queues.get(search.queue)
        if queue is None:
            return JobsPage([], None, 0, 0)
        if not has_any(queue_stats(table, queue, 0), queue.held, search.states):
            return JobsPage([], None, 0, 0)
    ids, upto = _ids_behind(table.jobs, table.last_id, after_id, scan_max + 1)
    more = len(ids) > scan_max or upto is not None
    if len(ids) > scan_max or upto is None:
        end_id = ids[:scan_max][-1] if ids else after_id
    else:
        end_id = upto
    scanned = Scanned(min(len(ids), scan_max), end_id, more=more)
    contains = search.contains

    def fits(job_id: int) -> bool:
        return contains in table.jobs[job_id].payload

    return jobs_page(
        _fitting(table, ids[:scan_max], queue, search.states),
        scanned,
        fits if contains else None,
        lambda job_id: job_view(job_id, table.jobs[job_id]),
        count,
        payload_bytes_max,
    )


def _fitting(
    table: JobTable, ids: list[int], queue: Queue | None, states: frozenset[JobState]
) -> Iterator[tuple[int, int, int, int]]:
    every = len(states) == len(JobState)
    for place, job_id in enumerate(ids, 1):
        job = table.jobs[job_id]
        if queue is not None and job.queue is not queue:
            continue
        if every or job.state in states:
            yield place, job_id, len(job.payload), job_id


def _ids_behind(
    jobs: Mapping[int, Job], last_id: int, after_id: int, most: int
) -> tuple[list[int], int | None]:
    """Return the next ids in use, `most` at most, and the id up to which they are all.

    None instead of that: to the end.
    """
    ids: list[int] = []
    at, gap, missed = after_id, 0, 0
    long_gap = max(_GAP, min(len(jobs), _MISSES_MAX))
    while at < last_id and missed < _MISSES_MAX:
        end = min(at + _ASKED_AT_ONCE, last_id)
        found = list(filter(jobs.__contains__, range(at + 1, end + 1)))
        ids += found
        if len(ids) >= most:
            return ids[:most], ids[most - 1]
        missed += end - at - len(found)
        gap = 0 if found else gap + end - at
        at = end
        if gap >= long_gap and len(jobs) <= _SORTED_MAX:
            ids += sorted(filter(at.__lt__, jobs))
            return ids[:most], None if len(ids) <= most else ids[most - 1]
        if gap >= long_gap:
            following = min(filter(at.__lt__, jobs), default=None)
            return ids, None if following is None else following - 1
    return ids, at if at < last_id else None


def in_turn(
    table: JobTable,
    queue: str,
    state: JobState,
    after: Place | None,
    count: int,
    payload_bytes_max: int,
) -> TurnPage:
    """List the first jobs of a queue in the order they will come; see the contract."""
    known = table.queues.get(queue)
    if known is None or state is JobState.HELD:
        return TurnPage([], None)
    entries = _ORDERS[state](table, known, after)
    view = table.jobs.__getitem__
    return turn_page(
        entries, lambda job_id: job_view(job_id, view(job_id)), count, payload_bytes_max
    )


def _ready(
    table: JobTable, queue: Queue, after: Place | None
) -> Iterator[tuple[Place, int]]:
    return queue.ready.in_turn(after, table.jobs)


def _delayed(
    table: JobTable, queue: Queue, after: Place | None
) -> Iterator[tuple[Place, int]]:
    return ((place, place[1]) for place in table.delayed.in_turn(queue.name, after))


def _active(
    table: JobTable, queue: Queue, after: Place | None
) -> Iterator[tuple[Place, int]]:
    told = others = 0
    for until_ms, ids in table.leases.in_turn():
        mine = sorted(job_id for job_id in ids if table.jobs[job_id].queue is queue)
        others += len(ids) - len(mine)
        for job_id in mine:
            if after is None or (until_ms, job_id) > after:
                yield (until_ms, job_id), job_id
            told += 1
            if told >= min(queue.active, TURN_JOBS_MAX):
                return
        if others > OTHERS_MAX:
            raise too_far(queue.name, JobState.ACTIVE)


def _dead(
    table: JobTable, queue: Queue, after: Place | None
) -> Iterator[tuple[Place, int]]:
    for job_id in queue.dead.first(TURN_JOBS_MAX):
        place = (table.jobs[job_id].place, 0)
        if after is None or place > after:
            yield place, job_id


_ORDERS: Final = {
    JobState.READY: _ready,
    JobState.DELAYED: _delayed,
    JobState.ACTIVE: _active,
    JobState.DEAD: _dead,
}
