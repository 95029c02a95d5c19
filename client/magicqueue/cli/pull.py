"""`magicqueue pull`: take jobs and print them.

A job belongs to the connection that pulled it. So pull either acks what it has printed, or
stays and keeps the leases up until its jobs are settled from elsewhere.
"""

import time
from typing import Final

import click

from magicqueue.cli import interrupts
from magicqueue.cli.options import QUEUE, SPAN, Session, json_option, manual, url_option
from magicqueue.cli.phrases import jobs as jobs_phrase
from magicqueue.cli.phrases import span
from magicqueue.cli.screen import job_json, note, write_json
from magicqueue.errors import NotFound
from magicqueue.job import Job
from magicqueue.sync_queue import SyncQueue

LEASE_S: Final = 30.0
_LOOKS_PER_LEASE: Final = 3
_LOOK_S_MAX: Final = 0.5
_TIMEOUT_S: Final = 30.0
_EXIT_NONE: Final = 1
_IDS_SHOWN: Final = 3


@click.command(
    epilog=manual(
        "magicqueue pull emails -n 10 --ack",
        "magicqueue pull emails --timeout 5s --lease 1m",
        refused="no job came in time",
    )
)
@click.argument("queue", type=QUEUE)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Take up to this many jobs.",
)
@click.option(
    "--timeout",
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
@url_option
@json_option
@click.pass_context
def pull(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    queue: str,
    *,
    count: int,
    timeout: float | None,
    lease: float,
    acks: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Take jobs from QUEUE and print them as JSON, one a line.

    With --ack they are done once printed. Without, they stay yours while this command
    runs: settle them from another shell with `magicqueue ack ID` or `magicqueue fail ID`,
    and it ends; Ctrl-C ends it too, and gives them back to the queue.

    Exits with 1 when no job came in time.
    """
    interrupts.raise_it()
    session = Session(url, _TIMEOUT_S, as_json)
    lease = lease or 0.001
    with session.queue(queue) as client:
        jobs = client.pull_batch(count, timeout, lease)
        if not jobs:
            within = f" within {span(timeout)}" if timeout else ""
            note(f"magicqueue: no job in {queue}{within}")
            ctx.exit(_EXIT_NONE)
        for job in jobs:
            write_json(job_json(job))
        if acks:
            missing = client.ack_batch(jobs)
            if missing:
                raise NotFound(f"the lease ended before the ack, of {_named(missing)}")
        else:
            _hold(client, jobs, lease)


def _hold(client: SyncQueue, jobs: list[Job], lease_s: float) -> None:
    """Keep jobs leased until each is settled, or Ctrl-C."""
    held = {job.id: job for job in jobs}
    ids = " ".join(map(str, held)) if len(held) <= _IDS_SHOWN else "ID…"
    pause_s = min(lease_s / _LOOKS_PER_LEASE, _LOOK_S_MAX)
    try:
        note(
            f"holding {_named(list(held))}: settle with `magicqueue ack {ids}` or"
            f" `magicqueue fail {ids}`; Ctrl-C gives back"
        )
        while held:
            time.sleep(pause_s)
            for job_id in client.heartbeat(*held.values(), lease=lease_s):
                del held[job_id]
                note(_fate(client, job_id))
    except KeyboardInterrupt:
        note(f"gave {jobs_phrase(len(held))} back to {client.name}")
        raise


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
