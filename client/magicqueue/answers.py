"""What a server answers about jobs that somebody else runs: the types of it."""

from datetime import datetime
from typing import Any, Self

import msgspec
from msgspec import Raw

from magicqueue.errors import NoResult, NotDone, NotFound
from magicqueue.job import NULL, Count, Id, Word, decode, optional_datetime
from magicqueue.plain_text import plain


class Ending(msgspec.Struct, kw_only=True):
    """How a job has ended, as `wait` gives it."""

    id: Id
    state: Word
    """`done`, `dead`, `cancelled` or `expired`; `unknown` if its end was not kept."""
    _result: Raw = msgspec.field(name="result", default=NULL)
    finished_at_ms: Count | None = msgspec.field(name="finished_at", default=None)
    """When, in milliseconds since 1970."""
    attempts: Count | None = None
    """How often it was handed out."""
    error: str | None = None
    """The last failure's message, if it is dead."""
    reason: Word | None = None
    """Why it is dead."""

    @property
    def result(self) -> Any:
        """What its handler returned, decoded; None if nothing."""
        return decode(self._result)

    @property
    def raw_result(self) -> bytes:
        """The same as the JSON bytes that the server keeps."""
        return bytes(self._result)

    @property
    def finished_at(self) -> datetime | None:
        """When (UTC)."""
        return optional_datetime(self.finished_at_ms)


class Cancelling(msgspec.Struct, frozen=True):
    """What became of the jobs that `cancel` named, by their ids."""

    cancelled: list[int]
    """They waited, and are gone."""
    cancelling: list[int]
    """They are under way: their workers are told, and they will not run again."""
    missing: list[int]
    """They are settled, dead, or were never there."""


class PushedId(int):
    """The id that a push with a unique key gives."""

    duplicate: bool
    """The key was held: this is the job that holds it, and nothing was stored."""
    replaced: bool
    """The key was held: that job has got the data, priority and time of this push."""

    def __new__(
        cls, job_id: int, *, duplicate: bool = False, replaced: bool = False
    ) -> Self:
        """Make one of an id."""
        made = super().__new__(cls, job_id)
        made.duplicate = duplicate
        made.replaced = replaced
        return made


def result_of(job_id: int, endings: list[Ending]) -> Any:
    """Give the result in a WAIT's answer. Raises NotDone, NoResult or NotFound."""
    return decode(result_json(job_id, endings))


def result_json(job_id: int, endings: list[Ending]) -> Raw:
    """Give the result in a WAIT's answer as its JSON; raises as `result_of`."""
    if not endings:
        raise NotDone(f"job {job_id} has not ended in time")
    (ending,) = endings
    if ending.state == "done":
        return ending._result  # noqa: SLF001 - undecoded
    if ending.state == "unknown":
        raise NotFound(
            f"how job {job_id} ended is not known: it was never pushed, was not to be kept"
            " (keep_result), or not for so long"
        )
    why = f": {ending.error.splitlines()[0]}" if ending.error else ""
    raise NoResult(f"job {job_id} gave no result, it is {ending.state}{plain(why)}", ending)
