"""From the line of a reply to its answer, and no answer from a reply that cannot be true.

A reader knows what was asked: how many jobs were pushed, which queue was pulled from, whose
ids were acknowledged. A reply that does not fit (too many ids or too few, ids that do not
rise, a job of another queue, a count beyond what was asked, a field that is missing or of
another type) raises ValueError, and the connection is of no more use: see `protocol`.

The readers of the hot commands first compare the line with the one that a server writes
when all went well, which costs less than decoding it.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Annotated, Final, TypeVar

import msgspec
import orjson
from msgspec import Meta

from magicqueue.answers import PushedId
from magicqueue.errors import BadRequest
from magicqueue.job import AnyJob, DeadPage, Job, JobDetails
from magicqueue.refusals import Line
from magicqueue.wire.fields import check_queue
from magicqueue.wire.limits import ID_MAX
from magicqueue.wire.replies import (
    GroupCounts,
    GroupsReply,
    LimitReply,
    OneQueueCounts,
    QueueCounts,
    QueueLimits,
    ServerCounts,
    ThrottleReply,
)

S = TypeVar("S")

NAME_BYTES_MAX: Final = 2**16
"""No server has a longer queue name."""

_Id = Annotated[int, Meta(ge=1, le=ID_MAX)]
_Count = Annotated[int, Meta(ge=0, le=ID_MAX)]
_State = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\Z")]

_IDS: Final = b'{"ok":true,"ids":['


class _Pushed(msgspec.Struct):
    id: _Id
    rid: None = None


class _PushedBatch(msgspec.Struct):
    ids: list[_Id]
    rid: None = None


class _PushedUnique(msgspec.Struct):
    id: _Id
    duplicate: bool = False
    replaced: bool = False
    rid: None = None


class _PushedUniqueBatch(msgspec.Struct):
    ids: list[_Id]
    duplicates: list[_Count] = []
    replaced: list[_Count] = []
    rid: None = None


class _Pulled(msgspec.Struct):
    jobs: list[Job]
    rid: None = None


class _Acked(msgspec.Struct):
    acked: _Count
    missing: list[int]
    rid: None = None


class _Failed(msgspec.Struct):
    failed: _Count
    missing: list[int]
    rid: None = None


class _Released(msgspec.Struct):
    released: _Count
    missing: list[int]
    rid: None = None


class _Extended(msgspec.Struct):
    extended: _Count
    missing: list[int]
    cancelled: list[int] = []
    rid: None = None


class _FailedOne(msgspec.Struct):
    state: _State


class _Removed(msgspec.Struct):
    removed: _Count


class _Retried(msgspec.Struct):
    retried: _Count


class _Queues(msgspec.Struct):
    queues: list[QueueCounts]
    next: str | None = None


class _Dead(msgspec.Struct):
    jobs: list[JobDetails]
    next: _Id | None


def decoder(kind: type[S]) -> Callable[[Line], S]:
    """Make what reads a reply into a struct."""
    return msgspec.json.Decoder(kind).decode


_pushed: Final = decoder(_Pushed)
_pushed_batch: Final = decoder(_PushedBatch)
_pushed_unique: Final = decoder(_PushedUnique)
_pushed_unique_batch: Final = decoder(_PushedUniqueBatch)
_pulled: Final = decoder(_Pulled)
_acked: Final = decoder(_Acked)
_failed: Final = decoder(_Failed)
_released: Final = decoder(_Released)
_extended: Final = decoder(_Extended)
_failed_one: Final = decoder(_FailedOne)
_removed: Final = decoder(_Removed)
_retried: Final = decoder(_Retried)
_queues: Final = decoder(_Queues)
_dead: Final = decoder(_Dead)
counts: Final = decoder(OneQueueCounts)
_limited: Final = decoder(LimitReply)
_throttled: Final = decoder(ThrottleReply)
_groups: Final = decoder(GroupsReply)
server_counts: Final = decoder(ServerCounts)


def done(_: Line) -> None:
    """Read a reply that says no more than that it is ok."""


def pushed(line: Line) -> list[int]:
    """Read PUSH's reply."""
    return [_pushed(line).id]


