"""Leases kept alive from a thread of their own, over a connection of their own.

A handler that computes can starve an event loop, so heartbeats do not come from there:
this thread needs only the interpreter, which Python hands round every few milliseconds.
It beats every third of the lease, for those jobs that were already held at the beat
before: a job's first heartbeat comes between one and two thirds of its lease, so short
jobs cost none, and a worker of short jobs never opens this connection.

Where a beat fails it tries again soon. A job that the server reports missing is lost, and
its handler is told so, if it still runs; if it has ended, its verdict may just have come
before the beat.

The same thread hears of cancels (see `cancel_watch`), tells of progress, and looks a few
times a second for jobs that get no further (see `stalls`).
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from magicqueue import commands
from magicqueue.address import Address
from magicqueue.cancel_watch import CancelWatch
from magicqueue.errors import MagicQueueError
from magicqueue.flow_commands import parent_results
from magicqueue.job import Job
from magicqueue.progress_notes import ProgressNotes
from magicqueue.runner import Runner
from magicqueue.stalls import LOOK_S, Stalls
from magicqueue.sync_channel import SyncChannel
from magicqueue.trouble import fact_of

BEATS_PER_LEASE: Final = 3
TICK_S: Final = 0.025
IDLE_TICK_S: Final = 0.04
"""So often there is a look at what has come, where there are jobs and where there are none:
a cancel is heard after two ticks at most, also of a job that has just begun."""
SOON_S: Final = 0.005
"""So long after asking there is a look at what is answered at once."""
_RETRIES_PER_BEAT: Final = 8
_BATCH: Final = 5000

logger: Final[logging.Logger] = logging.getLogger("magicqueue")


class Heartbeats:
    """Extends the leases of a runner's jobs; `start` it once, then `stop` it.

    stalls: looks after jobs that get no further, over the same connection.
    """

    def __init__(
        self,
        runner: Runner,
        address: Address,
        *,
        lease_ms: int,
        timeout_s: float,
        stalls: Stalls,
    ) -> None:
        self._runner = runner
        self._address, self._timeout_s = address, timeout_s
        self._stalls = stalls
        self._lease_ms = lease_ms
        self._interval_s = lease_ms / 1000 / BEATS_PER_LEASE
        self._channel = SyncChannel(
            address,
            timeout_s=min(timeout_s, max(self._interval_s, 1.0)),
            reconnect_s=0.0,
        )
        self._progress = ProgressNotes()
        self._watch = CancelWatch(
            runner,
            self._channel,
            lease_ms=lease_ms,
            wait_s=self._interval_s,
            tell=self._told,
        )
        self._condition = threading.Condition()
        self._stopped = False
        self._wanted = False
        self._thread = threading.Thread(
            target=self._run, name="magicqueue-heartbeats", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def beat_now(self) -> None:
        """Extend the leases of all jobs held, soon; from any thread, without waiting."""
        with self._condition:
            self._wanted = True
            self._condition.notify()

    def progress(self, job: Job, percent: int | None, note: str | None) -> None:
        """Tell the server how far a job is, soon; from any thread, without waiting."""
        self._progress.note(job, percent, note)

    def parent_results(self, job: Job) -> dict[int, Any]:
        """Ask the server what came of a job's parents, over a connection for that."""
        channel = SyncChannel(
            self._address, timeout_s=self._timeout_s, reconnect_s=self._timeout_s
        )
        try:
            return parent_results(job, channel.request)
        finally:
            channel.close()

    def stop(self) -> None:
        """End; it does not wait for a beat under way."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def _run(self) -> None:
        known: set[Job] = set()
        now = time.monotonic()
        beat_at = now + self._interval_s
        look_at = now + LOOK_S
        asked = False
        while True:
            with self._condition:
                if not (self._stopped or self._wanted):
                    tick_s = SOON_S if asked else self._tick_s()
                    self._condition.wait(min(tick_s, max(0.0, beat_at - now)))
                if self._stopped:
                    break
                wanted, self._wanted = self._wanted, False
            now = time.monotonic()
            if wanted or now >= look_at:
                look_at = now + LOOK_S
                self._stalls.look(now, self._channel)
            self._progress.send(now, self._channel)
            asked = self._watch.look(now)
            if not wanted and now < beat_at:
                continue
            held = self._runner.leased()
            due = held if wanted else held & known
            known = held
            beat_at = now + self._interval_s
            try:
                self._beat([job for job in due if not job.lost])
            except MagicQueueError as error:
                logger.warning(
                    "heartbeats for %d jobs failed: %s", len(due), fact_of(error)
                )
                beat_at = now + self._interval_s / _RETRIES_PER_BEAT
        self._channel.close()

    def _tick_s(self) -> float:
        return TICK_S if self._runner.held else IDLE_TICK_S

    def _beat(self, jobs: list[Job]) -> None:
        for start in range(0, len(jobs), _BATCH):
            some = jobs[start : start + _BATCH]
            beat = commands.heartbeat(some, self._lease_ms)
            self._told(some, *self._channel.request(beat))

    def _told(self, jobs: Sequence[Job], missing: list[int], cancelled: list[int]) -> None:
        """Take what the server says of some jobs: which are not ours, or not wanted."""
        if not missing and not cancelled:
            return
        gone, unwanted = set(missing), set(cancelled)
        for job in jobs:
            if job.id not in gone and job.id not in unwanted:
                continue
            if job not in self._runner.held or job.cancelled:
                continue
            if job.id in gone:
                job.lost = True
                logger.warning(
                    "the lease of job %d of %s is over while it runs: it may run"
                    " elsewhere too",
                    job.id,
                    job.queue,
                )
            self._runner.cancel(job)
