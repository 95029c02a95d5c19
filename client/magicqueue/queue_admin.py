"""Looking after a queue: counts, flows, dead letters, pause and drain.

`sync_queue_admin` has the same for code without asyncio.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from magicqueue import browse_commands, commands, flow_commands
from magicqueue.arguments import optional_id, whole_number
from magicqueue.durations import Duration, duration_ms
from magicqueue.events import RARE, Event, subscribe
from magicqueue.flow import Flow
from magicqueue.job import DeadPage, Job, JobDetails
from magicqueue.limits import KEPT, GroupLimits, Kept, Rate, groups, limit, throttle
from magicqueue.protocol import Command
from magicqueue.queue_crons import QueueCrons
from magicqueue.request_keys import RequestKeys
from magicqueue.sources import Source
from magicqueue.wire.replies import (
    GroupCounts,
    OneQueueCounts,
    QueueCounts,
    QueueLimits,
    ServerCounts,
)
from magicqueue.wire.values import Deed, EventKind, JobOrder, State

R = TypeVar("R")


class QueueAdmin(QueueCrons):
    """What a queue can be asked, and told, beside its jobs."""

    _source: Source
    _keys: RequestKeys

    @property
    def name(self) -> str:
        """The queue's name. Raises ValueError where it is several queues."""
        return self._source.one

    async def stats(self) -> OneQueueCounts:
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

    async def push_flow(self, flow: Flow) -> list[int]:
        """Store the jobs of a flow, all or none, and give their ids in order: see Flow.

        They are of the queues that the flow says, whatever this one is called. Raises
        Duplicate where a unique key is held, BadRequest for a job that was never pushed,
        Unsupported of an older server, and ConnectionLost when it may or may not have been
        stored (see `repeat_pushes`).
        """
        command = flow_commands.push_flow(flow, self._keys.next())
        return flow.pushed(await self._run(command))

    async def parent_results(self, job: Job) -> dict[int, Any]:
        """Give what came of the jobs that a job depended on, by their ids.

        Of those that are done and whose results are kept still: see Flow.
        """
        told = await asyncio.gather(
            *(self._run(commands.job(parent)) for parent in job.parents),
            return_exceptions=True,
        )
        return flow_commands.results_among(job.parents, told)

    async def limit(
        self,
        *,
        concurrency: int | Kept | None = KEPT,
        rate: Rate | Kept | None = KEPT,
        group: GroupLimits | Kept | None = KEPT,
    ) -> QueueLimits:
        """Limit this queue, and give its limits; without an argument it only gives them.

        concurrency: at most so many of its jobs are at work. rate: so many are handed out
        in a time, see Rate. group: the limits of each single group. What is not given stays
        as it is, None takes the limit away. Jobs beyond a limit wait, in their order. It
        is kept through restarts, and may be said again. Raises Unsupported (of an older
        server).
        """
        return await self._run(limit(self.name, concurrency, rate, group))

    async def throttle(self, span: Duration, group: str | None = None) -> float | None:
        """Hand out no jobs of this queue, or of one group of it, for a while; 0 ends that.

        Of several, the later end wins. Gives until when, in epoch seconds; None: not at
        all. Raises Unsupported (of an older server).
        """
        until_ms = await self._run(throttle(self.name, duration_ms(span, "span"), group))
        return None if until_ms is None else until_ms / 1000

    async def groups(self) -> AsyncIterator[GroupCounts]:
        """Iterate over the groups of this queue's jobs, by name.

        Raises Unsupported (of an older server).
        """
        after: str | None = None
        while True:
            page, after = await self._run(groups(self.name, after))
            for group in page:
                yield group
            if after is None:
                return

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
        after = optional_id(after, "after")
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

    async def jobs(
        self,
        *,
        state: State | None = None,
        contains: str | None = None,
        order: JobOrder = "id",
    ) -> AsyncIterator[JobDetails]:
        """Iterate over this queue's jobs, with all their data, some hundred a request.

        state: `ready`, `delayed`, `active` or `dead`; None is all of them. contains: jobs
        only whose data, as JSON text, has this in it. order: `"id"`, by id, sees each job
        that is there throughout once; `"turn"` gives the first ones of a state in the order
        in which they will come. Raises Unsupported where a server cannot do that.
        """
        after: str | None = None
        while True:
            command = browse_commands.jobs(self.name, state, contains, order, after)
            page = await self._run(command)
            for job in page.jobs:
                yield job
            after = page.next
            if after is None:
                return

    async def bulk(
        self,
        do: Deed,
        *,
        state: State | None = None,
        contains: str | None = None,
        dry_run: bool = False,
    ) -> int:
        """Deal with all jobs that match, in steps; gives with how many.

        do: `"cancel"`, `"promote"`, `"retry"` or `"purge"`, which mean what the methods for
        single jobs do. state and contains: as of `jobs`. dry_run: only count them.
        Raises Unsupported where a server cannot do that.
        """
        number, after = 0, None
        while True:
            command = browse_commands.bulk(
                do, self.name, state, contains, after, dry=dry_run
            )
            step = await self._run(command)
            number, after = number + step.done, step.next
            if after is None:
                return number

    async def events(
        self,
        kinds: Iterable[EventKind] | EventKind = RARE,
        *,
        everywhere: bool = False,
        every: Duration = 1.0,
    ) -> AsyncIterator[Event]:
        """Iterate over what happens to jobs of this queue, from now on, without end.

        kinds: `failed`, `lost`, `dead`, `revived`, `cancelled`, `expired`, `removed`,
        `paused`, `cron`; and `stats`, which counts jobs, now and `every` so often.
        everywhere: of all queues of the server. Nothing is told of each push, pull or ack.
        See Event: one of the kind `dropped` says that others were missed. It has a
        connection of its own, which ends when the iterator is closed. Raises Unsupported
        where a server cannot do that, and Full where it has too many subscribers.
        """
        queues = None if everywhere else list(self._source.names)
        command = subscribe(kinds, queues, every)
        async with aclosing(self._events(command)) as found:
            async for event in found:
                yield event

    async def retry_dead(self, job_id: int | None = None) -> int:
        """Make a dead job, or all of this queue, ready anew; gives how many."""
        job_id = optional_id(job_id, "job_id")
        return await self._run(commands.retry_dead(self.name, job_id))

    async def purge_dead(self, job_id: int | None = None) -> int:
        """Remove a dead job, or all of this queue; gives how many."""
        job_id = optional_id(job_id, "job_id")
        return await self._run(commands.purge_dead(self.name, job_id))

    async def ping(self) -> None:
        """Ask whether the server is there."""
        await self._run(commands.ping())

    async def _run(self, command: Command[R]) -> R:
        raise NotImplementedError

    def _events(self, command: Command[None]) -> AsyncGenerator[Event]:
        raise NotImplementedError