def pushed_batch(count: int) -> Callable[[Line], list[int]]:
    """Read PUSHB's reply: one id a job, each above the one before."""

    def read(line: Line) -> list[int]:
        first = line[len(_IDS) : line.find(b"," if count > 1 else b"]", len(_IDS))]
        if line.startswith(_IDS) and first.isdigit() and len(first) < len(str(ID_MAX)):
            ids = list(range(int(first), int(first) + count))
            written = b'{"ok":true,"ids":%b}' % orjson.dumps(ids)
            if line.startswith(written) and ids[0] and line[len(written) :].isspace():
                return ids
        ids = _pushed_batch(line).ids
        if len(ids) != count:
            raise ValueError(f"{len(ids)} ids for {count} jobs")
        if any(first >= second for first, second in pairwise(ids)):
            raise ValueError("its ids do not rise")
        return ids

    return read


def pushed_unique(line: Line) -> list[int]:
    """Read the reply to a PUSH with a unique key."""
    told = _pushed_unique(line)
    return [PushedId(told.id, duplicate=told.duplicate, replaced=told.replaced)]


def pushed_unique_batch(count: int) -> Callable[[Line], list[int]]:
    """Read the reply to a PUSHB with unique keys: its ids are new ones, or holders'."""

    def read(line: Line) -> list[int]:
        told = _pushed_unique_batch(line)
        if len(told.ids) != count:
            raise ValueError(f"{len(told.ids)} ids for {count} jobs")
        duplicates, replaced = set(told.duplicates), set(told.replaced)
        if max(duplicates | replaced, default=0) >= count:
            raise ValueError(f"it tells of more than {count} jobs")
        old = duplicates | replaced
        if any(a >= b for a, b in pairwise(_except(told.ids, old))):
            raise ValueError("its new ids do not rise")
        return [
            PushedId(job_id, duplicate=index in duplicates, replaced=index in replaced)
            for index, job_id in enumerate(told.ids)
        ]

    return read


def _except(ids: list[int], indexes: set[int]) -> list[int]:
    return [job_id for index, job_id in enumerate(ids) if index not in indexes]


def pulled(queues: Sequence[str], count: int) -> Callable[[Line], list[Job]]:
    """Read PULLB's reply: no more jobs than asked for, of these queues, each once."""
    named = frozenset(queues)
    only = queues[0] if len(named) == 1 else None

    def read(line: Line) -> list[Job]:
        jobs = _pulled(line).jobs
        if len(jobs) > count:
            raise ValueError(f"{len(jobs)} jobs where {count} were asked for")
        if only is None:
            ids = {job.id for job in jobs if job.queue in named}
        else:  # quicker, as no string is hashed
            ids = {job.id for job in jobs if job.queue == only}
        if len(ids) != len(jobs):
            _raise_for_pulled(jobs, named)
        return jobs

    return read


def acked(jobs: Sequence[AnyJob]) -> Callable[[Line], list[int]]:
    """Read ACKB's reply: which of the jobs were not there to be settled."""
    count = len(jobs)
    all_done = b'{"ok":true,"ids":[%d],"acked":%d,"missing":[]}' % (count, count)

    def read(line: Line) -> list[int]:
        if line.strip() == all_done:
            return []
        reply = _acked(line)
        return checked(reply.acked, reply.missing, jobs)

    return read


def failed(jobs: Sequence[AnyJob]) -> Callable[[Line], list[int]]:
    """Read FAILB's reply, as `acked`."""

    def read(line: Line) -> list[int]:
        reply = _failed(line)
        return checked(reply.failed, reply.missing, jobs)

    return read


def released(jobs: Sequence[AnyJob]) -> Callable[[Line], list[int]]:
    """Read RELEASE's reply, as `acked`."""

    def read(line: Line) -> list[int]:
        reply = _released(line)
        return checked(reply.released, reply.missing, jobs)

    return read


