"""The log as the server sees it: a place to read, a core to fill, and an orderly end."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from magicqueue_cores.contract import Core
from magicqueue_server.wal.journal import DiskFull, StoreFacts
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.place import Place
from magicqueue_server.wal.reclaim import Reclaimer, Source
from magicqueue_server.wal.recovery import Progress, Recovered, Replays
from magicqueue_server.wal.tasks import LoopTasks


class LogFacts(NamedTuple):
    """What the log tells of itself."""

    used_bytes: int
    live_bytes: int
    """What it would take if all in it were alive and written once."""
    sync_counts: list[int]
    """Syncs that took up to each bound of `sync_times`, and beyond the last."""
    sync_s: float
    store: StoreFacts | None = None


class Persistence:
    """One server's log. Make it inside the event loop that the server runs on."""

    def __init__(
        self,
        place: Place,
        *,
        mode: str,
        segment_bytes: int,
        now_ms: Callable[[], int],
        now_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._place = place
        self._segment_bytes = segment_bytes
        self._now_ms, self._now_ns = now_ms, now_ns
        self._tasks = LoopTasks()
        self._begun = False
        self.log = Log(self._tasks, mode, now_ms)
        self.reclaimer: Reclaimer

    def recover(self, core: Replays, progress: Progress | None = None) -> Recovered:
        """Fill a new core that reports to `log.record`; raises Refused or OSError."""
        return self._place.recover(core, progress)

    def begin(self, core: Core, found: Recovered, source: Source | None = None) -> None:
        """Begin to write behind what was found; raises Refused or OSError.

        source: what knows of more than the jobs of the core, if anything does.
        """
        self.log.begin(self._place.begin(found), found.last_id, found.sequence)
        self._begun = True
        self.log.journal.sync_times.now_ns = self._now_ns
        self.reclaimer = Reclaimer(
            self.log,
            core,
            self._tasks,
            found,
            segment_bytes=self._segment_bytes,
            now_ms=self._now_ms,
            source=source,
        )
        self.log.prepare()
        self.reclaimer.start()
        self._place.tend(self._tasks, self.log.fail)

    def facts(self) -> LogFacts | None:
        """Tell how large the log is, and how long the disk takes; None before it began."""
        if not self._begun:
            return None
        journal = self.log.journal
        return LogFacts(
            journal.used_bytes,
            self.reclaimer.live_bytes(),
            list(journal.sync_times.counts),
            journal.sync_times.sum_s,
            self._place.facts(),
        )

    async def flushed(self) -> None:
        """Wait until all that was recorded is on the disk, or never will be."""
        safe = asyncio.Event()
        self.log.when_safe(safe.set)
        await safe.wait()

    async def close(self) -> None:
        """End in good order, if the disk still does what it should; raises OSError."""
        try:
            if self._begun and self.log.failure is None:
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

                def done(error: BaseException | None) -> None:
                    if error is None or isinstance(error, DiskFull):
                        ended.set_result(None)
                    else:
                        ended.set_exception(error)

                full = self.log.room.full
                self._tasks.run_last(
                    lambda: self.log.journal.close(clean=True, keep_room=full), done
                )
                await ended
        finally:
            self._tasks.close()
            self._place.close()
