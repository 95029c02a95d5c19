"""Jobs that get no further, looked for a few times a second from the heartbeats' thread.

- Jobs pulled ahead whose turn does not come go back to the queue, for others to run: a
  handler before them takes longer than those by which the worker measured.
- Where a handler runs in turn and long, the verdicts of the jobs before it are sent.
- A handler over its time limit that cannot be ended, as a plain one cannot, has its job
  failed. Its lease is extended no more; what becomes of the handler changes nothing.
- When the worker stops while a handler runs in turn, jobs behind it go back, and its own
  does when the grace is over.
"""

import logging
from collections.abc import Callable
from typing import Final

from magicqueue import commands
from magicqueue.errors import MagicQueueError, UnknownCommand, Unsupported
from magicqueue.failures import TimeLimitExceeded
from magicqueue.job import Job
from magicqueue.runner import Runner
from magicqueue.sync_channel import SyncChannel
from magicqueue.trouble import fact_of
from magicqueue.verdict_sender import send_verdict

LOOK_S: Final = 0.25

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class Stalls:
    """Looks after one runner's jobs.

    limit_s: after so long a handler is given up; None is never. on_hung: called then,
    when the server has been told. on_put_back: called with how many jobs wait for their
    turn again that could not be given back. on_room: called when jobs have gone back, so
    that others may be pulled. on_cut_off: called when a handler that runs in turn was still
    there at `end_at`. All are called in the heartbeats' thread.
    """

    def __init__(
        self,
        runner: Runner,
        limit_s: float | None,
        *,
        on_hung: Callable[[Job], object],
        on_put_back: Callable[[int], object],
        on_room: Callable[[], object],
        on_cut_off: Callable[[], object] = lambda: None,
    ) -> None:
        self._runner = runner
        self._limit_s = limit_s
        self._on_hung = on_hung
        self._on_put_back = on_put_back
        self._on_room = on_room
        self._on_cut_off = on_cut_off
        self.end_at: float | None = None
        """When the grace of a stop is over, on the monotonic clock; None: no stop."""
        self._first: Job | None = None
        self._in_turn: Job | None = None
        self._in_turn_since = 0.0
        self._takes_back = True

    def look(self, now: float, channel: SyncChannel) -> None:
        """Do what is to be done; `now` is a time of the monotonic clock."""
        runner = self._runner
        runner.log.tell_rest()
        in_turn = runner.in_turn.job
        stays = in_turn is not None and in_turn is self._in_turn
        if not stays:
            self._in_turn, self._in_turn_since = in_turn, now
        hung = self._hung(now)
        for job in hung:
            self._give_up(job)
        ends = in_turn is not None and (bool(hung) or self.end_at is not None)
        if runner.room.by_measure or ends:
            self._give_back_stalled(channel, at_once=ends)
        cut_off = stays and self.end_at is not None and now >= self.end_at
        if cut_off and in_turn is not None and in_turn not in runner.forfeited:
            runner.forfeited.add(in_turn)
            runner.give_back([in_turn])
        if stays or hung:
            for verdict in runner.take_verdicts(learn=False):
                send_verdict(runner, channel, verdict)
        for job in hung:
            self._on_hung(job)
        if cut_off:
            self._on_cut_off()

    def _hung(self, now: float) -> list[Job]:
        """Give the jobs whose handlers are over their time limit."""
        if self._limit_s is None:
            return []
        in_turn = self._in_turn
        if in_turn is not None:
            is_over = now - self._in_turn_since > self._limit_s
            return [in_turn] if is_over and in_turn not in self._runner.forfeited else []
        return [
            job
            for job in self._runner.under_way()
            if now - job._started_at > self._limit_s + LOOK_S  # noqa: SLF001 - one that can be cancelled is, by then
        ]

    def _give_up(self, job: Job) -> None:
        assert self._limit_s is not None
        logger.error(
            "the handler of job %d of %s does not end within %g s and cannot be ended: the"
            " job has failed, but the handler still runs",
            job.id,
            job.queue,
            self._limit_s,
        )
        self._runner.forfeit(job, TimeLimitExceeded(self._limit_s))

    def _give_back_stalled(self, channel: SyncChannel, *, at_once: bool) -> None:
        runner = self._runner
        try:
            first = runner.unstarted[0]
        except IndexError:
            self._first = None
            return
        stalled = first is self._first or at_once
        self._first = first
        if not stalled or not self._takes_back:
            return
        runner.room.stalled()
        jobs = runner.take_unstarted()
        try:
            channel.request(commands.release(jobs, repeat=True))
        except MagicQueueError as error:
            if isinstance(error, Unsupported | UnknownCommand):
                self._takes_back = False
                runner.room.stay()
            logger.warning(
                "%d jobs that wait for a slow handler could not be given back: %s",
                len(jobs),
                fact_of(error),
            )
            runner.unstarted.extendleft(reversed(jobs))
            self._on_put_back(len(jobs))
        else:
            runner.forget(jobs)
            self._on_room()
