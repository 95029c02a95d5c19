"""The client's half of the protocol, without I/O.

A `Command` is one request: its line, and how to read the reply. A `Call` is a command
under way. `Protocol` matches replies to calls: the server answers in the order of the
requests, so a queue of calls is all it takes, and a caller that gives up (a cancelled
task, a time-out) only stops looking at its call while its reply is still counted.

The first line of each connection is a HELLO. It goes out together with the first request,
so it costs no round trip; what the server tells is kept as `server`. A server ignores
fields that it does not know, so a command that relies on a newer one names what it
`needs`: it is held back until the server has told, and fails without being sent if the
server lacks it; or it has an `instead` that is sent at once. A server that refuses HELLO
is an older one, and lacks all such things.

A reply that cannot be true (see `readers`) means that the two sides are out of step, and
that no later reply can be trusted: it ends the connection. So does one that is larger than
what the request can be answered with, as soon as that shows: `Command.reply_bytes` and,
where data is in it, the limits that HELLO told. A large reply grows in one buffer and is
read from there, never copied whole.

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
    Unauthorized,
)
from magicqueue.plain_text import plain
from magicqueue.refusals import SHOWN_BYTES, Line, hangs_up, lack_of, refusal_in
from magicqueue.wire import requests
from magicqueue.wire.limits import Limits
from magicqueue.wire.replies import ServerInfo

R = TypeVar("R")

LEAST_BYTES_PER_S: Final = 2**18
"""A deadline is moved by the time that a line takes at this speed (2 Mbit/s)."""

SMALL_REPLY_BYTES: Final = 2**16
"""Room for any reply without items, and for the longest refusal."""

REQUEST_KEYS: Final = "req_key"
"""What a server can do that remembers the key of a push, and what it answered."""

REPLY_BYTES_MAX: Final = 2**30
"""No reply is larger, whatever limits a server tells."""

_OK: Final = b'{"ok":true'


class Command(msgspec.Struct, Generic[R], frozen=True, eq=False):
    """A request and how to read its reply."""

    line: bytes
    read: Callable[[Line], R]
    """Makes the answer of the line of a reply that is ok; raises ValueError for one that
    cannot be true."""
    repeat: bool = False
    """It may be sent again when the connection was lost after sending it."""
    patience_s: float = 0.0
    """How long the server may take by design, beyond the time-out for every request."""
    needs: tuple[str, ...] = ()
    """What the server must have told in HELLO's `capabilities` for this to be sent."""
    instead: Callable[[], "Command[R]"] | None = None
    """Makes a command that says the same and needs less, for where the server has not told
    (yet)."""
    has_key: bool = False
    """It names a request key: where the server remembers those, it may be sent again."""
    lack: Exception | None = None
    """What to fail with where the server lacks what this needs; None: what it lacks."""
    reply_bytes: int = 0
    """Room for what is asked for, beyond that of a small reply."""
    holds_data: bool = False
    """Jobs' data comes on top."""
    rid: bytes = b""
    """What the reply echoes, if it echoes any."""

    def __repr__(self) -> str:
        return f"Command({self.name})"  # its line may hold a token

    @property
    def name(self) -> str:
        """The protocol's name of it, for people."""
        start = len(b'{"cmd":"')
        return self.line[start : self.line.find(b'"', start)].decode()

    def repeated(self, lost: Exception) -> "Command[R]":
        """Make what is sent again after a loss, to a server that remembers keys only."""
        needs = (*self.needs, REQUEST_KEYS)
        return msgspec.structs.replace(
            self, needs=needs, instead=None, repeat=True, lack=lost
        )


class Call(msgspec.Struct, Generic[R], eq=False):
    """A command under way; once `done`, it has a `value` or an `error`.

    on_done: called with the call once, when it is done.
    """

    command: Command[R]
    on_done: Callable[["Call[R]"], None] | None = None
    sent: bool = False
    done: bool = False
    tries: int = 0
    value: R | None = None
    error: Exception | None = None

    def succeed(self, value: R) -> None:
        """Give the call its answer."""
        self.value = value
        self.done = True
        if self.on_done is not None:
            self.on_done(self)

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self.error = error
        self.done = True
        if self.on_done is not None:
            self.on_done(self)

    def result(self) -> R:
        """Give the answer of a done call, or raise its error."""
        assert self.done, "the call is still under way"
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a done call has one


_CLIENT: Final = "magicqueue-python"
HELLO: Final = Command(
    requests.encode_request(requests.Hello(client=_CLIENT)),
    msgspec.json.Decoder(ServerInfo).decode,
    repeat=True,
)


def hello_with(token: str) -> Command[ServerInfo]:
    """Make a HELLO that shows a token."""
    request = requests.Hello(client=_CLIENT, token=token)
    return Command(requests.encode_request(request), HELLO.read, repeat=True)


