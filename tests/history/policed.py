"""Whether what clients heard of keys, results and cancels can be true.

Operations are as in `operations`: each took effect at one moment between its start and its
end, or at any later one or never if there was no reply. All jobs are pushed with a
`keep_result` that outlives the history, fail as often as they like, and each push has a
request key of its own, with which it may have been sent again: that is one operation, which
lasts until its answer. The promises:

- **One job a push.** No id is given to two pushes, unless one of them is told that it is
  the duplicate of the other.
- **One job a key.** Of two jobs with the same key, one had ended, or may have, before the
  other was pushed. A duplicate is that of a job with its key that may have been alive.
- **Ends are kept.** What was acknowledged is `done` from then on, with the result that was
  sent, and is handed out no more. Nothing is `done` that nobody acknowledged, nothing
  `cancelled` that nobody cancelled, and nothing is not there at all.
- **What is cancelled does not run again.** From then on it is not handed out, and is at no
  time ready, delayed or dead.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from history.operations import NEVER, History, Operation


@dataclass(slots=True, kw_only=True)
class KeyedPush(Operation):
    """A push of one job; `id` and `duplicate` as answered.

    unsure: the answer was that to a repeat, which does not say again whether it was a
    duplicate; the one that said so went unheard.
    """

    queue: str
    key: str | None
    id: int = 0
    duplicate: bool = False
    unsure: bool = False


@dataclass(slots=True, kw_only=True)
class Taken(Operation):
    """A pull, and the ids of the jobs that it gave."""

    ids: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Done(Operation):
    """An ACK with a result; `taken` as answered."""

    id: int
    result: Any
    taken: bool = False


@dataclass(slots=True, kw_only=True)
class Cancel(Operation):
    """A cancel of one job; `word` says in which list of the answer it was."""

    id: int
    word: str = ""


@dataclass(slots=True, kw_only=True)
class Ends(Operation):
    """A look at jobs: state and result by id, None for one that is not there."""

    rows: dict[int, tuple[str, Any] | None]


@dataclass(slots=True)
class Story:
    """What a history says of one job."""

    push: KeyedPush
    taken: list[Taken] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    looks: list[tuple[Ends, tuple[str, Any] | None]] = field(default_factory=list)

    @property
    def alive_until(self) -> int:
        """It was alive for certain until this moment."""
        ends = [one.start for one in self.done if one.taken or not one.answered]
        ends += [one.start for one in self.cancels if one.word != "missing"]
        return min(ends, default=NEVER)

    @property
    def ended_by(self) -> int:
        """It had ended for certain by this moment."""
        ends = [one.end for one in self.done if one.taken]
        ends += [one.end for one in self.cancels if one.word == "cancelled"]
        return min(ends, default=NEVER)


def broken(history: History) -> list[str]:
    """Say which promises are broken, in a sentence each."""
    operations = sorted(history.operations, key=lambda one: one.start)
    pushes = [one for one in operations if isinstance(one, KeyedPush) and one.answered]
    owners = _owners(pushes)
    stories = {push.id: Story(push) for push in owners}
    found = [
        f"job {push.id} was the answer to two pushes"
        for push in owners
        if stories[push.id].push is not push
    ]
    _tell(stories, operations)
    found += _keys(stories)
    for push in pushes:
        if push.duplicate or push.unsure:
            found += _duplicate(push, stories)
    for job_id, story in stories.items():
        found += _done(job_id, story)
        found += _cancelled(job_id, story)
        found += _looked_at(job_id, story)
    return found


def _owners(pushes: list[KeyedPush]) -> list[KeyedPush]:
    """Give the pushes that made a job, in order of their starts.

    Of those that are unsure of the same job it is the first to start, unless another is
    sure to have made it: whatever made it started no later than who was told of it.
    """
    known = {push.id for push in pushes if not (push.duplicate or push.unsure)}
    owners = []
    for push in pushes:
        if push.unsure and push.id not in known:
            known.add(push.id)
            owners.append(push)
        elif not (push.duplicate or push.unsure):
            owners.append(push)
    return owners


def _tell(stories: dict[int, Story], operations: list[Operation]) -> None:
    """Put each operation into the stories of the jobs that it is about."""
    for one in operations:
        match one:
            case Taken():
                for job_id in one.ids:
                    if job_id in stories:
                        stories[job_id].taken.append(one)
            case Done() if one.id in stories:
                stories[one.id].done.append(one)
            case Cancel() if one.id in stories:
                stories[one.id].cancels.append(one)
            case Ends():
                for job_id, row in one.rows.items():
                    if job_id in stories:
                        stories[job_id].looks.append((one, row))


def _keys(stories: dict[int, Story]) -> Iterator[str]:
    by_key: defaultdict[tuple[str, str], list[Story]] = defaultdict(list)
    for story in stories.values():
        if story.push.key is not None:
            by_key[story.push.queue, story.push.key].append(story)
    for (_, key), some in by_key.items():
        for one in some:
            for other in some:
                inside = one.push.end < other.push.start
                if inside and other.push.end < one.alive_until:
                    yield f"{key!r} is held by job {one.push.id} and by {other.push.id}"


def _duplicate(push: KeyedPush, stories: dict[int, Story]) -> Iterator[str]:
    holder = stories.get(push.id)
    if holder is None or holder.push is push:  # the holder's own push may be unheard
        return
    same = (holder.push.queue, holder.push.key) == (push.queue, push.key)
    if not same or holder.push.start > push.end:
        yield f"a push of {push.key!r} is said to be job {push.id}, which is another's"
    elif holder.ended_by < push.start:
        yield f"{push.key!r} is still held by job {push.id}, which has ended"


def _done(job_id: int, story: Story) -> Iterator[str]:
    taken = [one for one in story.done if one.taken]
    if len(taken) > 1:
        yield f"job {job_id} was acknowledged twice"
    for one in taken:
        if any(pull.start > one.end for pull in story.taken):
            yield f"job {job_id} is back: it was handed out after its ACK"
        for look, row in story.looks:
            if look.start > one.end and row != ("done", one.result):
                yield f"the result of job {job_id} is {row}, not {one.result!r}"


def _cancelled(job_id: int, story: Story) -> Iterator[str]:
    for one in story.cancels:
        if one.word not in {"cancelled", "cancelling"}:
            continue
        if any(pull.start > one.end for pull in story.taken):
            yield f"job {job_id} was handed out after it was cancelled"
        right = (
            {"cancelled"} if one.word == "cancelled" else {"cancelled", "active", "done"}
        )
        for look, row in story.looks:
            if look.start > one.end and (row is None or row[0] not in right):
                yield f"job {job_id} was {one.word}, and is {row}"


def _looked_at(job_id: int, story: Story) -> Iterator[str]:
    for look, row in story.looks:
        if row is None:
            if story.push.end < look.start:
                yield f"job {job_id} is lost, or its end was not kept"
        elif row[0] == "done":
            sent = [
                one.result
                for one in story.done
                if one.start < look.end and (one.taken or not one.answered)
            ]
            if row[1] not in sent:
                yield f"job {job_id} is done with {row[1]!r}, which nobody sent"
        elif row[0] == "cancelled" and not any(
            one.start < look.end and one.word != "missing" for one in story.cancels
        ):
            yield f"job {job_id} is cancelled, and nobody asked for that"
