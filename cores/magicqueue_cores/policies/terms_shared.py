"""Terms that are shared: one object for all jobs that wish the same."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from magicqueue_cores.policies.group import Line, new_line
from magicqueue_cores.policies.links import RULES, Link
from magicqueue_cores.policies.mark_texts import told_in
from magicqueue_cores.policies.wishes import (
    DEAD,
    CronMark,
    GroupedMark,
    Mark,
    Terms,
    TimedMark,
    Wishes,
)

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
        self._linked = Terms("")
        """The last ones with a link: it is large, and few jobs but those of one push share
        it, so no others are remembered."""

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
        if not wishes.parents:
            return terms
        parents = tuple(dict.fromkeys(wishes.parents))
        return self._with_link(terms, Link(parents, wishes.on_parent_failure))

    def share(self, *fields: Any) -> Terms:
        """Return the object that is used for terms of these fields."""
        terms = self._known.get(fields)
        if terms is None:
            if len(self._known) >= _TERMS_MAX:
                self._known.clear()  # jobs keep theirs; it is only less shared for a while
            terms = self._known[fields] = Terms(*fields)
        return terms

    def _with_link(self, terms: Terms, link: Link) -> Terms:
        last, linked = self._linked, msgspec.structs.replace(terms, link=link)
        if linked != last:
            self._linked = last = linked
        return last

    def mark_of(self, queue: str, text: bytes) -> Mark:
        """Read a mark from the text of a `Marked` record."""
        told = told_in(text)
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
        if told.link is not None:
            rule, parents = told.link
            terms = self._with_link(terms, Link(parents, RULES[rule]))
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
