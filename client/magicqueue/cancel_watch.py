"""Hearing of cancels at once, by one request that waits at the server.

The request names the jobs whose handlers have run for a while, and is answered when one of
them is cancelled, or is not ours any more. It ends early when another comes behind it, so
it shares the heartbeats' connection: when handlers have begun that it does not name, the
next is sent. So a worker of long jobs sends one in a third of a lease, and one whose jobs
are done before they are seen twice sends none.
"""

from collections.abc import Callable, Sequence
from typing import Any

from magicqueue import job_commands
from magicqueue.errors import MagicQueueError
from magicqueue.job import Job
from magicqueue.protocol import Call
from magicqueue.runner import Runner
from magicqueue.sync_channel import SyncChannel


class CancelWatch:
    """Watches over one runner's jobs, from the heartbeats' thread.

    wait_s: how long one request waits; a server that refuses it is asked again after that.
    tell: called with jobs, and the ids of those missing and of those cancelled.
    """

    def __init__(
        self,
        runner: Runner,
        channel: SyncChannel,
        *,
        lease_ms: int,
        wait_s: float,
        tell: Callable[[Sequence[Job], list[int], list[int]], None],
    ) -> None:
        self._runner = runner
        self._channel = channel
        self._lease_ms = lease_ms
        self._wait_s = wait_s
        self._tell = tell
        self._call: Call[Any] | None = None
        self._watched: set[Job] = set()
        self._seen: set[Job] = set()
        self._not_before = 0.0

    def look(self, now: float) -> bool:
        """Take what has come, and wait for what has not; tells whether it has just asked.

        Then an answer may come at once: a job may have been cancelled before.
        """
        call = self._call
        if call is not None:
            self._channel.look()
            if call.done:
                self._call = None
                self._watched.clear()
                if call.error is not None:
                    self._not_before = now + self._wait_s
        jobs = self._running_on()
        if not jobs or now < self._not_before or jobs <= self._watched:
            return False
        command = job_commands.watch(
            list(jobs), self._lease_ms, round(self._wait_s * 1000), self._tell
        )
        try:
            self._call = self._channel.begin(command)
        except MagicQueueError:
            self._not_before = now + self._wait_s  # a heartbeat will say what is wrong
            return False
        self._watched = jobs
        return True

    def _running_on(self) -> set[Job]:
        """Give the jobs that were running at the look before, too."""
        runner = self._runner
        in_turn = runner.in_turn.job
        running = set(runner.under_way()) if in_turn is None else {in_turn}
        seen, self._seen = self._seen, running
        return {job for job in running & seen if not (job.lost or job.cancelled)}
