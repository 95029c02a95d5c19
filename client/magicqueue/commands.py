"""Every command that the client sends: its line, and what its reply means.

Both faces of the client, asyncio and blocking, send these and nothing else. The lines of
the hot ones are joined from encoded parts, the others are `wire.requests` structs.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
import orjson

from magicqueue.errors import NotFound, Unsupported
from magicqueue.job import AnyJob, DeadPage, Job, JobDetails
from magicqueue.protocol import Command
from magicqueue.wire import replies, requests
from magicqueue.wire.fields import check_queue
from magicqueue.wire.limits import ERROR_CHARS_MAX
from magicqueue.wire.replies import Counts, QueueCounts, ServerCounts, ServerInfo

TIMEOUT_S: Final = 30.0
"""A server that owes an answer may be silent for this long, unless told otherwise."""

PULL_SLICE_MS: Final = 10_000
"""A longer wait is cut into such pulls, so that a dead server is noticed."""

_NAME_BYTES_MAX: Final = 2**16

S = TypeVar("S")
V = TypeVar("V")


class _Jobs(msgspec.Struct):
    jobs: list[Job]


class _Found(msgspec.Struct):
    job: JobDetails | None


class _Dead(msgspec.Struct):
    jobs: list[JobDetails]
    next: int | None = None


def _reader(kind: type[S], pick: Callable[[S], V]) -> Callable[[bytes], V]:
    decode = msgspec.json.Decoder(kind).decode
    return lambda line: pick(decode(line))


_done: Final = _reader(replies.Reply, lambda _: None)
_id: Final = _reader(replies.PushReply, lambda reply: [reply.id])
_ids: Final = _reader(replies.PushBatchReply, lambda reply: reply.ids)
_jobs: Final = _reader(_Jobs, lambda reply: reply.jobs)
_acked: Final = _reader(replies.AckBatchReply, lambda reply: reply.missing)
_failed: Final = _reader(replies.FailBatchReply, lambda reply: reply.missing)
_state: Final = _reader(replies.FailReply, lambda reply: reply.state)
_released: Final = _reader(replies.ReleaseReply, lambda reply: reply.missing)
_extended: Final = _reader(replies.HeartbeatReply, lambda reply: reply.missing)
_counts: Final = _reader(Counts, lambda reply: reply)
_server_counts: Final = _reader(ServerCounts, lambda reply: reply)
_queues: Final = _reader(replies.QueuesReply, lambda reply: reply.queues)
_info: Final = _reader(ServerInfo, lambda reply: reply)
_removed: Final = _reader(replies.CountReply, lambda reply: reply.removed)
_retried: Final = _reader(replies.CountReply, lambda reply: reply.retried)
_page: Final = _reader(_Dead, lambda reply: DeadPage(reply.jobs, reply.next))


def queue_name(name: str) -> str:
    """Check a queue's name as far as the client can. Raises BadRequest or TypeError."""
    if not isinstance(name, str):
        raise TypeError(f"a queue's name is a string, not {type(name).__name__}")
    return check_queue(name, _NAME_BYTES_MAX)


def push(queue: str, job_object: bytes) -> Command[list[int]]:
    """Push one job; job_object: see `encoding.object_of`."""
    return Command(
        b'{"cmd":"PUSH","queue":%b,%b\n' % (orjson.dumps(queue), job_object[1:]), _id
    )


def push_batch(queue: str, job_objects: bytes) -> Command[list[int]]:
    """Push many; job_objects: those objects between commas."""
    head = b'{"cmd":"PUSHB","queue":%b,"jobs":[' % orjson.dumps(queue)
    return Command(b"%b%b]}\n" % (head, job_objects), _ids)


def pull(
    queue: str, count: int, timeout_ms: int, lease_ms: int | None
) -> Command[list[Job]]:
    """Pull up to `count` jobs. Repeatable: what a lost reply held comes back by itself."""
    lease = b"" if lease_ms is None else b',"lease":%d' % lease_ms
    return Command(
        b'{"cmd":"PULLB","queue":%b,"count":%d,"timeout":%d%b}\n'
        % (orjson.dumps(queue), count, timeout_ms, lease),
        _jobs,
        repeat=True,
        patience_s=timeout_ms / 1000,
    )


def not_yours(job: AnyJob) -> NotFound:
    """Say that a verdict came too late."""
    job_id = job if isinstance(job, int) else job.id
    return NotFound(f"job {job_id} is not yours: its lease ended, or it is settled")


def ack(jobs: Sequence[AnyJob], *, repeat: bool = False) -> Command[list[int]]:
    """Settle jobs as done; gives the ids that could not be."""
    return Command(b'{"cmd":"ACKB","ids":%b}\n' % _verdicts(jobs), _acked, repeat=repeat)


def fail_one(
    job: AnyJob, error: str, *, retry: bool = True, delay_ms: int | None = None
) -> Command[str]:
    """Settle a job as failed; gives its new state. Raises ValueError for both options."""
    if not retry and delay_ms is not None:
        raise ValueError("delay says when a job is tried again: not with retry=False")
    number, attempt = (
        (job, None) if isinstance(job, int) else (job.id, job.attempts or None)
    )
    return _command(
        requests.Fail(
            id=number,
            attempt=attempt,
            error=message_of(error),
            retry=None if retry else False,
            delay=delay_ms,
        ),
        _state,
    )


