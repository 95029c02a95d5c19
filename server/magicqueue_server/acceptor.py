"""Where connections come in: how many there may be, and what the rest is told.

The server accepts by itself, a few connections a turn, instead of leaving that to the
loop: asyncio takes in whoever comes until there are no more file descriptors, and uvloop
then closes clients without a word. Some descriptors are kept in reserve, for the log's
files and for refusals: a connection over the bound is accepted, gets one error line, and
is closed. Should descriptors run out all the same, those who connect wait in the system's
queue until some are free.
"""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from magicqueue.errors import Full
from magicqueue.wire import replies
from magicqueue_server.clock import Clock
from magicqueue_server.logs import event
from magicqueue_server.tls import HANDSHAKE_S, SHUTDOWN_S, ServerTls

QUEUE: Final = 4096
"""So many clients may wait to be accepted."""
_ACCEPTS_A_TURN: Final = 16
_OPEN_FILES: Final = Path("/proc/self/fd")
_RESERVED_FILES: Final = 64
_REST_S: Final = 0.25
_MOMENT_S: Final = 0.05
_LINGER_S: Final = 2.0
_COMPLAINT_MS: Final = 5_000
_NO_MORE_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("magicqueue")


def tcp_socket(family: int, address: str, port: int) -> socket.socket:
    """Listen on one TCP address; raises OSError."""
    sock = bound_socket(family, address, port)
    try:
        sock.listen(QUEUE)
    except BaseException:
        sock.close()
        raise
    return sock


def bound_socket(family: int, address: str, port: int) -> socket.socket:
    """Take a TCP address without listening yet; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class Places:
    """How many connections there may be, those included that are just coming.

    wanted: the bound as the user set it. taken: tells how many connections are open.
    """

    def __init__(self, wanted: int, taken: Callable[[], int], clock: Clock) -> None:
        files = _raise_file_limit(wanted)
        self.reserved = min(_RESERVED_FILES, files // 4)
        self.most = max(1, min(wanted, files - self.reserved))
        self.coming: set[asyncio.Task[object]] = set()
        self.refusals: set[Refusal] = set()
        self._taken = taken
        self._clock = clock
        self._complain_again_ms = 0
        if self.most < wanted:
            event(
                _log,
                logging.INFO,
                "fewer connections than max_connections: raise ulimit -n for more",
                most=self.most,
                max_connections=wanted,
            )

    @property
    def free(self) -> bool:
        """Whether one more connection may come in."""
        return self._taken() < self.most

    @property
    def undecided(self) -> bool:
        """Whether that depends on those who are just coming."""
        return self._taken() < self.most <= self._taken() + len(self.coming)

    @property
    def free_with_those_coming(self) -> bool:
        """Whether one more may come in, if all come in who are just coming."""
        return self._taken() + len(self.coming) < self.most

    def refuse(self, sock: socket.socket) -> "Refusal | None":
        """Give what tells a client over the bound why; None if it was told at once."""
        self.complain("connections are refused: there are as many as there may be")
        if len(self.refusals) < self.reserved // 2:
            refusal = Refusal(self)
            self.refusals.add(refusal)
            return refusal
        with sock:
            try:
                sock.send(self.last_words)
            except OSError as error:
                event(_log, logging.DEBUG, "a refusal could not be sent", why=error)
        return None

    @property
    def last_words(self) -> bytes:
        """What a client over the bound is told."""
        return replies.refused(
            Full(
                f"the server has {self.most} connections, as many as it may have: close"
                " some, or raise --max-connections (and ulimit -n)"
            )
        )

    def complain(self, text: str, why: object = None) -> None:
        """Log a warning, but not again and again."""
        if self._clock.now_ms() >= self._complain_again_ms:
            self._complain_again_ms = self._clock.now_ms() + _COMPLAINT_MS
            facts = {"most": self.most} if why is None else {"why": why}
            event(_log, logging.WARNING, text, **facts)


class Acceptor:
    """Accepts at one listening socket, from when it is made until `close`.

    protocol: makes the protocol of a connection. tls: what connections are encrypted with;
    their places are taken while they greet, and one over the bound is closed unheard.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        places: Places,
        tls: ServerTls | None = None,
    ) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._protocol = protocol
        self._places = places
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._rest: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(sock.fileno(), self._accept)

    @property
    def name(self) -> tuple[str, int]:
        """The TCP address and port that it listens on."""
        name = self._sock.getsockname()
        return name[0], name[1]

    def close(self) -> None:
        """Accept no more."""
        if self._closed:
            return
        self._closed = True
        if self._rest is not None:
            self._rest.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if self._tls is None and self._places.undecided:
                return  # the loop calls again
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it is gone again
            except OSError as error:
                self._wait(error)
                return
            self._take_in(sock)

    def _take_in(self, sock: socket.socket, *, again: bool = False) -> None:
        """Connect, or refuse. again: this client has waited for who was just coming."""
        places = self._places
        protocol = self._protocol
        if self._tls is not None and not places.free_with_those_coming:
            if places.free and not (again or self._closed):
                # who has greeted a moment ago is both here and coming
                self._loop.call_later(_MOMENT_S, partial(self._take_in, sock, again=True))
                return
            places.complain("connections are refused: there are as many as there may be")
            sock.close()
            return
        if not places.free:
            refusal = places.refuse(sock)
            if refusal is None:
                return
            protocol = lambda: refusal  # noqa: E731
        sock.settimeout(0)
        coming = self._loop.create_task(self._connect(protocol, sock))
        places.coming.add(coming)
        coming.add_done_callback(places.coming.discard)

    async def _connect(
        self, protocol: Callable[[], asyncio.BaseProtocol], sock: socket.socket
    ) -> None:
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls.context,
                "ssl_handshake_timeout": HANDSHAKE_S,
                "ssl_shutdown_timeout": SHUTDOWN_S,
            }
        try:
            await self._loop.connect_accepted_socket(protocol, sock, **tls)
        except OSError as error:
            event(_log, logging.DEBUG, "a connection did not come about", why=error)
            sock.close()

    def _wait(self, error: OSError) -> None:
        """Let those who connect wait in the system's queue for a while."""
        text = "connections cannot be accepted and have to wait"
        if error.errno in _NO_MORE_FILES:
            text = "connections have to wait: raise ulimit -n"
        self._places.complain(text, error)
        self._loop.remove_reader(self._sock.fileno())
        self._rest = self._loop.call_later(_REST_S, self._go_on)

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._sock.fileno(), self._accept)


class Refusal(asyncio.Protocol):
    """A connection over the bound: is told why, and not listened to until it closes.

    Closing at once would make the system take the line back, if the client has sent
    something meanwhile.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say why (asyncio calls this)."""
        transport = cast("asyncio.Transport", transport)
        transport.write(self._places.last_words)
        transport.write_eof()
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(_LINGER_S, transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Be gone (asyncio calls this)."""
        self._places.refusals.discard(self)
        if self._linger is not None:
            self._linger.cancel()


def _raise_file_limit(connections: int) -> int:
    """Have the system allow so many connections, if it does; gives how many it allows."""
    here = sum(1 for _ in _OPEN_FILES.iterdir()) if _OPEN_FILES.is_dir() else 32
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + here + _RESERVED_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else max(0, soft - here)
