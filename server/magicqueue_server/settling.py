"""What is told of jobs that a request named and that were not there for it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from magicqueue.errors import NotFound, RequestError, Stale
from magicqueue.wire import replies
from magicqueue_cores.contract import Settled
from magicqueue_cores.policies import Beats


def raise_if_missing(settled: Settled, job_id: int, attempt: int | None) -> None:
    """Raise Stale or NotFound if the one job that was meant is not there."""
    if not settled.missing:
        return
    error: RequestError
    if settled.stale:
        error = Stale(
            f"attempt {attempt} of job {job_id} is over: the job was handed out again since"
        )
    else:
        error = NotFound(
            f"job {job_id} is not active: it is settled already, its lease ended, or it"
            " never was handed out"
        )
    raise error


def counted(
    done: str, ids: Sequence[int], settled: Settled, rid: Raw, **more: Any
) -> bytes:
    """Write how many of the jobs named it was `done` with, and which are missing."""
    counts = {done: len(ids) - len(settled.missing), "missing": settled.missing}
    return replies.counted(rid, **counts, **more)


def extended(ids: Sequence[int], settled: Settled, rid: Raw) -> bytes:
    """Write the reply to a HEARTBEAT, with those of the jobs that are cancelled, if any."""
    if isinstance(settled, Beats) and settled.cancelled:
        return counted("extended", ids, settled, rid, cancelled=settled.cancelled)
    return counted("extended", ids, settled, rid)
