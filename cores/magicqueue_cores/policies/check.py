"""Every invariant of the layer, each with a name for the day it breaks."""

from collections import Counter

from magicqueue_cores.contract import JobState
from magicqueue_cores.policies.gates import GATE_BYTES
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.group import GROUP_BYTES
from magicqueue_cores.policies.marks import CRON_BYTES
from magicqueue_cores.policies.notebook import PROGRESS_BYTES
from magicqueue_cores.policies.rounds import BUCKET_BYTES
from magicqueue_cores.policies.ruling import TELLING
from magicqueue_cores.policies.shelf import FACT_BYTES
from magicqueue_cores.policies.wishes import (
    ACTIVE,
    CANCELLED,
    DEAD,
    HOLDS,
    TIMED,
    GroupedMark,
    weight_of,
)


def check_ground(ground: Ground) -> None:
    """Verify everything: AssertionError names the first that is broken. O(n)."""
    marks = ground.marks
    held: dict[tuple[str, str], int] = {}
    timed: dict[str, int] = {}
    dead_keyed: dict[str, int] = {}
    # A time of the past, so that nothing matures because of it.
    for job_id, mark in marks.by_id.items():
        view = at_once(ground.core.job(job_id, 0))
        flags, queue = mark.flags, mark.terms.queue
        assert view is not None, f"job {job_id} is gone and still marked"
        assert view.queue == queue, f"job {job_id} is marked in another queue"
        active = view.state is JobState.ACTIVE
        assert bool(flags & ACTIVE) is active, f"job {job_id}: at work or not"
        dead = view.state is JobState.DEAD
        assert bool(flags & DEAD) is dead, f"job {job_id}: dead or not"
        assert mark.attempts == view.attempts, f"job {job_id}: attempts miscounted"
        assert not (flags & CANCELLED) or active, f"job {job_id} is cancelled and idle"
        if isinstance(mark, GroupedMark):
            is_held = view.state is JobState.HELD
            assert not mark.waits or is_held, f"job {job_id} waits for a turn, is not held"
            assert view.state is not JobState.READY, f"job {job_id} waits for no turn"
            priority = mark.line.priority
            assert priority == view.priority, f"job {job_id} is in a line of {priority}"
        assert not mark.attempt_until_ms or active, f"job {job_id}: an attempt of nothing"
        if mark.terms.timeout_ms and active and not marks.notes.pending:
            assert mark.attempt_until_ms, f"job {job_id}: its attempt has no end"
        if flags & HOLDS:
            assert mark.takes_key, f"job {job_id} holds a key that it does not want"
            assert not dead, f"job {job_id} is dead and holds a key"
            assert mark.key is not None
            assert (queue, mark.key) not in held, f"unique key {mark.key!r} is held twice"
            held[queue, mark.key] = job_id
        elif mark.takes_key and not dead:
            assert mark.terms.until_start, f"job {job_id} does not hold its key"
            assert mark.attempts, f"job {job_id} does not hold its key before its start"
        if flags & TIMED:
            timed[queue] = timed.get(queue, 0) + 1
        else:
            untimed = mark.expires_at_ms and not active and not dead
            assert not untimed, f"job {job_id} will never expire"
        if dead and mark.takes_key:
            dead_keyed[queue] = dead_keyed.get(queue, 0) + 1
    marks.keys.check(held)
    assert marks.timed == timed, "jobs with a time to live miscounted"
    assert marks.dead_keyed == dead_keyed, "dead letters with keys miscounted"
    marks.expiries.check("expiries")
    assert marks.expiries.count == sum(timed.values()), "an expiry is missing"
    marks.attempt_ends.check("ends of attempts")
    attempts = sum(mark.attempt_until_ms > 0 for mark in marks.by_id.values())
    assert marks.attempt_ends.count == attempts, "an attempt's end is missing"
    _check_crons(ground)
    _check_sums(ground)


def _check_crons(ground: Ground) -> None:
    """Verify what is counted of the jobs of crons, and of those that depend on others."""
    marks = ground.marks
    of_crons = [
        (mark.cron, mark.terms.queue)
        for mark in marks.by_id.values()
        if mark.cron is not None and not mark.flags & DEAD
    ]
    names = Counter(name for name, _ in of_crons)
    assert marks.cron_jobs == names, "jobs of crons miscounted"
    linked = [mark for mark in marks.by_id.values() if mark.terms.link is not None]
    assert marks.links == len(linked), "jobs that depend on others miscounted"
    queues = Counter(queue for _, queue in of_crons)
    queues.update(mark.terms.queue for mark in linked if not mark.flags & DEAD)
    assert marks.telling == queues, "jobs that tell more miscounted"
    ground.ruling.check(TELLING, set(queues))


def _check_sums(ground: Ground) -> None:
    """Verify what is counted along, what is at work, and the facts."""
    marks = ground.marks
    words = [word for mark in marks.by_id.values() for word in (mark.key, mark.cron)]
    chars = sum(len(word) for word in words if word is not None)
    assert marks.key_chars == chars, "bytes of keys miscounted"
    cancelled = {i for i, mark in marks.by_id.items() if mark.flags & CANCELLED}
    marks.doomed.check(cancelled)
    marks.notebook.check(set(marks.by_id))
    for space, shelf in ground.shelves.items():
        shelf.check(space)
        assert not shelf.overflow(), f"{space}: more than its bound"
    assert not marks.notes.pending, "something is not settled"
    size = marks.notebook.bytes
    for mark in marks.by_id.values():
        size += weight_of(mark.terms, mark.key)
        size += 0 if mark.cron is None else CRON_BYTES + len(mark.cron)
    size += PROGRESS_BYTES * len(marks.notebook) + ground.fact_bytes
    size += FACT_BYTES * sum(map(len, ground.shelves.values()))
    size += GATE_BYTES * len(ground.gates)
    for rounds in marks.seats.rounds.values():
        size += sum(GROUP_BYTES + len(name) for name in rounds.groups)
        size += BUCKET_BYTES * len(rounds.buckets)
    assert ground.tally.size == size, "memory miscounted"
    assert ground.core.outside_bytes == size, "the core was not told"
