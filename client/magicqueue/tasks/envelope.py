"""What a task is over the wire: the data of a job, as any language can write it.

    {"task":"welcome","args":["ada@example.org"],"kwargs":{"subject":"Hello"}}

`task` is its name. `args` and `kwargs` may be left out; so may `headers`, strings that
travel with the call for middleware (the context of a trace, say). Other fields are left
alone. docs/tasks.md is the page of it for those who push from elsewhere.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from magicqueue.failures import Discard
from magicqueue.tasks.conversion import to_json


class Envelope(msgspec.Struct, frozen=True):
    """The data of a task's job; its arguments still JSON."""

    task: str
    args: list[Raw] = msgspec.field(default_factory=list)
    kwargs: dict[str, Raw] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class NoTask(Discard):
    """A job in a queue of tasks whose data names no task: it can never be run."""


_decode = msgspec.json.Decoder(Envelope).decode


def open_envelope(data: bytes | Raw) -> Envelope:
    """Read a job's data. Raises NoTask."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoTask(
            f"its data is no task ({error}): it must be an object with `task`, and `args`"
            " and `kwargs` where it has arguments"
        ) from None


def head_of(name: str) -> bytes:
    """Begin the envelopes of a task."""
    return b'{"task":%b' % orjson.dumps(name)


def envelope_json(
    head: bytes,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Write a call. Raises NotJson that names what has no form in JSON."""
    parts = head
    if args:
        parts += b',"args":%b' % to_json(args)
    if kwargs:
        parts += b',"kwargs":%b' % to_json(kwargs)
    if headers:
        parts += b',"headers":%b' % to_json(headers)
    return parts + b"}"
