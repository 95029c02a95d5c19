"""What a history tells about order, and about jobs that are hidden.

**Order.** Let job A come before job B: A's priority is higher, or it is the same and A's
push was answered before B's began, or both are of one push and A is the earlier item. If
then B is handed out by a pull that ends before A's first pull begins, and A was there and
ready when B's began, then B went first by force, and that is wrong. In one reply jobs of
a higher priority come first, and A before B. What is known for that:

- A counts only until it is handed out for the first time: its place is its push's as long
  as nobody had it, and a job that comes back after a failure gets a new one, at the end.
  For the same reason every attempt at B counts: its place is never before its push's.
- A's first hand-out is known if a client heard of attempt 1, or after a look that shows
  a ready job without an attempt; else a lost reply may have had it.
- A delayed job is never A: its moment is not known.
- A push that nobody heard of is never A's; it may have happened late.
- A lost reply may have had A and be forgotten with the server that gave it. So nothing is
  told by a pull in the life of a server that ended, from the first of its pulls on that
  nobody heard of.

**Nothing is hidden.** A pull that finds nothing while such a job A was there from before
its start until after its end is wrong too, unless its queue was ever paused before.

Both are questions of the kind "of all A that were there before a moment, which was handed
out last?": answered by going through moments in order with a Fenwick tree over priorities,
O(log n) each.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from history.jobs import Job, Jobs
from history.operations import NEVER, Pull

_NOBODY: Final = (-1, 0)


class _Latest:
    """The largest value at any rank below a given one; ranks begin with 0."""

    def __init__(self, ranks: int) -> None:
        self._tree = [_NOBODY] * (ranks + 1)

    def add(self, rank: int, value: tuple[int, int]) -> None:
        at = rank + 1
        while at < len(self._tree):
            self._tree[at] = max(self._tree[at], value)
            at += at & -at

    def below(self, rank: int) -> tuple[int, int]:
        best = _NOBODY
        while rank:
            best = max(best, self._tree[rank])
            rank &= rank - 1
        return best


def first_handed_out(job: Job) -> int:
    """Until this moment, at least, nobody had the job; -1 if that is not known."""
    until = -1
    if job.deliveries and job.deliveries[0].attempt == 1:
        until = job.deliveries[0].pull.start
    fresh = (
        look.start
        for look, row in job.looks
        if row is not None and row.state == "ready" and row.attempts == 0
    )
    return max(until, max(fresh, default=-1))


def _telling(jobs: Jobs) -> Iterator[Pull]:
    """Give the pulls from which it can be told what was not handed out."""
    unheard: dict[tuple[str, int], int] = {}
    for pull in jobs.pulls:  # by their starts
        if not pull.answered:
            unheard.setdefault((pull.queue, bisect(jobs.restarts, pull.start)), pull.start)
    for pull in jobs.pulls:
        life = bisect(jobs.restarts, pull.start)
        ended = life < len(jobs.restarts)
        certain = not ended or pull.end < unheard.get((pull.queue, life), NEVER)
        if pull.answered and not pull.refused and certain:
            yield pull


def disorder(jobs: Jobs) -> Iterator[str]:
    """Say what is out of order, and what was hidden."""
    by_queue: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs.by_id.values():
        by_queue[job.push.queue].append(job)
    empty: defaultdict[str, list[Pull]] = defaultdict(list)
    telling: set[int] = set()
    for pull in jobs.pulls:
        yield from _in_reply(pull, jobs)
    for pull in _telling(jobs):
        telling.add(id(pull))
        if not pull.jobs and jobs.paused.get(pull.queue, NEVER) > pull.end:
            empty[pull.queue].append(pull)
    for queue, some in by_queue.items():
        taken = {
            job.id: [one.pull for one in job.deliveries if id(one.pull) in telling]
            for job in some
        }
        yield from _in_queue(some, taken, empty[queue])
        yield from _in_batches(some, taken)


def _in_queue(
    some: list[Job], taken: dict[int, list[Pull]], empty: list[Pull]
) -> Iterator[str]:
    """Go through the moments of a queue. taken: the pulls that had each job."""
    ranks = {p: rank for rank, p in enumerate(sorted({-job.priority for job in some}))}
    higher = _Latest(len(ranks))
    equal: dict[int, tuple[int, int]] = {}
    moments: list[tuple[int, int, Job | Pull, int]] = [
        (pull.start, 1, pull, pull.end) for pull in empty
    ]
    for job in some:
        if job.push.answered and not job.delayed and first_handed_out(job) >= 0:
            moments.append((job.push.end, 4, job, 0))
        if taken[job.id]:
            first_end = min(pull.end for pull in taken[job.id])
            moments.append((job.push.start, 2, job, first_end))
        moments += [
            (max(pull.start, job.push.start), 3, job, pull.end) for pull in taken[job.id]
        ]
    for _, what, one, end in sorted(moments, key=itemgetter(0, 1)):
        if isinstance(one, Pull):
            last, hidden = higher.below(len(ranks))
            if last > end:
                yield f"a pull of {one.queue!r} found nothing, but job {hidden} was there"
            continue
        rank = ranks[-one.priority]
        if what == 4:  # behind the questions of the same moment
            value = (first_handed_out(one), one.id)
            higher.add(rank, value)
            equal[rank] = max(equal.get(rank, _NOBODY), value)
            continue
        last, passed = equal.get(rank, _NOBODY) if what == 2 else higher.below(rank)
        if last > end:
            yield f"out of order: job {one.id} was handed out before job {passed}"


def _in_batches(some: list[Job], taken: dict[int, list[Pull]]) -> Iterator[str]:
    """Jobs of one push and one priority come in its order."""
    together = sorted(some, key=lambda job: (id(job.push), job.priority, job.index))
    for _, batch in groupby(together, lambda job: (id(job.push), job.priority)):
        latest = _NOBODY
        for job in batch:
            end = min((pull.end for pull in taken[job.id]), default=NEVER)
            if end < latest[0]:
                yield f"out of order: job {job.id} was handed out before job {latest[1]}"
            if not job.delayed:
                latest = max(latest, (first_handed_out(job), job.id))


def _in_reply(pull: Pull, jobs: Jobs) -> Iterator[str]:
    """Look at a reply from its end: who must not be behind?"""
    behind: Job | None = None
    earliest: Job | None = None
    places: dict[int, int] = {}
    for given in reversed(pull.jobs):
        job = jobs.by_id.get(given.id)
        if job is None or job.push.queue != pull.queue:
            continue
        if behind is not None and behind.priority > job.priority:
            yield f"out of order: job {job.id} is in a reply before job {behind.id}"
        if behind is None or behind.priority != job.priority:
            earliest, places = None, {}
        behind = job
        if earliest is not None and earliest.push.end < job.push.start:
            yield f"out of order: job {job.id} is in a reply before job {earliest.id}"
        if places.get(id(job.push), NEVER) < job.index:
            yield f"out of order: job {job.id} is in a reply before an earlier one"
        if given.attempt == 1 and not job.delayed:
            places[id(job.push)] = min(job.index, places.get(id(job.push), NEVER))
            if earliest is None or job.push.end < earliest.push.end:
                earliest = job
