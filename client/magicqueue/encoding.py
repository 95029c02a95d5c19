"""A user's data and options to the JSON of new jobs.

A job of a PUSHB is `{"data":…` and a tail with its options; the tail is made once for a
set of options, and a batch is a join of encoded data between tails and heads. Data is
encoded in chunks: orjson gives each small result in a large block that it then shrinks,
and keeping thousands of those at once makes the heap grow and be trimmed over and over
(1,600 ns a job against 60).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Final, TypedDict

import orjson

from magicqueue.durations import Duration, Moment, duration_ms, moment_ms
from magicqueue.errors import NotJson
from magicqueue.job import NewJob

BACKOFF_S: Final = 1.0
"""Failed jobs wait this long before their first retry, unless told otherwise."""

BATCH_JOBS: Final = 5000
"""Jobs in a batch where the client decides."""

BATCH_BYTES_MAX: Final = 8 * 2**20
"""Such a batch ends before it is longer than this, unless one job alone is."""

_CHUNK: Final = 128
_HEAD: Final = b'{"data":'
_PRIORITY_MAX: Final = 2**31 - 1


def json_of(data: Any) -> bytes:
    """Encode one job's data. Raises NotJson that names the type."""
    try:
        return orjson.dumps(data)
    except TypeError as error:
        raise not_json(data, error) from None


def not_json(data: Any, error: TypeError, where: str = "data") -> NotJson:
    """Say why some data cannot be encoded."""
    kind = type(data).__qualname__
    return NotJson(f"{where} ({kind}) has no form in JSON: {error.__cause__ or error}")


class JobOptions(TypedDict, total=False):
    """The options of `push`, `push_batch` and `push_many`.

    priority: higher runs first (0; 32 bits, signed). delay or run_at: not before then.
    max_attempts: failures after which it is dead (the server's default is 25; 0: no
    limit). backoff: the wait before the first retry (1 s), doubled by each failure up to
    an hour. jitter: take a random part of that wait (True).
    """

    priority: int
    delay: Duration | None
    run_at: Moment | None
    max_attempts: int | None
    backoff: Duration
    jitter: bool


def tail_of(options: JobOptions) -> bytes:
    """Encode a job's options, as the rest of its object behind the data.

    Raises TypeError or ValueError that names the option.
    """
    if not options:
        return _DEFAULT_TAIL
    unknown = options.keys() - JobOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"a job has no option {min(unknown)!r}: see JobOptions")
    return _tail(**options)


def tail_of_job(job: NewJob) -> bytes:
    """Encode the options of a NewJob."""
    return _tail(
        priority=job.priority,
        delay=job.delay,
        run_at=job.run_at,
        max_attempts=job.max_attempts,
        backoff=job.backoff,
        jitter=job.jitter,
    )


def _integer(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}: it must be {least} to {most}")
    return value


@lru_cache(maxsize=1024, typed=True)
def _tail(
    *,
    priority: int = 0,
    delay: Duration | None = None,
    run_at: Moment | None = None,
    max_attempts: int | None = None,
    backoff: Duration = BACKOFF_S,
    jitter: bool = True,
) -> bytes:
    fields: dict[str, int | bool] = {}
    if _integer(priority, "priority", -_PRIORITY_MAX - 1, _PRIORITY_MAX):
        fields["priority"] = priority
    if delay is not None and run_at is not None:
        raise ValueError("give delay or run_at, not both")
    if delay is not None:
        fields["delay"] = duration_ms(delay, "delay")
    if run_at is not None:
        fields["run_at"] = moment_ms(run_at, "run_at")
    if max_attempts is not None:
        fields["max_attempts"] = _integer(max_attempts, "max_attempts", 0, _PRIORITY_MAX)
    if backoff_ms := duration_ms(backoff, "backoff"):
        fields["backoff"] = backoff_ms
        if jitter:
            fields["jitter"] = True
    return b"," + orjson.dumps(fields)[1:] if fields else b"}"


_DEFAULT_TAIL: Final = _tail()


def encode_jobs(items: Sequence[Any], tail: bytes) -> bytes:
    """Encode a batch as objects between commas: items are data or NewJobs.

    tail: the options of those that are plain data. Raises NotJson that names the index.
    """
    if NewJob in set(map(type, items)):
        return b",".join(_encode_each(items, tail))
    between = tail + b"," + _HEAD
    dumps = orjson.dumps
    try:
        middle = between.join(
            [
                between.join(map(dumps, items[start : start + _CHUNK]))
                for start in range(0, len(items), _CHUNK)
            ]
        )
    except TypeError:
        for index, item in enumerate(items):
            _encode_one(item, index)
        raise
    return b"%b%b%b" % (_HEAD, middle, tail) if items else b""


def batches(items: Iterator[Any], tail: bytes, jobs_max: int) -> Iterator[bytes]:
    """Encode any number of items as batches of at most `jobs_max`, and not too long."""
    while batch := list(islice(items, jobs_max)):
        objects = encode_jobs(batch, tail)
        if len(objects) <= BATCH_BYTES_MAX or len(batch) == 1:
            yield objects
        else:
            half = len(batch) // 2
            yield from chain(
                batches(iter(batch[:half]), tail, half),
                batches(iter(batch[half:]), tail, len(batch) - half),
            )


def object_of(data: bytes, tail: bytes) -> bytes:
    """Put a job's encoded data and options together."""
    return _HEAD + data + tail


def _encode_each(items: Sequence[Any], tail: bytes) -> Iterator[bytes]:
    for index, item in enumerate(items):
        if isinstance(item, NewJob):
            yield object_of(_encode_one(item.data, index), tail_of_job(item))
        else:
            yield object_of(_encode_one(item, index), tail)


def _encode_one(data: Any, index: int) -> bytes:
    try:
        return orjson.dumps(data)
    except TypeError as error:
        raise not_json(data, error, f"item {index}") from None
