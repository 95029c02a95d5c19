"""`magicqueue ack` and `magicqueue fail`: verdicts on jobs that are under way."""

from typing import Any, Final

import click

from magicqueue.cli.options import JOB_ID, Session, manual, with_session
from magicqueue.cli.phrases import jobs
from magicqueue.cli.screen import note, say, write_json
from magicqueue.command_line import Command
from magicqueue.errors import NotFound
from magicqueue.job import JobDetails
from magicqueue.sync_queue import SyncQueue

_EXPLAINED: Final = 10


@click.command(
    cls=Command,
    epilog=manual("magicqueue ack 17 18", refused="a job was not under way"),
)
@click.argument("ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@with_session
def ack(session: Session, ids: tuple[int, ...]) -> None:
    """Settle jobs as done, by their ids.

    Exits with 1 if one of them was not under way.
    """
    ids = tuple(dict.fromkeys(ids))
    with session.queue() as client:
        missing = client.ack_batch(ids)
        acked = [job_id for job_id in ids if job_id not in set(missing)]
        if session.json:
            write_json({"acked": acked, "missing": missing})
        elif acked:
            say(
                f"job {acked[0]} is done" if len(acked) == 1 else f"{jobs(len(acked))} done"
            )
        if missing:
            explain(session, client, missing, len(ids), "under way")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue fail 17 --error 'no such user'", refused="a job was not under way"
    ),
)
@click.argument("ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@click.option("-e", "--error", default="", help="Why; it is kept with the job.")
@with_session
def fail(session: Session, ids: tuple[int, ...], *, error: str) -> None:
    """Settle jobs as failed, by their ids.

    A failed job is tried again after its backoff, or is dead after its last attempt.
    Exits with 1 if one of them was not under way.
    """
    ids = tuple(dict.fromkeys(ids))
    failed: list[dict[str, Any]] = []
    missing: list[int] = []
    with session.queue() as client:
        for job_id in ids:
            try:
                state = client.fail(job_id, error)
            except NotFound:
                missing.append(job_id)
                continue
            failed.append({"id": job_id, "state": state})
            if not session.json:
                say(f"job {job_id} failed: {_what_now(state)}")
        if session.json:
            write_json({"failed": failed, "missing": missing})
        if missing:
            explain(session, client, missing, len(ids), "under way")


def _what_now(state: str) -> str:
    return {
        "ready": "it is ready to be tried again",
        "delayed": "it will be tried again after its backoff",
        "dead": "it is dead now (`magicqueue dead list` shows it)",
        "cancelled": "it was cancelled, and will not be tried again",
    }.get(state, f"it is {state}")


def explain(
    session: Session, client: SyncQueue, missing: list[int], asked: int, what: str
) -> None:
    """Say why jobs were not `what`. Raises NotFound that says the last, or all."""
    if session.json:
        were = "was" if asked == 1 else "were"
        named = ", ".join(map(str, missing[:_EXPLAINED]))
        more = ", …" if len(missing) > _EXPLAINED else ""
        raise NotFound(f"{len(missing)} of {jobs(asked)} {were} not {what}: {named}{more}")
    *others, last = missing[:_EXPLAINED]
    for job_id in others:
        note(f"magicqueue: {_why(client, job_id, what)}")
    if len(missing) > _EXPLAINED:
        note(f"magicqueue: {_why(client, last, what)}")
        raise NotFound(f"and {jobs(len(missing) - _EXPLAINED)} more")
    raise NotFound(_why(client, last, what))


def _why(client: SyncQueue, job_id: int, what: str) -> str:
    try:
        found: JobDetails = client.job(job_id)
    except NotFound:
        return f"there is no job {job_id}: it is done, or was never there"
    return f"job {job_id} is not {what}: it is {found.state}"
