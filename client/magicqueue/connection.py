"""One asyncio connection to a server, from its opening until it is lost.

It drives a `protocol.Protocol` and adds the one thing that needs a clock: a reply has a
deadline, from when it is due (the request was sent, and the reply before it has come). It
is the time-out, plus what the command may take by design, plus the time that its bytes
take at `LEAST_BYTES_PER_S`; pieces of a reply move it by their size only. So neither a
half-open connection nor a server that drips can hang a caller. One timer a connection
watches that, not one a request. When the connection ends, for whatever reason, `on_lost`
gets the calls that were under way.

It has one buffer for all that comes: asyncio gives a plain protocol a new one of 256 KiB
for each piece, which costs more than a small request does in all.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from magicqueue.address import Address, Target
from magicqueue.errors import MagicQueueError, ProtocolError, Unauthorized
from magicqueue.forks import after_fork, keep, let_go
from magicqueue.protocol import Call, Protocol
from magicqueue.refusals import Line
from magicqueue.trouble import (
    late_reply,
    lost_connection,
    reason_of,
    refused_connection,
)
from magicqueue.wire.replies import ServerInfo

_BUFFER_BYTES: Final = 2**18
"""What is not used of it takes no memory."""

OnLost: TypeAlias = Callable[["Connection", list[Call[Any]], MagicQueueError], None]


class Connection(asyncio.BufferedProtocol):
    """Sends calls; made by `open_connection`."""

    def __init__(
        self, address: Address, timeout_s: float, on_lost: OnLost, *, greets: bool
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._protocol = Protocol(greets=greets, token=address.token)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._due_from = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._error: MagicQueueError | None = None
        self.closed: asyncio.Future[Any] = self._loop.create_future()
        self._descriptor = -1
        # a view: with TLS, asyncio writes into slices, and a bytearray's are copies
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        after_fork(self)

    def forked(self) -> None:
        """Let go of the parent's socket; called in a child process.

        The transport is the parent's loop's: nothing of it may be touched, nor lost.
        """
        if self._transport is not None:
            let_go(self._descriptor)
            keep(self)

    @property
    def busy(self) -> bool:
        """Whether replies are still to come."""
        return self._protocol.oldest is not None

    @property
    def usable(self) -> bool:
        """Whether a call sent now can be answered, as far as is known."""
        transport = self._transport
        ending = self._protocol.ending
        return transport is not None and not ending and not transport.is_closing()

    @property
    def server(self) -> ServerInfo | None:
        """What the server told in HELLO, once it has."""
        return self._protocol.server

    def offers(self, what: str) -> bool:
        """Whether the server has told that it can do this."""
        return self._protocol.offers(what)

    @property
    def answered(self) -> bool:
        """Whether a reply has come that can be true."""
        return self._protocol.answers > 0

    @property
    def misread_greeting(self) -> bool:
        """Whether HELLO got an answer that is none."""
        return self._protocol.misread_greeting

    def send(self, call: Call[Any]) -> None:
        """Write a call."""
        assert self._transport is not None
        idle = not self._protocol.waiting
        line = self._protocol.send(call)
        if line:
            self._transport.write(line)
        if idle:
            self._due_from = self._loop.time()
            if self._watch is None:
                self._watch_for(self._allowed_s())

    def hear(self, on_event: Callable[[Line], object] | None) -> None:
        """Have events given to somebody."""
        self._protocol.on_event = on_event

    def read_on(self, *, reading: bool) -> None:
        """Read what comes, or let it wait."""
        if self.usable and self._transport is not None:
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def abort(self, error: MagicQueueError | None = None) -> None:
        """Drop the connection at once; calls under way are handed to `on_lost`."""
        if self._error is None:
            self._error = error
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._descriptor = sock.fileno()
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Say where to put what comes (called by asyncio)."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came (called by asyncio)."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take these bytes."""
        protocol = self._protocol
        answers = protocol.answers
        try:
            protocol.receive(data)
        except (ProtocolError, Unauthorized) as error:
            self.abort(error)
            return
        if protocol.waiting and protocol.answers != answers:
            self._due_from = self._loop.time()
        if protocol.unwritten and self._transport is not None:
            self._transport.write(protocol.take_unwritten())

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand the calls under way to `on_lost` (called by asyncio)."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        error = self._error or lost_connection(self._address, exc)
        self._on_lost(self, self._protocol.abandon(), error)

    def _allowed_s(self) -> float:
        """Give the oldest call's time, but for its size."""
        oldest = self._protocol.oldest
        return self._timeout_s + (0.0 if oldest is None else oldest.command.patience_s)

    def _watch_for(self, seconds: float) -> None:
        self._watch = self._loop.call_later(seconds, self._check_deadline)

    def _check_deadline(self) -> None:
        self._watch = None
        if self._protocol.oldest is None:
            return
        allowed_s = self._allowed_s()
        due_at = self._due_from + allowed_s + self._protocol.transfer_s
        left_s = due_at - self._loop.time()
        if left_s > 0:
            self._watch_for(left_s)
        else:
            self.abort(late_reply(self._address, allowed_s))


async def open_connection(
    address: Address,
    timeout_s: float,
    on_lost: OnLost,
    *,
    greets: bool,
    connect_s: float | None = None,
) -> Connection:
    """Connect to the first target that answers. Raises ConnectionRefused.

    greets: begin with HELLO, see `protocol.Protocol`. connect_s: how long that may take,
    where that is less than for a reply.
    """
    connect_s = timeout_s if connect_s is None else connect_s
    loop = asyncio.get_running_loop()
    reasons: list[str] = []
    tls: dict[str, Any] = {}
    if address.tls is not None:
        tls = {"ssl": address.tls.context(), "server_hostname": address.host}
    try:
        async with asyncio.timeout(connect_s):
            targets = await loop.run_in_executor(None, address.targets)
            for target in targets:
                try:
                    sock = await _connect(target)
                    _, connection = await loop.create_connection(
                        lambda: Connection(address, timeout_s, on_lost, greets=greets),
                        sock=sock,
                        **tls,
                    )
                except OSError as error:
                    reasons.append(reason_of(error))
                else:
                    return connection
    except TimeoutError:
        reasons.append(f"no answer in {connect_s:g} s")
    except OSError as error:
        reasons.append(f"the name cannot be looked up: {error.strerror or error}")
    raise refused_connection(address, reasons)


async def _connect(target: Target) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, at = target
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, at)
    except BaseException:
        sock.close()
        raise
    return sock
