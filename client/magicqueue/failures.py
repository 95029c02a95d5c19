"""What a handler may raise, and what is told of it to the server.

Any exception fails the job: it is tried again after its backoff until its attempts are
used up. Two exceptions say more, in both workers: `Retry` and `Discard`.

What is kept with the job is the message first, so that lists stay readable, and then the
end of the traceback, as far as both fit into what a server keeps of a failure.
"""

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from magicqueue import commands
from magicqueue.durations import Duration, duration_ms
from magicqueue.job import Job
from magicqueue.wire.limits import ERROR_CHARS_MAX

_MESSAGE_CHARS_MAX: Final = ERROR_CHARS_MAX // 4
"""A longer message is cut where there is a traceback to keep, too."""
_FRAMES: Final = 60
"""The innermost calls of a traceback; their text is cut by its length then."""


class Retry(Exception):
    """Raised by a handler to have its job tried again, at a time of its choice.

    reason: kept with the job. after: how long from now; None is the job's own backoff.
    It counts as a failed attempt, so a job that always raises it is dead in the end.
    """

    def __init__(self, reason: str = "", *, after: Duration | None = None) -> None:
        super().__init__(reason)
        self.after_ms = None if after is None else duration_ms(after, "after")


class Discard(Exception):
    """Raised by a handler whose job must not be tried again: it is dead at once.

    It is kept with its reason among the dead letters of its queue.
    """


class TimeLimitExceeded(Exception):
    """What a job failed with whose handler ran into the worker's `time_limit`."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"timed out after {limit_s:g} s")
        self.limit_s = limit_s


@dataclass(frozen=True, slots=True)
class Failure:
    """One job that failed, as the server is told.

    retry: whether it may be tried again. delay_ms: when, from now; None is its backoff.
    """

    job: Job
    error: str
    retry: bool = True
    delay_ms: int | None = None

    @property
    def is_special(self) -> bool:
        """Whether it says more than that the job has failed: an older server cannot."""
        return not self.retry or self.delay_ms is not None


def failure_of(job: Job, error: BaseException) -> Failure:
    """Say what became of a job whose handler raised."""
    delay_ms = error.after_ms if isinstance(error, Retry) else None
    return Failure(job, text_of(error), not isinstance(error, Discard), delay_ms)


def text_of(error: BaseException) -> str:
    """Give an exception's message, and below it the end of its traceback."""
    message = commands.message_of(error)
    trace = _traceback_of(error)
    if not trace:
        return message
    if len(message) > _MESSAGE_CHARS_MAX:
        message = f"{message[: _MESSAGE_CHARS_MAX - 1]}…"
    room = ERROR_CHARS_MAX - len(message) - 2
    if len(trace) > room:
        trace = f"…{trace[1 - room :]}"
    return f"{message}\n\n{trace}"


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """Skip this package's calls, as far as the first that is not its own."""
    while trace is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("magicqueue."):
            return trace
        trace = trace.tb_next
    return None


def _traceback_of(error: BaseException) -> str:
    """Write the traceback without its last line, which is the message."""
    calls = users_part(error.__traceback__)
    if calls is None:
        return _traceback_of(error.__cause__) if error.__cause__ is not None else ""
    try:
        told = traceback.TracebackException(type(error), error, calls, limit=-_FRAMES)
        message = "".join(told.format_exception_only())
        return "".join(told.format()).removesuffix(message).rstrip()
    except Exception:  # noqa: BLE001 - a user's exception may fail in any way
        return ""