class Protocol:
    """Calls sent over one connection, in order, until their replies come.

    greets: begin with HELLO. Without, it goes out before the first call that `needs` what
    HELLO tells. token: what HELLO shows; with one it always goes first.
    """

    __slots__ = (
        "_greeting",
        "_held",
        "_hello",
        "_kept",
        "_plain",
        "answers",
        "ending",
        "server",
        "unwritten",
        "waiting",
    )

    def __init__(self, *, greets: bool = True, token: str = "") -> None:
        self.ending: bool = False
        """The server hangs up after what it has just answered: send nothing more."""
        self.answers: int = 0
        """How many replies have come."""
        self.server: ServerInfo | None = None
        """What HELLO told, once it has."""
        self.unwritten = b""
        """What `receive` has let go: see `take_unwritten`."""
        self._kept = bytearray()
        self.waiting: deque[Call[Any]] = deque()
        """Calls whose replies are to come, in order."""
        self._held: deque[Call[Any]] = deque()
        self._greeting: Call[ServerInfo] | None = None
        self._hello = hello_with(token) if token else HELLO
        self._plain = not greets and not token

    @property
    def oldest(self) -> Call[Any] | None:
        """The call whose reply comes next."""
        return self.waiting[0] if self.waiting else None

    @property
    def misread_greeting(self) -> bool:
        """Whether the server gave HELLO an answer that is none, not even a refusal."""
        greeting = self._greeting
        return greeting is not None and isinstance(greeting.error, ProtocolError)

    @property
    def transfer_s(self) -> float:
        """How long the oldest call may take for its size, beyond what any may take.

        It grows with what has come of its reply, unless that begins with white space.
        """
        size = len(self.waiting[0].command.line) if self.waiting else 0
        if self._kept.startswith(b"{"):
            size += len(self._kept)
        return size / LEAST_BYTES_PER_S

    def offers(self, *what: str) -> bool:
        """Whether the server has told that it can do this."""
        told = self.server.capabilities if self.server is not None else ()
        return all(word in told for word in what)

    def send(self, call: Call[Any]) -> bytes:
        """Count the call as sent, or hold it back, and give the bytes to write."""
        needs = call.command.needs
        met = not needs or self.offers(*needs)
        if not met and call.command.instead is not None:
            # holding it back would let later requests overtake it
            call.command = call.command.instead()
            met = not call.command.needs or self.offers(*call.command.needs)
        if self._plain and met:
            call.sent = True
            self.waiting.append(call)
            return call.command.line
        line = self.take_unwritten()
        if self._greeting is None:
            self._greeting = Call(self._hello, self._greeted)
            line += self.send(self._greeting)
        if met:
            return line + self.send(call)
        self._held.append(call)
        if self._greeting.done:
            self._let_go()
            line += self.take_unwritten()
        return line

    def receive(self, piece: bytes) -> None:
        """Take bytes as they came, and finish every call whose reply is whole.

        Raises ProtocolError, or Unauthorized of a token; the connection is of no more use
        then.
        """
        first = piece.find(b"\n")
        if first < 0:
            self._keep(piece)
        elif not self._kept and first == len(piece) - 1:
            self._take(piece)
        else:
            self._take_lines(piece, first + 1)

    def take_unwritten(self) -> bytes:
        """Give the lines that `receive` let go, to be written now."""
        self._plain = True
        line, self.unwritten = self.unwritten, b""
        return line

    def abandon(self) -> list[Call[Any]]:
        """Give up all calls under way: the caller fails them, or sends them anew."""
        calls = [call for call in self.waiting if call is not self._greeting]
        calls += self._held
        if self._greeting is not None and not self._greeting.done:
            self._greeting.on_done = None
            self._greeting.fail(ConnectionLost("the connection ended"))
        self.waiting.clear()
        self._held.clear()
        return calls

    def _take_lines(self, piece: bytes, start: int) -> None:
        """Take a piece whose first line ends before `start`, and keep what follows."""
        if self._kept:
            self._kept += memoryview(piece)[:start]
            line, self._kept = self._kept, bytearray()
            self._take(line)
        else:
            start = 0
        end = piece.rfind(b"\n") + 1
        if end > start:
            for whole in piece[start:end].split(b"\n"):
                self._take(whole)
        if end < len(piece):
            self._keep(piece[end:])

    def _keep(self, part: bytes) -> None:
        self._kept += part
        size = len(self._kept)
        if size > SMALL_REPLY_BYTES and size > self._room():
            raise _untrue(self.oldest, "it is too large", self._kept)

    def _room(self) -> int:
        """Give how long the line that is coming may be."""
        if not self.waiting:
            return SMALL_REPLY_BYTES
        command = self.waiting[0].command
        room = SMALL_REPLY_BYTES + command.reply_bytes
        if command.holds_data:
            limits = self.server.limits if self.server is not None else Limits()
            many = limits.reply_payload_bytes_max + limits.job_bytes_max
            # a job may have been stored under a larger limit, but it came in a line
            room += max(many, limits.line_bytes_max, 0)
        return min(room, REPLY_BYTES_MAX)

    def _take(self, line: Line) -> None:
        ok = line.startswith(_OK)
        if not ok and (not line or line.isspace()):
            return
        if not self.waiting:
            raise _untrue(None, "nobody asked for it", line)
        call = self.waiting.popleft()
        command = call.command
        try:
            refusal = None if ok and not command.rid else refusal_in(line, command.rid)
            value = command.read(line) if refusal is None else None
        except MagicQueueError as error:
            self.answers += 1
            call.fail(error)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            bad = _untrue(call, str(error), line)
            call.fail(bad)
            raise bad from None
        else:
            self.answers += 1
            if refusal is None:
                call.succeed(value)
            else:
                self.ending = self.ending or hangs_up(refusal)
                call.fail(refusal)
                if call is self._greeting and isinstance(refusal, Unauthorized):
                    raise refusal  # what was sent with it will have no answer

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
                call.fail(call.command.lack or lack)
                continue
            call.sent = True
            self.waiting.append(call)
            self.unwritten += call.command.line
            self._plain = False


def _untrue(call: Call[Any] | None, reason: str, line: Line) -> ProtocolError:
    what = f"a reply to {call.command.name}" if call is not None else "a reply"
    return ProtocolError(
        f"{what} cannot be true ({plain(reason)}): {bytes(line[:SHOWN_BYTES])!r}. The"
        " connection was ended; a request under way may or may not have been carried out"
    )
