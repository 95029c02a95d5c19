"""A queue on a server, for asyncio code.

Calls made in the same turn of the event loop share what goes over the wire: pushes become
one PUSHB, acks one ACKB, and each caller gets its own answer or error. Reads and
administration go over the same connection. Pulls have connections of their own (`pulls`),
because a pull that waits holds back everything behind it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from magicqueue import commands
from magicqueue.address import AccessOptions, parse_address
from magicqueue.arguments import job_list, one_job, optional_id, several_jobs, whole_number
from magicqueue.channel import Channel
from magicqueue.durations import Duration, duration_ms
from magicqueue.encoding import (
    BATCH_JOBS,
    JobOptions,
    async_batches,
    encode_batch,
    json_of,
    tail_of,
)
from magicqueue.errors import MagicQueueError, TooLarge
from magicqueue.job import AnyJob, DeadPage, Job, JobDetails
from magicqueue.outgoing import Outgoing
from magicqueue.protocol import Command
from magicqueue.pulls import PullChannels
from magicqueue.wire.replies import Counts, QueueCounts, ServerCounts, ServerInfo

R = TypeVar("R")


class Queue:
    """A queue by its name, on the server at `url`.

    url: see `magicqueue.address`; None is MAGICQUEUE_URL or localhost:6789. timeout: how
    long a whole answer may take (a large one longer: see `connection`), and how long a
    server that went away is waited for. access: token, ca, cert, key, see AccessOptions.
    It connects at its first use; use it as `async with`, or `close` it.

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
        timeout_s = duration_ms(timeout, "timeout", least_ms=1) / 1000
        self._channel = Channel(self.address, timeout_s=timeout_s, reconnect_s=timeout_s)
        self._pulls = PullChannels(self.name, self.address, timeout_s)
        self._outgoing = Outgoing(
            self.name, self._channel, self._pulls.forget, shares=self._shares
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, {str(self.address)!r})"

    async def close(self) -> None:
        """Wait for what is under way, and end the connections.

        Jobs pulled and not settled go back to the queue, and waiting pulls end.
        """
        self._outgoing.send()
        await self._pulls.close()
        if self._channel.busy:
            # replies come in order, so this one says that all have come
            with contextlib.suppress(MagicQueueError):
                await self.ping()
        await self._channel.close()

    async def push(self, data: Any, **options: Unpack[JobOptions]) -> int:
        """Store a job and give its id.

        data: any JSON value, and what orjson makes one of (dataclasses, datetimes, …).
        Options: priority, delay or run_at, max_attempts, backoff, jitter; see JobOptions.

        Raises NotJson, TypeError and ValueError before anything is sent, and
        ConnectionLost when the job may or may not have been stored.
        """
        return await self._outgoing.push((json_of(data), tail_of(options)))

    async def push_batch(
        self, items: Iterable[Any], **options: Unpack[JobOptions]
    ) -> list[int]:
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
            return await self._run(commands.push_batch(self.name, batch))
        except TooLarge as error:
            raise TooLarge(f"{error}; push_many splits jobs into batches") from None

    async def push_many(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
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
        tail = tail_of(options)
        ids: list[int] = []
        under_way: deque[asyncio.Task[list[int]]] = deque()
        try:
            async for batch in async_batches(items, tail, batch_size, self._shares):
                while len(under_way) >= window:
                    ids += await under_way[0]
                    under_way.popleft()
                command = commands.push_batch(self.name, batch)
                under_way.append(asyncio.create_task(self._run(command)))
                await asyncio.sleep(0)
            while under_way:
                ids += await under_way[0]
                under_way.popleft()
        except BaseException as error:
            done = await _settle(under_way)
            error.add_note(f"push_many had stored {len(ids) + done} jobs by then")
            raise
        return ids

    async def pull(
        self,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the server does the waiting
        lease: Duration | None = None,
    ) -> Job | None:
        """Take a job, or None after `timeout` (None: wait for ever; 0: don't wait).

        The job is yours for `lease` (None: the server's default, 5 minutes) or until this
        queue is closed: `ack`, `fail` or `heartbeat` it. A cancelled pull takes no job.
        """
        jobs = await self.pull_batch(1, timeout, lease)
        return jobs[0] if jobs else None

    async def pull_batch(
        self,
        count: int,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the server does the waiting
        lease: Duration | None = None,
    ) -> list[Job]:
        """Take up to `count` jobs, one at least unless `timeout` passes: see `pull`."""
        whole_number(count, "count")
        return await self._pulls.pull(
            count,
            None if timeout is None else duration_ms(timeout, "timeout"),
            None if lease is None else duration_ms(lease, "lease", least_ms=1),
        )

    async def ack(self, job: AnyJob) -> None:
        """Settle a job as done. Raises NotFound when it is not yours any more."""
        await self._outgoing.ack(one_job(job))

    async def ack_batch(self, jobs: Iterable[AnyJob]) -> list[int]:
        """Settle jobs as done; gives the ids that were not yours any more."""
        jobs = several_jobs(jobs, "ack_batch")
        self._pulls.forget(jobs)
        return await self._run(commands.ack(jobs))

    async def fail(
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
        self._pulls.forget((job,))
        return await self._run(command)

    async def release(self, *jobs: AnyJob, delay: Duration = 0) -> list[int]:
        """Give jobs back that were not worked on to an end, through no fault of theirs.

        They are ready at their old place, or after `delay`, and count as neither lost nor
        failed. Gives the ids that were not yours any more. Raises Unsupported of an older
        server.
        """
        self._pulls.forget(jobs)
        delay_ms = duration_ms(delay, "delay")
        return await self._run(commands.release(several_jobs(jobs, "release"), delay_ms))

    async def heartbeat(self, *jobs: AnyJob, lease: Duration | None = None) -> list[int]:
        """Let leases end `lease` from now; gives the ids whose lease is already over."""
        jobs = tuple(map(one_job, jobs))
        lease_ms = None if lease is None else duration_ms(lease, "lease", least_ms=1)
        missing = await self._run(commands.heartbeat(jobs, lease_ms))
        for job in jobs:
            if isinstance(job, Job) and job.id in missing:
                job.lost = True
        return missing

    async def stats(self) -> Counts:
        """Count this queue's jobs; zeros for a queue that nobody has used."""
        return await self._run(commands.stats(self.name))

    async def server_stats(self) -> ServerCounts:
        """Count the whole server's jobs."""
        return await self._run(commands.server_stats())

    async def queues(self) -> list[QueueCounts]:
        """Count the jobs of each queue on the server, by name, a page a request."""
        found, after = await self._run(commands.queues())
        while after is not None:
            page, after = await self._run(commands.queues(after))
            found += page
        return found

    async def job(self, job_id: int) -> JobDetails:
        """Look a job up. Raises NotFound for one that is done or was never there."""
        return await self._run(commands.job(whole_number(job_id, "job_id")))

    async def pause(self) -> None:
        """Hand out no more jobs of this queue until `resume`."""
        await self._run(commands.pause(self.name))

    async def resume(self) -> None:
        """Hand out jobs again."""
        await self._run(commands.resume(self.name))

    async def drain(self) -> int:
        """Remove the jobs that wait, ready or delayed; gives how many."""
        return await self._run(commands.drain(self.name))

    async def dead(
        self, count: int = commands.DEAD_PAGE, after: int | None = None
    ) -> DeadPage:
        """List dead letters, oldest death first; after: the `next` of the page before."""
        whole_number(count, "count")
        optional_id(after, "after")
        return await self._run(commands.dead(self.name, count, after))

    async def all_dead(
        self, page_size: int = commands.DEAD_PAGE
    ) -> AsyncIterator[JobDetails]:
        """Iterate over all dead letters, a page a request."""
        whole_number(page_size, "page_size")
        after: int | None = None
        while True:
            page = await self.dead(page_size, after)
            for job in page.jobs:
                yield job
            after = page.next
            if after is None:
                return

    async def retry_dead(self, job_id: int | None = None) -> int:
        """Make a dead job, or all of this queue, ready anew; gives how many."""
        optional_id(job_id, "job_id")
        return await self._run(commands.retry_dead(self.name, job_id))

    async def purge_dead(self, job_id: int | None = None) -> int:
        """Remove a dead job, or all of this queue; gives how many."""
        optional_id(job_id, "job_id")
        return await self._run(commands.purge_dead(self.name, job_id))

    async def ping(self) -> None:
        """Ask whether the server is there."""
        await self._run(commands.ping())

    async def hello(self) -> ServerInfo:
        """Give what the server is, what it allows and what it can do.

        It told so when the connection was made, so this asks only where it is not
        connected. Raises UnknownCommand from a server that knows no HELLO.
        """
        return await self._channel.server()

    def _shares(self) -> bool:
        """Whether a PUSHB may say once what its jobs share."""
        return self._channel.offers(commands.BATCH_DEFAULTS)

    async def _run(self, command: Command[R]) -> R:
        return await self._channel.request(command)


async def _settle(tasks: Iterable[asyncio.Task[list[int]]]) -> int:
    """Wait for the batches under way, and count the jobs that they stored."""
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(len(ids) for ids in outcomes if isinstance(ids, list))
