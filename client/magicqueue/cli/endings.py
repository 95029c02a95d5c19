"""`magicqueue wait` and `result`: how jobs end, and what comes of them."""

import time

import click
from msgspec import Raw

from magicqueue.answers import Ending, result_of
from magicqueue.cli.options import JOB_ID, SPAN, Session, manual, with_session
from magicqueue.cli.phrases import jobs, reason_of, span, when
from magicqueue.cli.screen import say, write_json
from magicqueue.command_line import Command, Failed
from magicqueue.plain_text import plain_json
from magicqueue.wire.limits import WAIT_JOBS_MAX

WAIT = click.option(
    "--wait",
    type=SPAN,
    help="How long to wait; 0: don't wait. [default: for ever]",
)


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue wait 17 18",
        "magicqueue wait 17 18 --any --wait 5m",
        refused="a job is not done, or did not end in time",
    ),
)
@click.argument("ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@WAIT
@click.option("--any", "first", is_flag=True, help="Wait for one of them only.")
@with_session
def wait(
    session: Session, ids: tuple[int, ...], *, wait: float | None, first: bool
) -> None:
    """Wait for jobs to end, by their ids, and say how they did.

    They were pushed with --keep-result. Exits with 1 if one is dead, cancelled, expired
    or unknown, or if they have not ended in time.
    """
    left = list(dict.fromkeys(ids))
    if len(left) > WAIT_JOBS_MAX:
        raise click.UsageError(f"wait takes up to {WAIT_JOBS_MAX:,} ids, not {len(left):,}")
    end = None if wait is None else time.monotonic() + wait
    not_done = 0
    with session.queue() as client:
        while left:
            seconds = None if end is None else max(0.0, end - time.monotonic())
            endings = client.wait(left, seconds)
            for ending in endings:
                left.remove(ending.id)
                not_done += ending.state != "done"
                _tell(session, ending)
            if first:
                break
            if not endings:
                raise Failed(_late(left, wait), "NOT_DONE")
    if not_done:
        raise Failed(
            f"{jobs(not_done)} of {len(set(ids))} did not end as done", "NO_RESULT"
        )


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue result 17 --wait 30s",
        refused="the job is not done, or did not end in time",
    ),
)
@click.argument("job_id", metavar="ID", type=JOB_ID)
@WAIT
@with_session
def result(session: Session, job_id: int, *, wait: float | None) -> None:
    """Print what the handler of a job returned, as JSON; wait for it.

    The job was pushed with --keep-result. Exits with 1 if it is dead, cancelled, expired
    or unknown, or if it has not ended in time.
    """
    with session.queue() as client:
        endings = client.wait(job_id, wait)
    if not endings:
        raise Failed(_late([job_id], wait), "NOT_DONE")
    if session.json:
        write_json(_document(endings[0]))
    result_of(job_id, endings)
    if not session.json:
        click.echo(plain_json(endings[0].raw_result))


def _tell(session: Session, ending: Ending) -> None:
    if session.json:
        write_json(_document(ending))
        return
    at = "" if ending.finished_at_ms is None else f" {when(ending.finished_at_ms)}"
    why = f": {reason_of(ending.reason)}" if ending.reason else ""
    state = "not known any more" if ending.state == "unknown" else ending.state
    say(f"job {ending.id} is {state}{at if ending.state != 'dead' else ''}{why}")


def _document(ending: Ending) -> dict[str, object]:
    """Give an ending as the protocol does."""
    told: dict[str, object] = {
        "id": ending.id,
        "state": ending.state,
        "result": Raw(ending.raw_result) if ending.state == "done" else None,
        "finished_at": ending.finished_at_ms,
        "attempts": ending.attempts,
        "error": ending.error,
        "reason": ending.reason,
    }
    return {name: value for name, value in told.items() if value is not None}


def _late(ids: list[int], wait_s: float | None) -> str:
    named = f"job {ids[0]} has" if len(ids) == 1 else f"{jobs(len(ids))} have"
    within = f" within {span(wait_s)}" if wait_s else " yet"
    return f"{named} not ended{within}"
