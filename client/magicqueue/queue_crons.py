"""Crons of the server, asked of a queue: set, listed, paused, run and deleted.

`sync_queue_crons` has the same for code without asyncio.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, TypeVar, Unpack

from magicqueue import crons
from magicqueue.crons import CronDetails, CronOptions, CronSet
from magicqueue.protocol import Command

R = TypeVar("R")


class QueueCrons:
    """What a queue can be asked, and told, of jobs that come again and again."""

    @property
    def name(self) -> str:
        """The queue's name. Raises ValueError where it is several queues."""
        raise NotImplementedError

    async def cron(
        self,
        name: str,
        schedule: str | None = None,
        data: Any = None,
        **options: Unpack[CronOptions],
    ) -> CronSet:
        """Have jobs come to this queue again and again, under a name of the server's.

        schedule: minute, hour, day of month, month, day of week, as in "30 2 * * 1-5";
        perhaps seconds before; or @hourly, @daily, @weekly, @monthly, @yearly; or none, and
        `every` so often. data: that of each job. Options: tz, every, missed, overlap and
        more, see CronOptions, and those of `push` but delay and run_at. The same again
        changes nothing, so it may be said at each start; something else changes the cron.

        Raises NotJson, TypeError and ValueError before anything is sent, BadRequest for a
        schedule that cannot be, Unsupported (of an older server).
        """
        return await self._run(crons.cron(self.name, name, schedule, data, options))

    async def crons(self) -> AsyncIterator[CronDetails]:
        """Iterate over the crons of the server, of all queues, by name.

        Raises Unsupported where a server cannot do that.
        """
        after: str | None = None
        while True:
            page = await self._run(crons.crons(after))
            for one in page.crons:
                yield one
            after = page.next
            if after is None:
                return

    async def cron_details(self, name: str, runs: int = 3) -> CronDetails:
        """Look a cron up, with its next runs, 20 at most. Raises NotFound."""
        page = await self._run(crons.one_cron(name, runs))
        return page.crons[0]

    async def delete_cron(self, name: str) -> None:
        """Forget a cron; the jobs that it has pushed stay. Raises NotFound."""
        await self._run(crons.delete_cron(name))

    async def pause_cron(self, name: str) -> None:
        """Let a cron push no jobs until `resume_cron`. Raises NotFound."""
        await self._run(crons.pause_cron(name))

    async def resume_cron(self, name: str) -> datetime | None:
        """Let it push them again; gives its next run (UTC). Raises NotFound."""
        return await self._run(crons.resume_cron(name))

    async def run_cron(self, name: str) -> int:
        """Push a job of a cron now, which changes nothing else; gives the job's id.

        Raises NotFound, and as `push`.
        """
        return await self._run(crons.run_cron(name))

    async def _run(self, command: Command[R]) -> R:
        raise NotImplementedError
