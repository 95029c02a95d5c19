"""A user's data and options to the JSON of new jobs.

A job of a PUSHB is `{"data":…` and a tail with its options; the tail is made once for a
set of options, and a batch is a join of encoded data between tails and heads. Options
that all jobs of a batch have can go beside them, said once, to a server that can do that.

Data is encoded in chunks: orjson gives each small result in a large block that it then
shrinks, and keeping thousands of those at once makes the heap grow and be trimmed over and
over (1,600 ns a job against 60).

orjson writes null for what JSON has no number for (NaN, infinities), and knows no integers
beyond 64 bits. So where a null was written the data is looked through, and refused if it
held such a number; longer integers, which the server keeps as they are, are written here.
"""

import dataclasses
import enum
import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import chain, islice
from typing import Any, Final

import msgspec
import orjson
from msgspec import Raw

from magicqueue.errors import NotJson
from magicqueue.job import NewJob
from magicqueue.job_options import (
    NO_OPTIONS,
    SHAREABLE,
    members_of,
    needs_of,
    tail_of_job,
)
from magicqueue.plain_text import plain

BATCH_JOBS: Final = 5000
"""Jobs in a batch where the client decides."""

BATCH_BYTES_MAX: Final = 8 * 2**20
"""Such a batch ends before it is longer than this, unless one job alone is."""

_CHUNK: Final = 128
_HEAD: Final = b'{"data":'
_BESIDE: Final[tuple[str, ...]] = ("cmd", "queue", "req_key")
"""What a PUSHB says of itself, not of its jobs."""
_TABLE: Final = msgspec.json.Decoder(dict[str, Raw])
_TABLES: Final = msgspec.json.Decoder(list[dict[str, Raw]])


def json_of(data: Any, where: str = "") -> bytes:
    """Encode one job's data. Raises NotJson that names the type, or the place in it.

    where: which of several jobs it is, for the error.
    """
    try:
        encoded = orjson.dumps(data)
    except TypeError as error:
        try:
            encoded = orjson.dumps(_with_long_integers(data))
        except (TypeError, ValueError, RecursionError):
            kind = type(data).__qualname__
            raise NotJson(
                f"{where or 'data'} ({kind}) has no form in JSON:"
                f" {plain(str(error.__cause__ or error))}"
            ) from None
    # not by `in`, which first takes the word for a number, and fails
    if encoded.find(b"null") >= 0:
        _refuse_odd_numbers(data, where)
    return encoded


