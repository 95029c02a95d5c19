"""Flows: jobs of any queues that depend on each other, pushed together.

    flow = Flow()
    a = flow.push("resize", {"photo": 7})
    b = flow.push("scan", {"photo": 7})
    flow.push("notify", {"user": 3}, after=[a, b])
    await queue.push_flow(flow)

A job may only come after those that were added before it, so there are no circles. A chain
is one job after the other; a fan-in (a chord) is a job after several. What came of jobs
that others come after is kept for a day, unless told otherwise, so that these can read it:
`job.parent_results()` in a handler.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack, get_args

import msgspec
import orjson
from msgspec import Raw
from orjson import Fragment

from magicqueue.arguments import several_ids
from magicqueue.durations import Duration, duration_ms
from magicqueue.encoding import json_of, object_of
from magicqueue.job import AnyJob
from magicqueue.job_options import JobOptions, needs_of, tail_of
from magicqueue.sources import queue_name
from magicqueue.wire.limits import DEPENDS_ON_MAX
from magicqueue.wire.values import OnParentFailure

if TYPE_CHECKING:
    from magicqueue.tasks.task import TaskCall

FLOWS: Final = "flows"
"""What a server can do that knows flows."""
KEEP_RESULTS_S: Final = 86_400.0
"""So long what came of jobs is kept that others come after, unless told otherwise."""

_ROWS: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_FILE: Final = msgspec.json.Decoder(dict[str, Raw])
_RULES: Final = get_args(OnParentFailure)


class FlowJob:
    """A job of a flow, for others to come after; `id` is there once it is pushed."""

    __slots__ = ("_flow", "_id", "_index")

    def __init__(self, flow: "Flow", index: int) -> None:
        self._flow = flow
        self._index = index
        self._id: int | None = None

    @property
    def id(self) -> int:
        """The job's id. Raises ValueError until the flow is pushed."""
        if self._id is None:
            raise ValueError("the flow has not been pushed: the server gives its jobs ids")
        return self._id

    def __repr__(self) -> str:
        state = "not pushed" if self._id is None else f"id {self._id}"
        return f"<job {self._index} of a flow, {state}>"


After: TypeAlias = FlowJob | AnyJob
"""What a job of a flow can come after: another one of it, or any job that is stored."""


class _Row(msgspec.Struct):
    """A job of a flow: its object is `beside` and then `object` without its brace."""

    queue: str
    data: bytes
    options: JobOptions
    refs: list[int]
    ids: list[int]
    rule: str | None


