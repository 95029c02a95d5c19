"""Leases kept alive from a thread of their own, over a connection of their own.

A handler that computes can starve an event loop, so heartbeats do not come from there:
this thread needs only the interpreter, which Python hands round every few milliseconds.
It beats every third of the lease, for those jobs that were already held at the beat
before: a job's first heartbeat comes between one and two thirds of its lease, so short
jobs cost none, and a worker of short jobs never opens this connection.

Where a beat fails it tries again soon. A job that the server reports missing is marked
lost if it still runs; if it has ended, its verdict may just have come before the beat.

The same thread looks a few times a second for jobs that get no further: see `stalls`.
"""

import logging
import threading
import time
from typing import Final

from magicqueue import commands
from magicqueue.address import Address
from magicqueue.errors import MagicQueueError
from magicqueue.job import Job
from magicqueue.runner import Runner
from magicqueue.stalls import LOOK_S, Stalls
from magicqueue.sync_channel import SyncChannel
from magicqueue.trouble import fact_of

BEATS_PER_LEASE: Final = 3
_RETRIES_PER_BEAT: Final = 8
_BATCH: Final = 5000

logger = logging.getLogger("magicqueue")


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
        self._stalls = stalls
        self._lease_ms = lease_ms
        self._interval_s = lease_ms / 1000 / BEATS_PER_LEASE
        self._channel = SyncChannel(
            address,
            timeout_s=min(timeout_s, max(self._interval_s, 1.0)),
            reconnect_s=0.0,
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

    def stop(self) -> None:
        """End; it does not wait for a beat under way."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def _run(self) -> None:
        known: set[Job] = set()
        now = time.monotonic()
        beat_at = now + self._interval_s
        while True:
            with self._condition:
                if not (self._stopped or self._wanted):
                    self._condition.wait(min(LOOK_S, max(0.0, beat_at - now)))
                if self._stopped:
                    break
                wanted, self._wanted = self._wanted, False
            now = time.monotonic()
            self._stalls.look(now, self._channel)
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

    def _beat(self, jobs: list[Job]) -> None:
        for start in range(0, len(jobs), _BATCH):
            some = jobs[start : start + _BATCH]
            missing = self._channel.request(commands.heartbeat(some, self._lease_ms))
            gone = set(missing)
            for job in some:
                if job.id in gone and job in self._runner.held:
                    job.lost = True
                    logger.warning(
                        "the lease of job %d of %s is over while it runs: it may run"
                        " elsewhere too",
                        job.id,
                        job.queue,
                    )
