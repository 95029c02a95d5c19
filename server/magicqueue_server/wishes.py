"""From what a push asks of policies to the `Wishes` that they take."""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from magicqueue.errors import BadRequest, TooLarge
from magicqueue.wire.fields import check_key, check_keys
from magicqueue.wire.limits import DEPENDS_ON_MAX, FLOW_LINKS_MAX
from magicqueue.wire.requests import Cron, FlowItem, Push, PushBatch, PushFlow, PushItem
from magicqueue_cores.policies import InGroups, Wishes

_SAYS_NOTHING: Final = PushItem(data=Raw(b"null"))
_NOTHING: Final = Wishes()
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
    "depends_on",
    "on_parent_failure",
    "req_key",
)


def wishes_of(job: Push) -> Wishes | None:
    """Give the wishes of a PUSH, None if it has none; raises BadRequest."""
    return _wished(job, None, "PUSH") if _asks(job) else None


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
        of_silent = _wished(_SAYS_NOTHING, batch, "PUSHB")
    if batch.jobs and (groups := _groups_alone(batch)) is not None:
        first = _wishes(batch.jobs[0], batch if says else None, "PUSHB: jobs[0]")
        assert first is not None, "a job with a group wishes that"
        return InGroups(first, check_keys(groups, "PUSHB: jobs[{}]: group"))
    wishes = [
        _wished(job, batch if says else None, f"PUSHB: jobs[{index}]")
        if _asks(job)
        else of_silent
        for index, job in enumerate(batch.jobs)
    ]
    refuse_many_links("PUSHB", wishes)
    return wishes if any(wishes) else None


def _groups_alone(batch: PushBatch) -> list[str] | None:
    """Give the group of each job, if each says one, wishes nothing else and has no key."""
    jobs = batch.jobs
    groups = [job.group for job in jobs if job.group is not None]
    if len(groups) < len(jobs) or batch.unique_key is not None:
        return None
    if batch.depends_on is not None:
        return None
    # each by name, as in `_asks`: looked up as a tuple they cost twice as much
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
        or job.depends_on is not None
        or job.on_parent_failure is not None
    ]
    return None if others else groups


def wishes_of_cron(cron: Cron) -> Wishes | None:
    """Give the wishes of the jobs of a CRON, None if they have none; raises BadRequest."""
    return _wishes(cron, None, "CRON") if _asks(cron) else None


def wishes_of_flow(jobs: Sequence[FlowItem]) -> list[Wishes | None]:
    """Give the wishes of each job of a PUSHF; raises BadRequest.

    A job of the flow that another depends on is -1 less its index in `Wishes.parents`.
    """
    indexes: dict[str, int] = {}
    for index, job in enumerate(jobs):
        if job.ref is not None:
            check_key(job.ref, f"PUSHF: jobs[{index}].ref")
            if indexes.setdefault(job.ref, index) != index:
                raise BadRequest(
                    f"PUSHF: jobs[{index}].ref is that of jobs[{indexes[job.ref]}], too: "
                    "call each of them by another"
                )
    wishes: list[Wishes | None] = []
    for index, job in enumerate(jobs):
        where = f"PUSHF: jobs[{index}]"
        if job.on_conflict not in {None, "reject"}:
            raise BadRequest(
                f"{where}: on_conflict is {job.on_conflict}, but in a flow a key that is "
                "held always refuses it: leave it out"
            )
        parents = _resolved(job.depends_on or (), indexes, where)
        asks = _asks(job) or bool(parents)
        wishes.append(_wished(job, None, where, parents) if asks else None)
    refuse_many_links("PUSHF", wishes)
    return wishes


def _resolved(
    depends_on: Sequence[int | str], indexes: dict[str, int], where: str
) -> tuple[int, ...]:
    parents: list[int] = []
    for one in depends_on:
        if isinstance(one, int):
            parents.append(_id(one, where))
        elif one in indexes:
            parents.append(-1 - indexes[one])
        else:
            raise BadRequest(
                f"{where}: depends_on names {one[:40]!r}, which is the ref of no job of "
                "this flow"
            )
    return tuple(parents)


def refuse_many_links(name: str, wishes: Sequence[Wishes | None]) -> None:
    """Raise TooLarge if jobs depend on too many, all together."""
    links = sum(len(wish.parents) for wish in wishes if wish is not None)
    if links > FLOW_LINKS_MAX:
        raise TooLarge(
            f"{name}: its jobs depend on {links:,} others, all together: the limit is"
            f" {FLOW_LINKS_MAX:,} (put a job between that waits for many, for others to"
            " wait for)"
        )


def request_key(request: Push | PushBatch | PushFlow) -> str | None:
    """Give the key that a push may be repeated with; raises BadRequest."""
    if request.req_key is None:
        return None
    return check_key(request.req_key, f"{request.__struct_config__.tag}: req_key")


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
        or one.depends_on is not None
        or one.on_parent_failure is not None
    )


def _wished(
    job: Push | PushItem,
    batch: PushBatch | None,
    where: str,
    parents: tuple[int, ...] | None = None,
) -> Wishes | None:
    """Give what a job wishes; parents: of one of a flow, that it depends on."""
    wishes, rule = _wishes(job, batch, where), job.on_parent_failure
    if parents is None:
        parents = _parents(job, batch, where)
    if len(parents) > DEPENDS_ON_MAX:
        raise BadRequest(
            f"{where}: depends_on names {len(parents):,} jobs: the limit is"
            f" {DEPENDS_ON_MAX:,}"
        )
    if not parents:
        if rule is not None:
            raise BadRequest(
                f"{where}: on_parent_failure is about depends_on: give that, too"
            )
        return wishes
    if rule is None and batch is not None:
        rule = batch.on_parent_failure
    return replace(wishes or _NOTHING, parents=parents, on_parent_failure=rule or "wait")


def _wishes(
    job: Push | PushItem | Cron, batch: PushBatch | None, where: str
) -> Wishes | None:
    """Give what a job wishes but for other jobs."""
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


def _parents(job: Push | PushItem, batch: PushBatch | None, where: str) -> tuple[int, ...]:
    """Give the ids of the jobs that one depends on."""
    depends_on = job.depends_on
    if depends_on is None and batch is not None:
        depends_on = batch.depends_on
    if not depends_on:
        return ()
    return tuple(_id(int(one), where) for one in depends_on or ())


def _id(job_id: int, where: str) -> int:
    if job_id < 1:
        raise BadRequest(
            f"{where}: depends_on names {job_id}, which no job has: ids begin at 1"
        )
    return job_id
