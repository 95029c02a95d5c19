"""Pulls: jobs handed out at once, or later to those who wait, first come, first served.

A pull that finds nothing parks its session in the `WaitingRoom` and has the core watch the
queue. When the core says that a queue became ready, its waiters are served in turn until
the jobs or the waiters are used up. A new pull on a queue that has waiters goes behind
them. A core that answers later may find nothing after all: the waiter then keeps its turn.

A pull of several queues tries each in which nobody stands before it; where it waits, it is
asked when any of them became ready, and tries all of them again. So it never passes anybody
who has waited for longer, and its own order holds whichever became ready first.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from magicqueue.errors import BadRequest, ShuttingDown
from magicqueue.wire import replies
from magicqueue.wire.fields import check_queue, check_queues
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import NO_RID, Pull, PullBatch, Request
from magicqueue_cores.contract import NEVER_MS, Core, Delivery
from magicqueue_cores.pending import Answer, Pending, map_answer
from magicqueue_cores.policies import Pulled
from magicqueue_server.columns import JobDefaults
from magicqueue_server.looks import pulled_more
from magicqueue_server.session import Session
from magicqueue_server.waiting import Waiter, WaitingRoom

Parts: TypeAlias = Sequence[tuple[str, Delivery]]
"""Jobs that one pull is answered with, by queue."""
PULLS: Final[frozenset[type[Request]]] = frozenset((Pull, PullBatch))


class Host(NamedTuple):
    """What the pulls need of the engine that they are part of."""

    finish: Callable[[Session, bytes], None]
    """Gives a parked session its reply."""
    wake: Callable[[Session], None]
    """Has the engine called again for a session."""
    release: Callable[[Session], None]
    """Gives the jobs of a session back that is closed."""
    later: Callable[[Callable[[int], None]], None]
    """Has a function called with the time in a later round."""
    now_ms: Callable[[], int]
    """Gives the time of what is at work."""


class Pulls:
    """PULL and PULLB, and everybody who waits.

    became_ready: the list that the core's `on_ready` appends to.
    """

    def __init__(
        self,
        core: Core,
        limits: Limits,
        defaults: JobDefaults,
        became_ready: list[str],
        host: Host,
    ) -> None:
        self.core = core
        self.take: Callable[..., Answer[Delivery]] = core.pull
        """Takes jobs: the core's verb, or that of policies while these have a say in it."""
        self.more_of: Callable[[str, Sequence[int]], Pulled | None] = _more
        """What is told of jobs beside what the core knows, where policies have a say."""
        self.takes_several = True
        """Whether a pull may be of several queues: the core has to answer at once."""
        self.limits = limits
        self.defaults = defaults
        self._became_ready = became_ready
        self._host = host
        self.finish, self.later, self.now_ms = host.finish, host.later, host.now_ms
        self._waiting = WaitingRoom()
        self.deadlines = self._waiting.deadlines
        self._asking: dict[str, bool] = {}
        """Queues whose first waiter the core is looking for a job for, and whether the
        queue became ready meanwhile."""
        self._stopping = False
        self._now_ms = 0
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which replies tell."""

    def __len__(self) -> int:
        return len(self._waiting)

    def pull(
        self, session: Session, request: Pull | PullBatch, now_ms: int
    ) -> Answer[bytes]:
        """Hand out jobs, or let the session wait for some: then the reply is b""."""
        if self._stopping:
            raise ShuttingDown("the server is shutting down: pull again later")
        self._now_ms = now_ms
        waiter = self._waiter(session, request)
        if request.queues is not None:
            parts = self._take_several(waiter)
            return self._delivered(waiter, parts) if parts else self._wait(waiter)
        if waiter.queues[0] in self._waiting:
            return self._wait(waiter)
        answer = self._take(waiter)
        if not isinstance(answer, Pending):  # as `map_answer` would, without its calls
            return self._deliver_or_wait(waiter, answer)
        return map_answer(answer, partial(self._deliver_or_wait, waiter))

    def serve(self, now_ms: int) -> None:
        """Give jobs to those who wait for the queues that became ready."""
        self._now_ms = now_ms
        while self._became_ready:
            queues = dict.fromkeys(self._became_ready)
            self._became_ready.clear()
            for queue in queues:
                self._serve_queue(queue)

    def time_out(self, now_ms: int) -> None:
        """Answer everybody whose time is over."""
        for waiter in self._waiting.overdue(now_ms):
            self._dismiss(waiter)

    def postpone(self, by_ms: int) -> None:
        """Let the time of all who wait be over that much later."""
        self._waiting.postpone(by_ms)

    def waits(self, session: Session) -> bool:
        """Whether a pull of this session waits. O(1)."""
        return self._waiting.has(session.id)

    def forget(self, session: Session) -> bool:
        """Drop the pull of a session that is gone; False if none waits."""
        waiter = self._waiting.remove(session.id)
        if waiter is not None:
            self._unwatch(waiter)
        return waiter is not None

    def stop(self) -> None:
        """Answer everybody as timed out, and let nobody wait from now on."""
        self._stopping = True
        for waiter in self._waiting.everyone():
            self._dismiss(waiter)

    def _waiter(self, session: Session, request: Pull | PullBatch) -> Waiter:
        count = request.count if isinstance(request, PullBatch) else 1
        timeout_ms = request.timeout
        return Waiter(
            session=session,
            queues=self._queues_of(session, request),
            count=min(count, self.limits.pull_jobs_max),
            lease_ms=request.lease or self.defaults.lease_ms,
            deadline_ms=NEVER_MS if timeout_ms is None else self._now_ms + timeout_ms,
            batch=isinstance(request, PullBatch),
            rid=request.rid,
        )

    def _queues_of(self, session: Session, request: Pull | PullBatch) -> tuple[str, ...]:
        bytes_max, cmd = self.limits.queue_name_bytes_max, request.__struct_config__.tag
        if request.queues is None:
            if request.queue is None or request.order is not None:
                raise BadRequest(f"{cmd}: give queue, or queues (and perhaps their order)")
            return (check_queue(request.queue, bytes_max),)
        if request.queue is not None:
            raise BadRequest(f"{cmd}: give queue or queues, not both")
        if not self.takes_several:
            raise BadRequest(
                f"{cmd}: this server cannot do queues: HELLO tells what it can"
            )
        names = check_queues(request.queues, bytes_max)
        if request.order == "turns":
            first = session.turn % len(names)
            session.turn += 1
            names = [*names[first:], *names[:first]]
        return tuple(dict.fromkeys(names))

    def _take(self, waiter: Waiter) -> Answer[Delivery]:
        return self.take(
            waiter.queues[0],
            waiter.count,
            self.limits.reply_payload_bytes_max,
            waiter.lease_ms,
            waiter.session.id,
            self._now_ms,
        )

    def _take_several(self, waiter: Waiter) -> Parts:
        """Take jobs of one queue after another, but of none that others wait for first."""
        parts: list[tuple[str, Delivery]] = []
        count, bytes_max = waiter.count, self.limits.reply_payload_bytes_max
        for queue in waiter.queues:
            if self._waiting.first(queue) not in {None, waiter}:
                continue
            delivery = self.take(
                queue, count, bytes_max, waiter.lease_ms, waiter.session.id, self._now_ms
            )
            assert not isinstance(delivery, Pending), "several queues need answers at once"
            if delivery.ids:
                parts.append((queue, delivery))
                count -= len(delivery.ids)
                bytes_max -= sum(map(len, delivery.payloads))
                if count < 1 or bytes_max < 1:
                    break
        return parts

    def _deliver_or_wait(self, waiter: Waiter, delivery: Delivery) -> bytes:
        if delivery.ids:
            return self._delivered(waiter, ((waiter.queues[0], delivery),))
        return self._wait(waiter)

    def _wait(self, waiter: Waiter, *, first: bool = False) -> bytes:
        if waiter.deadline_ms <= self._now_ms or self._stopping:
            return self._delivered(waiter, ())
        if waiter.session.closed or waiter.session.leaving:
            waiter.session.drop_lines()
            return b""
        session = waiter.session
        session.parked = True
        if waiter.rid is not NO_RID:
            waiter.rid = waiter.rid.copy()  # without the line that it is a part of
            session.parked_bytes = len(memoryview(waiter.rid))
        fresh = [queue for queue in waiter.queues if queue not in self._waiting]
        self._waiting.add(waiter, first=first)
        for queue in fresh:
            self.core.watch(queue, watching=True)
        return b""

    def _serve_queue(self, queue: str) -> None:
        if queue in self._asking:
            self._asking[queue] = True
            return
        while (waiter := self._waiting.first(queue)) is not None:
            parts: Parts
            if len(waiter.queues) > 1:
                parts = self._take_several(waiter)
            else:
                answer = self._take(waiter)
                if isinstance(answer, Pending):
                    self._waiting.remove(waiter.session.id)
                    self._unwatch(waiter)
                    self._asking[queue] = False
                    self._serve_later(waiter, answer)
                    return
                parts = ((queue, answer),) if answer.ids else ()
            if not parts:
                return
            self._waiting.remove(waiter.session.id)
            self._unwatch(waiter)
            self.finish(waiter.session, self._delivered(waiter, parts))

    def _serve_later(self, waiter: Waiter, answer: Pending[Delivery]) -> None:
        """Answer the waiter, who has been taken out, when the core has looked.

        The next of the queue is served after that, so that nobody loses a turn.
        """

        def settle(settled: Pending[Delivery]) -> None:
            try:
                delivery = settled.result()
            except Exception:  # noqa: BLE001 - the core failed: the waiter tries again later
                delivery = _NOTHING
            session, queue = waiter.session, waiter.queues[0]
            ready_again = self._asking.pop(queue)
            if delivery.ids or ready_again:
                self._became_ready.append(queue)
            if session.closed:
                self._host.release(session)
            elif delivery.ids:
                self.finish(session, self._delivered(waiter, ((queue, delivery),)))
            elif text := self._wait(waiter, first=True):
                self.finish(session, text)
            else:
                session.parked = self.waits(session)
            self._host.wake(session)

        answer.then(settle)

    def _dismiss(self, waiter: Waiter) -> None:
        """Tell a waiter, who has been taken out, that there was no job."""
        self._unwatch(waiter)
        self.finish(waiter.session, self._delivered(waiter, ()))

    def _delivered(self, waiter: Waiter, parts: Parts) -> bytes:
        """Write the reply that gives a waiter these jobs."""
        jobs: list[bytes] = []
        for queue, delivery in parts:
            if jobs:
                jobs.append(b",")
            jobs += replies.job_objects(
                queue,
                delivery.ids,
                delivery.payloads,
                _rows(delivery, self.ahead_ms),
                _fields(self.more_of(queue, delivery.ids)),
            )
        write = replies.pulled_batch if waiter.batch else replies.pulled
        return write(jobs, waiter.rid)

    def _unwatch(self, waiter: Waiter) -> None:
        """Wait no more for queues of a waiter, who was taken out, that nobody waits for."""
        for queue in waiter.queues:
            if queue not in self._waiting:
                self.core.watch(queue, watching=False)


_NOTHING: Final = Delivery([], [], [], [], [], [])


def _rows(delivery: Delivery, ahead_ms: int) -> Iterable[tuple[int, int, int, int]]:
    """Give what all jobs have, with times of the wall clock."""
    created_ats_ms, run_ats_ms = delivery.created_ats_ms, delivery.run_ats_ms
    if ahead_ms:
        created_ats_ms = [at_ms - ahead_ms for at_ms in created_ats_ms]
        run_ats_ms = [at_ms - ahead_ms for at_ms in run_ats_ms]
    return zip(
        delivery.priorities, created_ats_ms, run_ats_ms, delivery.attempts, strict=True
    )


def _fields(told: Pulled | None) -> list[bytes] | None:
    """Write what some jobs have beside, None if none has."""
    if told is None:
        return None
    fields = replies.group_fields(told.groups)
    if told.crons is None:
        return fields
    return [
        of_group + replies.more_fields(pulled_more(cron, parents))
        for of_group, cron, parents in zip(fields, told.crons, told.parents, strict=True)
    ]


def _more(_queue: str, _ids: Sequence[int]) -> None:
    """Tell nothing more."""
