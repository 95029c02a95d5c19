"""The server as a whole: the order in which its parts start and stop.

Start: core, engine, listener, sockets, signals; then it says where it listens. A timer
follows the engine's next deadline. Stop, on SIGTERM or SIGINT: no new connections, blocked
pulls answered, pushes refused; jobs under way may still be settled until none is left or
the grace is over; then replies are sent out and connections closed. A second signal ends
the process at once.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from magicqueue_cores import make_core
from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.pending import Pending
from magicqueue_server.clock import Clock, SystemClock
from magicqueue_server.commands import ServerFacts
from magicqueue_server.config import Config
from magicqueue_server.incidents import Incidents, TellingEngine
from magicqueue_server.listener import Listener
from magicqueue_server.logs import event
from magicqueue_server.safekeeping import CannotOpen, Safekeeping
from magicqueue_server.session import Session
from magicqueue_server.trace import TracingEngine
from magicqueue_server.unix_socket import CannotBind, UnixSocket

_BACKLOG: Final = 4096
_ACCEPTS_A_TURN: Final = 64
_TIMER_MS_MAX: Final = 3_600_000
_FLUSH_S: Final = 1.0
_GRACE_POLL_S: Final = 0.01
_COMPLAINT_MS: Final = 5_000
_NO_MORE_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LOOPBACK: Final = ("127.", "::1", "localhost")
_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - what the user asked for
_ANY_IPV6: Final = "::"
_PORT_TRIES: Final = 20

_log = logging.getLogger("magicqueue")


class StartError(Exception):
    """The server cannot start; the text says why and what to do."""

    exit_code = 1


class PortInUse(StartError):
    """Somebody else listens at the port."""


class DiskFailed(Exception):
    """The server had to end, since its log could not be written."""


class Address(msgspec.Struct, frozen=True):
    """Where the server listens: TCP addresses, or the path of a Unix socket."""

    tcp: tuple[tuple[str, int], ...] = ()
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return " and ".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in self.tcp
        )


class App:
    """One server. `serve` runs it until a signal, or until `stop` is called."""

    def __init__(self, config: Config, *, version: str, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = NEVER_MS
        self._complain_again_ms = 0
        self._stopped = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._unix: UnixSocket | None = None
        self._loop = asyncio.get_running_loop()
        try:
            self._safekeeping = Safekeeping(config, self._clock, self.stop)
        except CannotOpen as error:
            raise _start_error(error) from None
        self.about_jobs = self._safekeeping.about_jobs
        self._incidents = Incidents(self._loop)
        tracing = logging.getLogger("magicqueue").isEnabledFor(logging.DEBUG)
        make_engine = TracingEngine if tracing else TellingEngine
        self.engine = make_engine(
            lambda on_ready: make_core(
                config["core"],
                config.core_options,
                on_ready=on_ready,
                wire=config.wire_defaults,
                record=self._safekeeping.record,
                on_death=self._incidents.died,
            ),
            config.limits,
            config.job_defaults,
            ServerFacts(version=version, persistence=self._safekeeping.mode),
            self._wake,
            self._safekeeping.log,
        )
        self.engine.incidents = self._incidents
        self._listener = Listener(self.engine, self._clock, config.bounds)
        self._listener.on_deadline_change = self._follow_deadline
        self.address = Address()

    async def serve(
        self,
        on_listening: Callable[["App"], None],
        on_signals_handled: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen, call `on_listening`, and run until stopped; raises StartError.

        on_signals_handled: called before that, once SIGTERM and SIGINT stop it in order.
        """
        self._loop.set_exception_handler(self._on_loop_error)
        try:
            self._recover()
            self._incidents.begin()
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(signal_number, self._on_signal, signal_number)
            on_signals_handled()
            await self._listen()
            self.engine.advance(self._clock.now_ms())
            on_listening(self)
            await self._stopped.wait()
            await self._shut_down()
        finally:
            await self._close()
        if self._safekeeping.ended_by is not None:
            raise DiskFailed(f"the log could not be written: {self._safekeeping.ended_by}")

    def stop(self) -> None:
        """Have `serve` shut down and return."""
        self._stopped.set()

    def _recover(self) -> None:
        try:
            session_id = self._safekeeping.recover(self.engine.core)
        except CannotOpen as error:
            raise _start_error(error) from None
        self.engine.begin_after(session_id)

    async def _listen(self) -> None:
        path = self._socket_path()
        if path is not None:
            await self._listen_unix(path)
            self.address = Address(path=path)
            return
        host, port = self._config["host"], self._config["port"]
        addresses = await self._resolve(host)
        bound: list[tuple[str, int]] = []
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                bound = await self._listen_on_all(addresses, port)
                break
            except PortInUse:
                # A port that the system chose for one address may be taken on another.
                if port or not tries_left or not self._servers:
                    raise
                self._close_servers()
        if not bound:
            raise StartError(f"cannot listen on {host}: none of its addresses can be used")
        self.address = Address(tcp=tuple(bound))

    def _socket_path(self) -> Path | None:
        try:
            return self._config.socket_path(tempfile.gettempdir)
        except FileNotFoundError as error:
            raise StartError(
                f"no place for magic-queue.sock in a temp folder: {error.strerror};"
                " set TMPDIR, or give --unix-socket a path"
            ) from None

    async def _listen_on_all(
        self, addresses: list[tuple[int, str]], port: int
    ) -> list[tuple[str, int]]:
        bound: list[tuple[str, int]] = []
        for family, address in addresses:
            server = await self._listen_tcp(family, address, port)
            if server is None:
                continue
            self._servers.append(server)
            name = server.sockets[0].getsockname()
            bound.append((name[0], name[1]))
            port = name[1]
        return bound

    async def _resolve(self, host: str) -> list[tuple[int, str]]:
        """Give the addresses of a host; an empty one and `::` are all of both families."""
        if not host:
            return [(socket.AF_INET, _ANY_IPV4), (socket.AF_INET6, _ANY_IPV6)]
        try:
            found = await self._loop.getaddrinfo(
                host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except OSError as error:
            raise StartError(f"cannot listen on {host!r}: {error.strerror}") from None
        addresses: list[tuple[int, str]] = [(int(f), str(name[0])) for f, *_, name in found]
        if host == "localhost":
            addresses += [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
        elif (socket.AF_INET6, _ANY_IPV6) in addresses:
            addresses.append((socket.AF_INET, _ANY_IPV4))
        return sorted(set(addresses))

    async def _listen_tcp(
        self, family: int, address: str, port: int
    ) -> asyncio.Server | None:
        try:
            server = await self._loop.create_server(
                self._listener, address, port, family=family, backlog=_ACCEPTS_A_TURN
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE or "already in use" in str(error):
                raise PortInUse(
                    f"port {port} of {address} is in use: another server may be running;"
                    " stop it, or choose another --port"
                ) from None
            if family == socket.AF_INET6:
                event(_log, logging.WARNING, "no IPv6", address=address, why=error)
                return None
            raise StartError(f"cannot listen on {address}:{port}: {error}") from None
        _deepen_queue(server)
        return server

    async def _listen_unix(self, path: Path) -> None:
        try:
            self._unix = UnixSocket(path, _ACCEPTS_A_TURN)
        except CannotBind as error:
            raise StartError(str(error)) from None
        server = await self._loop.create_unix_server(
            self._listener, sock=self._unix.sock, backlog=_ACCEPTS_A_TURN
        )
        _deepen_queue(server)
        self._servers.append(server)

    def _close_servers(self) -> None:
        """Accept no more; the socket's file goes first, while it surely is our own."""
        if self._unix is not None:
            self._unix.remove_file()
        while self._servers:
            self._servers.pop().close()

    def _wake(self, session: Session | None) -> None:
        self._loop.call_soon(self._resume, session)

    def _resume(self, session: Session | None) -> None:
        if session is None:
            self.engine.advance(self._clock.now_ms())
        else:
            self.engine.resume(session, self._clock.now_ms())
        self._follow_deadline()

    def _follow_deadline(self) -> None:
        """Let the timer go off at the engine's next deadline, if that is sooner now."""
        deadline_ms = self.engine.next_deadline_ms
        if deadline_ms < self._timer_ms:
            self._set_timer(deadline_ms)

    def _set_timer(self, deadline_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = deadline_ms
        wait_ms = min(max(deadline_ms - self._clock.now_ms(), 0), _TIMER_MS_MAX)
        self._timer = self._loop.call_later(wait_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_ms = None, NEVER_MS
        self.engine.advance(self._clock.now_ms())
        self._follow_deadline()

    def _on_signal(self, signal_number: int) -> None:
        if self._stopped.is_set():
            if self._unix is not None:
                self._unix.remove_file()
            os._exit(128 + signal_number)
        event(_log, logging.INFO, "stopping", signal=signal.Signals(signal_number).name)
        self._stopped.set()

    def _on_loop_error(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Say once in a while that connections cannot be accepted; log all else in full."""
        error = context.get("exception")
        if self._stopped.is_set() and isinstance(error, ValueError):
            return  # asyncio, out of files before, accepts at a socket that is closed now
        if not isinstance(error, OSError) or error.errno not in _NO_MORE_FILES:
            loop.default_exception_handler(context)
        elif self._clock.now_ms() >= self._complain_again_ms:
            self._complain_again_ms = self._clock.now_ms() + _COMPLAINT_MS
            event(
                _log,
                logging.WARNING,
                "connections have to wait: raise ulimit -n",
                why=error,
            )

    async def _shut_down(self) -> None:
        self._close_servers()
        self.engine.stop(self._clock.now_ms())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config["shutdown_grace"] / 1000):
                while await self._jobs_under_way():  # noqa: ASYNC110 - cores have no event
                    await asyncio.sleep(_GRACE_POLL_S)
        self.engine.keep_leases()
        await self._safekeeping.flushed()
        connections = list(self._listener.connections)
        for connection in connections:
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._listener.all_gone()
        for connection in list(self._listener.connections):
            connection.abort()
        self._incidents.end()
        event(_log, logging.INFO, "stopped", connections=len(connections))

    async def _jobs_under_way(self) -> bool:
        """Whether somebody is connected who may still settle a job."""
        if not self._listener.connections:
            return False
        stats = self.engine.core.stats(self._clock.now_ms())
        if isinstance(stats, Pending):
            there: asyncio.Future[None] = self._loop.create_future()
            stats.then(lambda _: there.set_result(None))
            await there
            return stats.result().processing > 0
        return stats.processing > 0

    async def _close(self) -> None:
        self._close_servers()
        for connection in list(self._listener.connections):
            connection.abort()
        await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
        await self._safekeeping.close()


def _start_error(error: CannotOpen) -> StartError:
    start_error = StartError(str(error))
    start_error.exit_code = error.exit_code
    return start_error


def _deepen_queue(server: asyncio.Server) -> None:
    """Let many clients wait to be accepted.

    The backlog that asyncio is given is also how often it accepts in one turn, and how
    often it complains and tries anew when there are no more files: that has to be few.
    """
    for listening in server.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(_BACKLOG)


def is_loopback(address: Address) -> bool:
    """Whether nobody outside this machine can reach the server."""
    return address.path is not None or all(h.startswith(_LOOPBACK) for h, _ in address.tcp)