def _with_long_integers(data: Any) -> Any:
    """Copy data with the digits in place of each integer that orjson does not know."""
    if isinstance(data, bool):
        return data
    if isinstance(data, int):
        known = -(2**63) <= data < 2**64
        return data if known else orjson.Fragment(str(data).encode())
    if isinstance(data, dict):
        return {key: _with_long_integers(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_with_long_integers(value) for value in data]
    return data


def _refuse_odd_numbers(data: Any, where: str) -> None:
    odd = _odd_number(data, "data")
    if odd:
        place = f"{where}: {odd}" if where else odd
        raise NotJson(f"{plain(place)}: JSON has no such number (send None, or a string)")


def _odd_number(data: Any, path: str) -> str:
    """Find a NaN or an infinity in what orjson has encoded; "" if there is none."""
    if data is None or isinstance(data, str | int):
        return ""
    if isinstance(data, float):
        return "" if math.isfinite(data) else f"{path} is {data}"
    if isinstance(data, enum.Enum):
        return _odd_number(data.value, path)
    if isinstance(data, Mapping):
        inner = ((f"[{orjson.dumps(key).decode()}]", item) for key, item in data.items())
    elif isinstance(data, list | tuple):
        inner = ((f"[{index}]", item) for index, item in enumerate(data))
    elif dataclasses.is_dataclass(data):
        names = (field.name for field in dataclasses.fields(data))
        inner = ((f".{name}", getattr(data, name, None)) for name in names)
    else:
        return ""
    return next(filter(None, (_odd_number(item, path + at) for at, item in inner)), "")


class Batch(msgspec.Struct, frozen=True):
    """Jobs as a PUSHB has them: objects between commas, and how many.

    shared: options beside the list that hold for all of them, a comma before each. needs:
    what a server must be able to do for their options.
    """

    objects: bytes
    count: int
    shared: bytes = b""
    needs: tuple[str, ...] = ()


def encode_batch(items: Sequence[Any], tail: bytes, *, share: bool) -> Batch:
    """Encode a batch: items are data or NewJobs. Raises NotJson that names the index.

    tail: the options of those that are plain data. share: say once what all have.
    """
    if NewJob in set(map(type, items)):
        return join_jobs(list(_encode_each(items, tail)), share=share)
    needs = needs_of(tail)
    if share and not needs:
        return Batch(encode_jobs(items, NO_OPTIONS), len(items), tail[:-1])
    return Batch(encode_jobs(items, tail), len(items), needs=needs)


def join_jobs(jobs: Sequence[tuple[bytes, bytes]], *, share: bool) -> Batch:
    """Put jobs together, each given as its encoded data and its options' tail."""
    shared: list[bytes] = []
    tails = {tail: tail for _, tail in jobs}
    needs = dict.fromkeys(word for tail in tails for word in needs_of(tail))
    if share:
        members = {tail: members_of(tail) for tail in tails}
        some, *others = members.values()
        shared = [
            one
            for one in some
            if one.startswith(SHAREABLE) and all(one in other for other in others)
        ]
        for tail, each in members.items():
            tails[tail] = b"".join(b",%b" % m for m in each if m not in shared) + b"}"
    objects = b",".join([object_of(data, tails[tail]) for data, tail in jobs])
    beside = b"".join(b",%b" % one for one in shared)
    return Batch(objects, len(jobs), beside, tuple(needs))


def spelled_out(line: bytes) -> bytes:
    """Give a PUSHB in which each job has its options, of one that says them once."""
    fields = _TABLE.decode(line)
    jobs = _TABLES.decode(fields.pop("jobs"))
    head = {key: fields.pop(key) for key in _BESIDE if key in fields}
    whole = {**head, "jobs": [job | fields for job in jobs]}
    return msgspec.json.encode(whole) + b"\n"


def encode_jobs(items: Sequence[Any], tail: bytes) -> bytes:
    """Encode data, each with the same options, as objects between commas."""
    between = tail + b"," + _HEAD
    dumps = orjson.dumps
    chunks: list[bytes] = []
    for start in range(0, len(items), _CHUNK):
        some = items[start : start + _CHUNK]
        try:
            chunk = between.join(map(dumps, some))
        except TypeError:
            chunk = between.join(_encode_from(start, some))
        # from behind is the quicker search, and for one letter quicker still
        if b"l" in chunk and chunk.rfind(b"null") >= 0:
            for index, item in enumerate(some, start):
                _refuse_odd_numbers(item, f"item {index}")
        chunks.append(chunk)
    return b"%b%b%b" % (_HEAD, between.join(chunks), tail) if items else b""


def batches(
    items: Iterator[Any], tail: bytes, jobs_max: int, shares: Callable[[], bool]
) -> Iterator[Batch]:
    """Encode any number of items as batches of at most `jobs_max`, and not too long.

    shares: tells before each whether it may say once what all its jobs have.
    """
    while some := list(islice(items, jobs_max)):
        batch = encode_batch(some, tail, share=shares())
        if len(batch.objects) <= BATCH_BYTES_MAX or len(some) == 1:
            yield batch
        else:
            half = len(some) // 2
            yield from chain(
                batches(iter(some[:half]), tail, half, shares),
                batches(iter(some[half:]), tail, len(some) - half, shares),
            )


async def async_batches(
    items: Iterable[Any] | AsyncIterable[Any],
    tail: bytes,
    jobs_max: int,
    shares: Callable[[], bool],
) -> AsyncIterator[Batch]:
    """Encode items as `batches` does; they may come as asynchronously as they like."""
    if isinstance(items, AsyncIterable):
        some: list[Any] = []
        async for item in items:
            some.append(item)
            if len(some) >= jobs_max:
                for batch in batches(iter(some), tail, jobs_max, shares):
                    yield batch
                some = []
        items = some
    for batch in batches(iter(items), tail, jobs_max, shares):
        yield batch


def object_of(data: bytes, tail: bytes) -> bytes:
    """Put a job's encoded data and options together."""
    return _HEAD + data + tail


def _encode_each(items: Sequence[Any], tail: bytes) -> Iterator[tuple[bytes, bytes]]:
    for index, item in enumerate(items):
        if isinstance(item, NewJob):
            yield json_of(item.data, f"item {index}"), tail_of_job(item)
        else:
            yield json_of(item, f"item {index}"), tail


def _encode_from(start: int, items: Sequence[Any]) -> Iterator[bytes]:
    return (json_of(item, f"item {index}") for index, item in enumerate(items, start))
