"""A queue on a server, for code without asyncio.

The same names and rules as `queue.Queue`, but each call blocks until it has its answer.
Threads may share one queue; a call waits for the one before it, except pulls, which have
a connection each. Processes may too: a forked child has connections of its own, and what
the parent pulled stays the parent's.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from magicqueue import commands
from magicqueue.address import AccessOptions, parse_address
from magicqueue.arguments import job_list, one_job, optional_id, several_jobs, whole_number
from magicqueue.durations import Duration, duration_ms
from magicqueue.encoding import (
    BATCH_JOBS,
    JobOptions,
    batches,
    encode_batch,
    json_of,
    object_of,
    tail_of,
)
from magicqueue.errors import Closed, RequestError, TooLarge
from magicqueue.forks import after_fork
from magicqueue.job import AnyJob, DeadPage, Job, JobDetails
from magicqueue.protocol import Command
from magicqueue.sync_channel import SyncChannel
from magicqueue.wire.replies import Counts, QueueCounts, ServerCounts, ServerInfo

R = TypeVar("R")


class SyncQueue:
    """A queue by its name, on the server at `url`.

    url: see `magicqueue.address`; None is MAGICQUEUE_URL or localhost:6789. timeout: how
    long a whole answer may take (a large one longer: see `connection`), and how long a
    server that went away is waited for. access: token, ca, cert, key, see AccessOptions.
    It connects at its first use; use it as `with`, or `close` it.

    Every call may raise ConnectionRefused, ConnectionLost, RequestTimeout, Closed, and
    the RequestErrors that the server refuses with.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        timeout: Duration = commands.TIMEOUT_S,
        **access: Unpack[AccessOptions],
    ) -> None:
        self.name = commands.queue_name(name)
        self.address = parse_address(url, access)
        self._timeout_s = duration_ms(timeout, "timeout", least_ms=1) / 1000
        self._channel = self._new_channel()
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
        return f"SyncQueue({self.name!r}, {str(self.address)!r})"

    def close(self) -> None:
        """End the connections. Jobs pulled and not settled go back to the queue."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for channel in idle:
            channel.close()
        self._channel.close()

    def push(self, data: Any, **options: Unpack[JobOptions]) -> int:
        """Store a job and give its id.

        data: any JSON value, and what orjson makes one of (dataclasses, datetimes, …).
        Options: priority, delay or run_at, max_attempts, backoff, jitter; see JobOptions.

        Raises NotJson, TypeError and ValueError before anything is sent, and
        ConnectionLost when the job may or may not have been stored.
        """
        item = object_of(json_of(data), tail_of(options))
        return self._run(commands.push(self.name, item))[0]

    def push_batch(self, items: Iterable[Any], **options: Unpack[JobOptions]) -> list[int]:
        """Store many jobs, all or none, and give their ids in order.

        The options are those of `push`, for each item that is not a NewJob with its own.
        Raises as `push`, and TooLarge over the server's limits for one batch. A string or
        a dict is one job's data and no list: a TypeError.
        """
        job_list(items, "push_batch")
        jobs = items if isinstance(items, list) else list(items)
        batch = encode_batch(jobs, tail_of(options), share=self._shares())
        if not jobs:
            return []
        try:
            return self._run(commands.push_batch(self.name, batch))
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
                (commands.push_batch(self.name, batch) for batch in many),
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
        slice_ms = commands.PULL_SLICE_MS
        end = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        left_ms = slice_ms if timeout_ms is None else timeout_ms
        channel = self._take_channel()
        try:
            while True:
                wait_ms = min(left_ms, slice_ms)
                jobs = channel.request(commands.pull(self.name, count, wait_ms, lease_ms))
                if end is not None:
                    left_ms = max(0, round((end - time.monotonic()) * 1000))
                if jobs or not left_ms:
                    break
        except RequestError:
            self._give_back(channel)
            raise
        except BaseException:
            channel.close()
            raise
        self._give_back(channel)
        return jobs

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
        """Let leases end `lease` from now; gives the ids whose lease is already over."""
        jobs = tuple(map(one_job, jobs))
        lease_ms = None if lease is None else duration_ms(lease, "lease", least_ms=1)
        missing = self._run(commands.heartbeat(jobs, lease_ms))
        for job in jobs:
            if isinstance(job, Job) and job.id in missing:
                job.lost = True
        return missing

    def stats(self) -> Counts:
        """Count this queue's jobs; zeros for a queue that nobody has used."""
        return self._run(commands.stats(self.name))

    def server_stats(self) -> ServerCounts:
        """Count the whole server's jobs."""
        return self._run(commands.server_stats())

    def queues(self) -> list[QueueCounts]:
        """Count the jobs of each queue on the server, by name, a page a request."""
        found, after = self._run(commands.queues())
        while after is not None:
            page, after = self._run(commands.queues(after))
            found += page
        return found

    def job(self, job_id: int) -> JobDetails:
        """Look a job up. Raises NotFound for one that is done or was never there."""
        return self._run(commands.job(whole_number(job_id, "job_id")))

    def pause(self) -> None:
        """Hand out no more jobs of this queue until `resume`."""
        self._run(commands.pause(self.name))

    def resume(self) -> None:
        """Hand out jobs again."""
        self._run(commands.resume(self.name))

    def drain(self) -> int:
        """Remove the jobs that wait, ready or delayed; gives how many."""
        return self._run(commands.drain(self.name))

    def dead(self, count: int = commands.DEAD_PAGE, after: int | None = None) -> DeadPage:
        """List dead letters, oldest death first; after: the `next` of the page before."""
        whole_number(count, "count")
        optional_id(after, "after")
        return self._run(commands.dead(self.name, count, after))

    def all_dead(self, page_size: int = commands.DEAD_PAGE) -> Iterator[JobDetails]:
        """Iterate over all dead letters, a page a request."""
        whole_number(page_size, "page_size")
        after: int | None = None
        while True:
            page = self.dead(page_size, after)
            yield from page.jobs
            after = page.next
            if after is None:
                return

    def retry_dead(self, job_id: int | None = None) -> int:
        """Make a dead job, or all of this queue, ready anew; gives how many."""
        optional_id(job_id, "job_id")
        return self._run(commands.retry_dead(self.name, job_id))

    def purge_dead(self, job_id: int | None = None) -> int:
        """Remove a dead job, or all of this queue; gives how many."""
        optional_id(job_id, "job_id")
        return self._run(commands.purge_dead(self.name, job_id))

    def ping(self) -> None:
        """Ask whether the server is there."""
        self._run(commands.ping())

    def hello(self) -> ServerInfo:
        """Give what the server is, what it allows and what it can do.

        It told so when the connection was made, so this asks only where it is not
        connected. Raises UnknownCommand from a server that knows no HELLO.
        """
        return self._channel.server()

    def _shares(self) -> bool:
        """Whether a PUSHB may say once what its jobs share."""
        return self._channel.offers(commands.BATCH_DEFAULTS)

    def _run(self, command: Command[R]) -> R:
        return self._channel.request(command)

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
