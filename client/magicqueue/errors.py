"""Everything that can go wrong, as one tree of exceptions.

    MagicQueueError
    ├── RequestError           the server refused one request; `code` says why
    │   ├── BadJson, BadRequest, UnknownCommand, NotFound, Stale, Duplicate, TooLarge, Full,
    │   └── Paused, Unauthorized, Forbidden, ReadOnly, ShuttingDown, InternalError
    ├── ConnectionLost         the connection went away before the answer came
    ├── ConnectionRefused      no server answered where one was expected (also Python's
    │                          own ConnectionRefusedError)
    ├── RequestTimeout         no answer in time; the request may still be carried out
    ├── ProtocolError          the other side sent what the protocol does not allow
    ├── Unsupported            the server cannot do what the request needs
    ├── NoResult               the job did not end as done; `ending` says how it did
    ├── NotDone                the job has not ended in time (also Python's TimeoutError)
    ├── Cancelled              `job.check()`: the job that runs is not wanted any more
    ├── Closed                 the queue or worker has been closed before this call
    ├── NotJson                data that JSON cannot hold (also a TypeError)
    ├── BadAddress             a server's address that cannot be read (also a ValueError)
    └── HandlerNotFound        a worker's handler cannot be imported

The server raises `RequestError`s too, to answer with them: a code for programs, a sentence
for people.
"""

import errno
from typing import TYPE_CHECKING

from magicqueue.plain_text import plain

if TYPE_CHECKING:
    from magicqueue.answers import Ending

_SENTENCE_CHARS_MAX = 4096
_CODE_CHARS_MAX = 40


class MagicQueueError(Exception):
    """Base of every error that MagicQueue raises on purpose."""


class RequestError(MagicQueueError):
    """One request was refused; nothing was changed by it and the connection goes on."""

    code: str = "INTERNAL"
    """What is wrong, for programs; the protocol's word."""

    @property
    def sentence(self) -> str:
        """What is wrong, where, and what to do."""
        return str(self)


class BadJson(RequestError):
    """The line is not a JSON object by the strict rules (RFC 8259, UTF-8)."""

    code = "BAD_JSON"


class BadRequest(RequestError):
    """A field is missing or has a value that it cannot have."""

    code = "BAD_REQUEST"


class UnknownCommand(RequestError):
    """There is no such `cmd`."""

    code = "UNKNOWN_COMMAND"


class NotFound(RequestError):
    """The job is not there, or not in a state that the request applies to."""

    code = "NOT_FOUND"


class Stale(RequestError):
    """The job has been handed out again since the attempt that was named."""

    code = "STALE"


class Duplicate(RequestError):
    """A job with the same unique key is there, and the push asked to be refused then."""

    code = "DUPLICATE"

    job_id: int | None = None
    """Which job that is, if it was not one of the same request."""


class TooLarge(RequestError):
    """A line, a job or a batch is over its limit."""

    code = "TOO_LARGE"


class Full(RequestError):
    """The server holds as many jobs or bytes as it may."""

    code = "FULL"


class Paused(RequestError):
    """The queue is paused and the request cannot wait."""

    code = "PAUSED"


class Unauthorized(RequestError):
    """The connection has shown no token, or one that is not known (any more)."""

    code = "UNAUTHORIZED"


class Forbidden(RequestError):
    """The token does not allow this command, or not for this queue."""

    code = "FORBIDDEN"


class ReadOnly(RequestError):
    """The server can no longer write its log, so it accepts no changes."""

    code = "READ_ONLY"


class ShuttingDown(RequestError):
    """The server is stopping and accepts no new work."""

    code = "SHUTTING_DOWN"


class InternalError(RequestError):
    """The server met a bug of its own; its log says more."""

    code = "INTERNAL"


class ConnectionLost(MagicQueueError):
    """The connection went away; a request under way may or may not have been done."""


class ConnectionRefused(MagicQueueError, ConnectionRefusedError):
    """No server answers at the `address` given, for a `reason` in words."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        # an OSError takes two arguments for a number and a text
        self.errno: int = errno.ECONNREFUSED
        self.strerror: str = reason
        self.address = address
        self.reason = reason

    @property
    def fact(self) -> str:
        """What is wrong and where, without what to do."""
        return f"no server answers at {self.address} ({self.reason})"

    def __str__(self) -> str:
        return (
            f"{self.fact}: start one with `magicqueue serve`, or give its address as"
            " url=… or in MAGICQUEUE_URL"
        )


class RequestTimeout(MagicQueueError):
    """No answer came in time; the request may still be carried out."""


class ProtocolError(MagicQueueError):
    """The other side sent something that the protocol does not allow."""


class Unsupported(MagicQueueError):
    """The server is too old for this request, which was not sent."""


class NoResult(MagicQueueError):
    """The job has ended without a result: it is dead, or was cancelled, or expired.

    ending: how, a `magicqueue.Ending`.
    """

    def __init__(self, sentence: str, ending: "Ending") -> None:
        super().__init__(sentence, ending)
        self.ending = ending

    def __str__(self) -> str:
        return str(self.args[0])


class NotDone(MagicQueueError, TimeoutError):
    """The job has not ended within the time that was given; it goes on."""


class Cancelled(MagicQueueError):
    """The job that a handler runs was cancelled, or its lease is over: it may stop."""


class Closed(MagicQueueError):
    """The queue or worker has been closed and takes no more calls."""


class NotJson(MagicQueueError, TypeError):
    """A job's data holds something that JSON has no form for; the message names it."""


class BadAddress(MagicQueueError, ValueError):
    """A server's address that cannot be read."""


class HandlerNotFound(MagicQueueError):
    """The handler named for a worker cannot be imported."""


PASSING_REFUSALS = (ShuttingDown, ReadOnly, InternalError)
"""A server that refuses a pull so may be asked again later."""

_BY_CODE: dict[str, type[RequestError]] = {
    error.code: error
    for error in (
        BadJson,
        BadRequest,
        UnknownCommand,
        NotFound,
        Stale,
        Duplicate,
        TooLarge,
        Full,
        Paused,
        Unauthorized,
        Forbidden,
        ReadOnly,
        ShuttingDown,
        InternalError,
    )
}
ERROR_CODES = tuple(_BY_CODE)


def error_from_reply(code: str, sentence: str, job_id: int | None = None) -> RequestError:
    """Make the exception for an error reply; an unknown code gives a RequestError.

    job_id: the job that stands in the way, if the reply names one.
    The sentence comes from elsewhere: it is made harmless for a terminal and a log.
    """
    kind = _BY_CODE.get(code)
    sentence = plain(sentence[:_SENTENCE_CHARS_MAX])
    if kind is not None:
        error = kind(sentence)
        if isinstance(error, Duplicate):
            error.job_id = job_id
        return error
    error = RequestError(sentence)
    error.code = plain(code[:_CODE_CHARS_MAX])
    return error
