"""One blocking connection to a server, without an event loop.

`wait` writes what is left to write, reads what has come, and polls for either, so a caller
that sends much and reads late cannot deadlock with a server that stops reading until its
replies are read. A second descriptor may be polled with it (`wake_fd`), by which another
thread or a signal ends the wait. Without one, a request that is alone under way is waited
for where it is read (`ask`): for small ones, a third of all calls to the system.

Each reply has a deadline, as `connection` says.
"""

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from magicqueue.address import Address
from magicqueue.errors import MagicQueueError
from magicqueue.forks import after_fork
from magicqueue.protocol import Call, Protocol
from magicqueue.refusals import Line
from magicqueue.sync_tls import TlsSocket, speak_tls
from magicqueue.trouble import (
    forked_connection,
    late_reply,
    lost_connection,
    reason_of,
    refused_connection,
)
from magicqueue.wire.replies import ServerInfo

_PIECE_BYTES: Final = 2**16
"""Read at once. A larger buffer is mapped by the C library for each read, and unmapped:
that costs more than a small request does in all."""
_LARGE_PIECE_BYTES: Final = 2**18
"""The same, where the piece before filled its buffer."""
_AT_ONCE: Final = socket.MSG_DONTWAIT
_TIMEVAL: Final = struct.Struct("@ll")
_KNOWS_TIMEVAL: Final = _TIMEVAL.size == 16  # noqa: PLR2004 - elsewhere it has other forms
_BROKEN: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Interrupted(Exception):
    """The wait was ended by `wake_fd`; the call is still under way."""


