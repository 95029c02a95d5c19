"""Pushes: unique keys, repeats, and the marks of new jobs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import msgspec

from magicqueue_cores.contract import TIME_MAX_MS, Full, NewJobs
from magicqueue_cores.policies.answers import BadRepeat, BadWish, Duplicate, PushAnswer
from magicqueue_cores.policies.ground import REQUEST, WINDOW, Ground, at_once, named
from magicqueue_cores.policies.linked_pushes import LinkedPushes, picked
from magicqueue_cores.policies.links import EDGE_BYTES, LINK_BYTES, Fate, Link
from magicqueue_cores.policies.marks import KEY_BYTES, MARK_BYTES
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.wishes import ACTIVE, DEAD, HOLDS, Mark, Wishes, new_mark

_ids_to_bytes = msgspec.msgpack.Encoder().encode
_ids_from_bytes = msgspec.msgpack.Decoder(list[int]).decode


class _Plan:
    """What becomes of the items of a push.

    new: indexes of items that make jobs. holders: of the other items, the job that holds
    their key, or the index of an earlier item of this push, as -1 - index.
    """

    __slots__ = ("duplicates", "fates", "holders", "linked", "new", "replaced")

    def __init__(self) -> None:
        self.new: list[int] = []
        self.holders: dict[int, int] = {}
        self.duplicates: list[int] = []
        self.replaced: list[int] = []
        self.linked = False
        """Some depend on other jobs."""
        self.fates: dict[int, Fate] = {}
        """Where these are."""


class Pushing:
    """Decides what becomes of a push, and does it."""

    def __init__(self, ground: Ground, outcomes: Outcomes, linked: LinkedPushes) -> None:
        self._ground = ground
        self._outcomes = outcomes
        self._linked = linked

    def push(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None] | None,
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        """Store a batch, as if its items came one by one, or none of it."""
        if req_key is not None:
            known = self.answered(queue, req_key, now_ms)
            if known is not None:
                return _repeated(known, len(jobs.payloads), req_key)
        if wishes is None:
            first_id = at_once(self._ground.core.push(queue, jobs, now_ms))
            ids = range(first_id, first_id + len(jobs.payloads))
            answer = PushAnswer(ids, [], [])
        else:
            plan = self._plan(queue, jobs, wishes, now_ms)
            answer = self._carry_out(queue, jobs, wishes, plan, now_ms)
        if req_key is not None:
            until_ms = now_ms + self._ground.options.req_key_ttl_ms
            body = _packed(answer.ids)
            self._ground.keep(REQUEST, {named(queue, req_key): (until_ms, body)})
        self._ground.weigh()
        if self._ground.marks.notes.pending:
            self._outcomes.settle(now_ms)
        return answer

    def push_flow(
        self,
        queues: Sequence[str],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        now_ms: int,
    ) -> list[int]:
        """Store jobs of any queues that depend on each other, or none of them."""
        self._linked.check(wishes)
        keys: dict[tuple[str, str], int] = {}
        for index, wish in enumerate(wishes):
            if wish is not None and wish.ttl_ms is not None:
                _refuse_late(index, jobs, now_ms, now_ms + wish.ttl_ms)
            key = None if wish is None else wish.unique_key
            if key is not None:
                holder = self.holder(queues[index], key, now_ms)
                earlier = keys.setdefault((queues[index], key), index)
                if holder is not None or earlier != index:
                    raise Duplicate(index, holder, key)
        fates = self._linked.fates(wishes, now_ms)
        with self._room(wishes, 0):
            ids = self._linked.store(queues, jobs, wishes, fates, now_ms)
        rows_of: dict[str, list[int]] = {}
        for row, queue in enumerate(queues):
            rows_of.setdefault(queue, []).append(row)
        for queue, rows in rows_of.items():
            some = [wishes[row] for row in rows]
            self._mark_new(queue, [ids[row] for row in rows], some, now_ms, ids)
        self._linked.enter(ids, wishes, fates, now_ms)
        self._outcomes.settle(now_ms)
        return ids

    def answered(self, queue: str, req_key: str, now_ms: int) -> Sequence[int] | None:
        """Return the ids that a push with this request key was answered with."""
        requests = self._ground.requests
        body = requests.get(named(queue, req_key), now_ms) if len(requests) else None
        return None if body is None else _unpacked(body)

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

    def _plan(
        self, queue: str, jobs: NewJobs, wishes: Sequence[Wishes | None], now_ms: int
    ) -> _Plan:
        plan, batch = _Plan(), dict[str, int]()
        for index, wish in enumerate(wishes):
            if wish is None:
                plan.new.append(index)
                continue
            if wish.ttl_ms is not None:
                _refuse_late(index, jobs, now_ms, now_ms + wish.ttl_ms)
            if wish.parents:
                self._linked.check_one(index, wish)
                plan.linked = True
            key = wish.unique_key
            if key is None:
                plan.new.append(index)
                continue
            holder = self.holder(queue, key, now_ms)
            if holder is None:
                earlier = batch.setdefault(key, index)
                if earlier == index:
                    plan.new.append(index)
                    continue
                holder = -1 - earlier
            plan.holders[index] = holder
            self._plan_conflict(index, wish, holder, plan, jobs, now_ms)
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
            _refuse_late(index, jobs, now_ms, mark.expires_at_ms)
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
        growth = self._growth(jobs, plan, now_ms)
        ids: Sequence[int] = ()
        some: Sequence[Wishes | None] = ()
        if new:
            made = jobs if len(new) == count else picked(jobs, new)
            some = wishes if len(new) == count else [wishes[index] for index in new]
            with self._room(wishes, growth):
                ids = self._store(queue, made, some, plan, now_ms)
            if len(new) == count:
                self._know(queue, ids, wishes, plan, now_ms)
                return PushAnswer(ids, [], [])
        else:
            ground.core.refuse_more(growth)
        ids_of = dict(zip(new, ids, strict=True))
        for index, holder in plan.holders.items():
            ids_of[index] = holder if holder > 0 else ids_of[-1 - holder]
        for index in plan.replaced:
            self._replace(ids_of[index], index, jobs, now_ms)
        if new:
            self._know(queue, ids, some, plan, now_ms)
        ground.core.count_duplicates(queue, count - len(new))
        all_ids = [ids_of[index] for index in range(count)]
        return PushAnswer(all_ids, plan.duplicates, plan.replaced)

    @contextmanager
    def _room(self, wishes: Sequence[Wishes | None], growth: int) -> Iterator[None]:
        """Have the core reckon with what marks, and replacements, will take."""
        ground = self._ground
        weight = sum(map(_weight, wishes)) if len(wishes) > 1 else _weight(wishes[0])
        ground.weigh(weight + growth)
        try:
            yield
        except Full:
            ground.weigh()
            raise

    def _store(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        plan: _Plan,
        now_ms: int,
    ) -> Sequence[int]:
        """Store new jobs; return their ids, a range unless some depend on others."""
        if plan.linked:
            plan.fates = self._linked.fates(wishes, now_ms)
            queues = [queue] * len(wishes)
            return self._linked.store(queues, jobs, wishes, plan.fates, now_ms)
        first_id = at_once(self._ground.core.push(queue, jobs, now_ms))
        return range(first_id, first_id + len(wishes))

    def _know(
        self,
        queue: str,
        ids: Sequence[int],
        wishes: Sequence[Wishes | None],
        plan: _Plan,
        now_ms: int,
    ) -> None:
        """Mark new jobs, of which some may depend on others."""
        self._mark_new(queue, ids, wishes, now_ms)
        if plan.linked:
            self._linked.enter(ids, wishes, plan.fates, now_ms)

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
        payload, priority = jobs.payloads[index], _at(jobs.priorities, index)
        run_at_ms = max(now_ms, _at(jobs.run_ats_ms, index))
        changed = at_once(core.replace(job_id, payload, priority, run_at_ms, now_ms))
        assert changed, "a job that waits can be replaced"

    def _mark_new(
        self,
        queue: str,
        ids: Sequence[int],
        wishes: Sequence[Wishes | None],
        now_ms: int,
        flow: Sequence[int] = (),
    ) -> None:
        """Mark new jobs that wish something, and keep the keys that last by themselves.

        flow: the ids of the flow that they are of.
        """
        marked: list[int] = []
        marks: list[Mark] = []
        windows: dict[bytes, tuple[int, bytes]] = {}
        last, terms = None, None
        for job_id, wish in zip(ids, wishes, strict=True):
            if wish is None:
                continue
            shared = terms if wish is last else None
            if shared is None:
                shared = self._ground.terms.asked(queue, wish)
                # The next wish is often the same but for its key.
                last, terms = wish, shared
            key, flags, expires_at_ms = wish.unique_key, 0, 0
            if key is not None:
                if shared.unique_for_ms:
                    until_ms = now_ms + shared.unique_for_ms
                    windows[named(queue, key)] = (until_ms, _number(job_id))
                else:
                    flags = HOLDS
            if shared.ttl_ms:
                expires_at_ms = min(now_ms + shared.ttl_ms, TIME_MAX_MS)
            link = None
            if wish.parents:
                parents = [one if one > 0 else flow[-1 - one] for one in wish.parents]
                link = Link(tuple(dict.fromkeys(parents)), wish.on_parent_failure)
            marked.append(job_id)
            marks.append(new_mark(shared, key, expires_at_ms, flags, link))
        if marked:
            self._ground.mark(queue, marked, marks)
        if windows:
            self._ground.keep(WINDOW, windows)


def _weight(wish: Wishes | None) -> int:
    """Return about what a mark will take."""
    if wish is None:
        return 0
    key, size = wish.unique_key, MARK_BYTES
    if wish.parents:
        size += LINK_BYTES + EDGE_BYTES * len(wish.parents)
    return size if key is None else size + KEY_BYTES + len(key)


def _at(column: int | Sequence[int], index: int) -> int:
    return column if isinstance(column, int) else column[index]


def _refuse_late(index: int, jobs: NewJobs, now_ms: int, expires_at_ms: int) -> None:
    """Raise `BadWish` if a job could not run before it expires."""
    run_at_ms = max(now_ms, _at(jobs.run_ats_ms, index))
    if run_at_ms >= expires_at_ms:
        raise BadWish(
            index,
            f"the job would run {run_at_ms - now_ms} ms from now at the earliest, but "
            f"expires in {expires_at_ms - now_ms} ms (ttl): give it more time to live, or "
            "let it run sooner",
        )


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 or 1)


def _packed(ids: Sequence[int]) -> bytes:
    """Return ids in short: a list, or of a range its first and minus its length."""
    if len(ids) > 1 and ids[-1] - ids[0] == len(ids) - 1 and _rise(ids):
        return _ids_to_bytes([ids[0], -len(ids)])
    return _ids_to_bytes(list(ids))


def _unpacked(body: bytes) -> Sequence[int]:
    ids = _ids_from_bytes(body)
    if len(ids) > 1 and ids[-1] < 0:
        return range(ids[0], ids[0] - ids[-1])
    return ids


def _rise(ids: Sequence[int]) -> bool:
    return isinstance(ids, range) or all(b - a == 1 for a, b in pairwise(ids))


def _repeated(ids: Sequence[int], count: int, req_key: str) -> PushAnswer:
    if len(ids) != count:
        raise BadRepeat(
            f"req_key {req_key!r} was used for a push of {len(ids):,} jobs, and this one "
            f"has {count:,}: repeat the push as it was, or use another req_key"
        )
    return PushAnswer(ids, [], [], repeated=True)
