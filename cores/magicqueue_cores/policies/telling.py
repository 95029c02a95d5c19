"""What is told of the layer as a whole, and of jobs that are here."""

from collections.abc import Sequence

import msgspec

from magicqueue_cores.policies.answers import Known, PolicyStats
from magicqueue_cores.policies.events import Events
from magicqueue_cores.policies.ground import LIMIT, THROTTLE, Ground
from magicqueue_cores.policies.mark_texts import text_of
from magicqueue_cores.policies.marks import Marks
from magicqueue_cores.policies.wishes import CANCELLED, DEAD, GroupedMark, Mark
from magicqueue_cores.records import Marked


class Pulled(msgspec.Struct, frozen=True):
    """What a pull tells of its jobs beside what all jobs have.

    groups: the group of each. crons: the cron that pushed it, and the tick; None: no job
    is of one, nor depends on others. parents: then the jobs that each depends on.
    """

    groups: list[str | None]
    crons: list[tuple[str, int] | None] | None = None
    parents: Sequence[Sequence[int]] = ()


def stats_of(ground: Ground, events: Events) -> PolicyStats:
    """Count what is kept. O(1)."""
    marks = ground.marks
    return PolicyStats(
        marked=len(marks.by_id),
        unique_keys=marks.keys.count,
        windows=len(ground.windows),
        req_keys=len(ground.requests),
        results=len(ground.results),
        result_bytes=ground.results.bytes,
        cancelling=len(marks.doomed),
        groups=marks.seats.count,
        limited=len(ground.shelves[LIMIT]),
        throttled=len(ground.shelves[THROTTLE]),
        windows_dropped=ground.windows.dropped,
        req_keys_dropped=ground.requests.dropped,
        results_dropped=ground.results.dropped,
        progress_dropped=marks.notebook.dropped,
        subscribers=events.subscribers,
        events_dropped=events.dropped,
    )


def more_of(marks: Marks, queue: str, ids: Sequence[int]) -> Pulled | None:
    """Return what a pull has to tell of these jobs of a queue; None if it is nothing."""
    telling = queue in marks.telling
    if not telling and queue not in marks.seats.rounds:
        return None
    found = list(map(marks.by_id.get, ids))
    groups = [
        mark.line.group.name if isinstance(mark, GroupedMark) else None for mark in found
    ]
    if not telling:
        return Pulled(groups)
    return Pulled(groups, list(map(_cron_of, found)), list(map(_parents_of, found)))


def _cron_of(mark: Mark | None) -> tuple[str, int] | None:
    """Return the cron that pushed a job, and the tick."""
    return None if mark is None or mark.cron is None else (mark.cron, mark.tick_ms)


def _parents_of(mark: Mark | None) -> tuple[int, ...]:
    """Return the jobs that a job depends on."""
    return () if mark is None or mark.terms.link is None else mark.terms.link.parents


def known_of(marks: Marks, job_id: int) -> Known:
    """Return what is known of a job that is here."""
    mark = marks.by_id.get(job_id)
    if mark is None:
        return Known()
    terms, alive = mark.terms, not mark.flags & DEAD
    return Known(
        unique_key=mark.key,
        group=mark.line.group.name if isinstance(mark, GroupedMark) else None,
        expires_at_ms=(mark.expires_at_ms or None) if alive else None,
        timeout_ms=terms.timeout_ms or None,
        keep_result_ms=terms.keep_result_ms or None,
        attempt_until_ms=mark.attempt_until_ms or None,
        cancelled=bool(mark.flags & CANCELLED),
        progress=marks.notebook.get(job_id),
        cron=_cron_of(mark),
        parents=_parents_of(mark),
        on_parent_failure=None if terms.link is None else terms.link.rule,
    )


def marked_of(marks: Marks, ids: Sequence[int]) -> list[Marked]:
    """Return the records that tell the marks of jobs, as far as these say anything."""
    by_queue: dict[str, tuple[list[int], list[bytes]]] = {}
    for job_id, mark in marks.among(ids):
        if not mark.is_bare:
            found, texts = by_queue.setdefault(mark.terms.queue, ([], []))
            found.append(job_id)
            texts.append(text_of(mark))
    return [Marked(queue, *columns) for queue, columns in by_queue.items()]