class SyncConnection:
    """Sends calls over a socket; not thread-safe."""

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        wake_fd: int | None = None,
        *,
        greets: bool = True,
        connect_s: float | None = None,
    ) -> None:
        """Connect. Raises ConnectionRefused.

        greets: begin with HELLO, see `protocol.Protocol`. connect_s: how long that may
        take, where that is less than for a reply.
        """
        self._address = address
        self._timeout_s = timeout_s
        self._protocol = Protocol(greets=greets, token=address.token)
        self._unwritten = bytearray()
        self._due_from = 0.0
        self._wake_fd = wake_fd
        self._socket = _connect(address, timeout_s if connect_s is None else connect_s)
        self._piece_bytes = _PIECE_BYTES
        self._blocks = wake_fd is None and _let_reads_end(self._socket, timeout_s)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        if wake_fd is not None:
            self._poll.register(wake_fd, select.POLLIN)
        self.closed: bool = False
        after_fork(self)

    def forked(self) -> None:
        """Let go of the parent's connection; called in a child process."""
        self.close(forked_connection(self._address))

    @property
    def server(self) -> ServerInfo | None:
        """What the server told in HELLO, once it has."""
        return self._protocol.server

    def offers(self, what: str) -> bool:
        """Whether the server has told that it can do this."""
        return self._protocol.offers(what)

    @property
    def misread_greeting(self) -> bool:
        """Whether HELLO got an answer that is none."""
        return self._protocol.misread_greeting

    def send(self, call: Call[Any]) -> None:
        """Write a call, as far as it can be written now. Raises ConnectionLost."""
        protocol = self._protocol
        if not protocol.waiting:
            self._due_from = time.monotonic()
        self._write_or_keep(protocol.send(call))

    def ask(self, call: Call[Any]) -> None:
        """Send a call and wait until it is done; raises as `send` and `wait`."""
        self.send(call)
        # its time has just begun, so it ends with the socket's own
        if self._blocks and self._protocol.oldest is call and not self._unwritten:
            try:
                self._read(0)
            except MagicQueueError as error:
                self.close(error)
        if not call.done:
            self.wait(call)

    def wait(self, call: Call[Any]) -> None:
        """Wait until a sent call is done. Raises Interrupted; errors are the call's."""
        while not call.done:
            try:
                self._turn(self._time_left_s())
            except MagicQueueError as error:
                self.close(error)

    def wait_so_long(self, call: Call[Any], seconds: float) -> bool:
        """Wait so long for a sent call; tells whether it is done. Raises Interrupted."""
        until = time.monotonic() + seconds
        while not call.done and (left_s := until - time.monotonic()) > 0:
            try:
                self._turn(left_s)
            except MagicQueueError as error:
                self.close(error)
        return call.done

    def hear(self, on_event: Callable[[Line], object] | None) -> None:
        """Have events given to somebody."""
        self._protocol.on_event = on_event

    def listen(self, seconds: float) -> bool:
        """Wait so long; gives whether anything came. Raises ConnectionLost."""
        answers = self._protocol.answers
        try:
            self._turn(seconds)
            if self._protocol.ending:
                raise lost_connection(self._address, None)
        except MagicQueueError as error:
            self.close(error)
            raise
        return self._protocol.answers != answers

    def check(self, *, look: bool = True) -> None:
        """Take what has come, without waiting; `closed` if the server has closed it.

        look: at the socket; False: see only whether the server has said that it hangs up.
        """
        try:
            if look and not self.closed and self._poll_now():
                self._read()
        except MagicQueueError as error:
            self.close(error)
        if self._protocol.ending:
            self.close()

    def close(self, error: Exception | None = None) -> None:
        """Close the socket; calls under way fail with the error."""
        if self.closed:
            return
        self.closed = True
        self._socket.close()
        error = error or lost_connection(self._address, None)
        for call in self._protocol.abandon():
            call.fail(error)

    def _write_or_keep(self, line: bytes) -> None:
        if self._unwritten:
            self._unwritten += line
        elif line:
            written = self._write(line)
            if written < len(line):
                self._unwritten += memoryview(line)[written:]
                self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)

    def _time_left_s(self) -> float:
        oldest = self._protocol.oldest
        patience_s = oldest.command.patience_s if oldest is not None else 0.0
        allowed_s = self._timeout_s + patience_s
        left_s = self._due_from + allowed_s - time.monotonic()
        if left_s <= 0:  # what a long line may take beyond that is looked at only then
            left_s += self._protocol.transfer_s
        if left_s <= 0:
            raise late_reply(self._address, allowed_s)
        return left_s

    def _turn(self, seconds: float) -> None:
        events = dict(self._poll.poll(seconds * 1000))
        if self._wake_fd is not None and self._wake_fd in events:
            raise Interrupted
        event = events.get(self._socket.fileno(), 0)
        if event & (select.POLLIN | _BROKEN):
            self._read()
        if event & select.POLLOUT and not self.closed:
            del self._unwritten[: self._write(self._unwritten)]
            if not self._unwritten:
                self._poll.modify(self._socket, select.POLLIN)

    def _poll_now(self) -> bool:
        events = self._poll.poll(0)  # nearly always empty
        if not events:
            return False
        event = dict(events).get(self._socket.fileno(), 0)
        return bool(event & (select.POLLIN | _BROKEN))

    def _write(self, line: bytes | bytearray) -> int:
        try:
            return self._socket.send(line, _AT_ONCE)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise lost_connection(self._address, error) from None

    def _read(self, flags: int = _AT_ONCE) -> None:
        try:
            piece = self._socket.recv(self._piece_bytes, flags)
        except BlockingIOError:
            return
        except OSError as error:
            raise lost_connection(self._address, error) from None
        if not piece:
            raise lost_connection(self._address, None)
        is_full = len(piece) >= self._piece_bytes
        self._piece_bytes = _LARGE_PIECE_BYTES if is_full else _PIECE_BYTES
        protocol = self._protocol
        answers = protocol.answers
        protocol.receive(piece)
        if protocol.waiting and protocol.answers != answers:
            self._due_from = time.monotonic()
        if protocol.unwritten:
            self._write_or_keep(protocol.take_unwritten())


def _let_reads_end(sock: socket.socket | TlsSocket, timeout_s: float) -> bool:
    """Have a read that waits end after so long; tells whether it can."""
    if isinstance(sock, TlsSocket) or not _KNOWS_TIMEVAL:
        return False
    seconds = int(timeout_s)
    value = _TIMEVAL.pack(seconds, int((timeout_s - seconds) * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    return True


def _connect(address: Address, timeout_s: float) -> socket.socket | TlsSocket:
    reasons: list[str] = []
    try:
        for family, at in address.targets():
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout_s)
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                sock.connect(at)
                if address.tls is not None:
                    return speak_tls(sock, address.tls, address.host)
            except OSError as error:
                sock.close()
                reasons.append(reason_of(error))
            except BaseException:
                sock.close()
                raise
            else:
                sock.settimeout(None)  # each read and write says whether it waits
                return sock
    except OSError as error:
        reasons.append(f"the name cannot be looked up: {error.strerror or error}")
    raise refused_connection(address, reasons)
