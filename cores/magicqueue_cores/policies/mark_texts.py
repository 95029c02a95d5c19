"""The texts of marks: how a `Marked` record of the log tells what is known of a job.

New jobs of one push mostly differ in their keys alone, so their texts are made of parts.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from magicqueue_cores.policies.group import Line
from magicqueue_cores.policies.links import RULES
from magicqueue_cores.policies.wishes import TOLD, GroupedMark, Mark, Terms


class MarkText(msgspec.Struct, array_like=True, gc=False):
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
    link: tuple[int, tuple[int, ...]] | None = None
    """The place of its rule in RULES, and its parents."""


_encode = msgspec.msgpack.Encoder().encode
told_in: Final = msgspec.msgpack.Decoder(MarkText).decode
"""Reads the text of a mark. Raises MsgspecError."""


def text_of(mark: Mark) -> bytes:
    """Return a mark as it is told in a `Marked` record."""
    if mark.cron is not None or isinstance(mark, GroupedMark):
        return _encode_whole(mark)
    rest = _rest(mark.terms, mark.expires_at_ms, mark.attempt_until_ms, mark.attempts)
    return _head(mark.terms, mark.flags) + _encode(mark.key) + rest


def _encode_whole(mark: Mark) -> bytes:
    """Return the text of a mark with all fields, but for a link that there is not."""
    terms, group = mark.terms, None
    if isinstance(mark, GroupedMark):
        line = mark.line
        group = line.group.name or "", line.priority, mark.place
    fields = (
        *(mark.flags & TOLD, mark.key),
        *_times(terms, mark.expires_at_ms, mark.attempt_until_ms, mark.attempts),
        *(mark.cron, mark.tick_ms, group),
    )
    return _encode(fields if terms.link is None else (*fields, _told_link(terms)))


def texts_of_new(
    keys: Sequence[str | None], terms: Terms, expires_at_ms: int, flags: int
) -> list[bytes]:
    """Return the texts of marks that differ in their keys alone, of jobs that are new."""
    head, rest = _head(terms, flags), _rest(terms, expires_at_ms, 0, 0)
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
_LINKED_HEADS: Final = [_encode((flags, *(None,) * 14))[:2] for flags in range(TOLD + 1)]
"""So, of jobs that depend on others."""
_WITH_GROUP: Final = _encode((None,) * 14)[:1]
"""How texts with a group begin, and what is before it if the job is of no cron."""
_NO_CRON: Final = _encode(None) + _encode(0)


def _head(terms: Terms, flags: int) -> bytes:
    return (_HEADS if terms.link is None else _LINKED_HEADS)[flags & TOLD]


def _told_link(terms: Terms) -> tuple[int, tuple[int, ...]] | None:
    link = terms.link
    return None if link is None else (RULES.index(link.rule), link.parents)


def _rest(terms: Terms, expires_at_ms: int, attempt_until_ms: int, attempts: int) -> bytes:
    """Return a text from behind the key on."""
    fields = _times(terms, expires_at_ms, attempt_until_ms, attempts)
    if terms.link is not None:
        fields = (*fields, None, 0, None, _told_link(terms))  # of no cron, in no group
    return _encode(fields)[1:]  # without the length, of which short ones take one byte


def _times(
    terms: Terms, expires_at_ms: int, attempt_until_ms: int, attempts: int
) -> tuple[Any, ...]:
    return (
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
