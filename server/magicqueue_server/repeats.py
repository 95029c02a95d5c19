"""Jobs that are named by the request key of the push that made them."""

from magicqueue.errors import BadRequest, NotFound
from magicqueue.wire.fields import check_key, check_queue
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import GetJob, Wait
from magicqueue_cores.policies import Policies


def job_of(
    instead: str, policies: Policies, limits: Limits, request: Wait | GetJob, now_ms: int
) -> int:
    """Give the id of the job that a request names by `queue` and `req_key`.

    instead: says the other way to name one, for the error. Raises BadRequest or NotFound.
    """
    if request.queue is None or request.req_key is None:
        raise BadRequest(f"{instead}, or queue and req_key")
    queue = check_queue(request.queue, limits.queue_name_bytes_max)
    job_id = policies.job_of(queue, check_key(request.req_key, "req_key"), now_ms)
    if job_id is None:
        raise NotFound(
            f"no PUSH to {queue!r} is known with req_key {request.req_key!r}: there was"
            " none, or it is too long ago"
        )
    return job_id
