"""Verdicts sent over a blocking channel: at once, or by a thread that does nothing else.

A thread that sends takes all outcomes that are there, so verdicts leave in batches while
the server is slow, and at once while it is quick.
"""

import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from magicqueue.errors import MagicQueueError
from magicqueue.job import Job
from magicqueue.runner import Runner
from magicqueue.sync_channel import SyncChannel
from magicqueue.sync_connection import Interrupted
from magicqueue.verdicts import Verdict

_Outcome: TypeAlias = tuple[Job | None, BaseException | None]
_LOOK: Final[_Outcome] = (None, None)
"""No outcome, but there are verdicts to send."""


class VerdictSender:
    """Sends the verdicts that a runner has noted. on_sent: called after each round."""

    def __init__(
        self,
        runner: Runner,
        channel: SyncChannel,
        on_sent: Callable[[], None] | None = None,
    ) -> None:
        self._runner = runner
        self._channel = channel
        self._on_sent = on_sent
        self._outcomes: SimpleQueue[_Outcome | None] = SimpleQueue()

    def note(self, job: Job, error: BaseException | None) -> None:
        """Have `run` judge a job by what its handler raised; from any thread."""
        self._outcomes.put((job, error))

    def send_soon(self) -> None:
        """Have `run` send what there is."""
        self._outcomes.put(_LOOK)

    def end(self) -> None:
        """Have `run` end, when all before is sent."""
        self._outcomes.put(None)

    def run(self) -> None:
        """Send verdicts until told to end: all that are there, in one batch."""
        with contextlib.suppress(Interrupted):
            while (outcome := self._outcomes.get()) is not None:
                self._finish(outcome)
                ended = False
                with contextlib.suppress(Empty):
                    while (more := self._outcomes.get_nowait()) is not None:
                        self._finish(more)
                    ended = True
                self.send()
                if ended:
                    return

    def send(self) -> None:
        """Send what there is, in the calling thread."""
        for verdict in self._runner.take_verdicts():
            send_verdict(self._runner, self._channel, verdict)
        if self._on_sent is not None:
            self._on_sent()

    def _finish(self, outcome: _Outcome) -> None:
        job, error = outcome
        if job is not None:
            self._runner.finish(job, error, job._took_s)  # noqa: SLF001 - a worker's note on it


def send_verdict(runner: Runner, channel: SyncChannel, verdict: Verdict) -> None:
    """Send one verdict, or what the server takes instead."""
    try:
        following = runner.settled(verdict, channel.request(verdict.command))
    except MagicQueueError as error:
        following = runner.unsettled(verdict, error)
    for one in following:
        send_verdict(runner, channel, one)
