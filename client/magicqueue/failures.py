"""What a handler may raise, and what is told of it to the server.

Any exception fails the job: it is tried again after its backoff until its attempts are
used up. Some say more, in both workers: `Retry`, `Discard`, and `Throttle`, which is none.

What is kept with the job is the message first, so that lists stay readable, and then the
end of the traceback, as far as both fit into what a server keeps of a failure.
"""

import logging
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from magicqueue import commands
from magicqueue.durations import Duration, duration_ms
from magicqueue.errors import Cancelled
from magicqueue.job import Job
from magicqueue.job_log import fields_of, span
from magicqueue.plain_text import plain
from magicqueue.wire.limits import ERROR_CHARS_MAX

logger: Final[logging.Logger] = logging.getLogger("magicqueue")

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
        self.after_ms: int | None = None if after is None else duration_ms(after, "after")


class Discard(Exception):
    """Raised by a handler whose job must not be tried again: it is dead at once.

    It is kept with its reason among the dead letters of its queue.
    """


class Throttle(Exception):
    """Raised by a handler that was told to slow down, by a 429 of another service say.

    Throttle(30): no jobs of the job's queue are handed out for 30 s (or a timedelta), to
    any worker, and this one comes again first. It has not failed: the attempt counts as
    nothing. reason: is logged. group: True throttles the job's group, if it has one, and
    not the whole queue.
    """

    def __init__(self, span: Duration, reason: str = "", *, group: bool = False) -> None:
        super().__init__(reason)
        self.span_ms: int = duration_ms(span, "span", least_ms=1)
        self.group: bool = group


class TimeLimitExceeded(Exception):
    """What a job failed with whose handler ran into the worker's `time_limit`."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"timed out after {limit_s:g} s")
        self.limit_s = limit_s


class SoftTimeLimitExceeded(TimeLimitExceeded):
    """Raised in a task in a process after its `soft_time_limit`, to let it wind up.

    An async one is cancelled then, and its job fails with this unless it returns.
    """


class RemoteTraceback(Exception):
    """The cause of what a task raised in another process: where it was raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


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


def is_cancellation(error: BaseException) -> bool:
    """Tell whether a handler ended since it was cancelled: by asyncio, or `job.check()`."""
    # by its name: a worker of plain handlers loads no asyncio
    return isinstance(error, Cancelled) or type(error).__name__ == "CancelledError"


def log_failure(job: Job, error: BaseException) -> None:
    """Write the line of a job that has failed, with where in its handler that was."""
    message = plain(commands.message_of(error))
    fields = fields_of(job)
    if isinstance(error, Retry):
        when = "" if error.after_ms is None else f" in {span(error.after_ms / 1000)}"
        logger.info(
            "job %d of %s is to be tried again%s (attempt %d): %s",
            job.id,
            job.queue,
            when,
            job.attempts,
            message,
            extra=fields,
        )
        return
    calls = users_part(error.__traceback__)
    has_calls = calls is not None or isinstance(error.__cause__, RemoteTraceback)
    show = has_calls and not isinstance(error, Discard | TimeLimitExceeded)
    logger.warning(
        "job %d of %s failed (attempt %d): %s",
        job.id,
        job.queue,
        job.attempts,
        message,
        exc_info=(type(error), error, calls) if show else None,
        extra=fields,
    )


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
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.text.rstrip().rpartition("\n")[0]
    if calls is None:
        return _traceback_of(error.__cause__) if error.__cause__ is not None else ""
    try:
        told = traceback.TracebackException(type(error), error, calls, limit=-_FRAMES)
        message = "".join(told.format_exception_only())
        return "".join(told.format()).removesuffix(message).rstrip()
    except Exception:  # noqa: BLE001 - a user's exception may fail in any way
        return ""
