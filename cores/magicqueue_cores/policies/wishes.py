"""What a push may ask for one job, what is known of it then, and the text that tells it.

A mark is two parts. `Terms` are what many jobs have in common, so they are one shared
object; `Mark` is what is the job's own, and is kept small: a million unique keys are a
million of them.
"""

from typing import Any, ClassVar, Final, Literal

import msgspec

from magicqueue_cores.policies.links import RULES, Link, Rule


class Wishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a push asks for one job. Times are spans in milliseconds; None is nothing.

    unique_key: at most one live job of the queue has it. until: what ends that, the
    job's end or its first hand-out; or unique_for_ms: that time from the push, whatever
    becomes of the job. on_conflict: what a push gets whose key is held.
    ttl_ms: the job is not handed out that long after the push; on_expire: it is removed
    then, or dead. timeout_ms: an attempt ends that long after its hand-out.
    keep_result_ms: the job's end is known for that long.
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
    parents: tuple[int, ...] = ()
    on_parent_failure: Rule = "wait"


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What jobs of a queue that wish the same have in common; spans of 0 are none."""

    queue: str
    until_start: bool = False
    unique_for_ms: int = 0
    ttl_ms: int = 0
    expires_dead: bool = False
    timeout_ms: int = 0
    keep_result_ms: int = 0


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
TOLD: Final = HOLDS | ACTIVE | DEAD | CANCELLED


class Mark(msgspec.Struct, gc=False):
    """What is known of one job. `flags` are the bits above."""

    terms: Terms
    key: str | None = None
    attempts: int = 0
    flags: int = 0
    expires_at_ms: ClassVar[int] = 0
    attempt_until_ms: ClassVar[int] = 0
    link: ClassVar[Link | None] = None

    @property
    def is_bare(self) -> bool:
        """Whether nothing is known that would outlast a restart."""
        return (
            not self.flags & CANCELLED
            and self.key is None
            and self.link is None
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


class LinkedMark(TimedMark, gc=False):
    """The mark of a job that depends on others."""

    link: Link | None = None  # type: ignore[misc]  # the same


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
    link: tuple[int, tuple[int, ...]] | None = None
    """The place of its rule in RULES, and its parents."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Text).decode


def told_in(text: bytes) -> dict[str, Any]:
    """Return what the text of a `Marked` record says. Raises MsgspecError."""
    return msgspec.structs.asdict(_decode(text))


def text_of(mark: Mark) -> bytes:
    """Return a mark as it is told in a `Marked` record."""
    terms, link = mark.terms, mark.link
    told = (
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
    )
    if link is None:
        return _encode(told)
    return _encode((*told, (RULES.index(link.rule), link.parents)))


def new_mark(
    terms: Terms, key: str | None, expires_at_ms: int, flags: int, link: Link | None = None
) -> Mark:
    """Make the mark of a job that was not handed out yet."""
    if link is not None:
        return LinkedMark(terms, key, 0, flags, expires_at_ms, 0, link)
    if terms.ttl_ms or terms.timeout_ms:
        return TimedMark(terms, key, 0, flags, expires_at_ms)
    return Mark(terms, key, 0, flags)


_TERMS_MAX: Final = 1_000
"""Shared terms that are remembered; then they are gathered anew."""


class TermsShared:
    """One object for all jobs that wish the same."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[Terms, Terms] = {}
        self._asked: dict[tuple[str, Wishes], Terms] = {}

    def asked(self, queue: str, wishes: Wishes) -> Terms:
        """Return the terms of a push."""
        return self.share(
            Terms(
                queue,
                wishes.until == "start",
                wishes.unique_for_ms or 0 if wishes.unique_key is not None else 0,
                wishes.ttl_ms or 0,
                wishes.on_expire == "dead",
                wishes.timeout_ms or 0,
                wishes.keep_result_ms or 0,
            )
        )

    def share(self, terms: Terms) -> Terms:
        """Return the object that is used for these terms."""
        if len(self._known) >= _TERMS_MAX:
            self._known.clear()  # jobs keep theirs; it is only less shared for a while
        return self._known.setdefault(terms, terms)

    def mark_of(self, queue: str, text: bytes) -> Mark:
        """Read a mark from the text of a `Marked` record."""
        told = _decode(text)
        terms = Terms(
            queue,
            told.until_start,
            told.unique_for_ms,
            told.ttl_ms,
            told.expires_dead,
            told.timeout_ms,
            told.keep_result_ms,
        )
        link = None if told.link is None else Link(told.link[1], RULES[told.link[0]])
        expires_at_ms, flags = told.expires_at_ms, told.flags
        mark = new_mark(self.share(terms), told.key, expires_at_ms, flags, link)
        mark.attempts = told.attempts
        if isinstance(mark, TimedMark):
            mark.attempt_until_ms = told.attempt_until_ms
        return mark
