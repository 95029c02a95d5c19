"""What the tasks of a queue wait for: jobs to end, over as few connections as will do.

A WAIT ends early when another request comes behind it. So all that is waited for is in one
request; when more comes, the next one names that too, and ends the one before. One request
names at most `WAIT_JOBS_MAX` jobs: beyond that there is a further connection.
"""

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TypeAlias

from magicqueue import job_commands
from magicqueue.answers import Ending
from magicqueue.channel import Channel
from magicqueue.commands import PULL_SLICE_MS
from magicqueue.errors import Closed, MagicQueueError, RequestError
from magicqueue.forks import after_fork
from magicqueue.protocol import Call
from magicqueue.wire.limits import WAIT_JOBS_MAX

_Caller: TypeAlias = asyncio.Future[list[Ending]]


class Waits:
    """All waiting of one queue. open_channel: makes a connection for it."""

    def __init__(self, open_channel: Callable[[], Channel]) -> None:
        self._open_channel = open_channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._groups: list[_Group] = []
        self._closed = False
        after_fork(self)

    def forked(self) -> None:
        """Leave what the parent waits for to it; called in a child process."""
        self._loop = None
        self._groups = []

    async def wait(self, ids: list[int], timeout_ms: int | None) -> list[Ending]:
        """Give those of the jobs that have ended: at least one, unless the time passes."""
        if self._closed:
            raise Closed("the queue has been closed: make a new one")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._groups = loop, []
        group = next((some for some in self._groups if some.has_room(len(ids))), None)
        if group is None:
            group = _Group(self._open_channel())
            self._groups.append(group)
        caller: _Caller = loop.create_future()
        timer = None
        if timeout_ms is not None:
            timer = loop.call_later(timeout_ms / 1000, _give, caller, [])
        group.add(caller, ids)
        try:
            return await caller
        finally:
            group.callers.pop(caller, None)
            if timer is not None:
                timer.cancel()

    async def close(self) -> None:
        """End; those that still wait get an error."""
        self._closed = True
        for group in self._groups:
            await group.channel.close()


class _Group:
    """Those who wait over one connection."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.callers: dict[_Caller, list[int]] = {}
        self._latest: Call[list[Ending]] | None = None
        self._sending = False

    def has_room(self, more: int) -> bool:
        """Whether one request can name so many more jobs."""
        return sum(map(len, self.callers.values())) + more <= WAIT_JOBS_MAX

    def add(self, caller: _Caller, ids: list[int]) -> None:
        """Wait for these jobs, too."""
        self.callers[caller] = ids
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._sending = False
        if self.callers:
            ids = list(dict.fromkeys(chain.from_iterable(self.callers.values())))
            command = job_commands.wait(ids, PULL_SLICE_MS)
            self._latest = Call(command, self._answered)
            self._post(self._latest)

    def _post(self, call: Call[list[Ending]]) -> None:
        try:
            self.channel.post(call)
        except MagicQueueError as error:
            self._fail(list(self.callers), error)

    def _answered(self, call: Call[list[Ending]]) -> None:
        is_latest = call is self._latest
        if call.error is not None:
            self._refused(call.error, is_latest=is_latest)
            return
        told = {ending.id: ending for ending in call.result()}
        if told:
            for caller, ids in self.callers.items():
                some = [told[job_id] for job_id in ids if job_id in told]
                if some:
                    _give(caller, some)
            self._forget_served()
        if is_latest:
            self._send()

    def _refused(self, error: Exception, *, is_latest: bool) -> None:
        """Fail those who wait; after a refusal ask for each alone whose fault it is."""
        if not isinstance(error, RequestError):
            self._fail(list(self.callers), error)
        elif is_latest:
            for caller, ids in self.callers.items():
                self._latest = Call(job_commands.wait(ids, 0), partial(self._tried, caller))
                self._post(self._latest)

    def _tried(self, caller: _Caller, call: Call[list[Ending]]) -> None:
        if call.error is not None:
            self._fail([caller], call.error)
        elif call.result():
            _give(caller, call.result())
        self._forget_served()
        if call is self._latest:
            self._send()

    def _fail(self, callers: list[_Caller], error: Exception) -> None:
        for caller in callers:
            if not caller.done():
                caller.set_exception(copy.copy(error))
        self._forget_served()

    def _forget_served(self) -> None:
        self.callers = {c: ids for c, ids in self.callers.items() if not c.done()}


def _give(caller: _Caller, endings: list[Ending]) -> None:
    if not caller.done():
        caller.set_result(endings)
