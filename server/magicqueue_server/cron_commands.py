"""CRON and its kin: jobs that come again and again.

What is asked for becomes a `CronPlan`, which has all defaults in it, so that a cron stays
as it is when those change. Its times are those of the wall clock, as on the wire.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw

from magicqueue.errors import BadRequest
from magicqueue.wire import replies
from magicqueue.wire.fields import check_key, check_queue, payload_of
from magicqueue.wire.limits import CRON_RUNS_MAX, LIST_PAGE, Limits
from magicqueue.wire.requests import (
    Cron,
    CronDelete,
    CronList,
    CronPause,
    CronResume,
    CronRun,
    Request,
)
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies import Cron as CronHere
from magicqueue_cores.policies import CronPlan, Crons
from magicqueue_cores.policies.cron_plans import CATCHUP_MS
from magicqueue_server.columns import JobDefaults
from magicqueue_server.looks import Handler, Reply
from magicqueue_server.policy_commands import Plain, named
from magicqueue_server.wishes import wishes_of_cron

EVERY_LEAST_MS: Final = 1000
OF_ONE_PUSH: Final = ("delay", "run_at", "req_key", "depends_on", "on_parent_failure")
"""Options of a push that a cron's jobs cannot have."""
_PAGE_MAX: Final = 200
_RUNS_TOLD: Final = 3


class CronCommands:
    """The handlers, one a command."""

    def __init__(
        self, crons: Crons, limits: Limits, defaults: JobDefaults, plain: Plain
    ) -> None:
        self._crons = crons
        self._limits = limits
        self._defaults = defaults
        self._plain = plain
        self.handlers: dict[type[Request], Handler] = {
            Cron: self.set,
            CronList: self.list,
            CronDelete: self.delete,
            CronPause: self.pause,
            CronResume: self.resume,
            CronRun: self.run,
        }

    def set(self, request: Cron, now_ms: int) -> Reply:
        """CRON."""
        plan = plan_of(request, self._limits, self._defaults)
        with named("CRON"):
            done = self._crons.set(request.name, plan, now_ms)
        return replies.counted(
            request.rid,
            created=done.created,
            changed=done.changed,
            next_run=_told(done.cron.run_ms),
            next_runs=done.cron.runs(_RUNS_TOLD),
        )

    def list(self, request: CronList, _now_ms: int) -> Reply:
        """CRONLIST."""
        if request.name is not None:
            return self._one(request, request.name)
        if request.runs is not None:
            raise BadRequest("CRONLIST: runs is about one cron: give its name")
        count = min(request.count or LIST_PAGE, _PAGE_MAX)
        found = self._crons.page(count + 1, request.after)
        shown: list[replies.CronInfo] = []
        room = self._limits.reply_payload_bytes_max
        for cron in found[:count]:
            room -= len(cron.plan.payload)
            if shown and room < 0:
                break
            shown.append(self._shown(cron))
        following = shown[-1].name if len(found) > len(shown) else None
        return replies.counted(request.rid, crons=shown, next=following)

    def _one(self, request: CronList, name: str) -> Reply:
        """CRONLIST of one."""
        if request.count is not None or request.after is not None:
            raise BadRequest("CRONLIST: give name, or count and after, not both")
        cron = self._crons.get(name)
        runs = cron.runs(min(request.runs or _RUNS_TOLD, CRON_RUNS_MAX))
        return replies.counted(request.rid, crons=[self._shown(cron, runs)], next=None)

    def delete(self, request: CronDelete, _now_ms: int) -> Reply:
        """CRONDELETE."""
        self._crons.delete(request.name)
        return replies.ok(request.rid)

    def pause(self, request: CronPause, _now_ms: int) -> Reply:
        """CRONPAUSE."""
        return self._paused(request, paused=True)

    def resume(self, request: CronResume, _now_ms: int) -> Reply:
        """CRONRESUME."""
        return self._paused(request, paused=False)

    def run(self, request: CronRun, now_ms: int) -> Reply:
        """CRONRUN."""
        self._plain.refuse_if_stopping()
        with named("CRONRUN"):
            answer = self._crons.run(request.name, now_ms)
        reply = replies.PushReply(
            ok=True,
            id=answer.ids[0],
            duplicate=bool(answer.duplicates),
            replaced=bool(answer.replaced),
        )
        return replies.pushed_under_policies(reply, request.rid)

    def _shown(self, cron: CronHere, runs: Sequence[int] = ()) -> replies.CronInfo:
        shown = _shown(cron, self._crons.live(cron.name))
        shown.next_runs = list(runs)
        return shown

    def _paused(self, request: CronPause | CronResume, *, paused: bool) -> Reply:
        before = self._crons.get(request.name).state.paused
        cron = self._crons.pause(request.name, paused=paused)
        return replies.counted(
            request.rid, changed=before is not paused, next_run=_told(cron.run_ms)
        )


