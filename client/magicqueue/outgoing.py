"""Pushes and acks of an asyncio queue that come one by one and leave as batches.

What the tasks of an event loop ask for in one turn of it is sent in the next, as one
request; each caller waits for an own answer.
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from magicqueue import commands
from magicqueue.channel import Channel
from magicqueue.coalesce import Gathering, is_one_items_fault
from magicqueue.encoding import BATCH_BYTES_MAX, BATCH_JOBS, join_jobs, object_of
from magicqueue.errors import MagicQueueError
from magicqueue.forks import after_fork
from magicqueue.job import AnyJob
from magicqueue.job_options import needs_of
from magicqueue.protocol import Call, Command
from magicqueue.request_keys import RequestKeys
from magicqueue.sources import Source

R = TypeVar("R")
_Item: TypeAlias = tuple[bytes, bytes]
"""A job's encoded data, and its options' tail."""
_IdWaiter: TypeAlias = asyncio.Future[int]
_Waiter: TypeAlias = asyncio.Future[None]


class Outgoing:
    """Gathers what one queue pushes and acks.

    settling: called with the jobs whose acks are being sent. shares: whether a PUSHB may
    say once what its jobs share. keys: for requests that may be sent twice.
    """

    def __init__(
        self,
        source: Source,
        channel: Channel,
        settling: Callable[[Sequence[AnyJob]], None],
        *,
        shares: Callable[[], bool],
        keys: RequestKeys,
    ) -> None:
        self._source = source
        self._channel = channel
        self._settling = settling
        self._shares = shares
        self._keys = keys
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pushes: Gathering[_Item, _IdWaiter] = Gathering(BATCH_JOBS, BATCH_BYTES_MAX)
        self._acks: Gathering[AnyJob, _Waiter] = Gathering(BATCH_JOBS, BATCH_BYTES_MAX)
        after_fork(self)

    def forked(self) -> None:
        """Leave what the parent is about to send to it; called in a child process."""
        self._loop = None
        self._pushes.clear()
        self._acks.clear()

    def push(self, item: _Item) -> _IdWaiter:
        """Send a job soon; the future gives its id. Raises ValueError of several queues."""
        self._source.one  # noqa: B018 - to refuse it here
        loop = self._current_loop()
        waiter: _IdWaiter = loop.create_future()
        if self._pushes.add(item, waiter, sum(map(len, item))):
            loop.call_soon(self._send_pushes)
        return waiter

    def ack(self, job: AnyJob) -> _Waiter:
        """Send an ack soon; the future says when it is settled."""
        loop = self._current_loop()
        waiter: _Waiter = loop.create_future()
        if self._acks.add(job, waiter):
            loop.call_soon(self._send_acks)
        return waiter

    def send(self) -> None:
        """Send all that there is now."""
        self._send_pushes()
        self._send_acks()

    def _current_loop(self) -> asyncio.AbstractEventLoop:
        """Give the running loop; what another one left unsent goes, as it has ended."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._pushes.clear()
            self._acks.clear()
        return loop

    def _send_pushes(self) -> None:
        for items, waiters in self._pushes.take():
            self._send_batch(items, waiters)

    def _send_batch(self, items: list[_Item], waiters: list[_IdWaiter]) -> None:
        key = self._keys.next()
        if len(items) == 1:
            ((data, tail),) = items
            one = object_of(data, tail)
            command = commands.push(self._source.one, one, needs_of(tail), key)
        else:
            batch = join_jobs(items, share=self._shares())
            command = commands.push_batch(self._source.one, batch, key)
        self._post(command, waiters, partial(self._pushed, items, waiters))

    def _pushed(
        self, items: list[_Item], waiters: list[_IdWaiter], call: Call[list[int]]
    ) -> None:
        if call.error is None:
            for waiter, job_id in zip(waiters, call.result(), strict=True):
                if not waiter.done():
                    waiter.set_result(job_id)
        elif len(items) > 1 and is_one_items_fault(call.error):
            for item, waiter in zip(items, waiters, strict=True):
                self._send_batch([item], [waiter])
        else:
            _fail_all(waiters, call.error)

    def _send_acks(self) -> None:
        for jobs, waiters in self._acks.take():
            self._settling(jobs)
            self._post(commands.ack(jobs), waiters, partial(_acked, jobs, waiters))

    def _post(
        self,
        command: Command[R],
        waiters: Sequence[asyncio.Future[Any]],
        on_done: "partial[None]",
    ) -> None:
        try:
            self._channel.post(Call(command, on_done))
        except MagicQueueError as error:
            _fail_all(waiters, error)


def _acked(jobs: list[AnyJob], waiters: list[_Waiter], call: Call[list[int]]) -> None:
    if call.error is not None:
        _fail_all(waiters, call.error)
        return
    missing = set(call.result())
    for job, waiter in zip(jobs, waiters, strict=True):
        job_id = job if isinstance(job, int) else job.id
        if waiter.done():
            continue
        if job_id in missing:
            waiter.set_exception(commands.not_yours(job))
        else:
            waiter.set_result(None)


def _fail_all(waiters: Sequence[asyncio.Future[Any]], error: Exception) -> None:
    """Give each waiter an exception of its own: one raised twice mixes tracebacks."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(copy.copy(error))
