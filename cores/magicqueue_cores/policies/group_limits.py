"""Limits of single groups: how many of their jobs are handed out, and when they go on.

Bounds are those of `Rule.group`, one for all groups of a queue. Jobs at work are counted
with the group, so they cannot leak. A bucket is made when a group is first handed out
under a rate, and is in no log: after a start all are empty, also those of groups that come
later, until they would have been filled. A throttle is a fact that ends by time.

What is waited for here: that a token is due which somebody asked for in vain, and that a
bucket is full which no job needs any more, so that it can be forgotten.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from magicqueue_cores.contract import TIME_MAX_MS, Full
from magicqueue_cores.policies.ground import GROUP_THROTTLE, Ground, named, names_in
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.moments import Moments
from magicqueue_cores.policies.rounds import Rounds
from magicqueue_cores.policies.rules import Rule
from magicqueue_cores.policies.shelf import parts_of
from magicqueue_cores.records import Gone, Kept, Record

_NOTHING_MORE: Final = msgspec.msgpack.encode(None)
_WHOLE_QUEUE: Final = ""
"""Stands for a group's name where somebody is to ask again for a queue."""


class GroupLimits:
    """The limits of all groups."""

    def __init__(self, ground: Ground, limits: Limits) -> None:
        """Start without groups."""
        self._ground = ground
        self._seats = seats = ground.marks.seats
        self._limits = limits
        self._empty_ms: dict[str, int] = {}
        """When the buckets of a queue were empty, where its rate is from before a start."""
        self._shut: dict[str, dict[str, int]] = {}
        """Until when groups give nothing, by queue."""
        self._asked: dict[tuple[str, str], int] = {}
        """When to look again at a group, by queue and name."""
        self._moments: Moments[tuple[str, str]] = Moments(ground.clock, self._asks_at)
        seats.on_new = self._bound_new
        seats.on_empty = self._look_when_full
        limits.on_rule = self._follow_rule

    @property
    def any(self) -> bool:
        """Whether there are rules of queues, which may be about groups."""
        return any(True for _ in self._limits.rules())

    def throttled_until_ms(self, queue: str, name: str) -> int | None:
        """Return until when a group gives nothing, None if it does."""
        return self._shut.get(queue, {}).get(name)

    def throttle(self, queue: str, name: str, for_ms: int, now_ms: int) -> None:
        """Hand out nothing of a group for a while; the later end wins, 0 ends it.

        Raises `Full`, and does nothing.
        """
        until_ms = min(now_ms + for_ms, TIME_MAX_MS)
        before_ms = self.throttled_until_ms(queue, name)
        if until_ms <= (before_ms or 0) if for_ms else before_ms is None:
            return
        key = named(queue, name)
        if for_ms:
            if before_ms is None:
                self._refuse_more()
            self._ground.keep(GROUP_THROTTLE, {key: (until_ms, _NOTHING_MORE)})
            self._set_shut(queue, name, until_ms)
        else:
            self._ground.tell(Gone(GROUP_THROTTLE, [key]))
            self._ground.shelves[GROUP_THROTTLE].remove(key)
            self._open(queue, name)
        self._ground.weigh()

    @property
    def next_ms(self) -> int:
        """When something ends or is due, or a moment before that."""
        return min(self._moments.next_ms, self._ground.shelves[GROUP_THROTTLE].next_ms)

    def happen(self, moment_ms: int, most: int) -> int:
        """Let throttles end and tokens be due by then; return how many there were."""
        gone = self._ground.end_facts(GROUP_THROTTLE, moment_ms, most)
        for key in gone:
            self._open(*names_in(key))
        due = self._moments.due(moment_ms, most - len(gone))
        for place in due:
            del self._asked[place]
        for place in due:
            self._look(*place, moment_ms)
        return len(gone) + len(due)

    def ask(self, queue: str, rounds: Rounds, names: Sequence[str]) -> None:
        """Look again at groups when they have a token, if that is what they lack."""
        if rounds.rate is not None:
            for name in names:
                self._look_at(queue, name, rounds.bucket(name).next_ms())

    def ask_again(self, queue: str, now_ms: int) -> None:
        """Have who waits for a queue ask again at once."""
        self._look_at(queue, _WHOLE_QUEUE, now_ms)

    def begin(self, now_ms: int) -> None:
        """Be told how late it is after a replay: buckets are empty now."""
        for queue, rule in self._limits.rules():
            if rule.group is not None and rule.group.rate is not None:
                self._empty_ms[queue] = now_ms
        for queue, rounds in self._seats.rounds.items():
            rounds.empty_ms = self._empty_ms.get(queue)

    def postpone(self, by_ms: int) -> None:
        """Let a span of time that has passed bring no tokens. O(buckets)."""
        self._empty_ms = {queue: at + by_ms for queue, at in self._empty_ms.items()}
        for queue, rounds in self._seats.rounds.items():
            rounds.empty_ms = self._empty_ms.get(queue)
            for bucket in rounds.buckets.values():
                bucket.postpone(by_ms)

    def follow(self, record: Record) -> None:
        """Apply what happened once before, as far as it is about throttles of groups."""
        if not isinstance(record, Kept | Gone) or record.space != GROUP_THROTTLE:
            return
        values = record.values if isinstance(record, Kept) else [None] * len(record.keys)
        for key, value in zip(record.keys, values, strict=True):
            queue, name = names_in(bytes(key))
            if value is None:
                self._open(queue, name)
            else:
                self._set_shut(queue, name, parts_of(bytes(value))[0])

    def check(self) -> None:
        """Verify the structure: AssertionError names what is broken."""
        shut = {named(*place) for place in self._all_shut()}
        facts = self._ground.shelves[GROUP_THROTTLE]
        assert len(shut) == len(facts), "a throttle of a group without a fact"
        assert facts.held(list(shut)).keys() == shut, "a throttle of a group of no fact"
        for queue, rounds in self._seats.rounds.items():
            group = self._limits.rule_of(queue).group
            rate = None if group is None else group.rate
            assert rounds.rate == rate, f"groups of {queue!r}: rate"
            concurrency = None if group is None else group.concurrency
            assert rounds.concurrency == concurrency, f"groups of {queue!r}: concurrency"
            assert rounds.shut == self._shut.get(queue, {}), f"groups of {queue!r}: shut"
            for name in rounds.buckets.keys() - rounds.groups.keys():
                assert (queue, name) in self._asked, f"a bucket of {queue!r} stays for ever"
        self._moments.check("tokens of groups that are due")
        assert self._moments.count == len(self._asked), "a group is not looked at again"

    def _bound_new(self, queue: str, rounds: Rounds) -> None:
        rounds.bound(self._limits.rule_of(queue).group, None)
        rounds.shut = self._shut.get(queue, rounds.shut)
        rounds.empty_ms = self._empty_ms.get(queue)

    def _follow_rule(self, queue: str, rule: Rule, now_ms: int | None) -> None:
        if rule.group is None or rule.group.rate is None:
            self._empty_ms.pop(queue, None)
        rounds = self._seats.rounds.get(queue)
        if rounds is None:
            return
        rounds.bound(rule.group, now_ms)
        rounds.empty_ms = self._empty_ms.get(queue)
        if self._seats.begun:
            for group in rounds.groups.values():
                rounds.let_in(group)
        if not rounds.buckets:
            self._seats.forget_rounds(queue)

    def _set_shut(self, queue: str, name: str, until_ms: int) -> None:
        shut = self._shut.setdefault(queue, {})
        shut[name] = until_ms
        rounds = self._seats.rounds.get(queue)
        if rounds is not None:
            rounds.shut = shut

    def _open(self, queue: str, name: str) -> None:
        """Let a group go on that was throttled."""
        shut = self._shut.get(queue)
        if shut is not None:
            shut.pop(name, None)
            if not shut:
                del self._shut[queue]
        self._let_in(queue, name)

    def _all_shut(self) -> list[tuple[str, str]]:
        return [(queue, name) for queue, shut in self._shut.items() for name in shut]

    def _let_in(self, queue: str, name: str) -> None:
        rounds = self._seats.rounds.get(queue)
        group = None if rounds is None else rounds.groups.get(name)
        if rounds is not None and group is not None and self._seats.begun:
            rounds.let_in(group)
            self._seats.on_ready(queue)

    def _look(self, queue: str, name: str, now_ms: int) -> None:
        """Let a group go on, or forget its bucket."""
        rounds = self._seats.rounds.get(queue)
        if name == _WHOLE_QUEUE:
            self._seats.on_ready(queue)
        elif rounds is None or name in rounds.groups:
            self._let_in(queue, name)
        elif name in rounds.buckets:
            full_ms = rounds.buckets[name].full_ms()
            if full_ms > now_ms:
                self._look_at(queue, name, full_ms)
                return
            rounds.forget_bucket(name)
            self._seats.forget_rounds(queue)

    def _look_when_full(self, queue: str, name: str) -> None:
        """Look again at a group that has no jobs when its bucket is full."""
        bucket = self._seats.rounds[queue].buckets.get(name)
        if bucket is not None:
            self._look_at(queue, name, bucket.full_ms())

    def _look_at(self, queue: str, name: str, at_ms: int) -> None:
        place = queue, name
        asked_ms = self._asked.get(place)
        if asked_ms == at_ms:
            return
        self._asked[place] = at_ms
        if asked_ms is not None:
            self._moments.lose()
        self._moments.add(at_ms, place)

    def _asks_at(self, at_ms: int, place: tuple[str, str]) -> bool:
        return self._asked.get(place) == at_ms

    def _refuse_more(self) -> None:
        """Raise `Full` if no more groups may be throttled."""
        most = self._ground.options.limits_max
        count = len(self._ground.shelves[GROUP_THROTTLE])
        if most and count >= most:
            raise Full(
                f"{count:,} groups are throttled, the maximum (limits_max): end throttles "
                "that are not needed any more, or limit the groups instead"
            )
