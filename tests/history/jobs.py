"""A history sorted by jobs: what was asked and heard of each, and where it comes from."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from history.operations import (
    NEVER,
    Close,
    History,
    Look,
    Operation,
    Pause,
    Pull,
    Push,
    Restart,
    Seen,
    Settle,
)


@dataclass(slots=True)
class Delivery:
    """An attempt at a job that a client heard of."""

    pull: Pull
    attempt: int


@dataclass(slots=True)
class Verdict:
    """A verdict on a job. taken: the server said so; open: nothing was heard."""

    settle: Settle
    attempt: int | None
    taken: bool
    open: bool


@dataclass(slots=True)
class Job:
    """All that a history says of one job. index: its place in its push."""

    id: int
    data: Any
    push: Push
    index: int
    deliveries: list[Delivery] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    looks: list[tuple[Look, Seen | None]] = field(default_factory=list)

    @property
    def priority(self) -> int:
        """As pushed."""
        return self.push.priorities[self.index] if self.push.priorities else 0

    @property
    def delayed(self) -> bool:
        """Whether it was not ready at once."""
        delayed = self.push.delayed
        return delayed if isinstance(delayed, bool) else delayed[self.index]

    @property
    def known_from(self) -> int:
        """The moment from which it was there for certain."""
        seen = [delivery.pull.end for delivery in self.deliveries[:1]]
        seen += [look.end for look, row in self.looks if row is not None][:1]
        return min([self.push.end, *seen])


class Jobs:
    """See above. `wrong` is what comes from nowhere."""

    def __init__(self, history: History) -> None:
        self.by_id: dict[int, Job] = {}
        self.pulls: list[Pull] = []
        self.closed: dict[int, int] = {}
        """The first moment at which a connection may have ended, by its number."""
        self.paused: dict[str, int] = {}
        """When a queue was first asked to be paused."""
        self.restarts: list[int] = []
        self.wrong: list[str] = []
        self._source: dict[Any, tuple[Push, int]] = {}
        self._id_of: dict[Any, int] = {}
        operations = sorted(history.operations, key=lambda operation: operation.start)
        self._take_pushes([one for one in operations if isinstance(one, Push)])
        for operation in operations:
            self._take(operation)
        for job in self.by_id.values():
            job.deliveries.sort(key=lambda delivery: delivery.attempt)

    def _take_pushes(self, pushes: list[Push]) -> None:
        for push in pushes:
            for index, data in enumerate(push.data):
                if self._source.setdefault(data, (push, index)) != (push, index):
                    raise ValueError(f"{data!r} is pushed twice: nothing can be told")
            if push.ids and len(push.ids) != len(push.data):
                self.wrong.append(f"{len(push.data)} jobs got {len(push.ids)} ids")
                push.ids = push.ids[: len(push.data)]
            for index, job_id in enumerate(push.ids):
                data = push.data[index]
                if job_id in self.by_id:
                    self.wrong.append(f"id {job_id} was given twice")
                self.by_id[job_id] = Job(job_id, data, push, index)
                self._id_of[data] = job_id
            if any(later <= former for former, later in pairwise(push.ids)):
                self.wrong.append(f"ids of one push do not rise: {list(push.ids)[:9]}")

    def _take(self, operation: Operation) -> None:
        match operation:
            case Pull():
                self._take_pull(operation)
            case Settle():
                self._take_verdicts(operation)
            case Look():
                self._take_look(operation)
            case Close():
                first = self.closed.get(operation.connection, NEVER)
                self.closed[operation.connection] = min(first, operation.start)
            case Restart():
                self.restarts.append(operation.start)
            case Pause():
                self.paused.setdefault(operation.queue, operation.start)

    def _take_pull(self, pull: Pull) -> None:
        self.pulls.append(pull)
        for given in pull.jobs:
            job = self._seen(given.id, given.data, pull)
            if job is not None:
                job.deliveries.append(Delivery(pull, given.attempt))
                if job.push.queue != pull.queue:
                    self.wrong.append(f"job {job.id} comes from another queue")

    def _take_look(self, look: Look) -> None:
        for job_id, row in look.jobs.items():
            if row is None:
                job = self.by_id.get(job_id)
            else:
                job = self._seen(job_id, row.data, look)
            if job is not None:
                job.looks.append((look, row))

    def _take_verdicts(self, settle: Settle) -> None:
        attempts = settle.attempts or [None] * len(settle.ids)
        for job_id, attempt in zip(settle.ids, attempts, strict=True):
            taken = settle.answered and job_id not in settle.missing
            job = self.by_id.get(job_id)
            if job is not None:
                job.verdicts.append(Verdict(settle, attempt, taken, not settle.answered))
            elif taken:
                self.wrong.append(f"a verdict on job {job_id}, which nobody saw, was taken")

    def _seen(self, job_id: int, data: Any, seen: Operation) -> Job | None:
        """Find a job that somebody saw, and check where it comes from."""
        push, index = self._source.get(data, (None, 0))
        if push is None or push.refused or push.start > seen.end:
            self.wrong.append(f"job {job_id} comes from nowhere: nobody pushed {data!r}")
            return None
        if self._id_of.setdefault(data, job_id) != job_id:
            self.wrong.append(
                f"{data!r} is there twice, as {self._id_of[data]} and {job_id}"
            )
            return None
        job = self.by_id.get(job_id)
        if job is None:
            job = self.by_id[job_id] = Job(job_id, data, push, index)
        if job.data != data:
            self.wrong.append(f"job {job_id} has {data!r} from nowhere, not {job.data!r}")
            return None
        return job
