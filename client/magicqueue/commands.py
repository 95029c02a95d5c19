"""Every command that the client sends: its line, and what its reply means.

Both faces of the client, asyncio and blocking, send these and nothing else. The lines of
the hot ones are joined from encoded parts, the others are `wire.requests` structs and
carry a `rid`, by which a reply that is another one's is found out. The replies of the hot
ones show by what is in them whose they are: see `readers`.
"""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import orjson

from magicqueue import job_readers, readers
from magicqueue.encoding import Batch, spelled_out
from magicqueue.errors import NotFound
from magicqueue.job import AnyJob, DeadPage, Job, JobDetails
from magicqueue.protocol import Command
from magicqueue.refusals import Line
from magicqueue.sources import Source
from magicqueue.sources import queue_name as queue_name  # noqa: PLC0414 - part of it
from magicqueue.wire import requests
from magicqueue.wire.limits import ERROR_CHARS_MAX
from magicqueue.wire.replies import OneQueueCounts, QueueCounts, ServerCounts

if TYPE_CHECKING:
    from magicqueue.failures import Failure

BATCH_DEFAULTS: Final = "batch_defaults"
"""What a server can do that takes the options of a PUSHB's jobs beside these."""

UNIQUE: Final = "unique"
"""What a server can do that knows unique keys."""

TIMEOUT_S: Final = 30.0
"""A whole answer may take this long, unless told otherwise."""

PULL_SLICE_MS: Final = 10_000
"""A longer wait is cut into such pulls, so that a dead server is noticed."""

DEAD_PAGE: Final = 100
"""Dead letters in a page, unless told otherwise."""

ID_BYTES: Final = 20
_JOB_BYTES: Final = 256
_ERROR_BYTES: Final = 6 * ERROR_CHARS_MAX
_ITEMS_MAX: Final = 100_000
_QUEUES_PAGE: Final = 1000
_QUEUES_BYTES: Final = 2**27

V = TypeVar("V")

_numbers: Final = itertools.count(1)


def push(
    queue: str, job_object: bytes, needs: tuple[str, ...] = (), key: bytes = b""
) -> Command[list[int]]:
    """Push one job; job_object: see `encoding.object_of`. key: see `request_keys`."""
    line = b"%b%b,%b\n" % (_head_of_push(queue), key, job_object[1:])
    if not needs and not key:
        return Command(line, readers.pushed)
    return Command(
        line,
        readers.pushed_unique if UNIQUE in needs else readers.pushed,
        needs=needs,
        has_key=bool(key),
    )


@lru_cache(maxsize=64)
def _head_of_push(queue: str) -> bytes:
    return b'{"cmd":"PUSH","queue":%b' % orjson.dumps(queue)


def push_batch(queue: str, batch: Batch, key: bytes = b"") -> Command[list[int]]:
    """Push many. What they share is said once, if the server has told that it can."""
    beside = key + batch.shared
    head = b'{"cmd":"PUSHB","queue":%b%b,"jobs":[' % (orjson.dumps(queue), beside)
    line = b"%b%b]}\n" % (head, batch.objects)
    if not batch.shared:
        return _push_batch(line, batch, key)
    return Command(
        line,
        _reader_of(batch),
        needs=(*batch.needs, BATCH_DEFAULTS),
        instead=lambda: _push_batch(spelled_out(line), batch, key),
        has_key=bool(key),
        reply_bytes=ID_BYTES * batch.count,
    )


def _push_batch(line: bytes, batch: Batch, key: bytes) -> Command[list[int]]:
    return Command(
        line,
        _reader_of(batch),
        needs=batch.needs,
        has_key=bool(key),
        reply_bytes=ID_BYTES * batch.count * (3 if batch.needs else 1),
    )


def _reader_of(batch: Batch) -> Callable[[Line], list[int]]:
    if UNIQUE in batch.needs:
        return readers.pushed_unique_batch(batch.count)
    return readers.pushed_batch(batch.count)


