"""Pushes: unique keys, and the marks of new jobs."""

from collections.abc import Sequence
from typing import Final

from magicqueue_cores.contract import NEVER_MS, Full, NewJobs
from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.answers import BadWish, Duplicate, PushAnswer
from magicqueue_cores.policies.ground import WINDOW, Ground, at_once, named
from magicqueue_cores.policies.groups import Groups
from magicqueue_cores.policies.linked_pushes import LinkedPushes
from magicqueue_cores.policies.links import Fate
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.repeats import Repeats
from magicqueue_cores.policies.storing import (
    at,
    picked,
    store,
    take_seats,
    waiting_for_turns,
)
from magicqueue_cores.policies.wishes import (
    ACTIVE,
    DEAD,
    InGroups,
    Terms,
    Wishes,
    new_mark,
    weight_of,
)


class _Plan:
    """What becomes of the items of a push.

    new: indexes of items that make jobs, of which `kinds` are those that wish something.
    holders: of the other items, the job that holds their key, or the index of an earlier
    item of this push, as -1 - index.
    """

    __slots__ = ("duplicates", "holders", "kinds", "linked", "new", "replaced")

    def __init__(self) -> None:
        self.new: list[int] = []
        self.kinds: dict[tuple[Terms, bool], Alike] = {}
        self.holders: dict[int, int] = {}
        self.duplicates: list[int] = []
        self.replaced: list[int] = []
        self.linked = False
        """Some depend on other jobs."""

    def kind(self, terms: Terms, now_ms: int, *, keyed: bool) -> Alike:
        """Return those that wish alike."""
        known = self.kinds.get((terms, keyed))
        if known is None:
            known = self.kinds[terms, keyed] = Alike(terms, now_ms, keyed=keyed)
        return known


