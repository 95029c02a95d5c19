"""From the jobs and failures of a request to the columns a core takes.

In the usual batch no job says more than its data, or all say the same, and every column
but the payloads is one value.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from magicqueue.errors import BadRequest
from magicqueue.wire.fields import payload_of, payloads_of
from magicqueue.wire.limits import ID_MAX, Limits
from magicqueue.wire.requests import (
    Fail,
    Failure,
    PlainItem,
    PlainPush,
    PlainPushBatch,
    Push,
    PushBatch,
)
from magicqueue_cores.contract import FAILURES_MAX, LEASE_MS, NEVER_MS, NewJobs

V = TypeVar("V")


class JobDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a job that does not say."""

    max_attempts: int = FAILURES_MAX
    backoff_ms: int = 0
    lease_ms: int = LEASE_MS


def new_job(
    job: PlainPush | Push,
    limits: Limits,
    defaults: JobDefaults,
    now_ms: int,
    ahead_ms: int,
) -> NewJobs:
    """Make a batch of one; raises RequestError.

    ahead_ms: by how much `now_ms` is ahead of the wall clock, by which `run_at` is meant.
    """
    payload = payload_of(job.data, limits)
    return NewJobs(
        payloads=(payload,),
        run_ats_ms=now_ms
        if job.delay is None and job.run_at is None
        else _run_at_ms(job, "PUSH", now_ms, ahead_ms),
        priorities=job.priority or 0,
        max_attempts=defaults.max_attempts
        if job.max_attempts is None
        else job.max_attempts,
        backoffs_ms=defaults.backoff_ms if job.backoff is None else job.backoff,
        jitters=job.jitter or False,
    )


def new_jobs(
    batch: PlainPushBatch | PushBatch,
    limits: Limits,
    defaults: JobDefaults,
    now_ms: int,
    ahead_ms: int,
    name: str = "PUSHB",
) -> NewJobs:
    """Make the batch of a PUSHB as `new_job`; an error names the index.

    What a job does not say is as the batch says; the two ways to say when are one option.
    name: of the command, for errors.
    """
    run_at_ms = _run_at_ms(batch, name, now_ms, ahead_ms)
    priority = batch.priority or 0
    attempts = defaults.max_attempts if batch.max_attempts is None else batch.max_attempts
    backoff_ms = defaults.backoff_ms if batch.backoff is None else batch.backoff
    jitter = batch.jitter or False
    jobs: Sequence[PlainItem] = batch.jobs
    payloads = payloads_of(jobs, limits)
    special = [
        None
        for j in jobs
        if j.priority is not None
        or j.delay is not None
        or j.run_at is not None
        or j.max_attempts is not None
        or j.backoff is not None
        or j.jitter is not None
    ]
    if not special:
        return NewJobs(
            payloads=payloads,
            run_ats_ms=run_at_ms,
            priorities=priority,
            max_attempts=attempts,
            backoffs_ms=backoff_ms,
            jitters=jitter,
        )
    return NewJobs(
        payloads=payloads,
        run_ats_ms=_run_ats_ms(jobs, run_at_ms, now_ms, ahead_ms, name),
        priorities=_column([j.priority for j in jobs], priority),
        max_attempts=_column([j.max_attempts for j in jobs], attempts),
        backoffs_ms=_column([j.backoff for j in jobs], backoff_ms),
        jitters=_column([j.jitter for j in jobs], jitter),
    )


def _column(said: list[V | None], default: V) -> V | list[V]:
    """Give what each job said, or the default; one value if it is the same of all."""
    distinct = set(said)
    if len(distinct) == 1:
        (only,) = distinct
        return default if only is None else only
    if None not in distinct:
        return said  # type: ignore[return-value]  # all said something
    return [default if value is None else value for value in said]


def _run_ats_ms(
    jobs: Sequence[PlainItem], default_ms: int, now_ms: int, ahead_ms: int, name: str
) -> int | list[int]:
    if {j.delay for j in jobs} == {None} == {j.run_at for j in jobs}:
        return default_ms
    return [
        default_ms
        if j.delay is None and j.run_at is None
        else _run_at_ms(j, f"{name}: jobs[{i}]", now_ms, ahead_ms)
        for i, j in enumerate(jobs)
    ]


def _run_at_ms(
    job: PlainPush | Push | PlainItem | PlainPushBatch | PushBatch,
    where: str,
    now_ms: int,
    ahead_ms: int,
) -> int:
    if job.run_at is None:
        return now_ms + clipped_delay_ms(job.delay or 0, now_ms)
    if job.delay is not None:
        raise BadRequest(f"{where}: give delay or run_at, not both")
    return max(min(job.run_at + ahead_ms, ID_MAX), now_ms)


def clipped_delay_ms(delay_ms: int, now_ms: int) -> int:
    """Give a delay back, cut so that its end is a time that clients can read."""
    return min(delay_ms, max(ID_MAX - now_ms, 0))


def retry_delays_ms(
    failures: Sequence[Fail | Failure], where: str, now_ms: int
) -> list[int | None] | None:
    """Give what failures say of their retries, as `Core.fail` takes it.

    where: names an item in an error, with `{}` for its index. Raises BadRequest.
    """
    if all(one.delay is None and one.retry is not False for one in failures):
        return None
    delays_ms: list[int | None] = []
    for index, one in enumerate(failures):
        if one.delay is None:
            delays_ms.append(NEVER_MS if one.retry is False else None)
        elif one.retry is not False:
            delays_ms.append(clipped_delay_ms(one.delay, now_ms))
        else:
            raise BadRequest(
                f"{where.format(index)}: give delay, or retry false, but not both: what is"
                " not tried again does not come later"
            )
    return delays_ms
