"""The log as the server sees it: a place to read, a core to fill, and an orderly end."""

import asyncio
from collections.abc import Callable

from magicqueue_cores.contract import Core
from magicqueue_server.wal.journal import DiskFull
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.place import Place
from magicqueue_server.wal.reclaim import Reclaimer, Source
from magicqueue_server.wal.recovery import Progress, Recovered, Replays
from magicqueue_server.wal.tasks import LoopTasks


class Persistence:
    """One server's log. Make it inside the event loop that the server runs on."""

    def __init__(
        self, place: Place, *, mode: str, segment_bytes: int, now_ms: Callable[[], int]
    ) -> None:
        self._place = place
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms
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
