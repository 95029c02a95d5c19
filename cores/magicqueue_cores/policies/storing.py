"""New jobs on their way into the core: which are held, and where those stand.

A job with a group that may run now is held: it waits for its group's turn. One that is
delayed is not: it is held when its time has come.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, repeat
from typing import TypeVar

import msgspec

from magicqueue_cores.contract import Core, NewJobs
from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.ground import at_once
from magicqueue_cores.policies.seats import Seats

T = TypeVar("T")


def waiting_for_turns(kinds: Sequence[Alike], jobs: NewJobs, now_ms: int) -> Sequence[bool]:
    """Return which of the jobs wait for their group's turn; nothing if none has a group."""
    grouped = [alike for alike in kinds if alike.terms.grouped]
    if not grouped:
        return ()
    count, run_ats_ms = len(jobs.payloads), jobs.run_ats_ms
    if isinstance(run_ats_ms, int) and len(grouped[0].places) == count:
        return [run_ats_ms <= now_ms] * count
    held = [False] * count
    for alike in grouped:
        for place in alike.places:
            held[place] = at(run_ats_ms, place) <= now_ms
    return held


def store(core: Core, queue: str, jobs: NewJobs, held: Sequence[bool], now_ms: int) -> int:
    """Push jobs, those held that are to be; give the first of their ids, in a row.

    Where both kinds are in turn it takes several pushes, for which there is room or not
    before the first.
    """
    if not any(held):
        return at_once(core.push(queue, jobs, now_ms))
    if all(held):
        return at_once(core.push(queue, msgspec.structs.replace(jobs, held=True), now_ms))
    core.admit((queue,), len(held), sum(map(len, jobs.payloads)))
    first_id = core.last_id + 1
    for hold, run in groupby(range(len(held)), held.__getitem__):
        part = picked(jobs, list(run))
        part.held, part.admitted = hold, True
        at_once(core.push(queue, part, now_ms))
    return first_id


def take_seats(seats: Seats, alike: Alike, jobs: NewJobs, held: Sequence[bool]) -> None:
    """Find the lines of new jobs that have a group, and their places in these.

    Places are given for the whole push, so that they rise with its items.
    """
    if not alike.terms.grouped:
        return
    queue, priorities = alike.terms.queue, jobs.priorities
    groups, first = seats.rounds_of(queue).groups, seats.last_place + 1
    if isinstance(priorities, int):
        wanted: Iterable[int] = repeat(priorities)
    else:
        wanted = [priorities[place] for place in alike.places]
    add = alike.lines.append
    for group, name, priority in zip(
        map(groups.get, alike.groups), alike.groups, wanted, strict=False
    ):
        line = None if group is None else group.line
        if line is None or line.priority != priority:
            line = seats.line_of(queue, name, priority)
        add(line)
    if all(held) and len(alike.places) == len(held):
        alike.seats = range(first, first + len(held))
    else:
        alike.seats = [first + place if held[place] else 0 for place in alike.places]


def picked(jobs: NewJobs, indexes: Sequence[int]) -> NewJobs:
    """Return the jobs of a batch that are at these places."""

    def column(values: T | Sequence[T]) -> T | Sequence[T]:
        if isinstance(values, int):  # bools, too
            return values
        return [values[index] for index in indexes]  # type: ignore[index]  # a sequence

    return NewJobs(
        payloads=[jobs.payloads[index] for index in indexes],
        run_ats_ms=column(jobs.run_ats_ms),
        priorities=column(jobs.priorities),
        max_attempts=column(jobs.max_attempts),
        backoffs_ms=column(jobs.backoffs_ms),
        jitters=column(jobs.jitters),
    )


def at(column: int | Sequence[int], index: int) -> int:
    """Return what a column says of one job."""
    return column if isinstance(column, int) else column[index]
