"""Tasks that come by a schedule: what is declared, and how a worker has a server keep it.

Declaring asks no server. A worker does when it begins, and again until the server is there;
the same again changes nothing, so all workers may do so. What a server refuses is told in
the log, and the worker works: it may be one that may not ask for crons.
"""

import logging
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from magicqueue.crons import CronOptions, cron
from magicqueue.errors import ConnectionLost, ConnectionRefused, MagicQueueError

if TYPE_CHECKING:
    from magicqueue.tasks.task import Task

_AGAIN_S: Final = (1.0, 2.0, 5.0, 10.0)
logger: Final = logging.getLogger("magicqueue")


class TaskCron(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A call of a task that comes by a schedule."""

    name: str
    """Of the cron, among all of the server."""
    task: "Task[..., Any]"
    schedule: str | None
    times: CronOptions
    """What else says when."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}

    @property
    def options(self) -> CronOptions:
        """Give all options: when it comes, and those of the task's jobs."""
        of_jobs = {
            name: value
            for name, value in self.task.job_options.items()
            if name not in {"delay", "run_at"}
        }
        key = self.task.key_of(self.args, self.kwargs)
        of_key = {} if key is None else {"unique_key": key}
        return cast("CronOptions", {**of_jobs, **of_key, **self.times})

    def data(self) -> bytes:
        """Write the call. Raises as `Task.push`."""
        return self.task.data_of(self.args, self.kwargs)

    def check(self) -> None:
        """Refuse what no server could be asked. Raises TypeError or ValueError."""
        cron(self.task.queue, self.name, self.schedule, None, self.options)


async def keep_crons(crons: Iterable[TaskCron]) -> None:
    """Have a server keep these, as soon as it is there; what it refuses is logged."""
    import asyncio  # noqa: PLC0415 - a worker's: producers in plain code do without

    for one in crons:
        for attempt in count():
            try:
                await one.task.producer.set_cron(one)
            except (ConnectionRefused, ConnectionLost):
                await asyncio.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
            except MagicQueueError as error:
                logger.error("cron %s was not set: %s", one.name, error)  # noqa: TRY400 - its sentence says it all
                break
            else:
                break
