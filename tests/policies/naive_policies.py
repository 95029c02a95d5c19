"""The obvious model of `Policies`: dicts that are scanned, above the naive core.

After each verb it looks at every job that wished something, and sees what befell it. It has
no heaps, no records and no steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from conformance.naive_core import NaiveCore
from conformance.naive_jobs import ACTIVE, DEAD, Job
from magicqueue_cores.contract import (
    LIVE,
    NEVER_MS,
    WAITING,
    CoreOptions,
    JobState,
    NewJobs,
    Settled,
)
from magicqueue_cores.policies import Duplicate, PolicyOptions, PushAnswer, Wishes
from magicqueue_cores.policies.answers import EndState


@dataclass
class Wished:
    """A job that wished something, or is cancelled, and how it was when last looked at."""

    queue: str
    wishes: Wishes
    holds: bool
    expires_at_ms: int
    attempt_until_ms: int = NEVER_MS
    cancelled: bool = False
    attempts: int = 0
    state: JobState = JobState.READY


@dataclass
class End:
    state: str
    result: bytes | None
    finished_at_ms: int
    attempts: int
    until_ms: int


def picked(jobs: NewJobs, indexes: list[int]) -> NewJobs:
    """Those of a batch whose columns are lists."""
    assert isinstance(jobs.run_ats_ms, list)
    assert isinstance(jobs.priorities, list)
    assert isinstance(jobs.max_attempts, list)
    return NewJobs(
        payloads=[jobs.payloads[i] for i in indexes],
        run_ats_ms=[jobs.run_ats_ms[i] for i in indexes],
        priorities=[jobs.priorities[i] for i in indexes],
        max_attempts=[jobs.max_attempts[i] for i in indexes],
    )


class NaivePolicies:
    """The verbs of `Policies`, by scanning."""

    def __init__(self, options: CoreOptions, bounds: PolicyOptions) -> None:
        self.core = NaiveCore(options, 0)
        self.bounds = bounds
        self.jobs: dict[int, Wished] = {}
        self.windows: dict[tuple[str, str], tuple[int, int]] = {}
        self.requests: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self.ends: dict[int, End] = {}
        self.ended: list[int] = []
        self.results: dict[int, bytes] = {}

    def view(self, job_id: int) -> Job | None:
        return self.core.find(job_id)

    def look(self, now_ms: int, how: EndState | None = None) -> None:
        """See what befell jobs since the last look; `how` those ended that are gone."""
        for job_id, wished in list(self.jobs.items()):
            job = self.view(job_id)
            if job is None:
                self.leave(job_id, how, now_ms)
                continue
            view = job.view
            if view.attempts > wished.attempts and view.state is ACTIVE:
                wished.holds &= wished.wishes.until == "done"
                if wished.wishes.timeout_ms:
                    wished.attempt_until_ms = now_ms + wished.wishes.timeout_ms
            if view.state is not ACTIVE:
                wished.attempt_until_ms = NEVER_MS
            if view.state is DEAD and wished.state is not DEAD:
                wished.holds = False
                if wished.wishes.keep_result_ms:
                    self.ended.append(job_id)
            wished.attempts, wished.state = view.attempts, view.state
        for job_id, wished in list(self.jobs.items()):
            here = job_id in self.jobs  # its end may be that of another, with another look
            if here and wished.state in WAITING and wished.expires_at_ms <= now_ms:
                self.expire(job_id, now_ms)

    def leave(self, job_id: int, how: EndState | None, now_ms: int) -> None:
        wished = self.jobs.pop(job_id)
        keep_ms = wished.wishes.keep_result_ms
        if not keep_ms or wished.state is DEAD:
            return
        self.ended.append(job_id)
        if how is not None:
            result = self.results.get(job_id) if how == "done" else None
            end = End(how, result, now_ms, wished.attempts, now_ms + keep_ms)
            self.ends[job_id] = end
            while len(self.ends) > self.bounds.results_max:
                del self.ends[next(iter(self.ends))]

    def expire(self, job_id: int, now_ms: int) -> None:
        if self.jobs[job_id].wishes.on_expire == "dead":
            self.core.bury([job_id], "expired", [None], now_ms)
            self.look(now_ms)
        else:
            self.core.remove([job_id], LIVE, "expired", now_ms)
            self.look(now_ms, "expired")

    def moments(self) -> list[int]:
        waiting = [
            wished.expires_at_ms for wished in self.jobs.values() if wished.state in WAITING
        ]
        ends = [wished.attempt_until_ms for wished in self.jobs.values()]
        facts = [*self.windows.values(), *self.requests.values()]
        return [
            *waiting,
            *ends,
            *(fact[0] for fact in facts),
            *(end.until_ms for end in self.ends.values()),
            NEVER_MS,
        ]

    def advance(self, now_ms: int) -> None:
        while min(self.moments()) <= now_ms:
            at_ms = min(self.moments())
            self.core.advance(at_ms)
            due = sorted(
                job_id
                for job_id, wished in self.jobs.items()
                if wished.state in WAITING and wished.expires_at_ms <= at_ms
            )
            dead = [i for i in due if self.jobs[i].wishes.on_expire == "dead"]
            # All at once: a look would let the others expire on the way.
            self.core.remove([i for i in due if i not in dead], LIVE, "expired", at_ms)
            self.core.bury(dead, "expired", [None] * len(dead), at_ms)
            self.look(at_ms, "expired")
            over = sorted(
                job_id
                for job_id, wished in self.jobs.items()
                if wished.attempt_until_ms <= at_ms
            )
            self.end_cancelled([i for i in over if self.jobs[i].cancelled], at_ms)
            failed = [i for i in over if i in self.jobs]
            for job_id in failed:
                self.jobs[job_id].attempt_until_ms = NEVER_MS
            errors = [
                f"timed out after {self.jobs[i].wishes.timeout_ms} ms" for i in failed
            ]
            self.core.fail(failed, None, errors, at_ms, reason="timeout")
            self.look(at_ms)
            for facts in (self.windows, self.requests):
                for key in [key for key, fact in facts.items() if fact[0] <= at_ms]:
                    del facts[key]
            for job_id in [i for i, end in self.ends.items() if end.until_ms <= at_ms]:
                del self.ends[job_id]
        self.core.advance(now_ms)
        self.look(now_ms)

    def holder(self, queue: str, key: str) -> int | None:
        for job_id, wished in self.jobs.items():
            if (wished.queue, wished.wishes.unique_key) == (queue, key) and wished.holds:
                return job_id
        window = self.windows.get((queue, key))
        return None if window is None else window[1]

    def push(  # noqa: C901, PLR0912 - one flat story
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None],
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        self.advance(now_ms)
        if req_key is not None and (queue, req_key) in self.requests:
            return PushAnswer(self.requests[queue, req_key][1], [], [], repeated=True)
        earlier: dict[str, int] = {}
        holders: dict[int, int] = {}
        duplicates: list[int] = []
        replaced: list[int] = []
        new: list[int] = []
        for index, wish in enumerate(wishes):
            key = None if wish is None else wish.unique_key
            held = None if key is None else self.holder(queue, key)
            if wish is None or key is None or (held is None and key not in earlier):
                new.append(index)
                if key is not None:
                    earlier[key] = index
                continue
            if wish.on_conflict == "reject":
                raise Duplicate(index, held, key)
            if held is not None:
                holders[index] = held
            job = None if held is None else self.view(held)
            waits = held is None or (job is not None and job.view.state in WAITING)
            (replaced if wish.on_conflict == "replace" and waits else duplicates).append(
                index
            )
        ids: dict[int, int] = {}
        if new:
            first_id = self.core.push(queue, picked(jobs, new), now_ms)
            ids = {index: first_id + n for n, index in enumerate(new)}
        for index, wish in enumerate(wishes):
            if index not in ids:
                key = wish.unique_key if wish is not None else None
                ids[index] = holders[index] if index in holders else ids[earlier[key or ""]]
        for index in replaced:
            run_at_ms = jobs.run_ats_ms[index]  # type: ignore[index]
            priority = jobs.priorities[index]  # type: ignore[index]
            payload = jobs.payloads[index]
            assert self.core.replace(ids[index], payload, priority, run_at_ms, now_ms)
        for index in new:
            self.wish(queue, ids[index], wishes[index], now_ms)
        self.core.count_duplicates(queue, len(duplicates) + len(replaced))
        answer = [ids[index] for index in range(len(wishes))]
        if req_key is not None:
            until_ms = now_ms + self.bounds.req_key_ttl_ms
            self.requests[queue, req_key] = (until_ms, answer)
            while len(self.requests) > self.bounds.req_keys_max:
                del self.requests[next(iter(self.requests))]
        return PushAnswer(answer, duplicates, replaced)

    def wish(self, queue: str, job_id: int, wish: Wishes | None, now_ms: int) -> None:
        if wish is None:
            return
        key, for_ms = wish.unique_key, wish.unique_for_ms
        expires_at_ms = NEVER_MS if wish.ttl_ms is None else now_ms + wish.ttl_ms
        holds = key is not None and not for_ms
        self.jobs[job_id] = Wished(queue, wish, holds, expires_at_ms)
        if key is not None and for_ms:
            self.windows[queue, key] = (now_ms + for_ms, job_id)
            while len(self.windows) > self.bounds.windows_max:
                del self.windows[next(iter(self.windows))]

    def pull(
        self, queue: str, count: int, lease_ms: int, session: int, now_ms: int
    ) -> list[int]:
        self.advance(now_ms)
        ids = self.core.pull(queue, count, 2**30, lease_ms, session, now_ms).ids
        self.look(now_ms)
        return ids

    def ack(
        self, ids: list[int], attempts: list[int], results: list[bytes | None], now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for job_id, attempt, result in zip(ids, attempts, results, strict=True):
            self.results = {} if result is None else {job_id: result}
            one = self.core.ack([job_id], [attempt], now_ms)
            answer.missing += one.missing
            answer.stale += one.stale
            self.look(now_ms, "done")
        return answer

    def fail_or_release(
        self, verb: str, ids: list[int], attempts: list[int] | None, now_ms: int
    ) -> Settled:
        self.advance(now_ms)
        answer = Settled([], [])
        for job_id, attempt in zip(ids, attempts or repeat(0), strict=False):
            wished, job = self.jobs.get(job_id), self.view(job_id)
            if (
                wished is not None
                and job is not None
                and wished.cancelled
                and attempt in (0, job.view.attempts)
            ):
                self.end_cancelled([job_id], now_ms)
            elif verb == "fail":
                self.add(answer, self.core.fail([job_id], [attempt], ["no"], now_ms))
            else:
                self.add(answer, self.core.release([job_id], [attempt], 0, now_ms))
        self.look(now_ms)
        return answer

    @staticmethod
    def add(answer: Settled, one: Settled) -> None:
        answer.missing += one.missing
        answer.stale += one.stale

    def end_cancelled(self, ids: list[int], now_ms: int) -> None:
        for job_id in ids:
            self.core.remove([job_id], LIVE, "cancelled", now_ms)
            self.look(now_ms, "cancelled")

    def flagged(self) -> list[Job]:
        found = [self.view(i) for i, wished in self.jobs.items() if wished.cancelled]
        return [job for job in found if job is not None]

    def end_leases(self, now_ms: int) -> None:
        self.advance(now_ms)
        over = [j for j in self.flagged() if (j.view.lease_until_ms or 0) <= now_ms]
        self.end_cancelled([job.view.id for job in over], now_ms)
        self.core.end_leases(now_ms, now_ms)
        self.look(now_ms)

    def close_session(self, session: int, now_ms: int) -> None:
        self.advance(now_ms)
        held = [job for job in self.flagged() if session and job.session == session]
        self.end_cancelled([job.view.id for job in held], now_ms)
        self.core.close_session(session, now_ms)
        self.look(now_ms)

    def cancel(self, ids: list[int], now_ms: int) -> tuple[list[int], list[int], list[int]]:
        self.advance(now_ms)
        cancelled, cancelling, missing = [], [], []
        for job_id in dict.fromkeys(ids):
            job = self.view(job_id)
            if job is None or job.view.state is DEAD:
                missing.append(job_id)
            elif job.view.state is ACTIVE:
                cancelling.append(job_id)
                if job_id not in self.jobs:
                    self.jobs[job_id] = Wished(
                        *(job.view.queue, Wishes(), False, NEVER_MS),
                        attempts=job.view.attempts,
                        state=ACTIVE,
                    )
                self.jobs[job_id].cancelled = True
            else:
                cancelled.append(job_id)
                self.end_cancelled([job_id], now_ms)
        return cancelled, cancelling, missing

    def retry(self, queue: str, job_id: int | None, now_ms: int) -> int:
        self.advance(now_ms)
        letters = [job.view.id for job in self.core.chosen_dead(queue, job_id)]
        count = 0
        for letter in letters:
            wished = self.jobs.get(letter)
            if wished is not None:
                key = wished.wishes.unique_key
                takes = key is not None and not wished.wishes.unique_for_ms
                held = self.holder(queue, key) if takes and key is not None else None
                if held is not None and job_id is not None:
                    raise Duplicate(0, held, key or "")
                if held is not None:
                    continue
                ttl_ms = wished.wishes.ttl_ms
                wished.holds, wished.attempts = takes, 0
                wished.expires_at_ms = NEVER_MS if ttl_ms is None else now_ms + ttl_ms
                wished.state = JobState.READY
            self.core.revive([letter], now_ms)
            count += 1
        return count
