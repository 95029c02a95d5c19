"""What a push may ask for one job, and what is known of it then.

A mark is two parts. `Terms` are what many jobs have in common, so they are one shared
object; `Mark` is what is the job's own, and is kept small: a million unique keys are a
million of them. Their texts are made by `mark_texts`, and terms shared by `terms_shared`.
"""

from typing import ClassVar, Final, Literal

import msgspec

from magicqueue_cores.contract import TIME_MAX_MS
from magicqueue_cores.policies.group import Line
from magicqueue_cores.policies.links import EDGE_BYTES, LINK_BYTES, Link, Rule
from magicqueue_cores.policies.moments import ENTRY_BYTES


class Wishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a push asks for one job. Times are spans in milliseconds; None is nothing.

    unique_key: at most one live job of the queue has it. until: what ends that, the
    job's end or its first hand-out; or unique_for_ms: that time from the push, whatever
    becomes of the job. on_conflict: what a push gets whose key is held.
    ttl_ms: the job is not handed out that long after the push; on_expire: it is removed
    then, or dead. timeout_ms: an attempt ends that long after its hand-out.
    keep_result_ms: the job's end is known for that long. group: groups take turns.
    parents: jobs that have to be done before it may run, by id; in a flow, those of the
    same push as -1 less their index. on_parent_failure: what becomes of it if one dies.
    """

    unique_key: str | None = None
    until: Literal["done", "start"] = "done"
    unique_for_ms: int | None = None
    on_conflict: Literal["return", "reject", "replace"] = "return"
    ttl_ms: int | None = None
    on_expire: Literal["remove", "dead"] = "remove"
    timeout_ms: int | None = None
    keep_result_ms: int | None = None
    group: str | None = None
    parents: tuple[int, ...] = ()
    on_parent_failure: Rule = "wait"


class InGroups(msgspec.Struct, frozen=True, gc=False):
    """What a push asks whose jobs wish the same, have no keys, and a group each.

    wishes: those of any of them. groups: the group of each job.
    """

    wishes: Wishes
    groups: list[str]


MARK_BYTES: Final = 150
"""What a mark takes: itself, the job's id and their place in the table."""
KEY_BYTES: Final = 90
"""What a key takes beside its characters: a string and its place in its queue's table."""
SEAT_BYTES: Final = 80
"""What the mark of a job with a group has more than others."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What jobs of a queue that wish the same have in common; spans of 0 are none."""

    queue: str
    until_start: bool = False
    unique_for_ms: int = 0
    ttl_ms: int = 0
    expires_dead: bool = False
    timeout_ms: int = 0
    keep_result_ms: int = 0
    grouped: bool = False
    """Whether the jobs have groups: see `GroupedMark`."""
    link: Link | None = None
    mark_bytes: int = 0
    """About what a mark takes while its job is here, moments and all, but for a key."""

    def __post_init__(self) -> None:
        """Work out what follows from the others."""
        size = MARK_BYTES + self.grouped * SEAT_BYTES
        size += (bool(self.ttl_ms) + bool(self.timeout_ms)) * ENTRY_BYTES
        if self.link is not None:
            size += LINK_BYTES + EDGE_BYTES * len(self.link.parents)
        msgspec.structs.force_setattr(self, "mark_bytes", size)

    @property
    def has_times(self) -> bool:
        """Whether marks of such jobs have times of their own: see `TimedMark`."""
        return bool(self.ttl_ms or self.timeout_ms)


HOLDS: Final = 1
"""The job holds its key."""
ACTIVE: Final = 2
"""It is at work."""
DEAD: Final = 4
"""It is a dead letter."""
CANCELLED: Final = 8
"""It was cancelled while at work."""
TIMED: Final = 16
"""Its expiry has an entry among the moments. Not told in a text: it follows."""
BACK: Final = 32
"""It came back and waits beside the chain of its line (`lines`). Not told either."""
TOLD: Final = HOLDS | ACTIVE | DEAD | CANCELLED


class Mark(msgspec.Struct, gc=False):
    """What is known of one job. `flags` are the bits above."""

    terms: Terms
    key: str | None = None
    attempts: int = 0
    flags: int = 0
    expires_at_ms: ClassVar[int] = 0
    attempt_until_ms: ClassVar[int] = 0
    cron: ClassVar[str | None] = None
    tick_ms: ClassVar[int] = 0

    @property
    def is_bare(self) -> bool:
        """Whether nothing is known that would outlast a restart."""
        return (
            not self.flags & CANCELLED
            and self.key is None
            and self.cron is None
            and self.terms == Terms(self.terms.queue)
        )

    @property
    def takes_key(self) -> bool:
        """Whether the job holds its key while it lives, and not for a time of its own."""
        return self.key is not None and not self.terms.unique_for_ms

    def due(self, now_ms: int) -> bool:
        """Whether the job has to expire now: its time is over and it is not at work."""
        return 0 < self.expires_at_ms <= now_ms and not self.flags & (ACTIVE | DEAD)


class TimedMark(Mark, gc=False):
    """The mark of a job with a time to live or a time-out; times of 0 are none.

    attempt_until_ms: when the running attempt ends.
    """

    expires_at_ms: int = 0  # type: ignore[misc]  # others have none, and no room for it
    attempt_until_ms: int = 0  # type: ignore[misc]  # the same


class CronMark(TimedMark, gc=False):
    """The mark of a job that a cron pushed."""

    cron: str | None = None  # type: ignore[misc]  # as above
    tick_ms: int = 0  # type: ignore[misc]


class GroupedMark(CronMark, gc=False, kw_only=True):
    """The mark of a job with a group. following, before: its neighbours in the line.

    place: where in its line it waits, or waited before it was handed out; 0 for nowhere.
    """

    line: Line
    place: int = 0
    following: int = 0
    before: int = 0

    @property
    def waits(self) -> bool:
        """Whether the job waits in its line."""
        return self.place > 0 and not self.flags & (ACTIVE | DEAD)


def weight_of(terms: Terms, key: str | None) -> int:
    """Return about what a mark takes while its job is here."""
    size = terms.mark_bytes
    return size if key is None else size + KEY_BYTES + len(key)


def cron_mark(mark: Mark, cron: str, tick_ms: int) -> CronMark:
    """Make the mark of a new job of a cron, from what it would be without."""
    if isinstance(mark, GroupedMark):
        flags = mark.flags & ~TIMED
        return msgspec.structs.replace(mark, flags=flags, cron=cron, tick_ms=tick_ms)
    flags, expires_at_ms = mark.flags & ~TIMED, mark.expires_at_ms
    return CronMark(mark.terms, mark.key, 0, flags, expires_at_ms, 0, cron, tick_ms)


def new_times(terms: Terms, now_ms: int, *, keyed: bool) -> tuple[int, int]:
    """Return the flags of a job that is pushed now, but for TIMED, and its expiry."""
    flags = HOLDS if keyed and not terms.unique_for_ms else 0
    ttl_ms = terms.ttl_ms
    return flags, min(now_ms + ttl_ms, TIME_MAX_MS) if ttl_ms else 0


def new_mark(terms: Terms, key: str | None, now_ms: int) -> Mark:
    """Make the mark of a job that is pushed now."""
    flags, expires_at_ms = new_times(terms, now_ms, keyed=key is not None)
    if terms.has_times:
        return TimedMark(terms, key, 0, flags, expires_at_ms)
    return Mark(terms, key, 0, flags)