def extended(jobs: Sequence[AnyJob]) -> Callable[[Line], tuple[list[int], list[int]]]:
    """Read HEARTBEAT's reply: which jobs are missing, and which were cancelled."""

    def read(line: Line) -> tuple[list[int], list[int]]:
        reply = _extended(line)
        missing = checked(reply.extended, reply.missing, jobs)
        checked(len(jobs) - len(reply.cancelled), reply.cancelled, jobs)
        return missing, reply.cancelled

    return read


def limited(line: Line) -> QueueLimits:
    """Read LIMIT's reply: the limits as they are now."""
    reply = _limited(line)
    return QueueLimits(concurrency=reply.concurrency, rate=reply.rate, group=reply.group)


def throttled(line: Line) -> int | None:
    """Read THROTTLE's reply: until when, in epoch milliseconds."""
    return _throttled(line).throttled_until


def groups_page(line: Line) -> tuple[list[GroupCounts], str | None]:
    """Read GROUPS' reply: a page, and where the next one begins."""
    reply = _groups(line)
    return reply.groups, reply.next


def failed_one(line: Line) -> str:
    """Read FAIL's reply: the job's new state."""
    return _failed_one(line).state


def removed(line: Line) -> int:
    """Read the reply to DRAIN."""
    return _removed(line).removed


def purged(job_id: int | None) -> Callable[[Line], int]:
    """Read PURGEDEAD's reply: of one job, or of a queue's."""
    return lambda line: _one_at_most(_removed(line).removed, job_id)


def retried(job_id: int | None) -> Callable[[Line], int]:
    """Read RETRYDEAD's reply, as `purged`."""
    return lambda line: _one_at_most(_retried(line).retried, job_id)


def queues(after: str | None) -> Callable[[Line], tuple[list[QueueCounts], str | None]]:
    """Read QUEUES' reply: names that queues can have, each once and behind `after`."""

    def read(line: Line) -> tuple[list[QueueCounts], str | None]:
        page = _queues(line)
        names = {queue_name(queue.name) for queue in page.queues}
        if len(names) != len(page.queues):
            raise ValueError("a queue is in it twice")
        if after is not None and any(name <= after for name in names):
            raise ValueError("a queue is in it that was in the page before")
        if page.next is not None and (not names or page.next != max(names)):
            raise ValueError("its listing does not go on")
        return page.queues, page.next

    return read


def dead(queue: str, count: int, after: int | None) -> Callable[[Line], DeadPage]:
    """Read DEAD's reply: no more jobs than asked for, of that queue, each once."""

    def read(line: Line) -> DeadPage:
        page = _dead(line)
        if len(page.jobs) > count:
            raise ValueError(f"{len(page.jobs)} jobs where {count} were asked for")
        if len({job.id for job in page.jobs if job.queue == queue}) != len(page.jobs):
            _raise_for_pulled(page.jobs, (queue,))
        if page.next is not None and (not page.jobs or page.next == after):
            raise ValueError("its listing does not go on")
        return DeadPage(page.jobs, page.next)

    return read


def queue_name(name: str) -> str:
    """Give a queue's name back. Raises ValueError if none can be called so."""
    try:
        return check_queue(name, NAME_BYTES_MAX)
    except BadRequest as error:
        raise ValueError(str(error)) from None


def checked(settled: int, missing: list[int], jobs: Sequence[AnyJob]) -> list[int]:
    """Give back what is missing of the jobs. Raises ValueError if that cannot be."""
    if settled + len(missing) != len(jobs):
        raise ValueError(f"{settled} and {len(missing)} missing, of {len(jobs)} jobs")
    if missing:
        asked = {job if isinstance(job, int) else job.id for job in jobs}
        if not asked.issuperset(missing):
            raise ValueError("a job is missing that was not asked for")
    return missing


def _one_at_most(number: int, job_id: int | None) -> int:
    if job_id is not None and number > 1:
        raise ValueError(f"{number} jobs, where one was named")
    return number


def _raise_for_pulled(jobs: Sequence[Job | JobDetails], queues: Collection[str]) -> None:
    for job in jobs:
        if job.queue not in queues:
            raise ValueError(f"job {job.id} is of the queue {job.queue[:80]!r}")
    raise ValueError("a job is in it twice")
