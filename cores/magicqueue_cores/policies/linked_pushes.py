"""Pushes of jobs that depend on others: what is refused, and which of them are held.

Room is asked for once, for all of them; then they are stored by queue, those that are held
apart, in the order given: so their ids are not those of one batch. All of it is one frame
of the log.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from magicqueue_cores.contract import Full, NewJobs
from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.answers import BadWish
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.links import (
    EDGE_BYTES,
    LINK_BYTES,
    Fate,
    Link,
    dooms,
    waits,
)
from magicqueue_cores.policies.storing import at, picked, take_seats
from magicqueue_cores.policies.wishes import Terms, Wishes, weight_of


class LinkedPushes:
    """Stores jobs that depend on others; one of the same flow is -1 less its index."""

    def __init__(self, ground: Ground, flows: Flows) -> None:
        self._ground = ground
        self._core = ground.core
        self._flows = flows

    def check_one(self, index: int, wish: Wishes) -> None:
        """Raise `BadWish` if a job is to depend on one that was never pushed."""
        for parent in wish.parents:
            if parent > self._core.last_id or parent == 0:
                raise BadWish(
                    index,
                    f"depends_on names job {parent}, which was never pushed: push that "
                    "first, or both in one flow",
                )

    def check(self, wishes: Sequence[Wishes | None]) -> None:
        """Raise `BadWish` if jobs of a flow can never run."""
        for index, wish in enumerate(wishes):
            if wish is not None and wish.parents:
                self.check_one(index, wish)
        circle = _circle([_refs(wish) for wish in wishes])
        if circle:
            way = ", ".join(f"jobs[{index}]" for index in circle[:10])
            raise BadWish(
                min(circle),
                f"depends_on leads in a circle (by way of {way}), so none of these could "
                "ever run: leave one of them out",
            )

    def fates(self, wishes: Iterable[Wishes | None], now_ms: int) -> dict[int, Fate]:
        """Return where the jobs are that others are to depend on. O(1) each."""
        parents = {
            parent
            for wish in wishes
            if wish is not None
            for parent in wish.parents
            if parent > 0
        }
        return self._flows.fates(parents, now_ms)

    def store(  # noqa: PLR0913, PLR0917 - all that is known of them
        self,
        queues: Sequence[str],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        fates: Mapping[int, Fate],
        turns: Sequence[bool],
        weight: int,
        now_ms: int,
    ) -> list[int]:
        """Store jobs, each of its queue, or none; return their ids. Raises `Full`.

        turns: which are held until their group's turn. weight: what will be kept here.
        """
        core, payloads = self._core, jobs.payloads
        self._ground.weigh(weight)
        try:
            core.admit(list(dict.fromkeys(queues)), len(payloads), sum(map(len, payloads)))
        except Full:
            self._ground.weigh()
            raise
        groups: dict[tuple[str, bool], list[int]] = {}
        for row, (queue, wish) in enumerate(zip(queues, wishes, strict=True)):
            held = turns[row] or _is_held(wish, fates)
            groups.setdefault((queue, held), []).append(row)
        ids = [0] * len(payloads)
        for (queue, held), rows in groups.items():
            batch = msgspec.structs.replace(picked(jobs, rows), held=held, admitted=True)
            first_id = at_once(core.push(queue, batch, now_ms))
            for job_id, row in enumerate(rows, first_id):
                ids[row] = job_id
        return ids

    def turns(
        self,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        fates: Mapping[int, Fate],
        now_ms: int,
    ) -> list[bool]:
        """Return which jobs wait for their group's turn: no blocked one does."""
        return [
            wish is not None
            and wish.group is not None
            and at(jobs.run_ats_ms, row) <= now_ms
            and not _is_held(wish, fates)
            for row, wish in enumerate(wishes)
        ]

    def weight(self, queue: str, wish: Wishes) -> int:
        """Return about what is kept for a job of a flow."""
        links = LINK_BYTES + EDGE_BYTES * len(wish.parents) if wish.parents else 0
        alone = msgspec.structs.replace(wish, parents=())
        return links + weight_of(self._ground.terms.asked(queue, alone), wish.unique_key)

    def kinds(
        self,
        queues: Sequence[str],
        ids: Sequence[int],
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        turns: Sequence[bool],
        now_ms: int,
    ) -> dict[str, list[Alike]]:
        """Return those of a flow's jobs that wish something, by queue."""
        kinds = dict[tuple[Terms, bool], Alike]()
        for row, (queue, wish) in enumerate(zip(queues, wishes, strict=True)):
            if wish is None:
                continue
            parents = tuple(one if one > 0 else ids[-1 - one] for one in wish.parents)
            told = msgspec.structs.replace(wish, parents=parents) if parents else wish
            kind = self._ground.terms.asked(queue, told), told.unique_key is not None
            alike = kinds.get(kind)
            if alike is None:
                alike = kinds[kind] = Alike(kind[0], now_ms, keyed=kind[1])
            alike.add(row, told.unique_key, told.group)
        first_id = min(ids)
        for alike in kinds.values():
            take_seats(self._ground.marks.seats, alike, jobs, turns)
            alike.places = [ids[row] - first_id for row in alike.places]
        by_queue: dict[str, list[Alike]] = {}
        for alike in kinds.values():
            by_queue.setdefault(alike.terms.queue, []).append(alike)
        return by_queue

    def enter(
        self,
        ids: Sequence[int],
        wishes: Sequence[Wishes | None],
        fates: Mapping[int, Fate],
        now_ms: int,
    ) -> None:
        """Let those that are stored and marked be blocked that have to be."""
        held = [
            job_id
            for job_id, wish in zip(ids, wishes, strict=True)
            if _is_held(wish, fates)
        ]
        if held:
            self._flows.enter(held, fates, now_ms)


def _is_held(wish: Wishes | None, fates: Mapping[int, Fate]) -> bool:
    """Whether a new job cannot run yet, or never."""
    if wish is None or not wish.parents:
        return False
    link = Link(wish.parents, wish.on_parent_failure)
    return waits(link, fates) > 0 or dooms(link, fates) is not None


def _refs(wish: Wishes | None) -> list[int]:
    """Return the indexes of the jobs of the same flow that one depends on."""
    return [] if wish is None else [-1 - one for one in wish.parents if one < 0]


def _circle(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return indexes of jobs that depend on each other in a circle. O(edges)."""
    missing = [len(set(refs)) for refs in parents]
    children: list[list[int]] = [[] for _ in parents]
    for index, refs in enumerate(parents):
        for ref in set(refs):
            children[ref].append(index)
    free = [index for index, count in enumerate(missing) if not count]
    for index in free:  # which grows on the way
        for child in children[index]:
            missing[child] -= 1
            if not missing[child]:
                free.append(child)
    if len(free) == len(parents):
        return []
    at = next(index for index, count in enumerate(missing) if count)
    way: dict[int, int] = {}
    while at not in way:
        way[at] = len(way)
        at = next(ref for ref in parents[at] if missing[ref])
    return list(way)[way[at] :]
