"""The client's half of the protocol, without I/O.

A `Command` is one request: its line, and how to read the reply. A `Call` is a command
under way. `Protocol` matches replies to calls: the server answers in the order of the
requests, so a queue of calls is all it takes, and a caller that gives up (a cancelled
task, a time-out) only stops looking at its call while its reply is still counted.

The first line of each connection is a HELLO. It goes out together with the first request,
so it costs no round trip; what the server tells is kept as `server`. A server ignores
fields that it does not know, so a command that relies on a newer one names what it
`needs`: it is held back until the server has told, and fails without being sent if the
server lacks it. A server that refuses HELLO is an older one, and lacks all such things.

A reply that cannot be true means that the two sides are out of step, and that no later
reply can be trusted: it ends the connection.

The asyncio and the blocking connection both drive a `Protocol`: `send` gives the bytes
to write, `receive` takes the bytes that came, `take_unwritten` gives what these let go,
`abandon` ends it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from magicqueue.errors import (
    ConnectionLost,
    MagicQueueError,
    ProtocolError,
    TooLarge,
    Unauthorized,
    Unsupported,
    error_from_reply,
)
from magicqueue.wire import requests
from magicqueue.wire.framing import LINE_TOO_LONG, LineBuffer
from magicqueue.wire.replies import Reply, ServerInfo

R = TypeVar("R")

REPLY_BYTES_MAX: Final = 2**30
_OK: Final = b'{"ok":true'
_REPLY: Final = msgspec.json.Decoder(Reply)


class Command(Generic[R]):
    """A request and how to read its reply.

    read: makes the answer of the line of a reply that is ok. repeat: it may be sent again
    when the connection was lost after sending it. patience_s: how long the server may
    take by design, beyond the time-out for every request. needs: what the server must
    have told in HELLO's `capabilities` for this to be sent.
    """

    __slots__ = ("line", "needs", "patience_s", "read", "repeat")

    def __init__(
        self,
        line: bytes,
        read: Callable[[bytes], R],
        *,
        repeat: bool = False,
        patience_s: float = 0.0,
        needs: str | None = None,
    ) -> None:
        self.line = line
        self.read = read
        self.repeat = repeat
        self.patience_s = patience_s
        self.needs = needs


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


HELLO: Final = Command(
    requests.encode_request(requests.Hello(client="magicqueue-python")),
    msgspec.json.Decoder(ServerInfo).decode,
    repeat=True,
)


class Protocol:
    """Calls sent over one connection, in order, until their replies come.

    greets: begin with HELLO. Without, it goes out before the first call that `needs` what
    HELLO tells.
    """

    __slots__ = (
        "_buffer",
        "_greeting",
        "_held",
        "_plain",
        "_unwritten",
        "_waiting",
        "answered",
        "ending",
        "server",
    )

    def __init__(self, *, greets: bool = True) -> None:
        self.ending = False
        """The server hangs up after what it has just answered: send nothing more."""
        self.answered = False
        """A reply that makes sense has come."""
        self.server: ServerInfo | None = None
        """What HELLO told, once it has."""
        self._unwritten = b""
        self._buffer = LineBuffer(REPLY_BYTES_MAX)
        self._waiting: deque[Call[Any]] = deque()
        self._held: deque[Call[Any]] = deque()
        self._greeting: Call[ServerInfo] | None = None
        self._plain = not greets

    @property
    def oldest(self) -> Call[Any] | None:
        """The call whose reply comes next."""
        return self._waiting[0] if self._waiting else None

    @property
    def misread_greeting(self) -> bool:
        """Whether the server gave HELLO an answer that is none, not even a refusal."""
        greeting = self._greeting
        return greeting is not None and isinstance(greeting.error, ProtocolError)

    def send(self, call: Call[Any]) -> bytes:
        """Count the call as sent, or hold it back, and give the bytes to write."""
        if self._plain and call.command.needs is None:
            call.sent = True
            self._waiting.append(call)
            return call.command.line
        line = self.take_unwritten()
        if self._greeting is None:
            self._greeting = Call(HELLO, self._greeted)
            line += self.send(self._greeting)
        if call.command.needs is None:
            return line + self.send(call)
        self._held.append(call)
        if self._greeting.done:
            self._let_go()
            line += self.take_unwritten()
        return line

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

    def take_unwritten(self) -> bytes:
        """Give the lines that `receive` let go, to be written now."""
        self._plain = True
        line, self._unwritten = self._unwritten, b""
        return line

    def abandon(self) -> list[Call[Any]]:
        """Give up all calls under way: the caller fails them, or sends them anew."""
        calls = [call for call in self._waiting if call is not self._greeting]
        calls += self._held
        if self._greeting is not None and not self._greeting.done:
            self._greeting.on_done = None
            self._greeting.fail(ConnectionLost("the connection ended"))
        self._waiting.clear()
        self._held.clear()
        return calls

    def _take(self, line: bytes) -> None:
        if not self._waiting:
            raise ProtocolError(f"a reply came that nobody asked for: {line[:80]!r}")
        call = self._waiting.popleft()
        try:
            refusal = None if line.startswith(_OK) else _refusal(line)
            value = call.command.read(line) if refusal is None else None
        except ProtocolError as error:
            call.fail(error)
            raise
        except MagicQueueError as error:
            self.answered = True
            call.fail(error)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            bad = ProtocolError(f"a reply cannot be read ({error}): {line[:80]!r}")
            call.fail(bad)
            raise bad from None
        else:
            self.answered = True
            if refusal is None:
                call.succeed(value)
            else:
                self.ending = self.ending or _hangs_up(refusal)
                call.fail(refusal)

    def _greeted(self, greeting: Call[ServerInfo]) -> None:
        if not isinstance(greeting.error, ProtocolError):
            self.server = greeting.value
            self._let_go()

    def _let_go(self) -> None:
        """Send the calls held back that the server can do, and fail the others."""
        held, self._held = self._held, deque()
        for call in held:
            lack = lack_of(self.server, call.command.needs)
            if lack is not None:
                call.fail(lack)
                continue
            call.sent = True
            self._waiting.append(call)
            self._unwritten += call.command.line
            self._plain = False


def lack_of(server: ServerInfo | None, needs: str | None) -> Unsupported | None:
    """Say what a server lacks of what a request needs; None if nothing.

    server: what it told in HELLO; None is one that knows no HELLO.
    """
    if needs is None:
        return None
    if server is None:
        who = "the server, which does not answer HELLO,"
    elif needs in server.capabilities:
        return None
    else:
        who = f"the server ({server.server} {server.version})"
    return Unsupported(
        f"{who} does not offer {needs!r}, which this request needs: nothing was sent."
        " Run a newer server, or do without"
    )


def _hangs_up(refusal: Exception) -> bool:
    if isinstance(refusal, TooLarge):
        return str(refusal).startswith(LINE_TOO_LONG)
    return isinstance(refusal, Unauthorized)


def _refusal(line: bytes) -> Exception | None:
    reply = _REPLY.decode(line)
    return None if reply.ok else error_from_reply(reply.code, reply.error)