@lru_cache(maxsize=64)  # a worker asks for the same again and again
def pull(
    source: Source | str, count: int, timeout_ms: int, lease_ms: int | None
) -> Command[list[Job]]:
    """Pull up to `count` jobs. Repeatable: what a lost reply held comes back by itself."""
    if isinstance(source, str):
        source = Source((source,))
    lease = b"" if lease_ms is None else b',"lease":%d' % lease_ms
    name_bytes = max(map(len, source.names))
    return Command(
        b'{"cmd":"PULLB",%b,"count":%d,"timeout":%d%b}\n'
        % (source.field(), count, timeout_ms, lease),
        readers.pulled(source.names, count),
        repeat=True,
        needs=source.needs,
        patience_s=timeout_ms / 1000,
        reply_bytes=min(count, _ITEMS_MAX) * (_JOB_BYTES + 2 + name_bytes),
        holds_data=True,
    )


def not_yours(job: AnyJob) -> NotFound:
    """Say that a verdict came too late."""
    job_id = job if isinstance(job, int) else job.id
    return NotFound(f"job {job_id} is not yours: its lease ended, or it is settled")


def ack(jobs: Sequence[AnyJob], *, repeat: bool = False) -> Command[list[int]]:
    """Settle jobs as done; gives the ids that could not be."""
    return Command(
        b'{"cmd":"ACKB","ids":%b}\n' % ids_json(jobs),
        readers.acked(jobs),
        repeat=repeat,
        reply_bytes=ID_BYTES * len(jobs),
    )


def fail_one(
    job: AnyJob, error: str, *, retry: bool = True, delay_ms: int | None = None
) -> Command[str]:
    """Settle a job as failed; gives its new state. Raises ValueError for both options."""
    if not retry and delay_ms is not None:
        raise ValueError("delay says when a job is tried again: not with retry=False")
    number, attempt = (
        (job, None) if isinstance(job, int) else (job.id, job.attempts or None)
    )
    return with_rid(
        requests.Fail(
            id=number,
            attempt=attempt,
            error=message_of(error),
            retry=None if retry else False,
            delay=delay_ms,
        ),
        readers.failed_one,
        needs=("fail_options",) if delay_ms is not None or not retry else (),
    )


def fail(failures: Sequence["Failure"], *, repeat: bool = False) -> Command[list[int]]:
    """Settle jobs as failed; gives the ids that could not be."""
    items = [
        requests.Failure(
            id=told.job.id,
            attempt=told.job.attempts,
            error=message_of(told.error),
            retry=None if told.retry else False,
            delay=told.delay_ms if told.retry else None,
        )
        for told in failures
    ]
    return Command(
        requests.encode_request(requests.FailBatch(jobs=items)),
        readers.failed([told.job for told in failures]),
        repeat=repeat,
        needs=("fail_options",) if any(told.is_special for told in failures) else (),
        reply_bytes=ID_BYTES * len(items),
    )


def release(
    jobs: Sequence[AnyJob], delay_ms: int = 0, *, repeat: bool = False
) -> Command[list[int]]:
    """Give jobs back unharmed; gives the ids that could not be."""
    delay = b',"delay":%d' % delay_ms if delay_ms else b""
    return Command(
        b'{"cmd":"RELEASE","ids":%b%b}\n' % (ids_json(jobs), delay),
        readers.released(jobs),
        repeat=repeat,
        needs=("release",),
        reply_bytes=ID_BYTES * len(jobs),
    )


def heartbeat(
    jobs: Sequence[AnyJob], lease_ms: int | None
) -> Command[tuple[list[int], list[int]]]:
    """Extend leases; gives the ids whose lease is already over, and of those cancelled."""
    lease = b"" if lease_ms is None else b',"lease":%d' % lease_ms
    line = b'{"cmd":"HEARTBEAT","ids":%b%b}\n' % (ids_json(jobs), lease)
    return Command(
        line, readers.extended(jobs), repeat=True, reply_bytes=2 * ID_BYTES * len(jobs)
    )


def stats(queue: str) -> Command[OneQueueCounts]:
    """Count one queue's jobs."""
    return with_rid(requests.StatsRequest(queue=queue), readers.counts, repeat=True)


def server_stats() -> Command[ServerCounts]:
    """Count the whole server's jobs."""
    return with_rid(requests.StatsRequest(), readers.server_counts, repeat=True)


