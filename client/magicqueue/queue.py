"""A queue on a server, for asyncio code.

Calls made in the same turn of the event loop share what goes over the wire: pushes become
one PUSHB, acks one ACKB, and each caller gets its own answer or error. Reads and
administration go over the same connection. Pulls have connections of their own (`pulls`),
because a pull that waits holds back everything behind it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from magicqueue import commands, job_commands
from magicqueue.address import AccessOptions, Address, parse_address
from magicqueue.answers import Cancelling, Ending, PushedId, result_of
from magicqueue.arguments import job_list, one_job, several_ids, several_jobs, whole_number
from magicqueue.channel import Channel
from magicqueue.durations import Duration, duration_ms
from magicqueue.encoding import (
    BATCH_JOBS,
    async_batches,
    encode_batch,
    json_of,
)
from magicqueue.errors import MagicQueueError, TooLarge
from magicqueue.event_streams import events_over
from magicqueue.events import Event
from magicqueue.job import AnyJob, Job, checked_progress
from magicqueue.job_options import JobOptions, UniqueOptions, tail_of
from magicqueue.outgoing import Outgoing
from magicqueue.protocol import Command
from magicqueue.pulls import PullChannels
from magicqueue.queue_admin import QueueAdmin
from magicqueue.request_keys import RequestKeys
from magicqueue.sources import STRICT, Names, source_of
from magicqueue.waits import Waits
from magicqueue.wire.limits import WAIT_JOBS_MAX
from magicqueue.wire.replies import ServerInfo
from magicqueue.wire.values import Order

R = TypeVar("R")


class Queue(QueueAdmin):
    """A queue by its name, on the server at `url`.

    url: see `magicqueue.address`; None is MAGICQUEUE_URL or localhost:6789. timeout: how
    long a whole answer may take (a large one longer: see `connection`), and how long a
    server that went away is waited for. access: token, ca, cert, key, see AccessOptions.
    name: or a list of names, for pulls of several queues: as they are listed, or with
    order "turns" each in turn first (a name that is there twice, twice as often). Such a
    queue pulls and settles; for all else it takes a queue of one name.
    It connects at its first use; use it as `async with`, or `close` it.

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
        timeout_s = duration_ms(timeout, "timeout", least_ms=1) / 1000
        self._timeout_s = timeout_s
        self._channel = Channel(self.address, timeout_s=timeout_s, reconnect_s=timeout_s)
        self._keys = RequestKeys(wanted=repeat_pushes or bool(self.address.others))
        self._pulls = PullChannels(self._source, self.address, timeout_s)
        self._outgoing = Outgoing(
            self._source,
            self._channel,
            self._pulls.forget,
            shares=self._shares,
            keys=self._keys,
        )
        self._waits = Waits(
            lambda: Channel(self.address, timeout_s=timeout_s, reconnect_s=timeout_s)
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
        return f"Queue({str(self._source)!r}, {str(self.address)!r})"

    async def close(self) -> None:
        """Wait for what is under way, and end the connections.

        Jobs pulled and not settled go back to the queue, and waiting pulls end.
        """
        self._outgoing.send()
        await self._waits.close()
        await self._pulls.close()
        if self._channel.busy:
            # replies come in order, so this one says that all have come
            with contextlib.suppress(MagicQueueError):
                await self.ping()
        await self._channel.close()

    @overload
    async def push(self, data: Any, **options: Unpack[UniqueOptions]) -> PushedId: ...

    @overload
    async def push(self, data: Any, **options: Unpack[JobOptions]) -> int: ...

    async def push(self, data: Any, **options: Any) -> int:
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
        return await self._outgoing.push((json_of(data), tail))

    def _push_json(self, data: bytes, tail: bytes) -> Awaitable[int]:
        """Store a job whose data is JSON already; tail: see `job_options.tail_of`."""
        return self._outgoing.push((data, tail))

    async def push_batch(
        self, items: Iterable[Any], **options: Unpack[JobOptions]
    ) -> list[int]:
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
            return await self._run(commands.push_batch(self.name, batch, self._keys.next()))
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
                command = commands.push_batch(self.name, batch, self._keys.next())
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
        several, delay_ms = several_jobs(jobs, "release"), duration_ms(delay, "delay")
        self._pulls.forget(several)
        return await self._run(commands.release(several, delay_ms))

    async def heartbeat(self, *jobs: AnyJob, lease: Duration | None = None) -> list[int]:
        """Let leases end `lease` from now; gives the ids whose lease is already over.

        A job that was cancelled is marked so: see `job.cancelled`.
        """
        jobs = tuple(map(one_job, jobs))
        lease_ms = None if lease is None else duration_ms(lease, "lease", least_ms=1)
        missing, cancelled = await self._run(commands.heartbeat(jobs, lease_ms))
        for job in jobs:
            if isinstance(job, Job):
                job.lost = job.lost or job.id in missing
                job.cancelled = job.cancelled or job.lost or job.id in cancelled
        return missing

    async def progress(
        self, job: AnyJob, percent: int | None = None, note: str | None = None
    ) -> None:
        """Tell how far a job is that you have pulled; `job` shows it until it is settled.

        percent: 0 to 100. note: up to 1 KiB. Raises NotFound and Stale where it is not
        yours any more, and Unsupported of an older server.
        """
        percent, note = checked_progress(percent, note)
        await self._run(job_commands.progress(one_job(job), percent, note))

    async def wait(
        self,
        ids: Iterable[AnyJob] | AnyJob,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the server does the waiting
    ) -> list[Ending]:
        """Wait until at least one of some jobs has ended, and give those that have.

        ids: up to 1,000 jobs or ids, pushed with `keep_result`; or one. timeout: after that
        long the list is empty (None: wait for ever; 0: don't wait). See Ending: a job that
        is not there and was not kept is `unknown`. Raises BadRequest for a job that is
        there and keeps no result, and Unsupported (of an older server).
        """
        several = several_ids(ids, "wait", WAIT_JOBS_MAX)
        timeout_ms = None if timeout is None else duration_ms(timeout, "timeout")
        if timeout_ms == 0:
            return await self._run(job_commands.wait(several, 0))
        return await self._waits.wait(several, timeout_ms)

    async def result(
        self,
        job: AnyJob,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the server does the waiting
    ) -> Any:
        """Give what a job's handler returned; wait for it.

        The job was pushed with `keep_result`. Raises NotDone after `timeout` (None: wait
        for ever), NoResult where the job is dead, or was cancelled, or has expired,
        NotFound where nothing is known of it any more, and what `wait` raises.
        """
        (job_id,) = several_ids(one_job(job), "result")
        return result_of(job_id, await self.wait(job_id, timeout))

    async def cancel(self, ids: Iterable[AnyJob] | AnyJob) -> Cancelling:
        """Let jobs not run, or not again; says of each what became of it.

        ids: jobs or ids, or one. Those that wait are removed. Those under way are marked:
        their worker is told at once, and they are neither retried nor dead. It may be
        repeated. Raises Unsupported of an older server.
        """
        return await self._run(job_commands.cancel(several_ids(ids, "cancel")))

    async def promote(self, ids: Iterable[AnyJob] | AnyJob) -> list[int]:
        """Make delayed jobs ready now; gives the ids of those that were not delayed.

        ids: jobs or ids, or one. Raises Unsupported of an older server.
        """
        return await self._run(job_commands.promote(several_ids(ids, "promote")))

    async def hello(self) -> ServerInfo:
        """Give what the server is, what it allows and what it can do.

        It told so when the connection was made, so this asks only where it is not
        connected. Raises UnknownCommand from a server that knows no HELLO.
        """
        return await self._channel.server()

    def _events(self, command: Command[None]) -> AsyncGenerator[Event]:
        return events_over(
            lambda on_lost: Channel(
                self.address,
                timeout_s=self._timeout_s,
                reconnect_s=self._timeout_s,
                on_lost=on_lost,
            ),
            command,
            self._timeout_s,
        )

    def _shares(self) -> bool:
        """Whether a PUSHB may say once what its jobs share."""
        return self._channel.offers(commands.BATCH_DEFAULTS)

    async def _run(self, command: Command[R]) -> R:
        return await self._channel.request(command)


async def _settle(tasks: Iterable[asyncio.Task[list[int]]]) -> int:
    """Wait for the batches under way, and count the jobs that they stored."""
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(len(ids) for ids in outcomes if isinstance(ids, list))
