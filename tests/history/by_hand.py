"""Operations written down by hand, in milliseconds."""

from typing import Any

from history.operations import (
    MS,
    NEVER,
    Close,
    Delivered,
    Look,
    Operation,
    Pull,
    Push,
    Restart,
    Seen,
    Settle,
)

LOST = None
"""The end of a request without a reply."""


def at(operation: Operation, start_ms: int, end_ms: int | None) -> Any:
    operation.start = start_ms * MS
    operation.end = NEVER if end_ms is None else end_ms * MS
    return operation


def push(start: int, end: int | None, *ids: int, **more: Any) -> Push:
    """A push of jobs whose data are their ids as text."""
    heard = ids if end is not None and not more.get("refused") else ()
    more.setdefault("queue", "q")
    made = Push(data=[str(i) for i in ids], ids=heard, **more)
    return at(made, start, end)  # type: ignore[no-any-return]  # what it was given


def pull(start: int, end: int | None, *jobs: tuple[int, int], **more: Any) -> Pull:
    """A pull that gave jobs, each with its attempt."""
    given = [Delivered(job_id, str(job_id), attempt) for job_id, attempt in jobs]
    more.setdefault("queue", "q")
    more.setdefault("lease_ms", 1000)
    return at(Pull(jobs=given, **more), start, end)  # type: ignore[no-any-return]


def ack(start: int, end: int | None, job_id: int, attempt: int | None = None) -> Settle:
    return at(Settle(ids=[job_id], attempts=[attempt]), start, end)  # type: ignore[no-any-return]


def fail(start: int, end: int | None, job_id: int, attempt: int | None = None) -> Settle:
    return at(Settle(ids=[job_id], attempts=[attempt], done=False), start, end)  # type: ignore[no-any-return]


def refused(settle: Settle) -> Settle:
    settle.missing = frozenset(settle.ids)
    return settle


def look(start: int, end: int, job_id: int, state: str | None, attempts: int = 0) -> Look:
    row = None if state is None else Seen(str(job_id), state, attempts)
    return at(Look(jobs={job_id: row}), start, end)  # type: ignore[no-any-return]


def other_data(pull: Pull, data: str) -> Pull:
    pull.jobs[0].data = data
    return pull


def closed(start: int) -> Close:
    return at(Close(connection=0), start, start)  # type: ignore[no-any-return]


def killed(start: int) -> Restart:
    return at(Restart(), start, start)  # type: ignore[no-any-return]
