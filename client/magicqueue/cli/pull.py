"""`magicqueue pull`: take jobs and print them.

A job belongs to the connection that pulled it. So pull either acks what it has printed, or
stays and keeps the leases up until its jobs are settled from elsewhere. What it holds when
it ends is released: looking at a job neither settles it nor counts against it.
"""

import contextlib
import time
from typing import Final

import click

from magicqueue.cli import interrupts
from magicqueue.cli.options import QUEUE, SPAN, Session, manual, whole, with_session
from magicqueue.cli.phrases import jobs as jobs_phrase
from magicqueue.cli.phrases import span
from magicqueue.cli.screen import job_json, note, write_json
from magicqueue.command_line import Command, Failed
from magicqueue.errors import MagicQueueError, NotFound
from magicqueue.job import Job
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.limits import ID_MAX
from magicqueue.worker_options import LEASE_S

_LOOKS_PER_LEASE: Final = 3
_LOOK_S_MAX: Final = 0.5
_IDS_SHOWN: Final = 3


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue pull emails -n 10 --ack",
        "magicqueue pull emails --wait 5s --lease 1m",
        "magicqueue pull emails --peek",
        "magicqueue pull -q critical -q default",
        refused="no job came in time",
    ),
)
@click.argument("names", metavar="[QUEUE]...", type=QUEUE, nargs=-1)
@click.option(
    "-q",
    "--queue",
    "queues",
    type=QUEUE,
    multiple=True,
    help="A queue, too; several are tried as they are given.",
)
@click.option(
    "-n",
    "--count",
    type=whole(1, ID_MAX),
    default=1,
    show_default=True,
    help="Take up to this many jobs.",
)
@click.option(
    "--wait",
    type=SPAN,
    help="How long to wait for a job; 0: don't wait. [default: for ever]",
)
@click.option(
    "--lease",
    type=SPAN,
    default=LEASE_S,
    help="How long the jobs are yours after this command has died. [default: 30s]",
)
@click.option("--ack", "acks", is_flag=True, help="Settle the jobs as done once printed.")
@click.option("--peek", is_flag=True, help="Give the jobs back once printed.")
@with_session
def pull(  # noqa: PLR0913 - one for each option
    session: Session,
    names: tuple[str, ...],
    *,
    queues: tuple[str, ...],
    count: int,
    wait: float | None,
    lease: float,
    acks: bool,
    peek: bool,
) -> None:
    """Take jobs from QUEUE, or several, and print them as JSON, one a line.

    With --ack they are done once printed, with --peek they go back at once. Without, they
    stay yours while this command runs: settle them from another shell with `magicqueue
    ack ID` or `magicqueue fail ID`, and it ends; Ctrl-C ends it too, and gives them back.
    A job that was given back has its old place, and no attempt is counted as lost.

    Exits with 1 when no job came in time.
    """
    named = [*names, *queues]
    if not named:
        raise click.UsageError("name a queue, such as emails")
    if acks and peek:
        raise click.UsageError("give --ack or --peek, not both")
    interrupts.raise_it()
    interrupts.end_in_order()
    lease = lease or 0.001
    queue = ", ".join(named)
    with session.queue(named) as client:
        jobs = client.pull_batch(count, wait, lease)
        if not jobs:
            within = f" within {span(wait)}" if wait else ""
            raise Failed(f"no job in {queue}{within}", "NO_JOB")
        held = _Held(client, jobs)
        try:
            for job in jobs:
                write_json(job_json(job))
            if acks:
                held.ack()
            elif not peek:
                held.wait(lease)
        except KeyboardInterrupt:
            _say_given_back(held.give_back(), queue)
            raise
        finally:
            held.give_back()


def _say_given_back(number: int, queue: str) -> None:
    if number:
        note(f"gave {jobs_phrase(number)} back to {queue}")


class _Held:
    """Jobs that are this command's."""

    def __init__(self, client: SyncQueue, jobs: list[Job]) -> None:
        self._client = client
        self._jobs = {job.id: job for job in jobs}

    def ack(self) -> None:
        """Settle all as done. Raises NotFound that names those not held any more."""
        acked, self._jobs = self._jobs, {}
        missing = self._client.ack_batch(acked.values())
        if missing:
            raise NotFound(f"the lease ended before the ack, of {_named(missing)}")

    def wait(self, lease_s: float) -> None:
        """Keep the jobs leased until each is settled, or Ctrl-C."""
        ids = " ".join(map(str, self._jobs)) if len(self._jobs) <= _IDS_SHOWN else "ID…"
        pause_s = min(lease_s / _LOOKS_PER_LEASE, _LOOK_S_MAX)
        note(
            f"holding {_named(list(self._jobs))}: settle with `magicqueue ack {ids}` or"
            f" `magicqueue fail {ids}`; Ctrl-C gives back"
        )
        while self._jobs:
            time.sleep(pause_s)
            for job_id in self._client.heartbeat(*self._jobs.values(), lease=lease_s):
                del self._jobs[job_id]
                note(_fate(self._client, job_id))

    def give_back(self) -> int:
        """Release what is still held; gives how many jobs that were.

        A server without this command, or one that is gone, sees the connection end and
        takes them back by itself, though it counts them as lost.
        """
        held, self._jobs = self._jobs, {}
        if held:
            with contextlib.suppress(MagicQueueError):
                self._client.release(*held.values())
        return len(held)


def _fate(client: SyncQueue, job_id: int) -> str:
    try:
        state = client.job(job_id).state
    except NotFound:
        return f"job {job_id} is done"
    if state == "active":
        return f"job {job_id} was taken by someone else"
    return f"job {job_id} is not held any more: it is {state}"


def _named(ids: list[int]) -> str:
    if len(ids) == 1:
        return f"job {ids[0]}"
    if len(ids) <= _IDS_SHOWN:
        return f"jobs {', '.join(map(str, ids))}"
    return f"{jobs_phrase(len(ids))} (ids {ids[0]} to {ids[-1]})"