def fail(
    failures: Iterable[tuple[Job, str]], *, repeat: bool = False
) -> Command[list[int]]:
    """Settle jobs as failed; gives the ids that could not be."""
    jobs = [
        requests.Failure(id=job.id, attempt=job.attempts, error=message_of(error))
        for job, error in failures
    ]
    return _command(requests.FailBatch(jobs=jobs), _failed, repeat=repeat)


def release(jobs: Sequence[AnyJob], delay_ms: int) -> Command[list[int]]:
    """Give jobs back unharmed; gives the ids that could not be."""
    delay = b',"delay":%d' % delay_ms if delay_ms else b""
    line = b'{"cmd":"RELEASE","ids":%b%b}\n' % (_verdicts(jobs), delay)
    return Command(line, _released)


def heartbeat(jobs: Sequence[AnyJob], lease_ms: int | None) -> Command[list[int]]:
    """Extend leases; gives the ids whose lease is already over."""
    lease = b"" if lease_ms is None else b',"lease":%d' % lease_ms
    line = b'{"cmd":"HEARTBEAT","ids":%b%b}\n' % (_verdicts(jobs), lease)
    return Command(line, _extended, repeat=True)


def stats(queue: str) -> Command[Counts]:
    """Count one queue's jobs."""
    return _command(requests.StatsRequest(queue=queue), _counts, repeat=True)


def server_stats() -> Command[ServerCounts]:
    """Count the whole server's jobs."""
    return _command(requests.StatsRequest(), _server_counts, repeat=True)


def queues() -> Command[list[QueueCounts]]:
    """Count each queue's jobs."""
    return _command(requests.Queues(), _queues, repeat=True)


def job(job_id: int) -> Command[JobDetails]:
    """Look a job up; NotFound where the server has none."""

    def found(reply: _Found) -> JobDetails:
        if reply.job is None:
            raise NotFound(f"there is no job {job_id}: done, removed or never pushed")
        return reply.job

    return _command(requests.GetJob(id=job_id), _reader(_Found, found), repeat=True)


def pause(queue: str) -> Command[None]:
    """Hand out no more jobs."""
    return _command(requests.Pause(queue=queue), _done, repeat=True)


def resume(queue: str) -> Command[None]:
    """Hand them out again."""
    return _command(requests.Resume(queue=queue), _done, repeat=True)


def drain(queue: str) -> Command[int]:
    """Remove ready and delayed jobs; gives how many."""
    return _command(requests.Drain(queue=queue), _removed)


def dead(queue: str, count: int, after: int | None) -> Command[DeadPage]:
    """List dead letters."""
    request = requests.Dead(queue=queue, count=count, after=after)
    return _command(request, _page, repeat=True)


def retry_dead(queue: str, job_id: int | None) -> Command[int]:
    """Make dead jobs ready anew; gives how many."""
    return _command(requests.RetryDead(queue=queue, id=job_id), _retried)


def purge_dead(queue: str, job_id: int | None) -> Command[int]:
    """Remove dead jobs; gives how many."""
    return _command(requests.PurgeDead(queue=queue, id=job_id), _removed)


def ping() -> Command[None]:
    """Ask whether anybody is there."""
    return _command(requests.Ping(), _done, repeat=True)


def hello(client: str) -> Command[ServerInfo]:
    """Ask what the server is and allows."""
    return _command(requests.Hello(client=client), _info, repeat=True)


def require(capability: str, info: ServerInfo) -> None:
    """Raise Unsupported if a server would ignore what is going to be asked of it."""
    if capability not in info.capabilities:
        raise Unsupported(
            f"the server ({info.version}) does not know {capability!r}: update it"
        )


def message_of(error: str | BaseException) -> str:
    """Make a failure's message: "TypeName: text", of text that JSON can hold."""
    if isinstance(error, BaseException):
        try:
            text = str(error)
        except Exception:  # noqa: BLE001 - a user's __str__ may fail in any way
            text = "(its message cannot be shown)"
        error = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return error[:ERROR_CHARS_MAX].encode(errors="backslashreplace").decode()


def _command(
    request: requests.Request, read: Callable[[bytes], V], *, repeat: bool = False
) -> Command[V]:
    return Command(requests.encode_request(request), read, repeat=repeat)


def _verdicts(jobs: Sequence[AnyJob]) -> bytes:
    """Write a batch's ids, each with the attempt that is meant where that is known."""
    first = jobs[0] if jobs else 0
    attempt = 0 if isinstance(first, int) else first.attempts
    ids: list[int] = []
    for job in jobs:
        if isinstance(job, int) or job.attempts != attempt or not attempt:
            return orjson.dumps(list(map(_verdict, jobs)))
        ids.append(job.id)
    if not ids:
        return b"[]"
    between = b',"attempt":%d},{"id":' % attempt
    digits = orjson.dumps(ids)[1:-1]
    return b'[{"id":%b,"attempt":%d}]' % (digits.replace(b",", between), attempt)


def _verdict(job: AnyJob) -> object:
    if isinstance(job, int):
        return job
    return {"id": job.id, "attempt": job.attempts} if job.attempts else job.id
