"""`magicqueue push`: jobs from arguments, a file or standard input.

Each job's data goes to the server byte for byte, so numbers and key order survive. Input
is read as it comes: what is there goes out as one batch, so a slow producer's jobs are
stored at once and a fast one's in large batches.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any, Final, cast, get_args

import click
import msgspec
import orjson

from magicqueue.answers import PushedId
from magicqueue.cli.options import (
    JOB_ID,
    MOMENT,
    QUEUE,
    SPAN,
    Session,
    manual,
    whole,
    with_session,
)
from magicqueue.cli.phrases import count, jobs
from magicqueue.cli.screen import note, say, write_json
from magicqueue.command_line import Command, Failed
from magicqueue.encoding import BATCH_BYTES_MAX, BATCH_JOBS
from magicqueue.errors import MagicQueueError
from magicqueue.job_options import JobOptions, tail_of
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.limits import PRIORITY_MAX
from magicqueue.wire.values import OnConflict, OnExpire, OnParentFailure, Until

_PIECE_BYTES: Final = 2**20
_SHOWN_CHARS_MAX: Final = 60


@click.command(
    cls=Command,
    epilog=manual(
        'magicqueue push emails \'{"to": "ada@example.org"}\'',
        'magicqueue push emails --delay 10m --priority 5 \'{"to": "bob@example.org"}\'',
        "magicqueue push reports --unique-key daily --keep-result 1h '{}'",
        "jq -c '.users[]' users.json | magicqueue push emails",
    ),
)
@click.argument("queue", type=QUEUE)
@click.argument("data", nargs=-1)
@click.option(
    "-f",
    "--file",
    type=click.File("rb"),
    help="Read jobs from a file, one JSON value a line; - is standard input.",
)
@click.option("--text", is_flag=True, help="Each job is plain text, not JSON.")
@click.option(
    "-p",
    "--priority",
    type=whole(-PRIORITY_MAX - 1, PRIORITY_MAX),
    help="Higher runs first. [default: 0]",
)
@click.option("-d", "--delay", type=SPAN, help="Not before this span has passed.")
@click.option("--run-at", type=MOMENT, help="Not before this time.")
@click.option(
    "--max-attempts",
    type=whole(0, PRIORITY_MAX),
    help="Failures after which a job is dead (a lost worker is none); 0: no limit."
    " [default: the server's]",
)
@click.option(
    "--backoff",
    type=SPAN,
    help="Wait before the first retry; each failure doubles it. [default: 1s]",
)
@click.option("--unique-key", metavar="KEY", help="One job of QUEUE holds KEY at a time.")
@click.option(
    "--unique",
    type=click.Choice(get_args(Until)),
    help="Hold KEY until the job is done, or begun. [default: done]",
)
@click.option("--unique-for", type=SPAN, help="Hold KEY for so long instead.")
@click.option(
    "--on-conflict",
    type=click.Choice(get_args(OnConflict)),
    help="Where KEY is held: give the holder's id, fail, or give a holder that waits"
    " the new data, priority and time. [default: return]",
)
@click.option("--ttl", type=SPAN, help="Not after this span has passed.")
@click.option(
    "--on-expire",
    type=click.Choice(get_args(OnExpire)),
    help="What becomes of it when its --ttl is over. [default: remove]",
)
@click.option("--job-timeout", type=SPAN, help="An attempt fails that runs for longer.")
@click.option("--group", metavar="NAME", help="Groups of QUEUE's jobs take turns.")
@click.option("--keep-result", type=SPAN, help="Keep its end for `magicqueue result`.")
@click.option(
    "--depends-on",
    type=JOB_ID,
    multiple=True,
    help="Not before this job is done; may be given again. See `magicqueue flow`, too.",
)
@click.option(
    "--on-parent-failure",
    type=click.Choice(get_args(OnParentFailure)),
    help="Where a job that it depends on is dead: wait for its retry, be dead, too, or"
    " run. [default: wait]",
)
@with_session
def push(
    session: Session,
    queue: str,
    data: tuple[str, ...],
    *,
    file: IO[bytes] | None,
    text: bool,
    **options: Any,
) -> None:
    """Store jobs in QUEUE, from DATA, a file or standard input.

    Each DATA is a JSON value, or any text with --text. Without DATA, jobs are read from
    standard input, one a line. What is stored together is stored whole or not at all.
    """
    job_options = _job_options(**options)
    if data and file is not None:
        raise click.UsageError("give jobs as DATA or as --file, not both")
    with session.queue(queue) as client:
        if data:
            items = [
                _item(value.encode(errors="surrogateescape"), f"DATA {number}", text=text)
                for number, value in enumerate(data, 1)
            ]
            _report(session, queue, client.push_batch(items, **job_options))
            return
        if file is None:
            if sys.stdin.isatty():
                raise click.UsageError(
                    "no jobs: give DATA or --file, or pipe lines of JSON into it"
                )
            file = sys.stdin.buffer
        _push_stream(session, client, file, job_options, text=text)


def _job_options(*, job_timeout: float | None, **options: Any) -> JobOptions:
    """Give the options that were given. Raises UsageError."""
    if options["delay"] is not None and options["run_at"] is not None:
        raise click.UsageError("give --delay or --run-at, not both")
    if options["unique"] is not None and options["unique_for"] is not None:
        raise click.UsageError("give --unique or --unique-for, not both")
    for name in ("unique", "unique_for", "on_conflict"):
        if options[name] is not None and options["unique_key"] is None:
            raise click.UsageError(f"--{name.replace('_', '-')} needs a --unique-key")
    if options["on_expire"] is not None and options["ttl"] is None:
        raise click.UsageError("--on-expire needs a --ttl")
    options["depends_on"] = list(options["depends_on"]) or None
    if options["on_parent_failure"] is not None and options["depends_on"] is None:
        raise click.UsageError("--on-parent-failure needs a --depends-on")
    options["timeout"] = job_timeout
    given = {name: value for name, value in options.items() if value is not None}
    job_options = cast("JobOptions", given)
    try:
        tail_of(job_options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return job_options


def _push_stream(
    session: Session, client: SyncQueue, file: IO[bytes], options: JobOptions, *, text: bool
) -> None:
    stored = came = first_id = last_id = 0
    items = _items(file, text=text)
    try:
        for batch in _batches(items):
            ids = client.push_batch(batch, **options)
            new = _new(ids)
            if new:
                first_id, last_id = first_id or new[0], new[-1]
            stored += len(new)
            came += len(ids)
            if session.json:
                write_json({"queue": client.name, "ids": list(map(int, ids)), **_held(ids)})
            else:
                _say_held(ids, client.name)
    except (MagicQueueError, click.ClickException, OSError):
        if stored:
            note(f"magicqueue: {jobs(stored)} had been stored before this error:")
        raise
    if not session.json and (stored or not came):
        _say_stored(stored, client.name, first_id, last_id)


def _report(session: Session, queue: str, ids: list[int]) -> None:
    if session.json:
        write_json({"queue": queue, "ids": list(map(int, ids)), **_held(ids)})
        return
    _say_held(ids, queue)
    if new := _new(ids):
        _say_stored(len(new), queue, new[0], new[-1])


def _new(ids: list[int]) -> list[int]:
    """Give those under which something was stored."""
    return [one for one in ids if not _is_held(one)]


def _is_held(job_id: int) -> bool:
    return isinstance(job_id, PushedId) and (job_id.duplicate or job_id.replaced)


def _held(ids: list[int]) -> dict[str, list[int]]:
    """Tell, as the protocol does, which jobs' keys were held: by their indexes."""
    told = [(n, one) for n, one in enumerate(ids) if isinstance(one, PushedId)]
    held = {
        "duplicates": [n for n, one in told if one.duplicate],
        "replaced": [n for n, one in told if one.replaced],
    }
    return {name: indexes for name, indexes in held.items() if indexes}


