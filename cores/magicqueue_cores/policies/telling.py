"""What is told of the layer as a whole, and of jobs that are here."""

from collections.abc import Sequence

from magicqueue_cores.policies.answers import Known, PolicyStats
from magicqueue_cores.policies.events import Events
from magicqueue_cores.policies.ground import LIMIT, THROTTLE, Ground
from magicqueue_cores.policies.mark_texts import text_of
from magicqueue_cores.policies.marks import Marks
from magicqueue_cores.policies.wishes import CANCELLED, DEAD, GroupedMark, Mark
from magicqueue_cores.records import Marked


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


def more_of(marks: Marks, queue: str, ids: Sequence[int]) -> list[Known | None] | None:
    """Return what a pull has to tell of these jobs of a queue; None if it is nothing."""
    if queue not in marks.telling and queue not in marks.seats.rounds:
        return None
    return [_pulled(marks.by_id.get(job_id)) for job_id in ids]


def _pulled(mark: Mark | None) -> Known | None:
    """Return what is told of a job that was just handed out."""
    if mark is None:
        return None
    cron = None if mark.cron is None else (mark.cron, mark.tick_ms)
    group = mark.line.group.name if isinstance(mark, GroupedMark) else None
    link = mark.terms.link
    return Known(group=group, cron=cron, parents=() if link is None else link.parents)


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
        cron=None if mark.cron is None else (mark.cron, mark.tick_ms),
        parents=() if terms.link is None else terms.link.parents,
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
