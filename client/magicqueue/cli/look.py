"""`magicqueue ping` and `job`: look without touching."""

import time
from typing import Final

import click

from magicqueue.cli.options import JOB_ID, Session, manual, whole, with_session
from magicqueue.cli.phrases import count, ids_listed, jobs, short, span, state_of, when
from magicqueue.cli.screen import (
    details,
    job_fields,
    many,
    note,
    say,
    write_json,
    write_pairs,
)
from magicqueue.command_line import Command
from magicqueue.errors import NotFound
from magicqueue.plain_text import plain_lines
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.replies import JobInfo, ServerInfo

_DATA_CHARS: Final = 10_000


@click.command(
    cls=Command,
    epilog=manual("magicqueue ping", "magicqueue ping --url unix:///run/magic-queue.sock"),
)
@click.option(
    "-n",
    "--count",
    "times",
    type=whole(1, 100_000),
    default=10,
    show_default=True,
    help="Ask so many times.",
)
@with_session
def ping(session: Session, *, times: int) -> None:
    """Ask whether the server is there, and how long an answer takes."""
    with session.queue() as client:
        info = client.hello()
        took = sorted(_ping_s(client) * 1000 for _ in range(times))
    best, median, worst = took[0], took[len(took) // 2], took[-1]
    if session.json:
        answer = {
            "address": str(session.address),
            "server": info.server,
            "version": info.version,
            "core": info.core,
            "persistence": info.persistence,
            "round_trip_ms": {"min": best, "median": median, "max": worst},
        }
        write_json(answer)
        return
    say(f"{session.address} answers: {_described(info)}")
    say(f"round trip {median:.2f} ms (of {times}: {best:.2f} to {worst:.2f} ms)")


@click.command(
    cls=Command,
    epilog=manual(
        "magicqueue job 17", "magicqueue job 17 18 --json", refused="a job is not there"
    ),
)
@click.argument("job_ids", metavar="ID…", type=JOB_ID, nargs=-1, required=True)
@with_session
def job(session: Session, job_ids: tuple[int, ...]) -> None:
    """Show jobs: where they stand, their attempts, last error and data.

    A job that is done leaves no trace, unless it was pushed with --keep-result, so it is
    not found any more. Exits with 1 if one of them is not there.
    """
    missing: list[NotFound] = []
    shown = 0
    with session.queue() as client:
        for job_id in dict.fromkeys(job_ids):
            try:
                found = client.job(job_id)
            except NotFound as error:
                missing.append(error)
                continue
            if session.json:
                write_json(job_fields(found))
            else:
                if shown:
                    say("")
                write_pairs(_pairs(details(found)))
            shown += 1
    if len(missing) > 1:
        if not session.json:
            for one in missing:
                note(f"magicqueue: {one}")
        raise NotFound(f"{jobs(len(missing))} of {len(set(job_ids))} are not there")
    if missing:
        raise missing[0]


def _pairs(found: JobInfo) -> list[tuple[str, str | list[str]]]:
    if found.finished_at is not None:
        return [
            ("job", str(found.id)),
            ("queue", found.queue),
            ("state", state_of(found)),
            ("attempts", f"{found.attempts} begun"),
            ("result", short(bytes(found.result).decode(), _DATA_CHARS)),
        ]
    limit = count(found.max_attempts) if found.max_attempts else "no limit"
    pairs: list[tuple[str, str | list[str]]] = [
        ("job", str(found.id)),
        ("queue", found.queue),
        ("state", state_of(found)),
        ("priority", str(found.priority)),
        ("pushed", when(found.created_at or 0)),
        ("attempts", f"{found.attempts} begun, {found.failures} failed of at most {limit}"),
    ]
    if found.lost:
        pairs.append(("lost", f"{many(found.lost, 'time')}, with its worker"))
    pairs += _wishes(found)
    if found.error is not None:
        pairs.append(("error", plain_lines(found.error) if found.error else "(no message)"))
    pairs.append(("data", short(bytes(found.data).decode(), _DATA_CHARS)))
    return pairs


def _wishes(found: JobInfo) -> list[tuple[str, str | list[str]]]:
    """Show what a job asked for, and how far it is."""
    pairs: list[tuple[str, str | list[str]]] = []
    if found.unique_key is not None:
        pairs.append(("unique key", found.unique_key))
    if found.parents:
        left = f", waits for {count(found.waits_for)}" if found.waits_for else ""
        rule = f", and {found.on_parent_failure}s if one fails" if left else ""
        pairs.append(("depends on", f"{ids_listed(found.parents)}{left}{rule}"))
    if found.children:
        pairs.append(
            (
                "children",
                f"{ids_listed(found.children)} {_wait(len(found.children))} for it",
            )
        )
    if found.group is not None:
        pairs.append(("group", found.group))
    if found.expires_at is not None:
        pairs.append(("expires", when(found.expires_at)))
    if found.timeout is not None:
        until = found.attempt_until
        ends = "" if until is None else f", ends {when(until)}"
        pairs.append(("timeout", f"{span(found.timeout / 1000)} an attempt{ends}"))
    if found.keep_result:
        pairs.append(("result", f"to be kept for {span(found.keep_result / 1000)}"))
    if (told := found.progress) is not None:
        percent = None if told.percent is None else f"{told.percent} %"
        what = ", ".join(filter(None, (percent, told.note)))
        pairs.append(("progress", what))
    return pairs


def _wait(jobs: int) -> str:
    return "waits" if jobs == 1 else "wait"


def _ping_s(client: SyncQueue) -> float:
    before = time.perf_counter()
    client.ping()
    return time.perf_counter() - before


def _described(info: ServerInfo) -> str:
    return f"{info.server} {info.version}, {info.core} core, persistence {info.persistence}"
