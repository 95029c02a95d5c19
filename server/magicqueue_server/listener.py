"""The listener: sockets to lines and replies to sockets, and nothing else.

All connections read into one shared buffer, since asyncio gives it to one at a time and
the lines are copied out before the next read; so an idle connection costs no buffer.

A connection that the server ends gets its last reply, then the end of the stream; what it
still sends is read and thrown away for a while: closing with unread input makes the kernel
reset the connection, and that reply would be lost. TLS has no end of one direction alone:
there it is closed whole, a little later; a client that ends its direction has ended both.

Back-pressure has two sides. Replies that are not read fill the transport's buffer, which
calls `pause_writing`: the engine then runs no more lines of this session. Lines that may
not run yet collect in the session; over `BACKLOG_BYTES_MAX`, and while the session waits
for its turn, the listener does not read the socket, and the kernel makes the client wait.
A read that filled the buffer also ends in a wait for the next round, whole lines or not.

What is kept of what clients sent, unfinished lines here and whole ones in the sessions, is
one count, and bounded: who asks for more is refused.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

import msgspec

from magicqueue.errors import Full, RequestError, TooLarge
from magicqueue.wire.framing import LineBuffer
from magicqueue_cores.line_contract import Feed
from magicqueue_server.clock import Clock
from magicqueue_server.engine import Engine
from magicqueue_server.exchange import Exchange
from magicqueue_server.logs import event
from magicqueue_server.peers import PeerWatch, is_broken
from magicqueue_server.session import Session
from magicqueue_server.turns import Turns
from magicqueue_server.unread import LINGER_S, TLS_LINGER_S, WRITE_BYTES_HIGH, Unread

READ_BYTES: Final = 256 * 1024
BACKLOG_BYTES_MAX: Final = 512 * 1024
"""So much more is read of a client that sends on without reading its replies, and that
would wait for ever if neither side read; pieces of the exchange's reads are small."""
LONG_LINE_BYTES: Final = 32 * 1024
"""With so much of an unfinished line a connection is read by the loop and not by the
exchange, whose reads are small,"""
SHORT_READ_BYTES: Final = 4 * 1024
"""until a read of no more than this is all whole lines."""

