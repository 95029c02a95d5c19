"""Pushes of flows: jobs of any queues that depend on each other, all or none."""

from collections.abc import Callable, Sequence

from magicqueue_cores.contract import NewJobs
from magicqueue_cores.policies.answers import Duplicate, PushAnswer
from magicqueue_cores.policies.ground import Ground
from magicqueue_cores.policies.linked_pushes import LinkedPushes
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.pushing import Pushing, refuse_late
from magicqueue_cores.policies.wishes import Wishes


class FlowPushes:
    """Stores flows. let_pass: lets what is due by now happen first."""

    def __init__(
        self,
        ground: Ground,
        pushing: Pushing,
        linked: LinkedPushes,
        outcomes: Outcomes,
        let_pass: Callable[[int], None],
    ) -> None:
        self._ground = ground
        self._pushing = pushing
        self._linked = linked
        self._outcomes = outcomes
        self._let_pass = let_pass

    def push(
        self,
        queues: Sequence[str],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        now_ms: int,
        req_key: str | None = None,
    ) -> PushAnswer:
        """Store a flow, or none of it. queues: of each job.

        Jobs of the flow are named in `Wishes.parents` by -1 less their index. Raises as
        `Policies.push`; a key that is held refuses it. A request key is one of the queue
        of its first job.
        """
        self._let_pass(now_ms)
        if req_key is not None:
            known = self._pushing.repeats.known(queues[0], req_key, len(queues), now_ms)
            if known is not None:
                return known
        self._linked.check(wishes)
        weight = self._refuse_late_or_held(queues, jobs, wishes, now_ms)
        fates = self._linked.fates(wishes, now_ms)
        turns = self._linked.turns(jobs, wishes, fates, now_ms)
        ids = self._linked.store(queues, jobs, wishes, fates, turns, weight, now_ms)
        kinds_of = self._linked.kinds(queues, ids, jobs, wishes, turns, now_ms)
        for queue, kinds in kinds_of.items():
            self._pushing.mark_new(queue, min(ids), kinds, now_ms)
        self._linked.enter(ids, wishes, fates, now_ms)
        for queue in {queues[row] for row, turn in enumerate(turns) if turn}:
            self._ground.marks.seats.on_ready(queue)
        if req_key is not None:
            self._pushing.repeats.remember(queues[0], req_key, ids, now_ms)
        self._ground.weigh()
        self._outcomes.settle(now_ms)
        return PushAnswer(ids, [], [])

    def _refuse_late_or_held(
        self,
        queues: Sequence[str],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        now_ms: int,
    ) -> int:
        """Return about what will be kept for them. Raises `BadWish` or `Duplicate`."""
        keys: dict[tuple[str, str], int] = {}
        weight = 0
        for index, wish in enumerate(wishes):
            if wish is None:
                continue
            queue, key = queues[index], wish.unique_key
            weight += self._linked.weight(queue, wish)
            if wish.ttl_ms is not None:
                refuse_late(index, jobs, now_ms, now_ms + wish.ttl_ms)
            if key is not None:
                holder = self._pushing.holder(queue, key, now_ms)
                earlier = keys.setdefault((queue, key), index)
                if holder is not None or earlier != index:
                    raise Duplicate(index, holder, key)
        return weight
