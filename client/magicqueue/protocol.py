"""The client's half of the protocol, without I/O.

A `Command` is one request: its line, and how to read the reply. A `Call` is a command
under way. `Protocol` matches replies to calls: the server answers in the order of the
requests, so a queue of calls is all it takes, and a caller that gives up (a cancelled
task, a time-out) only stops looking at its call while its reply is still counted.

The asyncio and the blocking connection both drive a `Protocol`: `send` gives the bytes
to write, `receive` takes the bytes that came, `abandon` ends it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from magicqueue.errors import (
    MagicQueueError,
    ProtocolError,
    TooLarge,
    Unauthorized,
    error_from_reply,
)
from magicqueue.wire.framing import LINE_TOO_LONG, LineBuffer
from magicqueue.wire.replies import Reply

R = TypeVar("R")

REPLY_BYTES_MAX: Final = 2**30
_OK: Final = b'{"ok":true'
_REPLY: Final = msgspec.json.Decoder(Reply)


class Command(Generic[R]):
    """A request and how to read its reply.

    read: makes the answer of the line of a reply that is ok. repeat: it may be sent again
    when the connection was lost after sending it. patience_s: how long the server may
    take by design, beyond the time-out for every request.
    """

    __slots__ = ("line", "patience_s", "read", "repeat")

    def __init__(
        self,
        line: bytes,
        read: Callable[[bytes], R],
        *,
        repeat: bool = False,
        patience_s: float = 0.0,
    ) -> None:
        self.line = line
        self.read = read
        self.repeat = repeat
        self.patience_s = patience_s


class Call(Generic[R]):
    """A command under way; once `done`, it has a `value` or an `error`.

    on_done: called with the call once, when it is done.
    """

    __slots__ = ("command", "done", "error", "on_done", "sent", "tries", "value")

    def __init__(
        self, command: Command[R], on_done: Callable[["Call[R]"], None] | None = None
    ) -> None:
        self.command = command
        self.on_done = on_done
        self.sent = False
        self.done = False
        self.tries = 0
        self.value: R | None = None
        self.error: Exception | None = None

    def succeed(self, value: R) -> None:
        """Give the call its answer."""
        self.value = value
        self._finish()

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self.error = error
        self._finish()

    def result(self) -> R:
        """Give the answer of a done call, or raise its error."""
        assert self.done, "the call is still under way"
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a done call has one

    def _finish(self) -> None:
        self.done = True
        if self.on_done is not None:
            self.on_done(self)


class Protocol:
    """Calls sent over one connection, in order, until their replies come."""

    __slots__ = ("_buffer", "_waiting", "ending")

    def __init__(self) -> None:
        self.ending = False
        """The server hangs up after what it has just answered: send nothing more."""
        self._buffer = LineBuffer(REPLY_BYTES_MAX)
        self._waiting: deque[Call[Any]] = deque()

    @property
    def oldest(self) -> Call[Any] | None:
        """The call whose reply comes next."""
        return self._waiting[0] if self._waiting else None

    def send(self, call: Call[Any]) -> bytes:
        """Count the call as sent, and give the bytes to write."""
        call.sent = True
        self._waiting.append(call)
        return call.command.line

    def receive(self, piece: bytes | memoryview) -> None:
        """Take bytes as they came, and finish every call whose reply is whole.

        Raises ProtocolError; the connection is of no more use then.
        """
        try:
            lines = self._buffer.feed(memoryview(piece))
        except TooLarge:
            raise ProtocolError(f"a reply is over {REPLY_BYTES_MAX} bytes") from None
        if not lines:
            return
        one = lines.find(b"\n") == len(lines) - 1
        for line in (lines,) if one else lines.split(b"\n"):
            if line and not line.isspace():
                self._take(line)

    def abandon(self) -> list[Call[Any]]:
        """Give up all calls under way: the caller fails them, or sends them anew."""
        calls = list(self._waiting)
        self._waiting.clear()
        return calls

    def _take(self, line: bytes) -> None:
        if not self._waiting:
            raise ProtocolError(f"a reply came that nobody asked for: {line[:80]!r}")
        call = self._waiting.popleft()
        try:
            refusal = None if line.startswith(_OK) else _refusal(line)
            value = call.command.read(line) if refusal is None else None
        except MagicQueueError as error:
            call.fail(error)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            call.fail(ProtocolError(f"a reply cannot be read ({error}): {line[:80]!r}"))
        else:
            if refusal is None:
                call.succeed(value)
            else:
                self.ending = self.ending or _hangs_up(refusal)
                call.fail(refusal)


def _hangs_up(refusal: Exception) -> bool:
    if isinstance(refusal, TooLarge):
        return str(refusal).startswith(LINE_TOO_LONG)
    return isinstance(refusal, Unauthorized)


def _refusal(line: bytes) -> Exception | None:
    reply = _REPLY.decode(line)
    return None if reply.ok else error_from_reply(reply.code, reply.error)
