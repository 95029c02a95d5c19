"""Limits: jobs of ruled queues are handed out as far as their gates are open.

A rule is a fact without an end, a throttle one that ends by time, both by the queue's name;
a gate follows from them, live and in a replay. What a gate counts is in no log: jobs at
work are the core's own count, which cannot leak, and a bucket is empty after a start.

Whoever finds a gate shut waits, as for jobs. `on_ready` tells who waits to ask again: when
a token is due, when a throttle ends, and when a rule is another. That a job at work is no
more is told by the core, of ruled queues (`ruling`).
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from magicqueue_cores.contract import NEVER_MS, TIME_MAX_MS, Delivery, Full
from magicqueue_cores.pending import Answer
from magicqueue_cores.policies.gates import GATE_BYTES, Gate
from magicqueue_cores.policies.ground import LIMIT, THROTTLE, Ground, at_once
from magicqueue_cores.policies.moments import Moments
from magicqueue_cores.policies.rules import NO_RULE, Rule, decode_rule, encode_rule
from magicqueue_cores.policies.ruling import LIMITED
from magicqueue_cores.policies.shelf import parts_of
from magicqueue_cores.records import Gone, Kept, Record

_NOTHING_MORE: Final = msgspec.msgpack.encode(None)


class Limits:
    """The rules of queues, and pulls under them."""

    def __init__(self, ground: Ground) -> None:
        """Start without rules."""
        self._ground = ground
        self._gates = ground.gates
        self._rules: dict[str, Rule] = {}
        self._throttles = ground.shelves[THROTTLE]
        self._asked: dict[str, int] = {}
        """When who waits for a token is to ask again, by queue."""
        self._moments: Moments[str] = Moments(ground.clock, self._asks_at)
        self.unbegun = False
        """There are buckets from a replay, which are shut until `begin`."""
        self.hand_out: Callable[..., Answer[Delivery]] = ground.core.pull
        """Gives jobs of a queue, as far as its own limits let it."""
        self.on_rule: Callable[[str, Rule, int | None], None] = _nobody
        """Told of each rule that is another, and the time, if that is known."""
        self.on_ready: Callable[[str], None] = _nobody
        """Told of each queue whose gate may be open again; must not call back."""

    def rule_of(self, queue: str) -> Rule:
        """Return the rule of a queue, which says nothing where there is none."""
        return self._rules.get(queue, NO_RULE)

    def rules(self) -> Iterable[tuple[str, Rule]]:
        """Return the rules of all queues that have one."""
        return self._rules.items()

    def throttled_until_ms(self, queue: str) -> int | None:
        """Return until when a queue hands out nothing, None if it does."""
        gate = self._gates.get(queue)
        return None if gate is None else gate.shut_until_ms or None

    def limit(self, queue: str, rule: Rule, now_ms: int) -> None:
        """Have, and record, another rule for a queue. Raises `Full`, and does nothing.

        Nothing that was handed out is revoked; tokens that are there stay.
        """
        if rule == self.rule_of(queue):
            return
        key = queue.encode(errors="surrogatepass")
        if rule.says_nothing:
            self._drop(LIMIT, key)
        else:
            self._refuse_more(queue)
            self._ground.keep(LIMIT, {key: (NEVER_MS, encode_rule(rule))})
        self._follow_rule(queue, rule, now_ms)
        self._ground.weigh()
        self.on_ready(queue)

    def throttle(self, queue: str, for_ms: int, now_ms: int) -> None:
        """Hand out nothing of a queue for a while; the later end wins, 0 ends it.

        Raises `Full`, and does nothing.
        """
        until_ms = min(now_ms + for_ms, TIME_MAX_MS)
        if for_ms and until_ms <= (self.throttled_until_ms(queue) or 0):
            return
        key = queue.encode(errors="surrogatepass")
        if for_ms:
            self._refuse_more(queue)
            self._ground.keep(THROTTLE, {key: (until_ms, _NOTHING_MORE)})
        elif self.throttled_until_ms(queue) is None:
            return
        else:
            self._drop(THROTTLE, key)
        self._shut(queue, until_ms if for_ms else 0)
        self._ground.weigh()
        self.on_ready(queue)

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """As the core's, as far as the queue's gate is open. O(1) beside that."""
        core, gate = self._ground.core, self._gates.get(queue)
        if gate is not None:
            room = gate.room(core.processing(queue), now_ms)
            if room < count:
                count = room
                if room == 0:
                    self._ask_later(queue, gate, now_ms)
                    return Delivery([], [], [], [], [], [])
        delivery = at_once(
            self.hand_out(queue, count, payload_bytes_max, lease_ms, session, now_ms)
        )
        if gate is not None and delivery.ids:
            gate.spend(len(delivery.ids), now_ms)
        return delivery

    @property
    def next_ms(self) -> int:
        """When the next token is due, or a throttle ends, or a moment before that."""
        shelves = self._ground.shelves
        ends_ms = min(shelves[LIMIT].next_ms, shelves[THROTTLE].next_ms)
        return min(self._moments.next_ms, ends_ms)

    def happen(self, moment_ms: int, most: int) -> int:
        """Let throttles end and tokens be due by then; return how many there were."""
        gone = self._ground.end_facts(THROTTLE, moment_ms, most)
        for key in gone:
            queue = key.decode(errors="surrogatepass")
            self._shut(queue, 0)
            self.on_ready(queue)
        due = self._moments.due(moment_ms, most - len(gone))
        for queue in due:
            del self._asked[queue]
            self.on_ready(queue)
        return len(gone) + len(due)

    def begin(self, now_ms: int) -> None:
        """Be told how late it is after a replay: buckets are empty now."""
        self.unbegun = False
        for gate in self._gates.values():
            if gate.bucket is not None:
                gate.bucket.empty(now_ms)

    def postpone(self, by_ms: int) -> None:
        """Let a span of time that has passed bring no tokens. O(gates)."""
        for gate in self._gates.values():
            if gate.bucket is not None:
                gate.bucket.postpone(by_ms)

    def follow(self, record: Record) -> None:
        """Apply what happened once before, as far as it is about rules."""
        if not isinstance(record, Kept | Gone) or record.space not in {LIMIT, THROTTLE}:
            return
        kept = isinstance(record, Kept)
        values = record.values if isinstance(record, Kept) else [b""] * len(record.keys)
        for key, value in zip(record.keys, values, strict=True):
            queue = bytes(key).decode(errors="surrogatepass")
            until_ms, _, body = parts_of(bytes(value)) if kept else (0, 0, b"")
            if record.space == THROTTLE:
                self._shut(queue, until_ms)
            else:
                self._follow_rule(queue, decode_rule(body) if kept else NO_RULE, None)
        self.unbegun = bool(self._gates)
        if self.unbegun:
            self._ground.clock.due_ms = 0

    def check(self) -> None:
        """Verify the structure: AssertionError names what is broken."""
        gates, shelves = self._gates, self._ground.shelves
        assert len(self._rules) == len(shelves[LIMIT]), "a rule without a fact"
        shut = [queue for queue, gate in gates.items() if gate.shut_until_ms]
        assert len(shut) == len(self._throttles), "a throttle without a fact"
        assert gates.keys() == self._rules.keys() | set(shut), "a gate without a reason"
        self._ground.ruling.check(LIMITED, set(gates))
        for queue, rule in self._rules.items():
            gate = gates[queue]
            assert gate.concurrency == rule.concurrency, f"gate of {queue!r}: concurrency"
            rate = None if gate.bucket is None else gate.bucket.rate
            assert rate == rule.rate, f"gate of {queue!r}: rate"
        assert self._asked.keys() <= gates.keys(), "who waits for a token without a gate"
        self._moments.check("tokens that are due")
        assert self._moments.count == len(self._asked), "a token that is due is forgotten"

    def _follow_rule(self, queue: str, rule: Rule, now_ms: int | None) -> None:
        gate = self._gate(queue)
        gate.bound(rule, now_ms)
        if rule.says_nothing:
            self._rules.pop(queue, None)
        else:
            self._rules[queue] = rule
        self._settle(queue, gate)
        self.on_rule(queue, rule, now_ms)

    def _shut(self, queue: str, until_ms: int) -> None:
        gate = self._gate(queue)
        gate.shut_until_ms = until_ms
        self._settle(queue, gate)

    def _gate(self, queue: str) -> Gate:
        gate = self._gates.get(queue)
        if gate is None:
            gate = self._gates[queue] = Gate()
            self._ground.tally.size += GATE_BYTES
            self._ground.ruling.rule(queue, LIMITED, holds=True)
        return gate

    def _settle(self, queue: str, gate: Gate) -> None:
        """Forget a gate that is good for nothing any more."""
        if queue in self._rules or gate.shut_until_ms:
            return
        del self._gates[queue]
        if self._asked.pop(queue, None) is not None:
            self._moments.lose()
        self._ground.tally.size -= GATE_BYTES
        self._ground.ruling.rule(queue, LIMITED, holds=False)

    def _ask_later(self, queue: str, gate: Gate, now_ms: int) -> None:
        """Have who waits ask again when a token is due, if it is one that is missing."""
        due_ms = gate.opens_ms()
        asked_ms = self._asked.get(queue)
        if due_ms <= now_ms or due_ms == asked_ms:
            return
        self._asked[queue] = due_ms
        if asked_ms is not None:
            self._moments.lose()
        self._moments.add(due_ms, queue)

    def _asks_at(self, at_ms: int, queue: str) -> bool:
        return self._asked.get(queue) == at_ms

    def _refuse_more(self, queue: str) -> None:
        """Raise `Full` if a queue may not be ruled that is not yet."""
        most = self._ground.options.limits_max
        if queue in self._gates:
            return
        if most and len(self._gates) >= most:
            raise Full(
                f"{len(self._gates):,} queues have limits or are throttled, the maximum "
                "(limits_max): take limits away of which none are needed any more"
            )
        self._ground.core.refuse_queue(queue)

    def _drop(self, space: str, key: bytes) -> None:
        self._ground.tell(Gone(space, [key]))
        self._ground.shelves[space].remove(key)


def _nobody(*_: object) -> None:
    """Tell nobody."""
