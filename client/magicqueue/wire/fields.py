"""What a request's fields mean beyond their types: names, keys, payloads, ids.

These run once a request (queue names: once a name, then from a cache) and raise the error
that names the field and, in a batch, the index.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Raw

from magicqueue.errors import BadRequest, TooLarge
from magicqueue.wire.limits import (
    KEY_BYTES_MAX,
    NOTE_BYTES_MAX,
    PULL_QUEUES_MAX,
    Limits,
)
from magicqueue.wire.payload import check_payloads
from magicqueue.wire.requests import (
    Cancel,
    Heartbeat,
    PlainItem,
    Promote,
    Release,
    Verdict,
)

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOTHING: Final = (b"", b"null")


@lru_cache(maxsize=4096)
def check_queue(queue: str, bytes_max: int) -> str:
    """Give the queue's name back; raises BadRequest if no queue can be called so."""
    try:
        size = len(queue.encode())
    except UnicodeEncodeError:
        raise BadRequest("queue has a lone surrogate in its name: leave it out") from None
    if not size:
        raise BadRequest("queue is empty: name one")
    if size > bytes_max:
        raise BadRequest(f"queue is a name of {size} bytes: the limit is {bytes_max}")
    if _CONTROL.search(queue):
        raise BadRequest("queue has a control character in its name: leave it out")
    return queue


def check_queues(queues: Sequence[str], bytes_max: int) -> list[str]:
    """Give names of queues of a pull back; raises BadRequest that names the first bad."""
    if not 1 <= len(queues) <= PULL_QUEUES_MAX:
        raise BadRequest(
            f"queues has {len(queues)} names: give 1 to {PULL_QUEUES_MAX} of them"
        )
    for index, queue in enumerate(queues):
        try:
            check_queue(queue, bytes_max)
        except BadRequest as error:
            sentence = error.sentence.removeprefix("queue")
            raise BadRequest(f"queues[{index}]{sentence}") from None
    return list(queues)


def check_key(key: str, where: str) -> str:
    """Give a key back; raises BadRequest, which says `where` it is, if it can be none."""
    if key.isascii() and key.isprintable() and 0 < len(key) <= KEY_BYTES_MAX:
        return key  # as nearly all are
    size = len(key.encode("utf-8", "surrogatepass"))
    if not size:
        raise BadRequest(f"{where} is empty: give it a text, or leave it out")
    if size > KEY_BYTES_MAX:
        raise BadRequest(f"{where} is a key of {size} bytes: the limit is {KEY_BYTES_MAX}")
    if _CONTROL.search(key):
        raise BadRequest(f"{where} has a control character in it: leave it out")
    return key


def check_keys(keys: list[str], where: str) -> list[str]:
    """Give keys back as `check_key`; where: with `{}` for the index of the first bad."""
    text = "".join(keys)
    usual = text.isascii() and text.isprintable() and "" not in keys
    if not usual or max(map(len, keys), default=0) > KEY_BYTES_MAX:
        for index, key in enumerate(keys):
            check_key(key, where.format(index))
    return keys


def check_note(note: str) -> str:
    """Give a PROGRESS's note back; raises TooLarge."""
    size = len(note.encode("utf-8", "surrogatepass"))
    if size > NOTE_BYTES_MAX:
        raise TooLarge(f"PROGRESS: note is {size} bytes: the limit is {NOTE_BYTES_MAX}")
    return note


def payload_of(data: Raw, limits: Limits) -> bytes:
    """Copy the data of one job; raises BadJson or TooLarge."""
    payload = bytes(data)
    if len(payload) > limits.job_bytes_max:
        raise _job_too_large("data", payload, limits)
    check_payloads((payload,), "data")
    return payload


def result_of(result: Raw, where: str, limits: Limits) -> bytes | None:
    """Copy the result of a job, None if there is none; raises BadJson or TooLarge."""
    value = bytes(result)
    if len(value) > limits.result_bytes_max:
        raise TooLarge(
            f"{where} is {len(value)} bytes: the limit is {limits.result_bytes_max}"
            " (keep a large result elsewhere, or start the server with a larger"
            " --max-result)"
        )
    check_payloads((value,), where)
    return None if value in _NOTHING else value


def payloads_of(items: Sequence[PlainItem], limits: Limits) -> list[bytes]:
    """Copy the data of a batch; raises BadJson or TooLarge that names the first bad."""
    if len(items) > limits.push_jobs_max:
        raise TooLarge(
            f"jobs has {len(items)} items: the limit is {limits.push_jobs_max} a batch"
            " (send several, or start the server with a larger --max-push)"
        )
    payloads = [bytes(item.data) for item in items]
    if max(map(len, payloads), default=0) > limits.job_bytes_max:
        for index, payload in enumerate(payloads):
            if len(payload) > limits.job_bytes_max:
                check_payloads(payloads[:index], "jobs[{}].data")
                raise _job_too_large(f"jobs[{index}].data", payload, limits)
    check_payloads(payloads, "jobs[{}].data")
    return payloads


def ids_of(
    items: Sequence[int | str | Verdict],
) -> tuple[list[int], list[int] | None]:
    """Split a batch's items into ids and attempts (0 where none; None if none at all)."""
    if set(map(type, items)) <= {int}:
        return items, None  # type: ignore[return-value]  # a list, all are int
    ids: list[int] = []
    attempts: list[int] = []
    for item in items:
        if isinstance(item, Verdict):
            ids.append(int(item.id))
            attempts.append(item.attempt or 0)
        else:
            ids.append(int(item))
            attempts.append(0)
    return ids, attempts if any(attempts) else None


def ids_or_id(
    name: str, request: Heartbeat | Release | Cancel | Promote
) -> tuple[list[int], list[int] | None]:
    """Give the ids and attempts of a request that has `ids`, or `id`; else BadRequest."""
    if (request.ids is None) == (request.id is None):
        raise BadRequest(f"{name}: give ids (a list) or id (one job)")
    if request.ids is not None:
        return ids_of(request.ids)
    attempt = request.attempt if isinstance(request, Heartbeat | Release) else None
    return [int(request.id or 0)], None if attempt is None else [attempt]


def _job_too_large(where: str, payload: bytes, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{where} is {len(payload)} bytes: the limit is {limits.job_bytes_max} a job"
        " (pass a reference to large data instead, or start the server with a larger"
        " --max-job)"
    )