_log = logging.getLogger("magicqueue.listener")


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the listener enforces."""

    line_bytes_max: int
    input_bytes_max: int
    """Lines that are unfinished or cannot run yet, of all connections together."""
    output_bytes_max: int
    """Replies that are not being read, of all connections together."""


class Listener:
    """Makes a protocol for each connection and knows all of them."""

    def __init__(self, engine: Engine, clock: Clock, bounds: Bounds, turns: Turns) -> None:
        self.engine = engine
        self.turns = turns
        self.clock = clock
        self.bounds = bounds
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.connections: set[Connection] = set()
        self.exchange: Exchange | None = None
        """What receives from connections in the loop's place, where the core can."""
        self.peers = PeerWatch(asyncio.get_running_loop())
        self.unread = Unread(engine.sessions, bounds.output_bytes_max)
        self._nobody = asyncio.Event()
        self.on_deadline_change: Callable[[], None] = lambda: None
        """Called after the engine has run, so that the timer can follow."""

    def __call__(self) -> "Connection":
        """Make the protocol of a new connection (asyncio's protocol factory)."""
        return Connection(self)

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        self.peers.remove(connection)
        self.unread.remove(connection)
        if not self.connections:
            self._nobody.set()

    async def all_gone(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            self._nobody.clear()
            await self._nobody.wait()


class Connection(asyncio.BufferedProtocol):
    """One connection."""

    __slots__ = (
        "_both_ways",
        "_deaf",
        "_descriptor",
        "_exchange",
        "_has_left",
        "_kept",
        "_lines",
        "_linger",
        "_listener",
        "_session",
        "_transport",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._both_ways = True
        """The two directions may end one by one."""
        self._lines = LineBuffer(listener.bounds.line_bytes_max)
        self._kept = 0
        self._deaf = False
        self._descriptor = -1
        """Where the exchange receives from, if it does."""
        self._exchange: Exchange
        self._has_left = False
        self._linger: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session (asyncio calls this)."""
        listener = self._listener
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
        listener.peers.add(self, transport.get_extra_info("socket"))
        listener.connections.add(self)
        self._session = listener.engine.open(
            transport.write, self.hang_up, self.follow_backlog, listener.clock.now_ms()
        )
        self._both_ways = transport.get_extra_info("sslcontext") is None
        if listener.exchange is not None and self._both_ways:
            # not here: the loop begins to read after this call
            asyncio.get_running_loop().call_soon(self._join, listener.exchange)
        if _log.isEnabledFor(logging.DEBUG):
            peer = transport.get_extra_info("peername") or "a Unix socket"
            event(_log, logging.DEBUG, "connected", session=self._session.id, peer=peer)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Lend the shared buffer for one read."""
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Run the lines that became whole with this read."""
        if self._deaf:
            return
        comes_back = self._has_left and nbytes <= SHORT_READ_BYTES and not self._kept
        self._run(self._listener.buffer[:nbytes], more=nbytes == READ_BYTES)
        if comes_back and not self._kept:
            self._has_left = False
            self._join(self._exchange)

    def take(self, feed: Feed) -> None:
        """See to what the exchange received and could not bring to an end itself."""
        if feed.unsent:
            self._transport.write(feed.unsent)
        if len(feed.rest) < feed.received:
            self._session.greeted = True
        if feed.rest and not self._deaf:
            self._run(memoryview(feed.rest), more=feed.more)
        if self._kept >= LONG_LINE_BYTES and feed.received > 0:
            self._leave_to_loop()
        elif feed.more and self._descriptor >= 0:
            self._look_further(feed.received)
        self._follow_freedom()

    def _leave_to_loop(self) -> None:
        """Have the loop receive for now, which takes more at once and copies less of it."""
        self._has_left = True
        self._leave_exchange()
        if not self._session.held:
            self._transport.resume_reading()

    def _look_further(self, received: int) -> None:
        """There is more to read, or the end, or an error."""
        if received > 0:
            if not self._session.held:
                self._listener.turns.more_to_read()
                self._exchange.watch(self._descriptor, reading=True)
        elif received == 0:
            self._leave_exchange()
            if not self.eof_received():
                self._transport.close()
        elif is_broken(self._descriptor):
            self.abort()

    def _join(self, exchange: Exchange) -> None:
        """Let the exchange receive instead of the loop."""
        transport, session = self._transport, self._session
        if transport.is_closing() or self._deaf or session.leaving:
            return
        descriptor = transport.get_extra_info("socket").fileno()
        if not exchange.takes(descriptor):
            return
        if not session.held:
            transport.pause_reading()
        self._descriptor = descriptor
        self._exchange = exchange
        exchange.add(self, descriptor, reading=not session.held)
        session.on_free = self._follow_freedom
        self._follow_freedom()

    def _leave_exchange(self) -> None:
        """Receive from it no more: before the descriptor is closed."""
        if self._descriptor >= 0:
            self._exchange.remove(self, self._descriptor)
            self._descriptor = -1

    def _follow_freedom(self) -> None:
        """Have lines run where they arrive, if none is before them and no reply waits."""
        if self._descriptor >= 0:
            session = self._session
            busy = (
                not session.is_free
                or self._kept
                or self._deaf
                or session.checked
                or session.quick is not None
                or self._transport.get_write_buffer_size()
            )
            self._exchange.let_run(self._descriptor, 0 if busy else session.id)

    def _run(self, piece: memoryview, *, more: bool) -> None:
        """Run the lines that are whole with this piece; `more` is to be read at once."""
        listener, session = self._listener, self._session
        refusal: TooLarge | None = None
        try:
            lines = self._lines.feed(piece)
        except TooLarge as error:
            lines, refusal = self._lines.lines_before_error, error
        if self._lines.kept_bytes != self._kept:
            self._count_kept()
        if lines:
            listener.engine.feed(session, lines, listener.clock.now_ms())
            listener.on_deadline_change()
        if more:
            listener.engine.rest(session)
        if session.queued or session.counted_bytes:
            self.follow_backlog()
        if refusal is not None:
            self._give_up(refusal)
        elif self._kept or session.counted_bytes:
            self._refuse_if_full()

    def eof_received(self) -> bool:
        """Answer what was sent, then close (asyncio calls this; True: I do, later)."""
        if self._linger is not None:
            return False
        listener = self._listener
        listener.engine.leave(self._session, listener.clock.now_ms())
        listener.on_deadline_change()
        return self._both_ways

    def pause_writing(self) -> None:
        """Replies are not being read: run no more lines of this session."""
        self._session.congested = True
        self._listener.unread.add(self, self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """They have been read: go on."""
        self._session.congested = False
        self._session.on_read()
        listener = self._listener
        listener.unread.remove(self)
        listener.engine.resume(self._session, listener.clock.now_ms())
        listener.on_deadline_change()
        self.follow_backlog()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session (asyncio calls this)."""
        listener = self._listener
        listener.remove(self)
        self._leave_exchange()
        self._stop_listening()
        if self._linger is not None:
            self._linger.cancel()
        why = exc or "closed"
        event(_log, logging.DEBUG, "connection over", session=self._session.id, why=why)
        listener.engine.close(self._session, listener.clock.now_ms())
        listener.on_deadline_change()

    def follow_backlog(self) -> None:
        """Read on, or stop reading, as the session waits, or has much that waits."""
        session = self._session
        if session.leaving or self._deaf or self._transport.is_closing():
            return
        hold = session.queued or session.backlog_bytes > BACKLOG_BYTES_MAX
        if hold != session.held:
            session.held = hold
            if not hold:
                self._listener.turns.more_to_read()
            if self._descriptor >= 0:
                self._exchange.watch(self._descriptor, reading=not hold)
                self._follow_freedom()
            elif hold:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def hang_up(self) -> None:
        """End the connection from this side, in a way that the client sees all replies."""
        self._stop_listening()
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        """Close; never from within a callback of asyncio's, which would close twice."""
        transport = self._transport
        unread = self._session.held or self._descriptor >= 0
        self._leave_exchange()
        if self._session.leaving or transport.is_closing():
            transport.close()
            return
        try:
            if self._both_ways:
                transport.write_eof()
        except OSError:
            transport.abort()
            return
        if unread:
            transport.resume_reading()
        self._wait_for_peer()

    def close(self) -> None:
        """Close once what was written has been sent."""
        self._leave_exchange()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._leave_exchange()
        self._transport.abort()

    @property
    def session(self) -> Session:
        """The session of this connection."""
        return self._session

    def end_session(self, error: RequestError) -> None:
        """End a session that may go on no more: its jobs come back, its lines never run."""
        session = self._session
        self._stop_listening()
        self._follow_freedom()
        if session.congested or session.leaving:
            self.abort()
        else:
            self._give_up(error, at_once=True)

    def _count_kept(self) -> None:
        kept = self._lines.kept_bytes
        self._listener.engine.sessions.input_bytes += kept - self._kept
        self._kept = kept

    def _refuse_if_full(self) -> None:
        """Bound what is kept of all that clients sent, at the cost of who sent last."""
        listener = self._listener
        most = listener.bounds.input_bytes_max
        if listener.engine.sessions.input_bytes > most:
            error = Full(
                f"lines that are unfinished or have to wait take more than {most} bytes"
                " of the server's memory: send less at once, or raise --max-input"
            )
            self._give_up(error, at_once=self._session.parked)

    def _give_up(self, error: RequestError, *, at_once: bool = False) -> None:
        self._stop_listening()
        listener = self._listener
        now_ms = listener.clock.now_ms()
        listener.engine.refuse(self._session, error, now_ms, at_once=at_once)
        listener.on_deadline_change()

    def _stop_listening(self) -> None:
        """Throw away what is kept and what still comes."""
        self._deaf, self._lines = True, LineBuffer(0)
        self._count_kept()

    def _wait_for_peer(self) -> None:
        """Close after a while, unless the other side does: asked once in `LINGER_S`."""
        loop = asyncio.get_running_loop()
        wait_s = LINGER_S if self._both_ways else TLS_LINGER_S
        self._linger = loop.call_later(wait_s, self._end_linger)

    def _end_linger(self) -> None:
        if self._transport.get_write_buffer_size():
            self._wait_for_peer()
        elif self._both_ways:
            self._transport.abort()
        else:
            self._transport.close()
