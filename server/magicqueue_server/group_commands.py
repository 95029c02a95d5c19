"""GROUPS."""

from typing import Any, Final

from magicqueue.wire import replies
from magicqueue.wire.requests import Groups, Request
from magicqueue_cores.policies import GroupStats, Policies
from magicqueue_server.limit_commands import Plain
from magicqueue_server.looks import Handler, Reply

_PAGE: Final = 100
_PAGE_MAX: Final = 1_000


class GroupCommands:
    """The handler of GROUPS."""

    def __init__(self, policies: Policies, plain: Plain) -> None:
        self._groups = policies.groups
        self._plain = plain
        self.handlers: dict[type[Request], Handler] = {Groups: self.groups}

    def groups(self, request: Groups, _now_ms: int) -> Reply:
        """GROUPS."""
        queue = self._plain.queue(request.queue)
        count = min(request.count or _PAGE, _PAGE_MAX)
        found = self._groups.listed(queue, count + 1, request.after)
        page = found[:count]
        following = page[-1].name if len(found) > count else None
        told = [self._told(group) for group in page]
        return replies.counted(request.rid, groups=told, next=following)

    def _told(self, group: GroupStats) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": group.name,
            "queued": group.queued,
            "processing": group.processing,
        }
        if group.throttled_until_ms is not None:
            told["throttled_until"] = group.throttled_until_ms - self._plain.ahead_ms
        return told
