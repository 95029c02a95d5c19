"""SUBSCRIBE, and everybody who is told of events.

Policies tell of a turn in the middle of a command. It becomes a line then, for those whom
it concerns, and is sent in the next round: so a thousand turns in a row cost one piece a
subscriber. `stats` is by time, and made anew for each moment, once for all who are told.

A session that has subscribed may only change that, or say PING: replies to other commands
would stand between events, and a client could not tell what belongs to what.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec

from magicqueue.errors import BadRequest, Full, TooLarge
from magicqueue.wire import replies
from magicqueue.wire.events import EVERY_MS, IDS_MAX, EventLine, event_line
from magicqueue.wire.fields import check_queue
from magicqueue.wire.requests import Ping, Request, StatsRequest, Subscribe
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.pending import Answer
from magicqueue_cores.policies import Policies
from magicqueue_cores.turns import Turn
from magicqueue_server.deadlines import Deadlines
from magicqueue_server.looks import Handler
from magicqueue_server.pulls import Pulls
from magicqueue_server.session import Session
from magicqueue_server.subscribers import Subscriber

QUEUES_MAX: Final = 64
STATS: Final = "stats"
_RATES: Final = (
    "pushed",
    "completed",
    "failed",
    "lost",
    "expired",
    "cancelled",
    "duplicates",
)
"""Totals that `stats` tells the growth of, a second."""
_AGAIN_MS: Final = 20
"""What a log holds back is asked for so soon again."""
_NO_LINES: Final = re.compile(rb"(?!)")
_FREE: Final = frozenset((Subscribe, Ping))


class Subscriptions:
    """All subscribers. `handlers` has that of STATS."""

    def __init__(
        self, policies: Policies, pulls: Pulls, handlers: dict[type[Request], Handler]
    ) -> None:
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which events tell."""
        self._policies = policies
        self._handlers = handlers
        self._name_bytes_max = pulls.limits.queue_name_bytes_max
        self._now_ms = pulls.now_ms
        self._later = pulls.later
        self._most = policies.events.most
        self._by_session: dict[int, Subscriber] = {}
        self._ticks: Deadlines[Subscriber] = Deadlines(self._still)
        self._again_ms = NEVER_MS
        self._to_send: dict[int, Subscriber] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    @property
    def next_deadline_ms(self) -> int:
        """When `time_out` has something to do, at the earliest. O(1)."""
        return min(self._ticks.next_ms, self._again_ms)

    def subscribe(self, session: Session, request: Subscribe, now_ms: int) -> bytes:
        """SUBSCRIBE: it takes the place of an earlier one of the session."""
        if not request.kinds:
            raise BadRequest("SUBSCRIBE: kinds is empty: name what to be told of")
        queues = self._queues_of(request)
        before = self._by_session.get(session.id)
        if before is None and self._most and len(self) >= self._most:
            raise Full(
                f"SUBSCRIBE: there are {len(self)} subscribers already: the limit is"
                " --max-subscribers"
            )
        every_ms = request.every or EVERY_MS
        subscriber = Subscriber(session, frozenset(request.kinds), queues, every_ms)
        if before is None:
            self._settle_in(session)
        else:
            subscriber.dropped = before.dropped
        subscriber.on_drop = self._dropped
        self._by_session[session.id] = subscriber
        session.on_read = partial(self._go_on, subscriber)
        if STATS in subscriber.kinds:
            self._tell_counts(subscriber, {}, now_ms)
        self._listen()
        return replies.ok(request.rid)

    def time_out(self, now_ms: int) -> None:
        """Tell counts to those whose turn it is, and send what was held."""
        told: dict[str | None, dict[str, Any]] = {}
        for subscriber in self._ticks.overdue(now_ms):
            self._tell_counts(subscriber, told, now_ms)
        if now_ms >= self._again_ms:
            self._again_ms = NEVER_MS
            self._send(now_ms)

    def forget(self, session: Session) -> None:
        """Tell a session nothing any more: it is gone, or says no more."""
        subscriber = self._by_session.pop(session.id, None)
        if subscriber is not None:
            self._to_send.pop(session.id, None)
            self._listen()

    def _queues_of(self, request: Subscribe) -> frozenset[str] | None:
        if request.queues is None:
            return None
        if not request.queues:
            raise BadRequest(
                "SUBSCRIBE: queues is empty: name some, or leave it out for all"
            )
        if len(request.queues) > QUEUES_MAX:
            raise TooLarge(
                f"SUBSCRIBE: queues has {len(request.queues)} items: the limit is"
                f" {QUEUES_MAX}"
            )
        for queue in request.queues:
            check_queue(queue, self._name_bytes_max)
        return frozenset(request.queues)

    def _settle_in(self, session: Session) -> None:
        """Let a session say nothing else from now on, and what it may not still less."""
        may, look = session.allowed, session.look

        def refuse_others(
            session: Session,
            request: Request,
            now_ms: int,
            run: Callable[[], Answer[bytes]],
        ) -> Answer[bytes]:
            kind = type(request)
            if kind not in _FREE:
                raise BadRequest(
                    "this connection is told of events, and takes only SUBSCRIBE and PING:"
                    " open another one for all else"
                )
            if look is None or may is None or kind in may:
                return run()
            return look(session, request, now_ms, run)

        session.allowed, session.look = frozenset(), refuse_others
        session.quick = _NO_LINES

    def _listen(self) -> None:
        """Be told of turns while anybody wants to hear of any."""
        self._policies.events.subscribers = len(self)
        wanted = any(one.kinds - {STATS} for one in self._by_session.values())
        self._policies.events.listen(self._hear if wanted else None)

    def _dropped(self) -> None:
        self._policies.events.dropped += 1

    def _hear(self, turn: Turn) -> None:
        """Make lines of a turn, for those whom it concerns."""
        lines: list[bytes] = []
        for subscriber in self._by_session.values():
            if subscriber.wants(turn.kind, turn.queue):
                lines = lines or list(self._lines_of(turn))
                for line in lines:
                    subscriber.put(line)
                self._send_soon(subscriber)

    def _lines_of(self, turn: Turn) -> Iterator[bytes]:
        ids = list(turn.ids)
        at = self._now_ms() - self.ahead_ms
        for begin in range(0, max(1, len(ids)), IDS_MAX):
            yield event_line(
                EventLine(
                    event=turn.kind,
                    queue=turn.queue,
                    ids=ids[begin : begin + IDS_MAX] or None,
                    reason=turn.reason,
                    paused=turn.paused,
                    name=turn.name,
                    at=at,
                )
            )

    def _tell_counts(
        self, subscriber: Subscriber, told: dict[str | None, dict[str, Any]], now_ms: int
    ) -> None:
        """Tell counts, those that are `told` already as they are, and say when next."""
        for queue in sorted(subscriber.queues or ()) or (None,):
            if queue not in told:
                told[queue] = self._counts(queue, now_ms)
            subscriber.put(self._stats_line(subscriber, queue, told[queue], now_ms))
        due_ms = subscriber.deadline_ms + subscriber.every_ms
        if due_ms <= now_ms:  # the first, or it is behind: not as many as it missed
            due_ms = now_ms + subscriber.every_ms
        subscriber.deadline_ms = due_ms
        self._ticks.add(subscriber, len(self))
        self._send_soon(subscriber)

    def _counts(self, queue: str | None, now_ms: int) -> dict[str, Any]:
        """Count what STATS counts."""
        reply = self._handlers[StatsRequest](StatsRequest(queue=queue), now_ms)
        assert isinstance(reply, bytes), "policies are only above cores that answer at once"
        counts: dict[str, Any] = msgspec.json.decode(reply)
        del counts["ok"]
        return counts

    def _stats_line(
        self, subscriber: Subscriber, queue: str | None, counts: dict[str, Any], now_ms: int
    ) -> bytes:
        before = subscriber.counted.get(queue)
        totals = {name: counts[name] for name in _RATES}
        rates = None
        if before is not None and before[0] < now_ms:
            span_s = (now_ms - before[0]) / 1000
            rates = {
                name: round(max(0, total - before[1][name]) / span_s, 3)
                for name, total in totals.items()
            }
        subscriber.counted[queue] = now_ms, totals
        return event_line(
            EventLine(
                event=STATS,
                queue=queue,
                counts=counts,
                rates=rates,
                at=now_ms - self.ahead_ms,
            )
        )

    def _send_soon(self, subscriber: Subscriber) -> None:
        if not self._to_send:
            self._later(self._send)
        self._to_send[subscriber.session.id] = subscriber

    def _send(self, now_ms: int) -> None:
        """Send to all for whom lines wait."""
        waiting, self._to_send = self._to_send, {}
        for subscriber in waiting.values():
            if subscriber.send():
                self._to_send[subscriber.session.id] = subscriber
        if self._to_send:
            self._again_ms = min(self._again_ms, now_ms + _AGAIN_MS)

    def _go_on(self, subscriber: Subscriber) -> None:
        """A client reads again."""
        if self._by_session.get(subscriber.session.id) is subscriber and subscriber.send():
            self._to_send[subscriber.session.id] = subscriber
            self._again_ms = min(self._again_ms, self._now_ms() + _AGAIN_MS)

    def _still(self, subscriber: Subscriber) -> bool:
        return self._by_session.get(subscriber.session.id) is subscriber
