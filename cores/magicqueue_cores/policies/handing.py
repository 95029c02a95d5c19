"""Hands out the jobs of a queue with groups, by turns.

Jobs with a group are held by the core, and taken by name. Those without are in the core's
own order, so they are pulled. Turns say who comes; then all of one kind are handed out, and
all of the other, and the two are told in the order of the turns.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

from magicqueue_cores.contract import Core, Delivery, JobState
from magicqueue_cores.policies.ground import PAGE_BYTES_MAX, Ground, at_once
from magicqueue_cores.policies.group_limits import GroupLimits
from magicqueue_cores.policies.rounds import Rounds, Turn

T = TypeVar("T")

Bounds: TypeAlias = tuple[int, int, int, int]
"""Bytes of payloads, span and session of the lease, and the time."""


class Handing:
    """Hands out by turns; limits: those of groups."""

    def __init__(self, ground: Ground, limits: GroupLimits) -> None:
        self._ground = ground
        self._core: Core = ground.core
        self._seats = ground.marks.seats
        self._limits = limits

    def pull(self, queue: str, rounds: Rounds, count: int, bounds: Bounds) -> Delivery:
        """Hand out jobs of a queue with groups, `count` at most. O(1) a job."""
        got, more = _nothing(), True
        stalled: list[str] = []
        while more and count > 0 and bounds[0] > 0:
            part, more = self._hand_out(queue, rounds, count, bounds, stalled)
            count -= len(part.ids)
            bounds = bounds[0] - sum(map(len, part.payloads)), *bounds[1:]
            _add(got, part)
        if stalled:
            self._limits.ask(queue, rounds, stalled)
        if rounds.rate is not None:
            self._ground.weigh()  # buckets may be new
        return got

    def _hand_out(
        self, queue: str, rounds: Rounds, count: int, bounds: Bounds, stalled: list[str]
    ) -> tuple[Delivery, bool]:
        """Hand out jobs by turns, and give whether more may be had at once.

        Those with a group are taken, those without pulled: each all at once.
        """
        plain, more, plain_bytes = list[int](), False, 0
        if self._others_are_due(rounds, bounds[-1]):
            self._limits.ask_again(queue, bounds[-1])
        elif rounds.has_none:
            rounds.pass_by()
            return at_once(self._core.pull(queue, count, *bounds)), False
        else:
            plain, more, plain_bytes = self._plain(queue, rounds, count, bounds)
        turns = rounds.turns(count, plain, bounds[-1], stalled, more=more)
        ids, wanted = [turn[2] for turn in turns if turn[2]], len(turns)
        bytes_max, *others = bounds
        taken = self._take(queue, rounds, turns, ids, bytes_max - plain_bytes, others)
        count = len(turns) - len(taken.ids)
        pulled = _nothing()
        if count:
            left = max(bytes_max - sum(map(len, taken.payloads)), plain_bytes)
            if left > 0:
                pulled = at_once(self._core.pull(queue, count, left, *others))
            if len(pulled.ids) < count:
                turns = _without(rounds, turns, len(pulled.ids))
        complete = len(turns) == wanted and bool(turns)
        return _merged(turns, taken, pulled), more and complete

    def _others_are_due(self, rounds: Rounds, now_ms: int) -> bool:
        """Whether jobs with a group may be due that did not mature yet.

        Nobody can tell then which ready jobs have none.
        """
        others = rounds.jobs - rounds.waiting - rounds.active
        return others > 0 and self._core.next_deadline_ms <= now_ms

    def _plain(
        self, queue: str, rounds: Rounds, count: int, bounds: Bounds
    ) -> tuple[list[int], bool, int]:
        """Return the priorities of the first ready jobs without a group, in order.

        As many as may have a turn among `count`, and whether to look again behind them; and
        bytes that are theirs, however many others are taken. Where that would be most of
        what there is, it is one job, which comes last, and gets what is left.
        """
        most = min(count, 1 + count // (1 + rounds.rivals))
        page = at_once(
            self._core.in_turn(
                queue, JobState.READY, None, most, PAGE_BYTES_MAX, bounds[-1]
            )
        )
        more = page.next_place is not None
        priorities = [job.priority for job in page.jobs]
        size = sum(len(job.payload) for job in page.jobs)
        if 2 * size > bounds[0]:
            return priorities[:1], True, 0
        return priorities, more, size

    def _take(
        self,
        queue: str,
        rounds: Rounds,
        turns: list[Turn],
        ids: list[int],
        bytes_max: int,
        lease: Sequence[int],
    ) -> Delivery:
        """Hand out the jobs with a group whose turns these are.

        Where that is too much, turns from there on are undone, and gone from `turns`.
        """
        if not ids:
            return _nothing()
        self._seats.taking = True
        taken = at_once(self._core.take(queue, ids, bytes_max, *lease))
        self._seats.taking = False
        if len(taken.ids) < len(ids):
            missing = ids[len(taken.ids)]
            cut = next(at for at, turn in enumerate(turns) if turn[2] == missing)
            rounds.undo(turns[cut:])
            del turns[cut:]
        return taken


def _nothing() -> Delivery:
    return Delivery([], [], [], [], [], [])


def _without(rounds: Rounds, turns: list[Turn], pulled: int) -> list[Turn]:
    """Return the turns but those of jobs without a group of which so many came.

    They are undone where nobody was handed a job behind them.
    """
    plain = [at for at, turn in enumerate(turns) if not turn[2]]
    cut = plain[pulled]
    kept = [turn for turn in turns[cut:] if turn[2]]
    if not kept:
        rounds.undo(turns[cut:])
    return turns[:cut] + kept


def _merged(turns: list[Turn], taken: Delivery, pulled: Delivery) -> Delivery:
    """Return jobs that have a group and such that have none, in order of the turns."""
    if not taken.ids or not pulled.ids:
        return taken if taken.ids else pulled

    def column(ours: Iterable[T], others: Iterable[T]) -> list[T]:
        one, other = iter(ours), iter(others)
        return [next(one) if turn[2] else next(other) for turn in turns]

    return Delivery(
        column(taken.ids, pulled.ids),
        column(taken.payloads, pulled.payloads),
        column(taken.priorities, pulled.priorities),
        column(taken.created_ats_ms, pulled.created_ats_ms),
        column(taken.run_ats_ms, pulled.run_ats_ms),
        column(taken.attempts, pulled.attempts),
    )


def _add(delivery: Delivery, more: Delivery) -> None:
    delivery.ids += more.ids
    delivery.payloads += more.payloads
    delivery.priorities += more.priorities
    delivery.created_ats_ms += more.created_ats_ms
    delivery.run_ats_ms += more.run_ats_ms
    delivery.attempts += more.attempts
