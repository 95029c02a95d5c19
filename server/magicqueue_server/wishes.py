"""From what a push asks of policies to the `Wishes` that they take."""

from typing import Final

from msgspec import Raw

from magicqueue.errors import BadRequest
from magicqueue.wire.fields import check_key, check_keys
from magicqueue.wire.requests import Cron, Push, PushBatch, PushItem
from magicqueue_cores.policies import InGroups, Wishes

_SAYS_NOTHING: Final = PushItem(data=Raw(b"null"))
_FIELDS: Final = (
    "unique_key",
    "unique",
    "unique_for",
    "on_conflict",
    "ttl",
    "on_expire",
    "timeout",
    "keep_result",
    "group",
    "req_key",
)


def wishes_of(job: Push) -> Wishes | None:
    """Give the wishes of a PUSH, None if it has none; raises BadRequest."""
    return _wishes(job, None, "PUSH") if _asks(job) else None


def wishes_of_batch(batch: PushBatch) -> list[Wishes | None] | InGroups | None:
    """Give the wishes of each job of a PUSHB, None if no job has any; raises BadRequest.

    What a job does not say is as the batch says; the two ways to say how long a key is held
    are one option.
    """
    if batch.unique is not None and batch.unique_for is not None:
        raise BadRequest("PUSHB: give unique or unique_for, not both")
    says = _asks(batch)
    of_silent: Wishes | None = None
    if says:
        of_silent = _wishes(_SAYS_NOTHING, batch, "PUSHB")
    if batch.jobs and (groups := _groups_alone(batch)) is not None:
        first = _wishes(batch.jobs[0], batch if says else None, "PUSHB: jobs[0]")
        assert first is not None, "a job with a group wishes that"
        return InGroups(first, check_keys(groups, "PUSHB: jobs[{}]: group"))
    wishes = [
        _wishes(job, batch if says else None, f"PUSHB: jobs[{index}]")
        if _asks(job)
        else of_silent
        for index, job in enumerate(batch.jobs)
    ]
    return wishes if any(wishes) else None


def _groups_alone(batch: PushBatch) -> list[str] | None:
    """Give the group of each job, if each says one, wishes nothing else and has no key."""
    jobs = batch.jobs
    groups = [job.group for job in jobs if job.group is not None]
    if len(groups) < len(jobs) or batch.unique_key is not None:
        return None
    others = [
        None
        for job in jobs
        if job.unique_key is not None
        or job.ttl is not None
        or job.timeout is not None
        or job.keep_result is not None
        or job.unique is not None
        or job.unique_for is not None
        or job.on_conflict is not None
        or job.on_expire is not None
    ]
    return None if others else groups


def wishes_of_cron(cron: Cron) -> Wishes | None:
    """Give the wishes of the jobs of a CRON, None if they have none; raises BadRequest."""
    return _wishes(cron, None, "CRON") if _asks(cron) else None


def request_key(request: Push | PushBatch) -> str | None:
    """Give the key that a push may be repeated with; raises BadRequest."""
    if request.req_key is None:
        return None
    name = "PUSH" if isinstance(request, Push) else "PUSHB"
    return check_key(request.req_key, f"{name}: req_key")


def asked_of_policies(request: Push | PushBatch) -> str | None:
    """Name a field of a push that only policies can see to, None if there is none."""
    jobs = request.jobs if isinstance(request, PushBatch) else []
    for one in (request, *jobs):
        for field in _FIELDS:
            if getattr(one, field, None) is not None:
                return field
    return None


def _asks(one: Push | PushBatch | PushItem | Cron) -> bool:
    return (
        one.unique_key is not None
        or one.ttl is not None
        or one.timeout is not None
        or one.keep_result is not None
        or one.unique is not None
        or one.unique_for is not None
        or one.on_conflict is not None
        or one.on_expire is not None
        or one.group is not None
    )


def _wishes(
    job: Push | PushItem | Cron, batch: PushBatch | None, where: str
) -> Wishes | None:
    key, ttl_ms = job.unique_key, job.ttl
    until, unique_for_ms = job.unique, job.unique_for
    on_conflict, on_expire = job.on_conflict, job.on_expire
    timeout_ms, keep_result_ms = job.timeout, job.keep_result
    group = job.group
    if until is not None and unique_for_ms is not None:
        raise BadRequest(f"{where}: give unique or unique_for, not both")
    if batch is not None:
        key = batch.unique_key if key is None else key
        ttl_ms = batch.ttl if ttl_ms is None else ttl_ms
        if until is None and unique_for_ms is None:
            until, unique_for_ms = batch.unique, batch.unique_for
        on_conflict = on_conflict or batch.on_conflict
        on_expire = on_expire or batch.on_expire
        timeout_ms = batch.timeout if timeout_ms is None else timeout_ms
        keep_result_ms = batch.keep_result if keep_result_ms is None else keep_result_ms
        group = batch.group if group is None else group
    if key is None:
        for name in ("unique", "unique_for", "on_conflict"):
            if getattr(job, name) is not None:
                raise BadRequest(f"{where}: {name} is about unique_key: give that, too")
        until = unique_for_ms = on_conflict = None
    else:
        check_key(key, f"{where}: unique_key")
    if ttl_ms is None and job.on_expire is not None:
        raise BadRequest(f"{where}: on_expire is about ttl: give that, too")
    if group is not None:
        check_key(group, f"{where}: group")
    elif key is None and ttl_ms is None and timeout_ms is None and not keep_result_ms:
        return None
    return Wishes(
        unique_key=key,
        until=until or "done",
        unique_for_ms=unique_for_ms,
        on_conflict=on_conflict or "return",
        ttl_ms=ttl_ms,
        on_expire=on_expire or "remove",
        timeout_ms=timeout_ms,
        keep_result_ms=keep_result_ms or None,
        group=group,
    )
