"""What a request's fields mean beyond their types: names, payloads, ids.

These run once a request (queue names: once a name, then from a cache) and raise the error
that names the field and, in a batch, the index.
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Raw

from magicqueue.errors import BadRequest, TooLarge
from magicqueue.wire.limits import Limits
from magicqueue.wire.payload import check_payloads
from magicqueue.wire.requests import Failure, PushItem, Verdict

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


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


def payload_of(data: Raw, limits: Limits) -> bytes:
    """Copy the data of one job; raises BadJson or TooLarge."""
    payload = bytes(data)
    if len(payload) > limits.job_bytes_max:
        raise _job_too_large("data", payload, limits)
    check_payloads((payload,), "data")
    return payload


def payloads_of(items: list[PushItem], limits: Limits) -> list[bytes]:
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
    items: list[int | str | Verdict] | list[Failure],
) -> tuple[list[int], list[int] | None]:
    """Split a batch's items into ids and attempts (0 where none; None if none at all)."""
    if set(map(type, items)) <= {int}:
        return items, None  # type: ignore[return-value]  # all are int
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


def _job_too_large(where: str, payload: bytes, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{where} is {len(payload)} bytes: the limit is {limits.job_bytes_max} a job"
        " (pass a reference to large data instead, or start the server with a larger"
        " --max-job)"
    )
