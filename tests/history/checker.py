"""Whether what clients heard can be what a queue says that keeps its promises.

Any number of connections, restarts and lost replies. Of an operation only its interval is
known: it took effect at one moment between `start` and `end`, or at any later one or never
if there was no reply. Only what breaks a promise wherever those moments were is found, so
a correct server is never blamed. The promises:

- **Nothing from nowhere.** A job that is handed out or looked at has the data of one push
  that had begun and was not refused, in its queue, under the id that it was answered with.
  No id and no data is there twice, and an id is above those that were told before.
- **No push is lost.** A job that is known (its push was answered, or it was seen), and that
  a later look does not find, was acknowledged, or somebody had asked for that.
- **Nothing settled is back.** After an ACK that was taken no attempt is handed out that is
  above the one it named (if it named none: by no pull that begins later), no later look
  finds the job, and no later verdict on it is taken.
- **No double lease.** A job's attempts go up and each is handed out once. Between two of
  them the first one's lease may have ended: its time was over, counted from the pull's
  start; or its connection had closed; or a failure or a release had been reported. As long
  as it cannot have ended a verdict on it is taken, and a look finds the job active.
- **Attempts count.** None is forgotten, and no verdict is taken that names an earlier
  attempt than one that had been handed out.
- **Order**, and nothing is hidden: see `order`.

A history must not have DRAIN, PURGEDEAD, RETRYDEAD or heartbeats (which only lengthen
leases: leaving them out blames nobody), nor servers that drop dead jobs.

The cost is that of sorting, O(n log n) in the jobs that the operations list, as long as
one job has only so many attempts and verdicts: they are compared with each other.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Final

from history.jobs import Delivery, Job, Jobs, Verdict
from history.operations import MS, NEVER, History, Seen
from history.order import disorder

SLACK_MS: Final = 5
"""A server counts in milliseconds, by another clock than the clients'."""
SHOWN_MAX: Final = 8


class BrokenPromise(AssertionError):
    """A history shows that promises were broken; the text says which."""


def check(history: History) -> None:
    """Raise BrokenPromise, with the first of what is wrong."""
    wrong = violations(history)
    if wrong:
        shown = "\n".join(wrong[:SHOWN_MAX])
        raise BrokenPromise(f"{len(wrong)} broken promises:\n{shown}")


def violations(history: History) -> list[str]:
    """Say what is wrong, in a sentence each."""
    jobs = Jobs(history)
    found = jobs.wrong + list(_ids_that_do_not_rise(jobs))
    for job in jobs.by_id.values():
        releases = [_release(job, one, jobs) for one in job.deliveries]
        found += _leases(job, releases)
        found += _settled(job)
        found += _refused(job, releases)
        found += _looked_at(job, releases)
    return found + list(disorder(jobs))


def _ids_that_do_not_rise(jobs: Jobs) -> Iterator[str]:
    """Compare each push's first id with those that had been told when it began."""
    pushes = {id(job.push): job.push for job in jobs.by_id.values() if job.push.ids}
    told = sorted((push.end, push.ids[-1]) for push in pushes.values())
    highest = list(accumulate((last for _, last in told), max))
    for push in pushes.values():
        before = bisect_left(told, (push.start, 0))
        if before and push.ids[0] <= highest[before - 1]:
            yield f"id {push.ids[0]} was given after {highest[before - 1]}"


def _release(job: Job, delivery: Delivery, jobs: Jobs) -> int:
    """The first moment at which a lease may have ended."""
    pull = delivery.pull
    ends = [pull.start + (pull.lease_ms - SLACK_MS) * MS]
    ends.append(jobs.closed.get(pull.connection, NEVER))
    ends += [one.settle.start for one in _verdicts_on(job, delivery) if not one.settle.done]
    return min(ends)


def _verdicts_on(job: Job, delivery: Delivery) -> Iterator[Verdict]:
    """Give the verdicts that may have ended an attempt."""
    for verdict in job.verdicts:
        if verdict.taken or verdict.open:
            fits = verdict.attempt in {None, delivery.attempt}
            if fits and verdict.settle.end > delivery.pull.start:
                yield verdict


def _leases(job: Job, releases: list[int]) -> Iterator[str]:
    for (one, other), release in zip(pairwise(job.deliveries), releases, strict=False):
        if one.attempt == other.attempt:
            yield f"attempt {one.attempt} at job {job.id} was leased twice"
        elif other.pull.end < one.pull.start:
            yield f"attempts at job {job.id} go back to {one.attempt}: one is forgotten"
        elif other.pull.end < release:
            yield (
                f"job {job.id} is leased twice: attempt {other.attempt} while"
                f" attempt {one.attempt} cannot have ended"
            )


def _settled(job: Job) -> Iterator[str]:
    """What must not be behind an ACK that was taken."""
    done = [one for one in job.verdicts if one.settle.done and one.taken]
    if len(done) > 1:
        yield f"job {job.id} is back: its ACK was taken twice"
    for verdict in job.verdicts:
        if not verdict.taken or verdict.attempt is None:
            continue
        if any(
            one.attempt > verdict.attempt
            for one in job.deliveries
            if verdict.settle.done or one.pull.end < verdict.settle.start
        ):
            yield (
                f"a verdict on attempt {verdict.attempt} at job {job.id} was taken, and a"
                " later one was handed out"
            )
    if not done:
        return
    end = min(one.settle.end for one in done)
    if any(one.pull.start > end for one in job.deliveries):
        yield f"job {job.id} is back: it was pulled after its ACK"
    if any(one.taken and one.settle.start > end for one in job.verdicts):
        yield f"job {job.id} is back: a verdict was taken after its ACK"
    if any(row is not None and look.start > end for look, row in job.looks):
        yield f"job {job.id} is back: it was there after its ACK"


def _refused(job: Job, releases: list[int]) -> Iterator[str]:
    """A worker that has the job is heard."""
    for verdict in job.verdicts:
        if verdict.taken or verdict.open:
            continue
        for delivery, release in zip(job.deliveries, releases, strict=True):
            if verdict.attempt in {None, delivery.attempt}:
                settle = verdict.settle
                others = (one.settle.start for one in _verdicts_on(job, delivery))
                held_until = min([release, *others])
                if delivery.pull.end < settle.start and settle.end < held_until:
                    yield f"a verdict on job {job.id} was refused, though it was leased"


def _looked_at(job: Job, releases: list[int]) -> Iterator[str]:
    asked = min(
        (
            one.settle.start
            for one in job.verdicts
            if one.settle.done and (one.taken or one.open)
        ),
        default=NEVER,
    )
    known_from = job.known_from
    for look, row in job.looks:
        if row is None:
            if known_from < look.start and look.end < asked:
                yield f"job {job.id} is lost: {job.data!r}"
            continue
        yield from _seen(job, row, (look.start, look.end), releases, asked)


def _seen(
    job: Job, row: Seen, span: tuple[int, int], releases: list[int], asked: int
) -> Iterator[str]:
    start, end = span
    for delivery, release in zip(job.deliveries, releases, strict=True):
        if delivery.pull.end < start:
            if row.attempts < delivery.attempt:
                yield f"attempt {delivery.attempt} at job {job.id} is forgotten"
            if row.state != "active" and end < min(release, asked):
                yield f"the lease of job {job.id} is forgotten: it is {row.state}"