def _say_held(ids: list[int], queue: str) -> None:
    for one in ids:
        if isinstance(one, PushedId) and _is_held(one):
            what = "it has the new data" if one.replaced else "nothing was stored"
            say(f"job {int(one)} of {queue} holds the key: {what}")


def _say_stored(stored: int, queue: str, first_id: int, last_id: int) -> None:
    if stored == 1:
        say(f"pushed job {first_id} to {queue}")
    elif stored:
        say(f"pushed {jobs(stored)} to {queue} (ids {first_id} to {last_id})")
    else:
        say(f"pushed no jobs to {queue}: the input was empty")


def _batches(pieces: Iterator[list[orjson.Fragment]]) -> Iterator[list[orjson.Fragment]]:
    for piece in pieces:
        rest = iter(piece)
        while batch := list(islice(rest, BATCH_JOBS)):
            yield batch


def _items(file: IO[bytes], *, text: bool) -> Iterator[list[orjson.Fragment]]:
    """Give the jobs that have come, as they come."""
    number = 0
    for lines in _lines(file):
        items = []
        for line in lines:
            number += 1
            if text or line.strip():
                items.append(_item(line, f"line {count(number)}", text=text))
        if items:
            yield items


def _lines(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Give whole lines, all that one read brought. Ends with a line without an end."""
    read = getattr(file, "read1", file.read)
    pieces: list[bytes] = []
    held_bytes = 0
    while piece := read(_PIECE_BYTES):
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            text = b"".join([*pieces, whole])
            yield [line.removesuffix(b"\r") for line in text.split(b"\n")]
            pieces, held_bytes = [], 0
        pieces.append(rest)
        held_bytes += len(rest)
        if held_bytes > BATCH_BYTES_MAX:
            raise Failed(
                f"a line of the input is longer than {count(BATCH_BYTES_MAX)} bytes:"
                " write one job a line",
                "TOO_LARGE",
            )
    if last := b"".join(pieces):
        yield [last.removesuffix(b"\r")]


def _item(line: bytes, where: str, *, text: bool) -> orjson.Fragment:
    """Check one job, and keep its bytes (but for line ends, which would end a request)."""
    if text:
        try:
            return orjson.Fragment(orjson.dumps(line.decode()))
        except UnicodeDecodeError:
            raise _bad_json(f"{where} is not valid UTF-8: {_shown(line)}") from None
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
        line.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad_json(
            f"{where} is not JSON: {_shown(line)} ({_why(error)}); use --text to push it"
            " as a string"
        ) from None
    return orjson.Fragment(line.replace(b"\n", b" ").replace(b"\r", b" "))


def _bad_json(sentence: str) -> Failed:
    """Make an error of what the user typed: nothing was sent."""
    return Failed(sentence, "BAD_JSON", exit_code=2)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not valid UTF-8"
    return str(error).removeprefix("JSON is malformed: ")


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…")