class Pushing:
    """Decides what becomes of a push, and does it."""

    def __init__(
        self, ground: Ground, outcomes: Outcomes, groups: Groups, linked: LinkedPushes
    ) -> None:
        self.repeats: Final = Repeats(ground)
        self._ground = ground
        self._outcomes = outcomes
        self._groups = groups
        self._linked = linked

    def push(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None] | InGroups | None,
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        """Store a batch, as if its items came one by one, or none of it."""
        if req_key is not None:
            known = self.repeats.known(queue, req_key, len(jobs.payloads), now_ms)
            if known is not None:
                return known
        if wishes is None:
            first_id = at_once(self._ground.core.push(queue, jobs, now_ms))
            ids = range(first_id, first_id + len(jobs.payloads))
            answer = PushAnswer(ids, [], [])
        elif isinstance(wishes, InGroups):
            plan = self._plan_in_groups(queue, jobs, wishes, now_ms)
            answer = self._carry_out(queue, jobs, (), plan, now_ms)
        elif len(wishes) == 1 and (alone := self._alone(queue, jobs, wishes[0], now_ms)):
            answer = PushAnswer(alone, [], [])
        else:
            plan = self._plan(queue, jobs, wishes, now_ms)
            answer = self._carry_out(queue, jobs, wishes, plan, now_ms)
        if req_key is not None:
            self.repeats.remember(queue, req_key, answer.ids, now_ms)
        self._ground.weigh()
        if self._ground.marks.notes.pending:
            self._outcomes.settle(now_ms)
        return answer

    def holder(self, queue: str, key: str, now_ms: int) -> int | None:
        """Return the job by which a key is held now, if it is."""
        marks = self._ground.marks
        holder = marks.keys.holder(queue, key)
        if holder is not None and marks.by_id[holder].due(now_ms):
            self._outcomes.expire([holder], now_ms)  # its step has not come yet
            self._outcomes.settle(now_ms)
            holder = None
        windows = self._ground.windows
        if holder is None and len(windows):
            body = windows.get(named(queue, key), now_ms)
            holder = None if body is None else int.from_bytes(body)
        return holder

    def _alone(
        self, queue: str, jobs: NewJobs, wish: Wishes | None, now_ms: int
    ) -> Sequence[int]:
        """Store one job in the usual case, without a plan; give its id, or nothing.

        Which is the case where no key can be held that it wishes for itself.
        """
        ground = self._ground
        if wish is None or len(ground.windows) or wish.unique_for_ms is not None:
            return ()
        if wish.group is not None or wish.parents:
            return ()
        key, ttl_ms = wish.unique_key, wish.ttl_ms
        if key is not None and key in ground.marks.keys.held(queue):
            return ()
        if ttl_ms is not None:
            refuse_late(0, jobs, now_ms, now_ms + ttl_ms)
        mark = new_mark(ground.terms.asked(queue, wish), key, now_ms)
        ids = (self._made(queue, jobs, (), weight_of(mark.terms, key), now_ms),)
        ground.mark(queue, ids, (mark,))
        return ids

    def _plan(
        self, queue: str, jobs: NewJobs, wishes: Sequence[Wishes | None], now_ms: int
    ) -> _Plan:
        plan, batch = _Plan(), dict[str, int]()
        new, asked = plan.new, self._ground.terms.asked
        held, windows = self._ground.marks.keys.held(queue), len(self._ground.windows)
        run_at_ms = jobs.run_ats_ms
        # When all may run, and NEVER_MS if that is to be looked up.
        latest_ms = max(now_ms, run_at_ms) if isinstance(run_at_ms, int) else NEVER_MS
        terms, alike = None, None
        for index, wish in enumerate(wishes):
            if wish is None:
                new.append(index)
                continue
            ttl_ms, key = wish.ttl_ms, wish.unique_key
            if ttl_ms is not None and latest_ms >= now_ms + ttl_ms:
                refuse_late(index, jobs, now_ms, now_ms + ttl_ms)
            if wish.parents:
                self._linked.check_one(index, wish)
                plan.linked = True
            if key is not None:
                holder = None
                if windows or key in held:
                    holder = self.holder(queue, key, now_ms)
                    held = self._ground.marks.keys.held(queue)
                earlier = batch.setdefault(key, index) if holder is None else index
                if earlier != index:
                    holder = -1 - earlier
                if holder is not None:
                    plan.holders[index] = holder
                    self._plan_conflict(index, wish, holder, plan, jobs, now_ms)
                    continue
            same = asked(queue, wish)
            if alike is None or same is not terms or alike.keyed is (key is None):
                terms, alike = same, plan.kind(same, now_ms, keyed=key is not None)
            alike.add(len(new), key, wish.group)
            new.append(index)
        return plan

    def _plan_in_groups(
        self, queue: str, jobs: NewJobs, asked: InGroups, now_ms: int
    ) -> _Plan:
        """As `_plan`, of jobs that differ in their groups alone."""
        plan, wish = _Plan(), asked.wishes
        plan.new += range(len(asked.groups))
        if wish.ttl_ms is not None:
            for index in plan.new:
                refuse_late(index, jobs, now_ms, now_ms + wish.ttl_ms)
        terms = self._ground.terms.asked(queue, wish)
        plan.kind(terms, now_ms, keyed=False).add_all(asked.groups)
        return plan

    def _plan_conflict(
        self,
        index: int,
        wish: Wishes,
        holder: int,
        plan: _Plan,
        jobs: NewJobs,
        now_ms: int,
    ) -> None:
        if wish.on_conflict == "reject":
            assert wish.unique_key is not None, "only keys conflict"
            raise Duplicate(index, holder if holder > 0 else None, wish.unique_key)
        if wish.on_conflict == "return":
            plan.duplicates.append(index)
            return
        mark = self._ground.marks.by_id.get(holder)
        if holder > 0 and (mark is None or mark.flags & (ACTIVE | DEAD)):
            plan.duplicates.append(index)
            return
        if mark is not None and mark.expires_at_ms:
            refuse_late(index, jobs, now_ms, mark.expires_at_ms)
        plan.replaced.append(index)

    def _carry_out(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        plan: _Plan,
        now_ms: int,
    ) -> PushAnswer:
        ground, count, new = self._ground, len(jobs.payloads), plan.new
        growth = self._growth(jobs, plan, now_ms) if plan.replaced else 0
        kinds = list(plan.kinds.values())
        ids: Sequence[int] = ()
        if new:
            made = jobs if len(new) == count else picked(jobs, new)
            weight = growth + sum(alike.weight for alike in kinds)
            if plan.linked:
                some = [wishes[index] for index in new]
                ids = self._store_linked(queue, made, some, kinds, weight, now_ms)
            else:
                ids = self._store(queue, made, kinds, weight, now_ms)
            if len(new) == count:
                return PushAnswer(ids, [], [])
        else:
            ground.core.refuse_more(growth)
        ids_of = dict(zip(new, ids, strict=True))
        for index, holder in plan.holders.items():
            ids_of[index] = holder if holder > 0 else ids_of[-1 - holder]
        for index in plan.replaced:
            self._replace(ids_of[index], index, jobs, now_ms)
        ground.core.count_duplicates(queue, count - len(new))
        all_ids = [ids_of[index] for index in range(count)]
        return PushAnswer(all_ids, plan.duplicates, plan.replaced)

    def _store(
        self, queue: str, jobs: NewJobs, kinds: Sequence[Alike], weight: int, now_ms: int
    ) -> range:
        """Store and mark new jobs; return their ids."""
        held = waiting_for_turns(kinds, jobs, now_ms)
        first_id = self._made(queue, jobs, held, weight, now_ms)
        seats = self._ground.marks.seats
        for alike in kinds:
            take_seats(seats, alike, jobs, held)
        self.mark_new(queue, first_id, kinds, now_ms)
        if any(held):
            seats.on_ready(queue)
        return range(first_id, first_id + len(jobs.payloads))

    def _store_linked(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        kinds: Sequence[Alike],
        weight: int,
        now_ms: int,
    ) -> list[int]:
        """Do the same for jobs of which some depend on others."""
        linked, seats = self._linked, self._ground.marks.seats
        fates: dict[int, Fate] = linked.fates(wishes, now_ms)
        turns = linked.turns(jobs, wishes, fates, now_ms)
        queues = [queue] * len(wishes)
        ids = linked.store(queues, jobs, wishes, fates, turns, weight, now_ms)
        first_id = min(ids)
        for alike in kinds:
            take_seats(seats, alike, jobs, turns)
            alike.places = [ids[place] - first_id for place in alike.places]
        self.mark_new(queue, first_id, kinds, now_ms)
        linked.enter(ids, wishes, fates, now_ms)
        if any(turns):
            seats.on_ready(queue)
        return ids

    def _made(
        self, queue: str, jobs: NewJobs, held: Sequence[bool], weight: int, now_ms: int
    ) -> int:
        """Have the core store jobs for which so much is kept here; give the first id."""
        ground = self._ground
        ground.weigh(weight)
        try:
            return store(ground.core, queue, jobs, held, now_ms)
        except Full:
            ground.weigh()
            raise

    def _growth(self, jobs: NewJobs, plan: _Plan, now_ms: int) -> int:
        """Return how many bytes more all replacements take; none makes room for others."""
        growth = 0
        for index in plan.replaced:
            holder = plan.holders[index]
            if holder > 0:
                view = at_once(self._ground.core.job(holder, now_ms))
                before = 0 if view is None else len(view.payload)
            else:
                before = len(jobs.payloads[-1 - holder])
            growth += max(0, len(jobs.payloads[index]) - before)
        return growth

    def _replace(self, job_id: int, index: int, jobs: NewJobs, now_ms: int) -> None:
        """Give a job new data, for which there is room: that was asked for all at once."""
        core = self._ground.core
        payload, priority = jobs.payloads[index], at(jobs.priorities, index)
        run_at_ms = max(now_ms, at(jobs.run_ats_ms, index))
        changed = at_once(core.replace(job_id, payload, priority, run_at_ms, now_ms))
        assert changed, "a job that waits can be replaced"
        self._groups.enter_anew(job_id, priority, run_at_ms, now_ms)

    def mark_new(
        self, queue: str, first_id: int, kinds: Sequence[Alike], now_ms: int
    ) -> None:
        """Mark new jobs that wish something, and keep the keys that last by themselves."""
        if not kinds:
            return
        self._ground.mark_new(first_id, kinds)
        windows = [
            (first_id + place, key, now_ms + alike.terms.unique_for_ms)
            for alike in kinds
            if alike.terms.unique_for_ms
            for place, key in zip(alike.places, alike.keys, strict=True)
        ]
        if windows:
            windows.sort()
            facts = {
                named(queue, key): (until_ms, _number(job_id))
                for job_id, key, until_ms in windows
            }
            self._ground.keep(WINDOW, facts)


def refuse_late(index: int, jobs: NewJobs, now_ms: int, expires_at_ms: int) -> None:
    """Raise `BadWish` if a job could not run before it expires."""
    run_at_ms = max(now_ms, at(jobs.run_ats_ms, index))
    if run_at_ms >= expires_at_ms:
        raise BadWish(
            index,
            f"the job would run {run_at_ms - now_ms} ms from now at the earliest, but "
            f"expires in {expires_at_ms - now_ms} ms (ttl): give it more time to live, or "
            "let it run sooner",
        )


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1)