def plan_of(
    request: Cron, limits: Limits, defaults: JobDefaults, *, from_file: bool = False
) -> CronPlan:
    """Give what a CRON asks for, as the crons take it; raises RequestError."""
    check_key(request.name, "CRON: name")
    for field in OF_ONE_PUSH:
        if getattr(request, field) is not None:
            raise BadRequest(
                f"CRON: {field} is for one push, and a cron's jobs come at its ticks: leave"
                " it out"
            )
    _refuse_mixed(request)
    catchup_ms = request.catchup
    return CronPlan(
        queue=check_queue(request.queue, limits.queue_name_bytes_max),
        payload=payload_of(request.data, limits),
        schedule=request.schedule,
        every_ms=request.every or 0,
        offset_ms=request.offset or 0,
        tz=request.tz or "UTC",
        start_ms=request.start or 0,
        end_ms=request.end or 0,
        limit=request.limit or 0,
        spread_ms=request.spread or 0,
        missed=request.missed or "one",
        catchup_ms=CATCHUP_MS if catchup_ms is None else catchup_ms,
        overlap=request.overlap or "skip",
        priority=request.priority or 0,
        max_attempts=defaults.max_attempts
        if request.max_attempts is None
        else request.max_attempts,
        backoff_ms=defaults.backoff_ms if request.backoff is None else request.backoff,
        jitter=request.jitter or False,
        wishes=wishes_of_cron(request),
        from_file=from_file,
    )


def _refuse_mixed(request: Cron) -> None:
    """Raise BadRequest if two ways to say when are mixed, or none is said."""
    if (request.schedule is None) == (request.every is None):
        raise BadRequest('CRON: give schedule (as in "30 2 * * *") or every (ms)')
    if request.every is not None:
        if request.every < EVERY_LEAST_MS:
            raise BadRequest(
                f"CRON: every is {request.every} ms: it must be {EVERY_LEAST_MS} or more"
            )
        if request.tz is not None:
            raise BadRequest("CRON: tz is about schedule: every goes by spans alone")
    elif request.offset is not None:
        raise BadRequest("CRON: offset is about every: say it in the schedule")


def _shown(cron: CronHere, live: int) -> replies.CronInfo:
    plan, state = cron.plan, cron.state
    asked: dict[str, Any] = {}
    wishes = plan.wishes
    if wishes is not None:
        asked = {
            "unique_key": wishes.unique_key,
            "ttl": wishes.ttl_ms,
            "timeout": wishes.timeout_ms,
            "keep_result": wishes.keep_result_ms,
            "group": wishes.group,
        }
        if wishes.unique_key is not None:
            asked |= {
                "unique": None if wishes.unique_for_ms else wishes.until,
                "unique_for": wishes.unique_for_ms,
                "on_conflict": wishes.on_conflict,
            }
        if wishes.ttl_ms is not None:
            asked["on_expire"] = wishes.on_expire
    return replies.CronInfo(
        name=cron.name,
        queue=plan.queue,
        data=Raw(plan.payload),
        schedule=plan.schedule,
        every=plan.every_ms or None,
        offset=plan.offset_ms,
        tz=None if plan.schedule is None else plan.tz,
        start=plan.start_ms or None,
        end=plan.end_ms or None,
        limit=plan.limit or None,
        spread=plan.spread_ms,
        missed=plan.missed,
        catchup=plan.catchup_ms,
        overlap=plan.overlap,
        priority=plan.priority,
        max_attempts=plan.max_attempts,
        backoff=plan.backoff_ms,
        jitter=plan.jitter,
        paused=state.paused,
        created_at=state.created_ms,
        next_run=_told(cron.run_ms),
        trouble=cron.trouble,
        last_tick=state.last_tick_ms or None,
        last_job=state.last_job or None,
        live=live,
        ticks=replies.CronTicks(state.fired, state.skipped, state.missed, state.refused),
        source="file" if plan.from_file else "client",
        **asked,
    )


def _told(run_ms: int) -> int | None:
    return None if run_ms == NEVER_MS else run_ms
