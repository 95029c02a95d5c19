"""Whether the other side of a TCP connection is still there.

Four cases, and about half a minute for each. **Idle**: keepalive probes, by the system.
**Data under way**: TCP_USER_TIMEOUT, by the system. **A closed window**: the peer's machine
is there and answers every probe, but its program does not read. Such a peer keeps its
connection and its jobs for as long as it likes. But the system counts TCP_USER_TIMEOUT from
when the window closed, answers or not, and without it probes only every two minutes, so a
peer that is **gone behind a closed window** would be noticed late. So the `PeerWatch` looks
at each connection every few seconds, and where the window is closed moves the time-out on
for as long as answers come. That also keeps the probes coming: the system sends none later
than the time-out.
"""

import asyncio
import socket
import struct
from collections import deque
from typing import Final

KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 5
KEEPALIVE_PROBES: Final = 4
USER_TIMEOUT_MS: Final = 30_000
LOOK_EVERY_MS: Final = 5_000
MARGIN_MS: Final = 17_000
"""Between the last answer and the time-out: so often at least is the peer probed."""
_LOOKS_A_TURN: Final = 32
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
_INFO_BYTES: Final = 148
_UNACKED_AT: Final = 24
_LAST_ACK_RECEIVED_MS_AT: Final = 56
_NOT_SENT_BYTES_AT: Final = 144
_WORD: Final = struct.Struct("=I")


class Peer:
    """One TCP connection as the watch sees it."""

    __slots__ = ("_closed_since_ms", "_sock", "timeout_ms")

    def __init__(self, sock: socket.socket) -> None:
        """Have the system notice by itself what it can."""
        self._sock = sock
        self._closed_since_ms: int | None = None
        self.timeout_ms = USER_TIMEOUT_MS
        options = (
            (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
            (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
            (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
            (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
            (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_PROBES),
            (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
        )
        for level, name, value in options:
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(level, option, value)

    def look(self, now_ms: int) -> None:
        """Move the time-out on if the window is closed and the peer answers.

        Raises OSError if the connection is gone.
        """
        info = self._sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO or 0, _INFO_BYTES)
        if len(info) < _INFO_BYTES:
            return
        (unacked,) = _WORD.unpack_from(info, _UNACKED_AT)
        (not_sent_bytes,) = _WORD.unpack_from(info, _NOT_SENT_BYTES_AT)
        (silent_ms,) = _WORD.unpack_from(info, _LAST_ACK_RECEIVED_MS_AT)
        self.judge(now_ms, silent_ms, window_closed=not unacked and not_sent_bytes > 0)

    def judge(self, now_ms: int, silent_ms: int, *, window_closed: bool) -> None:
        """Choose the time-out: with a closed window, as long as it has been, and more."""
        timeout_ms = USER_TIMEOUT_MS
        if not window_closed:
            self._closed_since_ms = None
        elif silent_ms > MARGIN_MS:
            return  # it may be gone: the time-out stays where it is
        else:
            if self._closed_since_ms is None:
                self._closed_since_ms = now_ms - LOOK_EVERY_MS
            timeout_ms = max(timeout_ms, now_ms - self._closed_since_ms + MARGIN_MS)
        if timeout_ms != self.timeout_ms:
            self._sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT or 0, timeout_ms)
            self.timeout_ms = timeout_ms


class PeerWatch:
    """Looks at all peers every few seconds, a few at a time; not at all without any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._peers: dict[object, Peer] = {}
        self._to_do: deque[object] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: object, sock: socket.socket | None) -> None:
        """Watch the peer of a connection, if it is one of TCP."""
        if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        self._peers[connection] = Peer(sock)
        if self._timer is None and _TCP_INFO is not None and _USER_TIMEOUT is not None:
            self._timer = self._loop.call_later(LOOK_EVERY_MS / 1000, self._look)

    def remove(self, connection: object) -> None:
        """Watch it no longer."""
        self._peers.pop(connection, None)
        if not self._peers:
            self.close()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Look at some; the next ones soon, so that all have been after the usual time."""
        if not self._to_do:
            self._to_do.extend(self._peers)
        turns = -(-len(self._peers) // _LOOKS_A_TURN)
        wait_s = LOOK_EVERY_MS / 1000 / max(1, turns)
        self._timer = self._loop.call_later(wait_s, self._look)
        now_ms = int(self._loop.time() * 1000)
        for _ in range(min(_LOOKS_A_TURN, len(self._to_do))):
            peer = self._peers.get(self._to_do.popleft())
            if peer is not None:
                try:
                    peer.look(now_ms)
                except OSError:
                    continue  # the loop will tell, too


def is_broken(descriptor: int) -> bool:
    """Whether a connection is at its end, or has an error that was told already."""
    sock = socket.socket(fileno=descriptor)
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.detach()
