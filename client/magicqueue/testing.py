"""Jobs made up for the tests of handlers, without a server.

    from magicqueue.testing import job

    def test_a_welcome_is_sent():
        welcome(job({"to": "ada@example.org"}, attempts=3))

Such a job behaves as one that a worker has pulled: its data has been through JSON, and
`heartbeat` and `progress` may be called, though nobody hears of it. A test of a handler
that calls `check` may set `cancelled`.
"""

from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from msgspec import Raw

from magicqueue.arguments import whole_number
from magicqueue.commands import queue_name
from magicqueue.durations import Moment, moment_ms
from magicqueue.encoding import json_of
from magicqueue.job import Job

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_ids: Final = count(1)


def job(  # noqa: PLR0913 - keywords, as many as a job has
    data: Any = None,
    *,
    queue: str = "test",
    attempts: int = 1,
    job_id: int | None = None,
    priority: int = 0,
    created_at: Moment = _LONG_AGO,
    run_at: Moment | None = None,
) -> Job:
    """Make a job as a handler gets it.

    data: anything that could be pushed. attempts: how often it was handed out, this time
    included. job_id: its `id`; without, each job made has another. created_at, run_at:
    datetimes or epoch seconds; it is due when it is created unless told otherwise.

    Raises what `push` does for the same arguments.
    """
    created_at_ms = moment_ms(created_at, "created_at")
    made = Job(
        id=next(_ids) if job_id is None else whole_number(job_id, "job_id"),
        queue=queue_name(queue),
        _data=Raw(json_of(data)),
        priority=whole_number(priority, "priority", -(2**31), 2**31 - 1),
        created_at_ms=created_at_ms,
        run_at_ms=created_at_ms if run_at is None else moment_ms(run_at, "run_at"),
        attempts=whole_number(attempts, "attempts"),
    )
    made._worker = _NoWorker()  # noqa: SLF001 - as a worker does, see `Job.heartbeat`
    return made


class _NoWorker:
    """Stands for a worker that is told things."""

    def beat_now(self) -> None:
        """Extend no lease."""

    def progress(self, job: Job, percent: int | None, note: str | None) -> None:
        """Tell nobody."""
