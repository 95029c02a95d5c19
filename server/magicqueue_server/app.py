"""The server as a whole: the order in which its parts start and stop.

Start: core, engine, listener, sockets, time, signals; then it says where it listens. Stop,
on SIGTERM or SIGINT: no new connections, blocked pulls answered, pushes refused; jobs under
way may still be settled until none is left or the grace is over; then replies are sent out
and connections closed. A second signal ends the process at once.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from magicqueue import systemd
from magicqueue.errors import ReadOnly, ShuttingDown
from magicqueue_cores import make_core
from magicqueue_cores.line_contract import FeedCore
from magicqueue_cores.pending import Pending
from magicqueue_server import logs
from magicqueue_server.acceptor import Places
from magicqueue_server.clock import Clock, SystemClock
from magicqueue_server.config import Config
from magicqueue_server.doorkeeper import Doorkeeper
from magicqueue_server.engine import Engine
from magicqueue_server.exchange import Exchange
from magicqueue_server.incidents import Incidents
from magicqueue_server.inherited import inherited
from magicqueue_server.listener import Listener
from magicqueue_server.listening import Address, Doors, StartError
from magicqueue_server.log_place import CannotOpen
from magicqueue_server.logs import event
from magicqueue_server.looks import ServerFacts
from magicqueue_server.memory import trim_heap
from magicqueue_server.randomness import hash_seed
from magicqueue_server.safekeeping import Safekeeping
from magicqueue_server.session import Session
from magicqueue_server.timekeeper import Timekeeper
from magicqueue_server.tls import BadTls, ServerTls
from magicqueue_server.tokens import BadTokens
from magicqueue_server.trace import TracingEngine
from magicqueue_server.trimming import Trimmer
from magicqueue_server.turns import Turns

if TYPE_CHECKING:
    from magicqueue_server.http.server import HttpServer

_FLUSH_S: Final = 1.0
_GRACE_POLL_S: Final = 0.01

_log = logging.getLogger("magicqueue")


class LogEnded(Exception):
    """The server had to end, since its log could not be written, or is another's now."""

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class App:
    """One server. `serve` runs it until a signal, or until `stop` is called."""

    def __init__(self, config: Config, *, version: str, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            self._safekeeping = Safekeeping(config, self._clock, self.stop)
        except CannotOpen as error:
            raise _start_error(error) from None
        self.about_jobs = self._safekeeping.about_jobs
        self._incidents = Incidents(self._loop)
        self.turns = Turns(self._loop.call_soon, self._clock)
        tracing = logging.getLogger("magicqueue").isEnabledFor(logging.DEBUG)
        make_engine = TracingEngine if tracing else Engine
        self.engine = make_engine(
            lambda on_ready: make_core(
                config["core"],
                msgspec.structs.replace(config.core_options, hash_seed=hash_seed()),
                on_ready=on_ready,
                wire=config.wire_defaults,
                record=self._safekeeping.record,
                record_bytes=self._safekeeping.record_bytes,
                on_death=self._incidents.died,
            ),
            config.limits,
            config.job_defaults,
            ServerFacts(version=version, persistence=self._safekeeping.mode),
            self._wake,
            self.turns,
            self._safekeeping.log,
            config.policy_options,
        )
        self.engine.tell_refusals(self._incidents.refused)
        self._doorkeeper = self._find_doorkeeper()
        self.tls = self._find_tls()
        self._listener = Listener(self.engine, self._clock, config.bounds, self.turns)
        places = Places(
            config["max_connections"],
            lambda: len(self._listener.connections),
            self._clock,
        )
        self._doors = Doors(self._listener, places, self.tls)
        self._time = Timekeeper(self._loop, self._clock, self.engine, self.turns)
        self._trimmer = Trimmer(self._loop, self.engine.core, self.turns, trim_heap)
        self._time.on_pulse = self._on_pulse
        self._listener.on_deadline_change = self._time.follow_deadline
        self.turns.after_round = self._time.follow_deadline
        if self.engine.core.capabilities.takes_feeds and not tracing:
            core = cast("FeedCore", self.engine.core)
            self._listener.exchange = Exchange(
                core.feeds, self.engine, self._clock, self.turns, self._time.follow_deadline
            )
        self.http = self._find_http(version)
        self.address = self.http_address = Address()

    async def serve(
        self,
        on_listening: Callable[["App"], None],
        on_signals_handled: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen, call `on_listening`, and run until stopped; raises StartError.

        on_signals_handled: called before that, once SIGTERM and SIGINT stop it in order.
        """
        try:
            self._recover()
            self._incidents.begin()
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(signal_number, self._on_signal, signal_number)
            if self._doorkeeper is not None:
                http = () if self.http is None else self.http.connections
                self._doorkeeper.begin(self._listener.connections, http)
            if self._reloads or not _is_in_a_terminal():
                self._loop.add_signal_handler(signal.SIGHUP, self.reload)
            on_signals_handled()
            await self._listen()
            self._time.start()
            on_listening(self)
            systemd.ready()
            await self._stopped.wait()
            await self._shut_down()
        finally:
            await self._close()
        if (ended := self._safekeeping.end) is not None:
            raise LogEnded(*ended)

    def _find_doorkeeper(self) -> Doorkeeper | None:
        """Have tokens asked for, if there are any to be."""
        if not self._config["tokens"]:
            return None
        path = Path(self._config["tokens"])
        try:
            doorkeeper = Doorkeeper(path, self.engine.core, self._clock)
        except BadTokens as error:
            raise _cannot_be(str(error)) from None
        self.engine.sessions.access = doorkeeper.access
        return doorkeeper

    def _find_http(self, version: str) -> "HttpServer | None":
        """Have HTTP spoken, if it is to be; nothing of it is imported otherwise."""
        options = self._config.http
        if options is None:
            return None
        try:
            from magicqueue_server.http.metrics import ServerState  # noqa: PLC0415 - see above
            from magicqueue_server.http.server import HttpServer  # noqa: PLC0415
        except ImportError as error:
            raise StartError(
                f"--http needs httptools, which the extra `server` installs: {error}"
            ) from None
        state = ServerState(
            version=version,
            persistence=self._safekeeping.mode,
            memory_bytes_max=self._config["max_memory"],
            not_ready=self._not_ready,
            read_only=lambda: self._safekeeping.is_broken,
        )
        return HttpServer(
            options,
            self.engine,
            self._clock,
            self._listener.unread,
            state,
            self._time.follow_deadline,
        )

    def _not_ready(self) -> tuple[str, str] | None:
        """Say why not everything that is asked for can be done."""
        if self.engine.stopping or self._stopped.is_set():
            return ShuttingDown.code, "the server is shutting down"
        if self._safekeeping.is_broken:
            return ReadOnly.code, "the log cannot be written"
        return None

    def _find_tls(self) -> ServerTls | None:
        """Have TCP connections encrypted, if they are to be."""
        files = self._config.tls_files
        try:
            return None if files is None else ServerTls(files)
        except BadTls as error:
            raise _cannot_be(str(error)) from None

    @property
    def _reloads(self) -> bool:
        """Whether there is anything to read again."""
        files = self._doorkeeper, self.tls, self._config["log_file"] or None
        return any(one is not None for one in files)

    def reload(self) -> None:
        """Read again what may change while the server runs (on SIGHUP)."""
        if not self._reloads:
            event(_log, logging.INFO, "there is nothing to read again")
        logs.reopen()
        if self._doorkeeper is not None:
            self._doorkeeper.reload()
        if self.tls is None:
            return
        try:
            self.tls.reload()
        except BadTls as error:
            event(_log, logging.ERROR, "TLS stays as it was", why=error)
        else:
            event(_log, logging.INFO, "the certificate was read again")

    def _on_pulse(self) -> None:
        self._trimmer.look()
        systemd.alive()

    def stop(self) -> None:
        """Have `serve` shut down and return."""
        self._stopped.set()

    def _recover(self) -> None:
        try:
            session_id = self._safekeeping.recover(self.engine.core, self.engine.policies)
        except CannotOpen as error:
            raise _start_error(error) from None
        self.engine.sessions.begin_after(session_id)

    async def _listen(self) -> None:
        handed = inherited(os.environ)
        only_here = self._config.is_open and not self._config["insecure"]
        path = self._socket_path()
        if handed.jobs:
            self.address = self._doors.take(handed.jobs, only_here=only_here)
        elif path is not None:
            mode, group = self._config["socket_mode"], self._config["socket_group"]
            self.address = self._doors.open_unix(path, mode, group)
        else:
            host, port = self._config["host"], self._config["port"]
            self.address = await self._doors.open_tcp(host, port, only_here=only_here)
        if self.http is not None:
            self.http_address = await self.http.open(self.tls, handed.http)

    def _socket_path(self) -> Path | None:
        try:
            return self._config.socket_path(tempfile.gettempdir)
        except FileNotFoundError as error:
            raise StartError(
                f"no place for magic-queue.sock in a temp folder: {error.strerror};"
                " set TMPDIR, or give --unix-socket a path"
            ) from None

    def _wake(self, session: Session | None) -> None:
        self._loop.call_soon(self._resume, session)

    def _resume(self, session: Session | None) -> None:
        if session is None:
            self.engine.advance(self._clock.now_ms())
        else:
            self.engine.resume(session, self._clock.now_ms())
        self._time.follow_deadline()

    def _on_signal(self, signal_number: int) -> None:
        if self._stopped.is_set():
            self._doors.remove_file()
            os._exit(128 + signal_number)
        event(_log, logging.INFO, "stopping", signal=signal.Signals(signal_number).name)
        self._stopped.set()

    async def _shut_down(self) -> None:
        systemd.stopping()
        self._doors.close()
        if self.http is not None:
            self.http.close_doors()
        self.engine.stop(self._clock.now_ms())
        await self._all_had_a_turn()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config["shutdown_grace"] / 1000):
                while await self._jobs_under_way():  # noqa: ASYNC110 - cores have no event
                    await asyncio.sleep(_GRACE_POLL_S)
        self.engine.sessions.keep_leases()
        await self._safekeeping.flushed()
        if self.http is not None:
            self.http.close()
        connections = list(self._listener.connections)
        for connection in connections:
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._listener.all_gone()
                if self.http is not None:
                    await self.http.all_gone()
        for connection in list(self._listener.connections):
            connection.abort()
        self._incidents.end()
        event(_log, logging.INFO, "stopped", connections=len(connections))

    async def _all_had_a_turn(self) -> None:
        """Wait until what had been sent is answered."""
        here = asyncio.Event()
        self.turns.when_all_had_a_turn(here.set)
        await here.wait()

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
        self._doors.close()
        if self.http is not None:
            self.http.close_doors()
            self.http.close()
            self.http.abort()
        for connection in list(self._listener.connections):
            connection.abort()
        await asyncio.sleep(0)
        if self._doorkeeper is not None:
            self._doorkeeper.close()
        self._time.close()
        self._trimmer.close()
        if self._listener.exchange is not None:
            self._listener.exchange.close()
        await self._safekeeping.close()


def _is_in_a_terminal() -> bool:
    """Whether SIGHUP may mean that the terminal was closed."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _cannot_be(text: str) -> StartError:
    """Make the error of an option that names what cannot be used."""
    error = StartError(text)
    error.exit_code = 2
    return error


def _start_error(error: CannotOpen) -> StartError:
    start_error = StartError(str(error))
    start_error.exit_code = error.exit_code
    return start_error
