"""Commands about jobs that are under way or have ended: cancel, wait, results, progress.

All need a server that has told that it can. See `commands` for the others.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from magicqueue import job_readers
from magicqueue.answers import Cancelling, Ending
from magicqueue.commands import ID_BYTES, ids_json, with_rid
from magicqueue.job import AnyJob, Job
from magicqueue.protocol import Command
from magicqueue.readers import acked, done, extended
from magicqueue.refusals import Line
from magicqueue.wire import requests

CANCEL: Final = "cancel"
RESULTS: Final = "results"
PROGRESS: Final = "progress"

_END_BYTES: Final = 2**17
"""Room for one job's end, with its result and error text as large as they mostly may be."""


def cancel(ids: Sequence[int]) -> Command[Cancelling]:
    """Let jobs not run, or not again."""
    return with_rid(
        requests.Cancel(ids=list(ids)),
        job_readers.cancelled(ids),
        needs=(CANCEL,),
        repeat=True,
        reply_bytes=ID_BYTES * len(ids),
    )


def promote(ids: Sequence[int]) -> Command[list[int]]:
    """Make delayed jobs ready; gives the ids that were not delayed."""
    return with_rid(
        requests.Promote(ids=list(ids)),
        job_readers.promoted(ids),
        needs=(CANCEL,),
        reply_bytes=ID_BYTES * len(ids),
    )


def wait(ids: Sequence[int], timeout_ms: int) -> Command[list[Ending]]:
    """Wait until at least one has ended; gives those that have, none after `timeout_ms`.

    It ends early, as if timed out, when a further request comes behind it.
    """
    command = with_rid(
        requests.Wait(ids=list(ids), timeout=timeout_ms),
        job_readers.ended(ids),
        needs=(RESULTS,),
        repeat=True,
        reply_bytes=_END_BYTES * len(ids),
        holds_data=True,
    )
    return msgspec.structs.replace(command, patience_s=timeout_ms / 1000)


def progress(
    job: AnyJob, percent: int | None, note: str | None, lease_ms: int | None = None
) -> Command[None]:
    """Tell how far a job is. Raises NotFound or Stale where it is not under way."""
    job_id, attempt = (job, None) if isinstance(job, int) else (job.id, job.attempts)
    return with_rid(
        requests.Progress(
            id=job_id, attempt=attempt or None, percent=percent, note=note, lease=lease_ms
        ),
        done,
        needs=(PROGRESS,),
        repeat=True,
    )


def ack_with_results(
    jobs: Sequence[Job], results: Sequence[bytes], *, repeat: bool = False
) -> Command[list[int]]:
    """Settle jobs as done, each with what came of it; gives those that could not be."""
    items = b",".join(
        b'{"id":%d,"attempt":%d,"result":%b}' % (job.id, job.attempts, result)
        for job, result in zip(jobs, results, strict=True)
    )
    return Command(
        b'{"cmd":"ACKB","ids":[%b]}\n' % items,
        acked(jobs),
        repeat=repeat,
        needs=(RESULTS,),
        reply_bytes=ID_BYTES * len(jobs),
    )


def watch(
    jobs: Sequence[Job],
    lease_ms: int,
    wait_ms: int,
    tell: Callable[[Sequence[Job], list[int], list[int]], None],
) -> Command[None]:
    """Extend leases, and wait to be told of a job that is cancelled or not ours any more.

    tell: called with the jobs and the ids of those missing and those cancelled, when the
    answer comes, which may be while another request is waited for.
    """
    line = b'{"cmd":"HEARTBEAT","ids":%b,"lease":%d,"wait":%d}\n'
    read = extended(jobs)

    def read_and_tell(reply: Line) -> None:
        tell(jobs, *read(reply))

    return Command(
        line % (ids_json(jobs), lease_ms, wait_ms),
        read_and_tell,
        needs=(CANCEL,),
        patience_s=wait_ms / 1000,
        reply_bytes=2 * ID_BYTES * len(jobs),
    )
