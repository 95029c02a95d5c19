"""Commands about jobs that depend on others: flows, and what came of a job's parents."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from magicqueue import commands
from magicqueue.errors import NotFound
from magicqueue.flow import Flow
from magicqueue.job import Job, JobDetails
from magicqueue.protocol import Command
from magicqueue.readers import decoder
from magicqueue.refusals import Line
from magicqueue.wire.limits import ID_MAX


class _Pushed(msgspec.Struct):
    ids: list[Annotated[int, Meta(ge=1, le=ID_MAX)]]
    repeated: bool = False
    rid: None = None


_pushed: Final = decoder(_Pushed)


def push_flow(flow: Flow, key: bytes = b"") -> Command[list[int]]:
    """Store the jobs of a flow; gives their ids. key: see `request_keys`."""
    jobs, needs = flow.encoded()
    count = len(flow)

    def read(line: Line) -> list[int]:
        ids = _pushed(line).ids
        if len(ids) != count or len(set(ids)) != count:
            raise ValueError(f"{len(ids)} ids of {count} jobs, or one of them twice")
        return ids

    return Command(
        b'{"cmd":"PUSHF","jobs":%b%b}\n' % (jobs, key),
        read,
        needs=needs,
        has_key=bool(key),
        reply_bytes=commands.ID_BYTES * count,
    )


def parent_results(
    job: Job, ask: Callable[[Command[JobDetails]], JobDetails]
) -> dict[int, Any]:
    """Ask for what came of the jobs that one depended on; gives it by their ids."""
    told: list[JobDetails | BaseException] = []
    for parent in job.parents:
        try:
            told.append(ask(commands.job(parent)))
        except NotFound as error:
            told.append(error)
    return results_among(job.parents, told)


def results_among(
    ids: Sequence[int], told: Sequence[JobDetails | BaseException]
) -> dict[int, Any]:
    """Give the results of the jobs that are done, of what was answered for each.

    Raises what is no NotFound.
    """
    found: dict[int, Any] = {}
    for job_id, one in zip(ids, told, strict=True):
        if isinstance(one, JobDetails):
            if one.state == "done":
                found[job_id] = one.result
        elif not isinstance(one, NotFound):
            raise one
    return found
