"""What a push may ask for one job, what is known of it then, and the text that tells it.

A mark is two parts. `Terms` are what many jobs have in common, so they are one shared
object; `Mark` is what is the job's own, and is kept small: a million unique keys are a
million of them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from magicqueue_cores.contract import TIME_MAX_MS
from magicqueue_cores.policies.group import Line, new_line
from magicqueue_cores.policies.moments import ENTRY_BYTES


class Wishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a push asks for one job. Times are spans in milliseconds; None is nothing.

    unique_key: at most one live job of the queue has it. until: what ends that, the
    job's end or its first hand-out; or unique_for_ms: that time from the push, whatever
    becomes of the job. on_conflict: what a push gets whose key is held.
    ttl_ms: the job is not handed out that long after the push; on_expire: it is removed
    then, or dead. timeout_ms: an attempt ends that long after its hand-out.
    keep_result_ms: the job's end is known for that long.
    group: groups of a queue take turns.
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
    mark_bytes: int = 0
    """About what a mark takes while its job is here, moments and all, but for a key."""

    def __post_init__(self) -> None:
        """Work out what follows from the others."""
        entries = bool(self.ttl_ms) + bool(self.timeout_ms)
        size = MARK_BYTES + entries * ENTRY_BYTES + self.grouped * SEAT_BYTES
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


class _Text(msgspec.Struct, array_like=True, gc=False):
    """A mark in the log. Later versions add fields at the end, with a default."""

    flags: int
    key: str | None
    expires_at_ms: int
    attempt_until_ms: int
    attempts: int
    until_start: bool
    unique_for_ms: int
    ttl_ms: int
    expires_dead: bool
    timeout_ms: int
    keep_result_ms: int
    cron: str | None = None
    tick_ms: int = 0
    group: tuple[str, int, int] | None = None
    """Its name, the job's priority, and its place."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Text).decode


def told_in(text: bytes) -> dict[str, Any]:
    """Return what the text of a `Marked` record says. Raises MsgspecError."""
    return msgspec.structs.asdict(_decode(text))


def text_of(mark: Mark) -> bytes:
    """Return a mark as it is told in a `Marked` record."""
    if mark.cron is not None or isinstance(mark, GroupedMark):
        return _encode_whole(mark)
    rest = _rest(mark.terms, mark.expires_at_ms, mark.attempt_until_ms, mark.attempts)
    return _HEADS[mark.flags & TOLD] + _encode(mark.key) + rest


def _encode_whole(mark: Mark) -> bytes:
    """Return the text of a mark with all fields."""
    terms, group = mark.terms, None
    if isinstance(mark, GroupedMark):
        line = mark.line
        group = line.group.name or "", line.priority, mark.place
    return _encode(
        _Text(
            mark.flags & TOLD,
            mark.key,
            mark.expires_at_ms,
            mark.attempt_until_ms,
            mark.attempts,
            terms.until_start,
            terms.unique_for_ms,
            terms.ttl_ms,
            terms.expires_dead,
            terms.timeout_ms,
            terms.keep_result_ms,
            mark.cron,
            mark.tick_ms,
            group,
        )
    )


def cron_mark(mark: Mark, cron: str, tick_ms: int) -> CronMark:
    """Make the mark of a new job of a cron, from what it would be without."""
    if isinstance(mark, GroupedMark):
        flags = mark.flags & ~TIMED
        return msgspec.structs.replace(mark, flags=flags, cron=cron, tick_ms=tick_ms)
    flags, expires_at_ms = mark.flags & ~TIMED, mark.expires_at_ms
    return CronMark(mark.terms, mark.key, 0, flags, expires_at_ms, 0, cron, tick_ms)


def texts_of_new(
    keys: Sequence[str | None], terms: Terms, expires_at_ms: int, flags: int
) -> list[bytes]:
    """Return the texts of marks that differ in their keys alone, of jobs that are new."""
    head, rest = _HEADS[flags & TOLD], _rest(terms, expires_at_ms, 0, 0)
    return [head + _encode(key) + rest for key in keys]


