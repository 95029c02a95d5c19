"""The connections that `Queue.pull` waits on.

A pull that waits holds back all later replies of its connection, and a connection that
closes gives its jobs back. So each pull under way has a connection for itself, kept for
the next pull since its jobs are leased to it. A long wait is cut into slices, so that a
server that went away without a word is noticed.

A cancelled pull must take no job: if its connection holds no unsettled job, closing it
has the server forget the pull. Otherwise it is left to end, and jobs that still come go
to the next pull.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from magicqueue import commands
from magicqueue.address import Address
from magicqueue.channel import Channel
from magicqueue.errors import Closed, MagicQueueError, RequestError
from magicqueue.forks import after_fork
from magicqueue.job import AnyJob, Job
from magicqueue.protocol import Call
from magicqueue.sources import Source


class PullChannels:
    """Idle connections, and which connection each unsettled job is leased to."""

    def __init__(self, source: Source, address: Address, timeout_s: float) -> None:
        self._source = source
        self._address = address
        self._timeout_s = timeout_s
        self._all: set[Channel] = set()
        self._idle: list[Channel] = []
        self._lessee: dict[int, Channel] = {}
        self._unclaimed: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        after_fork(self)

    def forked(self) -> None:
        """Start with no connection; called in a child process."""
        self._move_to(None)

    async def pull(
        self, count: int, timeout_ms: int | None, lease_ms: int | None
    ) -> list[Job]:
        """Pull up to `count` jobs; none only after `timeout_ms`. See `Queue.pull`."""
        if self._closed:
            raise Closed("the queue has been closed: make a new one")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        if self._unclaimed:
            some = min(count, len(self._unclaimed))
            return [self._unclaimed.popleft() for _ in range(some)]
        end = None if timeout_ms is None else loop.time() + timeout_ms / 1000
        left_ms = commands.PULL_SLICE_MS if timeout_ms is None else timeout_ms
        channel = self._idle.pop() if self._idle else self._open()
        while True:
            jobs = await self._pull_once(
                channel, count, min(left_ms, commands.PULL_SLICE_MS), lease_ms
            )
            if end is not None:
                left_ms = max(0, round((end - loop.time()) * 1000))
            if jobs or not left_ms:
                self._idle.append(channel)
                return jobs

    def forget(self, jobs: Sequence[AnyJob]) -> None:
        """These jobs are being settled: their connection may close without losing them."""
        for job in jobs:
            self._lessee.pop(job if isinstance(job, int) else job.id, None)

    async def close(self) -> None:
        """Close all; unsettled jobs go back to the queue."""
        self._closed = True
        for channel in self._all:
            await channel.close()

    def _move_to(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The connections of a loop that has ended are of no use, nor are their jobs."""
        self._loop = loop
        self._all.clear()
        self._idle.clear()
        self._lessee.clear()
        self._unclaimed.clear()

    def _open(self) -> Channel:
        channel = Channel(
            self._address, timeout_s=self._timeout_s, reconnect_s=self._timeout_s
        )
        self._all.add(channel)
        return channel

    async def _pull_once(
        self, channel: Channel, count: int, timeout_ms: int, lease_ms: int | None
    ) -> list[Job]:
        arrival: asyncio.Future[list[Job]] = asyncio.get_running_loop().create_future()

        def arrived(call: Call[list[Job]]) -> None:
            jobs = call.value or []
            self._lessee.update(dict.fromkeys((job.id for job in jobs), channel))
            if arrival.cancelled():
                self._unclaimed.extend(jobs)
                if channel in self._all:
                    self._idle.append(channel)
            elif call.error is not None:
                arrival.set_exception(call.error)
            else:
                arrival.set_result(jobs)

        channel.post(
            Call(commands.pull(self._source, count, timeout_ms, lease_ms), arrived)
        )
        try:
            return await arrival
        except asyncio.CancelledError:
            self._forsake(channel, arrival)
            raise
        except RequestError:
            self._idle.append(channel)
            raise
        except MagicQueueError:
            self._drop(channel)
            raise

    def _forsake(self, channel: Channel, arrival: asyncio.Future[list[Job]]) -> None:
        """The caller of a pull was cancelled: its jobs, if any come, are for others."""
        if not arrival.cancelled():
            if arrival.exception() is None:
                self._unclaimed.extend(arrival.result())
            self._idle.append(channel)
        elif channel not in self._lessee.values():
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        self._all.discard(channel)
        channel.abort()
