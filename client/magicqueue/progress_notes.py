"""What handlers tell of how far they are, until it is sent: of each job the last.

It is sent a few times a second, from the heartbeats' thread; it is not worth more, since
the server forgets it with the job.
"""

import logging

from magicqueue import job_commands
from magicqueue.errors import MagicQueueError, RequestError, Unsupported
from magicqueue.job import Job
from magicqueue.sync_channel import SyncChannel
from magicqueue.trouble import fact_of

EVERY_S = 0.2

logger: logging.Logger = logging.getLogger("magicqueue")


class ProgressNotes:
    """The notes of one worker's jobs."""

    def __init__(self) -> None:
        self._notes: dict[Job, tuple[int | None, str | None]] = {}
        self._send_at = 0.0
        self._unsupported = False

    def note(self, job: Job, percent: int | None, note: str | None) -> None:
        """Have this sent soon; from any thread."""
        if not self._unsupported:
            self._notes[job] = percent, note

    def send(self, now: float, channel: SyncChannel) -> None:
        """Send what there is, unless that was a moment ago."""
        if not self._notes or now < self._send_at:
            return
        self._send_at = now + EVERY_S
        notes, self._notes = self._notes, {}
        for job, (percent, note) in notes.items():
            try:
                channel.request(job_commands.progress(job, percent, note))
            except Unsupported as error:
                self._unsupported = True
                logger.warning("nobody hears of a job's progress: %s", error)
                return
            except RequestError:
                continue  # the job has ended meanwhile
            except MagicQueueError as error:
                logger.warning("the progress of jobs was not told: %s", fact_of(error))
                return