def with_seats(
    texts: Iterable[bytes], lines: Iterable[Line], places: Iterable[int]
) -> list[bytes]:
    """Return the texts of new marks with the line of each, and the place."""
    return [
        _WITH_GROUP + text[1:] + _NO_CRON + _encode((line.group.name, line.priority, place))
        for text, line, place in zip(texts, lines, places, strict=True)
    ]


_HEADS: Final = [_encode((flags, *(None,) * 10))[:2] for flags in range(TOLD + 1)]
"""How texts begin, by flags: with the length of the array, and these. The key is next."""
_WITH_GROUP: Final = _encode((None,) * 14)[:1]
"""How texts with a group begin, and what is before it if the job is of no cron."""
_NO_CRON: Final = _encode(None) + _encode(0)


def _rest(terms: Terms, expires_at_ms: int, attempt_until_ms: int, attempts: int) -> bytes:
    """Return a text from behind the key on."""
    fields = (
        expires_at_ms,
        attempt_until_ms,
        attempts,
        terms.until_start,
        terms.unique_for_ms,
        terms.ttl_ms,
        terms.expires_dead,
        terms.timeout_ms,
        terms.keep_result_ms,
    )
    return _encode(fields)[1:]  # without the length, of which short ones take one byte


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


_TERMS_MAX: Final = 1_000
"""Shared terms that are remembered; then they are gathered anew."""


class TermsShared:
    """One object for all jobs that wish the same."""

    def __init__(self) -> None:
        """Start empty."""
        self.line_of: Callable[[str, str, int], Line] = new_line
        """Gives the line of a queue, a group and a priority."""
        self._known: dict[tuple[Any, ...], Terms] = {}
        self._asked: dict[tuple[Any, ...], Terms] = {}

    def asked(self, queue: str, wishes: Wishes) -> Terms:
        """Return the terms of a push."""
        asked = (
            queue,
            wishes.ttl_ms,
            wishes.timeout_ms,
            wishes.keep_result_ms,
            wishes.until,
            wishes.on_expire,
            None if wishes.unique_key is None else wishes.unique_for_ms,
            wishes.group is not None,
        )
        terms = self._asked.get(asked)
        if terms is None:
            _, ttl_ms, timeout_ms, keep_result_ms, until, on_expire, held_ms, _ = asked
            terms = self.share(
                queue,
                until == "start",
                held_ms or 0,
                ttl_ms or 0,
                on_expire == "dead",
                timeout_ms or 0,
                keep_result_ms or 0,
                wishes.group is not None,
            )
            if len(self._asked) >= _TERMS_MAX:
                self._asked.clear()
            self._asked[asked] = terms
        return terms

    def share(self, *fields: Any) -> Terms:
        """Return the object that is used for terms of these fields."""
        terms = self._known.get(fields)
        if terms is None:
            if len(self._known) >= _TERMS_MAX:
                self._known.clear()  # jobs keep theirs; it is only less shared for a while
            terms = self._known[fields] = Terms(*fields)
        return terms

    def mark_of(self, queue: str, text: bytes) -> Mark:
        """Read a mark from the text of a `Marked` record."""
        told = _decode(text)
        terms = self.share(
            queue,
            told.until_start,
            told.unique_for_ms,
            told.ttl_ms,
            told.expires_dead,
            told.timeout_ms,
            told.keep_result_ms,
            told.group is not None,
        )
        if told.cron is None and told.group is None and not terms.has_times:
            return Mark(terms, told.key, told.attempts, told.flags)
        fields = (
            *(terms, told.key, told.attempts, told.flags),
            *(told.expires_at_ms, told.attempt_until_ms),
        )
        if told.group is not None:
            name, priority, place = told.group
            line_of = new_line if told.flags & DEAD else self.line_of
            line = line_of(queue, name, priority)
            cron, tick_ms = told.cron, told.tick_ms
            return GroupedMark(*fields, cron, tick_ms, line=line, place=place)
        if told.cron is None:
            return TimedMark(*fields)
        return CronMark(*fields, told.cron, told.tick_ms)