def queues(after: str | None = None) -> Command[tuple[list[QueueCounts], str | None]]:
    """Count the jobs of a page of queues; gives what to name as `after` for the next.

    A server that knows no pages gives all queues at once.
    """
    return with_rid(
        requests.Queues(count=_QUEUES_PAGE, after=after),
        readers.queues(after),
        repeat=True,
        reply_bytes=_QUEUES_BYTES,
    )


def job(job_id: int) -> Command[JobDetails]:
    """Look a job up; NotFound where the server has none."""
    return with_rid(
        requests.GetJob(id=job_id), job_readers.found(job_id), repeat=True, holds_data=True
    )


def pause(queue: str) -> Command[None]:
    """Hand out no more jobs."""
    return with_rid(requests.Pause(queue=queue), readers.done, repeat=True)


def resume(queue: str) -> Command[None]:
    """Hand them out again."""
    return with_rid(requests.Resume(queue=queue), readers.done, repeat=True)


def drain(queue: str) -> Command[int]:
    """Remove ready and delayed jobs; gives how many."""
    return with_rid(requests.Drain(queue=queue), readers.removed)


def dead(queue: str, count: int, after: int | None) -> Command[DeadPage]:
    """List dead letters."""
    return with_rid(
        requests.Dead(queue=queue, count=count, after=after),
        readers.dead(queue, count, after),
        repeat=True,
        reply_bytes=min(count, _ITEMS_MAX) * (_JOB_BYTES + len(queue) + _ERROR_BYTES),
        holds_data=True,
    )


def retry_dead(queue: str, job_id: int | None) -> Command[int]:
    """Make dead jobs ready anew; gives how many."""
    return with_rid(requests.RetryDead(queue=queue, id=job_id), readers.retried(job_id))


def purge_dead(queue: str, job_id: int | None) -> Command[int]:
    """Remove dead jobs; gives how many."""
    return with_rid(requests.PurgeDead(queue=queue, id=job_id), readers.purged(job_id))


def ping() -> Command[None]:
    """Ask whether anybody is there."""
    return with_rid(requests.Ping(), readers.done, repeat=True)


def message_of(error: str | BaseException) -> str:
    """Make a failure's message: "TypeName: text", of text that JSON can hold."""
    if isinstance(error, BaseException):
        try:
            text = str(error)
        except Exception:  # noqa: BLE001 - a user's __str__ may fail in any way
            text = "(its message cannot be shown)"
        error = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return error[:ERROR_CHARS_MAX].encode(errors="backslashreplace").decode()


def with_rid(
    request: requests.Request,
    read: Callable[[Line], V],
    *,
    repeat: bool = False,
    needs: tuple[str, ...] = (),
    reply_bytes: int = 0,
    holds_data: bool = False,
) -> Command[V]:
    """Make a command of a struct, with a `rid` by which its reply is known."""
    rid = b"%d" % next(_numbers)
    request.rid = msgspec.Raw(rid)
    return Command(
        requests.encode_request(request),
        read,
        repeat=repeat,
        needs=needs,
        reply_bytes=reply_bytes,
        holds_data=holds_data,
        rid=rid,
    )


def ids_json(jobs: Sequence[AnyJob]) -> bytes:
    """Write a batch's ids, each with the attempt that is meant where that is known."""
    first = jobs[0] if jobs else 0
    attempt = 0 if isinstance(first, int) else first.attempts
    ids: list[int] = []
    if attempt:
        with contextlib.suppress(AttributeError):  # some are ids
            ids = [job.id for job in jobs if job.attempts == attempt]  # type: ignore[union-attr]
    if not ids or len(ids) != len(jobs):
        return orjson.dumps(list(map(_verdict, jobs)))
    between = b',"attempt":%d},{"id":' % attempt
    digits = orjson.dumps(ids)[1:-1]
    return b'[{"id":%b,"attempt":%d}]' % (digits.replace(b",", between), attempt)


def _verdict(job: AnyJob) -> object:
    if isinstance(job, int):
        return job
    return {"id": job.id, "attempt": job.attempts} if job.attempts else job.id
