"""A queue on a server, for code without asyncio.

The same names and rules as `queue.Queue`, but each call blocks until it has its answer.
Threads may share one queue; a call waits for the one before it, except pulls, which have
a connection each. Processes may too: a forked child has connections of its own, and what
the parent pulled stays the parent's.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from magicqueue import commands, job_commands
from magicqueue.address import AccessOptions, Address, parse_address
from magicqueue.answers import Cancelling, Ending, PushedId, result_of
from magicqueue.arguments import job_list, one_job, several_ids, several_jobs, whole_number
from magicqueue.durations import Duration, duration_ms
from magicqueue.encoding import (
    BATCH_JOBS,
    batches,
    encode_batch,
    json_of,
    object_of,
)
from magicqueue.errors import Closed, RequestError, TooLarge
from magicqueue.events import Event
from magicqueue.forks import after_fork
from magicqueue.job import AnyJob, Job, checked_progress
from magicqueue.job_options import JobOptions, UniqueOptions, needs_of, tail_of
from magicqueue.protocol import Command
from magicqueue.request_keys import RequestKeys
from magicqueue.sources import STRICT, Names, source_of
from magicqueue.sync_channel import SyncChannel
from magicqueue.sync_event_streams import sync_events_over
from magicqueue.sync_queue_admin import SyncQueueAdmin
from magicqueue.wire.limits import WAIT_JOBS_MAX
from magicqueue.wire.replies import ServerInfo
from magicqueue.wire.values import Order

R = TypeVar("R")
S = TypeVar("S")


class SyncQueue(SyncQueueAdmin):
    """A queue by its name, on the server at `url`.

    url: see `magicqueue.address`; None is MAGICQUEUE_URL or localhost:6789. timeout: how
    long a whole answer may take (a large one longer: see `connection`), and how long a
    server that went away is waited for. access: token, ca, cert, key, see AccessOptions.
    name: or a list of names, for pulls of several queues: as they are listed, or with
    order "turns" each in turn first (a name that is there twice, twice as often). Such a
    queue pulls and settles; for all else it takes a queue of one name.
    It connects at its first use; use it as `with`, or `close` it.

    repeat_pushes: a push whose connection broke is sent again, and is stored once: the
    server knows it by a key of its own, which makes pushes slower. Without it, and of
    servers that cannot do that, such a push raises ConnectionLost. With an address of
    several hosts it is meant.

    Every call may raise ConnectionRefused, ConnectionLost, RequestTimeout, Closed, and
    the RequestErrors that the server refuses with.
    """

    def __init__(
        self,
        name: Names,
        url: str | None = None,
        *,
        order: Order = STRICT,
        timeout: Duration = commands.TIMEOUT_S,
        repeat_pushes: bool = False,
        **access: Unpack[AccessOptions],
    ) -> None:
        self._source = source_of(name, order)
        self.address: Address = parse_address(url, access)
        self._timeout_s = duration_ms(timeout, "timeout", least_ms=1) / 1000
        self._channel = self._new_channel()
        self._keys = RequestKeys(wanted=repeat_pushes or bool(self.address.others))
        self._lock = threading.Lock()
        self._idle: list[SyncChannel] = []
        self._closed = False
        after_fork(self)

    def forked(self) -> None:
        """Start with no connection; called in a child process."""
        self._lock = threading.Lock()
        self._idle = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SyncQueue({str(self._source)!r}, {str(self.address)!r})"

    def close(self) -> None:
        """End the connections. Jobs pulled and not settled go back to the queue."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for channel in idle:
            channel.close()
        self._channel.close()

    @overload
    def push(self, data: Any, **options: Unpack[UniqueOptions]) -> PushedId: ...

    @overload
    def push(self, data: Any, **options: Unpack[JobOptions]) -> int: ...

    def push(self, data: Any, **options: Any) -> int:
        """Store a job and give its id.

        data: any JSON value, and what orjson makes one of (dataclasses, datetimes, …).
        Options: priority, delay or run_at, max_attempts, backoff, jitter, unique_key,
        ttl, timeout, keep_result and more: see JobOptions. With a unique_key the id tells
        whether the key was held: see PushedId.

        Raises NotJson, TypeError and ValueError before anything is sent, Duplicate where
        on_conflict is "reject", Unsupported for an option that an older server lacks, and
        ConnectionLost when the job may or may not have been stored (see `repeat_pushes`).
        """
        tail = tail_of(options)  # type: ignore[arg-type]  # the overloads say what it is
        return self._push_json(json_of(data), tail)

    def _push_json(self, data: bytes, tail: bytes) -> int:
        """Store a job whose data is JSON already; tail: see `job_options.tail_of`."""
        key, item = self._keys.next(), object_of(data, tail)
        command = commands.push(self.name, item, needs_of(tail), key)
        return self._channel.request(command)[0]

    def push_batch(self, items: Iterable[Any], **options: Unpack[JobOptions]) -> list[int]:
        """Store many jobs, all or none, and give their ids in order.

        The options are those of `push`, for each item that is not a NewJob with its own.
        Where a job has a unique_key, each id is a PushedId. Raises as `push`, and TooLarge
        over the server's limits for one batch. A string or a dict is one job's data and no
        list: a TypeError.
        """
        job_list(items, "push_batch")
        jobs = items if isinstance(items, list) else list(items)
        batch = encode_batch(jobs, tail_of(options), share=self._shares())
        if not jobs:
            return []
        try:
            return self._run(commands.push_batch(self.name, batch, self._keys.next()))
        except TooLarge as error:
            raise TooLarge(f"{error}; push_many splits jobs into batches") from None

    def push_many(
        self,
        items: Iterable[Any],
        *,
        batch_size: int = BATCH_JOBS,
        window: int = 4,
        **options: Unpack[JobOptions],
    ) -> list[int]:
        """Store any number of jobs, and give their ids in order.

        They go out as batches of at most `batch_size` jobs (and 8 MiB), `window` of them
        under way at once; memory stays bounded but for the ids. Each batch is stored or
        refused whole, the first refusal ends it, and a note on the error then says how
        many jobs were stored before it. Otherwise as `push_batch`.
        """
        job_list(items, "push_many")
        whole_number(batch_size, "batch_size")
        whole_number(window, "window")
        ids: list[int] = []
        many = batches(iter(items), tail_of(options), batch_size, self._shares)
        try:
            self._channel.stream(
                (
                    commands.push_batch(self.name, batch, self._keys.next())
                    for batch in many
                ),
                window,
                ids.extend,
            )
        except BaseException as error:
            error.add_note(f"push_many had stored {len(ids)} jobs by then")
            raise
        return ids

    def pull(
        self, timeout: Duration | None = None, lease: Duration | None = None
    ) -> Job | None:
        """Take a job, or None after `timeout` (None: wait for ever; 0: don't wait).

        The job is yours for `lease` (None: the server's default, 5 minutes) or until this
        queue is closed: `ack`, `fail` or `heartbeat` it.
        """
        jobs = self.pull_batch(1, timeout, lease)
        return jobs[0] if jobs else None

    def pull_batch(
        self,
        count: int,
        timeout: Duration | None = None,
        lease: Duration | None = None,
    ) -> list[Job]:
        """Take up to `count` jobs, one at least unless `timeout` passes: see `pull`."""
        whole_number(count, "count")
        timeout_ms = None if timeout is None else duration_ms(timeout, "timeout")
        lease_ms = None if lease is None else duration_ms(lease, "lease", least_ms=1)
        return self._wait_in_slices(
            timeout_ms,
            lambda wait_ms: commands.pull(self._source, count, wait_ms, lease_ms),
        )

    def ack(self, job: AnyJob) -> None:
        """Settle a job as done. Raises NotFound when it is not yours any more."""
        if self._run(commands.ack((one_job(job),))):
            raise commands.not_yours(job)

    def ack_batch(self, jobs: Iterable[AnyJob]) -> list[int]:
        """Settle jobs as done; gives the ids that were not yours any more."""
        jobs = several_jobs(jobs, "ack_batch")
        return self._run(commands.ack(jobs))

    def fail(
        self,
        job: AnyJob,
        error: str | BaseException = "",
        *,
        retry: bool = True,
        delay: Duration | None = None,
    ) -> str:
        """Settle a job as failed; gives its new state: ready, delayed or dead.

        error: kept with the job; an exception as "TypeName: message". retry: False lets it
        be dead at once. delay: when it is tried again, instead of its backoff. Raises
        NotFound, Stale when the job was handed out again, and Unsupported (of an older
        server) for either option.
        """
        delay_ms = None if delay is None else duration_ms(delay, "delay")
        message = commands.message_of(error)
        command = commands.fail_one(one_job(job), message, retry=retry, delay_ms=delay_ms)
        return self._run(command)

    def release(self, *jobs: AnyJob, delay: Duration = 0) -> list[int]:
        """Give jobs back that were not worked on to an end, through no fault of theirs.

        They are ready at their old place, or after `delay`, and count as neither lost nor
        failed. Gives the ids that were not yours any more. Raises Unsupported of an older
        server.
        """
        delay_ms = duration_ms(delay, "delay")
        return self._run(commands.release(several_jobs(jobs, "release"), delay_ms))

    def heartbeat(self, *jobs: AnyJob, lease: Duration | None = None) -> list[int]:
        """Let leases end `lease` from now; gives the ids whose lease is already over.

        A job that was cancelled is marked so: see `job.cancelled`.
        """
        jobs = tuple(map(one_job, jobs))
        lease_ms = None if lease is None else duration_ms(lease, "lease", least_ms=1)
        missing, cancelled = self._run(commands.heartbeat(jobs, lease_ms))
        for job in jobs:
            if isinstance(job, Job):
                job.lost = job.lost or job.id in missing
                job.cancelled = job.cancelled or job.lost or job.id in cancelled
        return missing

    def progress(
        self, job: AnyJob, percent: int | None = None, note: str | None = None
    ) -> None:
        """Tell how far a job is that you have pulled; `job` shows it until it is settled.

        percent: 0 to 100. note: up to 1 KiB. Raises NotFound and Stale where it is not
        yours any more, and Unsupported of an older server.
        """
        percent, note = checked_progress(percent, note)
        self._run(job_commands.progress(one_job(job), percent, note))

    def wait(
        self,
        ids: Iterable[AnyJob] | AnyJob,
        timeout: Duration | None = None,
    ) -> list[Ending]:
        """Wait until at least one of some jobs has ended, and give those that have.

        ids: up to 1,000 jobs or ids, pushed with `keep_result`; or one. timeout: after that
        long the list is empty (None: wait for ever; 0: don't wait). See Ending: a job that
        is not there and was not kept is `unknown`. Raises BadRequest for a job that is
        there and keeps no result, and Unsupported (of an older server).
        """
        several = several_ids(ids, "wait", WAIT_JOBS_MAX)
        timeout_ms = None if timeout is None else duration_ms(timeout, "timeout")
        return self._wait_in_slices(
            timeout_ms, lambda wait_ms: job_commands.wait(several, wait_ms)
        )

    def result(
        self,
        job: AnyJob,
        timeout: Duration | None = None,
    ) -> Any:
        """Give what a job's handler returned; wait for it.

        The job was pushed with `keep_result`. Raises NotDone after `timeout` (None: wait
        for ever), NoResult where the job is dead, or was cancelled, or has expired,
        NotFound where nothing is known of it any more, and what `wait` raises.
        """
        (job_id,) = several_ids(one_job(job), "result")
        return result_of(job_id, self.wait(job_id, timeout))

    def cancel(self, ids: Iterable[AnyJob] | AnyJob) -> Cancelling:
        """Let jobs not run, or not again; says of each what became of it.

        ids: jobs or ids, or one. Those that wait are removed. Those under way are marked:
        their worker is told at once, and they are neither retried nor dead. It may be
        repeated. Raises Unsupported of an older server.
        """
        return self._run(job_commands.cancel(several_ids(ids, "cancel")))

    def promote(self, ids: Iterable[AnyJob] | AnyJob) -> list[int]:
        """Make delayed jobs ready now; gives the ids of those that were not delayed.

        ids: jobs or ids, or one. Raises Unsupported of an older server.
        """
        return self._run(job_commands.promote(several_ids(ids, "promote")))

    def hello(self) -> ServerInfo:
        """Give what the server is, what it allows and what it can do.

        It told so when the connection was made, so this asks only where it is not
        connected. Raises UnknownCommand from a server that knows no HELLO.
        """
        return self._channel.server()

    def _shares(self) -> bool:
        """Whether a PUSHB may say once what its jobs share."""
        return self._channel.offers(commands.BATCH_DEFAULTS)

    def _wait_in_slices(
        self, timeout_ms: int | None, command: Callable[[int], Command[list[S]]]
    ) -> list[S]:
        """Send a request that waits, over a connection of its own, until it gives some.

        A long wait is cut into slices, so that a dead server is noticed.
        """
        slice_ms = commands.PULL_SLICE_MS
        end = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        left_ms = slice_ms if timeout_ms is None else timeout_ms
        channel = self._take_channel()
        try:
            while True:
                found = channel.request(command(min(left_ms, slice_ms)))
                if end is not None:
                    left_ms = max(0, round((end - time.monotonic()) * 1000))
                if found or not left_ms:
                    break
        except RequestError:
            self._give_back(channel)
            raise
        except BaseException:
            channel.close()
            raise
        self._give_back(channel)
        return found

    def _run(self, command: Command[R]) -> R:
        return self._channel.request(command)

    def _events(self, command: Command[None]) -> Iterator[Event]:
        return sync_events_over(self._new_channel(), command, self._timeout_s)

    def _new_channel(self) -> SyncChannel:
        timeout_s = self._timeout_s
        return SyncChannel(self.address, timeout_s=timeout_s, reconnect_s=timeout_s)

    def _take_channel(self) -> SyncChannel:
        with self._lock:
            if self._closed:
                raise Closed("the queue has been closed: make a new one")
            return self._idle.pop() if self._idle else self._new_channel()

    def _give_back(self, channel: SyncChannel) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(channel)
                return
        channel.close()