class Flow:
    """Jobs to be pushed together, all or none: see the module.

    keep_results: how long what came of the jobs is kept that others come after, unless one
    says `keep_result` itself; None is not at all.
    """

    def __init__(self, *, keep_results: Duration | None = KEEP_RESULTS_S) -> None:
        self._keep_ms = (
            None if keep_results is None else duration_ms(keep_results, "keep_results")
        )
        self._rows: list[_Row] = []
        self._raw: list[dict[str, Raw]] = []
        self._jobs: list[FlowJob] = []

    def __len__(self) -> int:
        return len(self._raw) + len(self._rows)

    def push(
        self,
        queue: str,
        data: Any,
        *,
        after: Iterable[After] | After = (),
        **options: Unpack[JobOptions],
    ) -> FlowJob:
        """Add a job, which runs when all those `after` which it comes are done.

        after: jobs of this flow, and others by themselves or their ids; one or several.
        options: as those of `Queue.push`, on_parent_failure among them. Nothing is stored
        before `Queue.push_flow`. Raises NotJson, TypeError and ValueError.
        """
        if "depends_on" in options:
            raise TypeError("in a flow, say after=… in place of depends_on")
        rule = options.pop("on_parent_failure", None)
        refs, ids = self._parted(after)
        if rule is not None and rule not in _RULES:
            raise ValueError(
                f"on_parent_failure is {rule!r}: it must be {' or '.join(_RULES)}"
            )
        if rule is not None and not refs and not ids:
            raise ValueError("on_parent_failure is about jobs before it: give after, too")
        tail_of(options)  # what is wrong with them shall be told here
        where = f"job {len(self._rows)}"
        row = _Row(queue_name(queue), json_of(data, where), options, refs, ids, rule)
        self._rows.append(row)
        self._jobs.append(FlowJob(self, len(self._rows) - 1))
        return self._jobs[-1]

    def call(
        self,
        call: "TaskCall[Any]",
        *,
        after: Iterable[After] | After = (),
        **options: Unpack[JobOptions],
    ) -> FlowJob:
        """Add a call of a task, as `task.call(…)` makes one, with the task's own options.

        options: instead of the task's. For the rest as `push`. The task reads what came of
        the calls before it by `current_job().parent_results()`.
        """
        own: JobOptions = {**call.task.job_options}
        if call.key is not None:
            own["unique_key"] = call.key
        own.pop("on_conflict", None)  # in a flow a key that is held always refuses it
        both: JobOptions = {**own, **options}
        return self.push(call.task.queue, Fragment(call.data), after=after, **both)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Flow":
        """Make a flow of the jobs of a PUSHF, as the protocol has them.

        text: a list of them, or an object whose `jobs` are that. Raises ValueError.
        """
        flow = cls()
        text = text.encode() if isinstance(text, str) else text
        try:
            if text.lstrip()[:1] == b"{":
                jobs = _FILE.decode(text).get("jobs")
                if jobs is None:
                    raise ValueError("it is no list of jobs, nor an object with `jobs`")
                text = bytes(jobs)
            flow._raw = _ROWS.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(
                f"it is no list of jobs, nor an object with one: {error}"
            ) from None
        return flow

    def pushed(self, ids: list[int]) -> list[int]:
        """Be told the ids of the jobs, in order; gives them back."""
        for one, job_id in zip(self._jobs, ids[len(self._raw) :], strict=True):
            one._id = job_id  # noqa: SLF001 - its flow gives it
        return ids

    def encoded(self) -> tuple[bytes, tuple[str, ...]]:
        """Give the list of jobs as JSON, and what a server must be able to do for it.

        Raises ValueError if it was pushed before.
        """
        if any(one._id is not None for one in self._jobs):  # noqa: SLF001 - of this flow
            raise ValueError("this flow has been pushed: make another one")
        parents = {ref for row in self._rows for ref in row.refs}
        needs = dict.fromkeys((FLOWS,))
        objects = [msgspec.json.encode(row) for row in self._raw]
        for index, row in enumerate(self._rows):
            options: JobOptions = {**row.options}
            if index in parents and self._keep_ms and "keep_result" not in options:
                options["keep_result"] = self._keep_ms / 1000
            tail = tail_of(options)
            needs |= dict.fromkeys(needs_of(tail))
            beside: dict[str, Any] = {"queue": row.queue}
            if index in parents:
                beside["ref"] = _ref(index)
            if row.refs or row.ids:
                beside["depends_on"] = [*map(_ref, row.refs), *row.ids]
            if row.rule is not None:
                beside["on_parent_failure"] = row.rule
            head = orjson.dumps(beside)[:-1]
            objects.append(head + b"," + object_of(row.data, tail)[1:])
        return b"[" + b",".join(objects) + b"]", tuple(needs)

    def _parted(self, after: Iterable[After] | After) -> tuple[list[int], list[int]]:
        """Part what a job comes after: indexes of jobs of this flow, and ids of others."""
        if isinstance(after, FlowJob) or not isinstance(after, Iterable):
            after = (after,)
        refs: dict[int, None] = {}
        others: list[AnyJob] = []
        for one in after:
            if not isinstance(one, FlowJob):
                others.append(one)
            elif one._flow is self:  # noqa: SLF001 - may be one of this flow
                refs[one._index] = None  # noqa: SLF001
            else:
                others.append(one.id)
        ids = several_ids(others, "after") if others else []
        count = len(refs) + len(ids)
        if count > DEPENDS_ON_MAX:
            raise ValueError(
                f"a job comes after {DEPENDS_ON_MAX:,} others at most, not {count:,}"
            )
        return list(refs), ids


def _ref(index: int) -> str:
    return f"#{index}"
