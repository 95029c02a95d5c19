"""LIMIT and THROTTLE, and what STATS tells of the limits of a queue."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET

from magicqueue.wire import replies
from magicqueue.wire.fields import check_key
from magicqueue.wire.requests import GroupLimit, Limit, RateLimit, Request, Throttle
from magicqueue_cores.policies import Bounds, Policies, Rate, Rule
from magicqueue_server.columns import clipped_delay_ms
from magicqueue_server.looks import Handler, Reply


class Plain(Protocol):
    """What is asked of the other commands."""

    ahead_ms: int

    def queue(self, name: str) -> str:
        """Give a queue's name back, or raise BadRequest."""
        ...


class LimitCommands:
    """The handlers, one a command."""

    def __init__(self, policies: Policies, plain: Plain) -> None:
        self._limits = policies.limits
        self._of_groups = policies.groups.limits
        self._plain = plain
        self.handlers: dict[type[Request], Handler] = {
            Limit: self.limit,
            Throttle: self.throttle,
        }

    def limit(self, request: Limit, now_ms: int) -> Reply:
        """LIMIT: what is not given stays as it is."""
        queue = self._plain.queue(request.queue)
        rule = self._limits.rule_of(queue)
        changes: dict[str, Any] = {}
        if request.concurrency is not UNSET:
            changes["concurrency"] = request.concurrency
        if request.rate is not UNSET:
            changes["rate"] = _rate(request.rate)
        if request.group is not UNSET:
            changes["group"] = _bounds(request.group)
        if changes:
            rule = msgspec.structs.replace(rule, **changes)
            self._limits.limit(queue, rule, now_ms)
        return replies.counted(request.rid, queue=queue, **told(rule))

    def throttle(self, request: Throttle, now_ms: int) -> Reply:
        """THROTTLE."""
        queue = self._plain.queue(request.queue)
        for_ms = clipped_delay_ms(request.for_ms, now_ms)
        if request.group is not None:
            return self._throttle_group(request, queue, for_ms, now_ms)
        self._limits.throttle(queue, for_ms, now_ms)
        until_ms = self._limits.throttled_until_ms(queue)
        wall_ms = None if until_ms is None else until_ms - self._plain.ahead_ms
        return replies.counted(request.rid, queue=queue, throttled_until=wall_ms)

    def _throttle_group(
        self, request: Throttle, queue: str, for_ms: int, now_ms: int
    ) -> Reply:
        group = check_key(request.group or "", "THROTTLE: group")
        self._of_groups.throttle(queue, group, for_ms, now_ms)
        until_ms = self._of_groups.throttled_until_ms(queue, group)
        wall_ms = None if until_ms is None else until_ms - self._plain.ahead_ms
        return replies.counted(
            request.rid, queue=queue, group=group, throttled_until=wall_ms
        )


def told_of(policies: Policies) -> Callable[[str, int], dict[str, Any]]:
    """Give what tells STATS the limits of a queue: nothing of one that has none."""
    limits: Final = policies.limits

    def tell(queue: str, ahead_ms: int) -> dict[str, Any]:
        until_ms = limits.throttled_until_ms(queue)
        rule = limits.rule_of(queue)
        if until_ms is None and rule.says_nothing:
            return {}
        wall_ms = None if until_ms is None else until_ms - ahead_ms
        return {"limits": told(rule), "throttled_until": wall_ms}

    return tell


def told(rule: Rule) -> dict[str, Any]:
    """Give what is told of a rule."""
    group = rule.group
    return {
        **_told(rule),
        "group": None if group is None else _told(group),
    }


def _told(bounds: Bounds) -> dict[str, Any]:
    rate = bounds.rate
    told = None
    if rate is not None:
        told = {"jobs": rate.jobs, "per": rate.per_ms, "burst": rate.burst}
    return {"concurrency": bounds.concurrency, "rate": told}


def _rate(rate: RateLimit | None) -> Rate | None:
    if rate is None:
        return None
    return Rate(rate.jobs, rate.per, rate.jobs if rate.burst is None else rate.burst)


def _bounds(group: GroupLimit | None) -> Bounds | None:
    if group is None:
        return None
    bounds = Bounds(group.concurrency, _rate(group.rate))
    return None if bounds == Bounds() else bounds
