"""The HTTP server: its connections, their bounds, and what is answered without commands."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from magicqueue.wire.requests import Auth
from magicqueue_server.acceptor import Places
from magicqueue_server.access import Access, about_token
from magicqueue_server.clock import Clock
from magicqueue_server.config import HttpOptions
from magicqueue_server.engine import Engine
from magicqueue_server.http.connection import Asked, HttpConnection
from magicqueue_server.http.guards import Guards
from magicqueue_server.http.messages import TEXT, HttpError, Response, refused
from magicqueue_server.http.metrics import Metrics, ServerState
from magicqueue_server.http.openapi import document
from magicqueue_server.http.pages import INDEX, page
from magicqueue_server.http.routes import PAGE, PAGE_FILE
from magicqueue_server.listening import Address, Doors
from magicqueue_server.session import Session
from magicqueue_server.tls import ServerTls
from magicqueue_server.tokens import Token
from magicqueue_server.unread import Unread

CONNECTIONS_MAX: Final = 256
_SWEEP_S: Final = 1.0
_PAGES: Final = frozenset({PAGE.route, PAGE_FILE.route})
_OK: Final = b'{"ok":true}\n'

_log = logging.getLogger("magicqueue.http")


class HttpServer:
    """Listens from `open` to `close`.

    after: called after the engine has run. unread: counts responses that are not read.
    """

    def __init__(
        self,
        options: HttpOptions,
        engine: Engine,
        clock: Clock,
        unread: Unread,
        state: ServerState,
        after: Callable[[], None],
    ) -> None:
        self._options = options
        self._engine = engine
        self._clock = clock
        self._after = after
        self._access: Access | None = engine.sessions.access
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._scrape: asyncio.Task[str] | None = None
        self._doors: Doors
        self._nobody = asyncio.Event()
        self.unread = unread
        self.body_bytes_max = options.body_bytes_max
        self.guards = Guards(self._access, any_host=options.any_host)
        self.connections: set[HttpConnection] = set()
        self.metrics = Metrics(engine, clock, state, options.metrics_queues)
        self.now_s = self._loop.time

    async def open(
        self, tls: ServerTls | None, handed: Sequence[socket.socket] = ()
    ) -> Address:
        """Listen, at sockets that were handed over if there are any; raises StartError."""
        options = self._options
        places = HttpPlaces(CONNECTIONS_MAX, lambda: len(self.connections), self._clock)
        self._doors = Doors(lambda: HttpConnection(self), places, tls)
        if handed:
            address = self._doors.take(handed, only_here=options.only_here)
            if address.path is not None:
                self.guards = Guards(self._access, any_host=True)
        elif options.place.startswith("unix:"):
            path = Path(options.place.removeprefix("unix:"))
            address = self._doors.open_unix(path, options.socket_mode, options.socket_group)
            self.guards = Guards(self._access, any_host=True)
        else:
            host, _, port = options.place.rpartition(":")
            address = await self._doors.open_tcp(
                host.strip("[]"), int(port), only_here=options.only_here
            )
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)
        self.metrics.begin(self._loop)
        return address

    def close_doors(self) -> None:
        """Take no more connections."""
        if self._sweep_timer is not None:
            self._doors.close()

    def close(self) -> None:
        """Close the connections, once what was written has been sent."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        self.metrics.end()
        for connection in list(self.connections):
            connection.close()

    async def all_gone(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            self._nobody.clear()
            await self._nobody.wait()

    def abort(self) -> None:
        """Close what is left at once."""
        if self._scrape is not None:
            self._scrape.cancel()
        for connection in list(self.connections):
            connection.abort()

    def begin(
        self,
        connection: HttpConnection,
        write: Callable[[bytes], None],
        hang_up: Callable[[], None],
    ) -> Session:
        """Begin the session of a connection; its leases end by time alone."""
        self.connections.add(connection)
        session = self._engine.open(write, hang_up, _nothing, self._clock.now_ms())
        session.greeted = session.leases_stay = True
        return session

    def gone(self, connection: HttpConnection) -> None:
        """End the session of a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._nobody.set()
        self.unread.remove(connection)
        self._engine.close(connection.session, self._clock.now_ms())
        self._after()

    def run(self, session: Session, token: Token | None, line: bytes) -> None:
        """Run a command line, with what its request's token allows."""
        access = self._access
        if access is not None and session.token is not token:
            if token is None:
                access.begin(session)
            else:
                access.grant(session, token)
        self._engine.feed(session, line, self._clock.now_ms())
        self._after()

    def resume(self, session: Session) -> None:
        """Go on with a session whose responses are read again."""
        self._engine.resume(session, self._clock.now_ms())
        self._after()

    def make_room(self, size: int) -> bool:
        """Count what is kept of bodies; False if that is too much now."""
        sessions = self._engine.sessions
        sessions.input_bytes += size
        return sessions.input_bytes <= self._options.input_bytes_max

    def count(self, route: str, status: int) -> None:
        """Count a response."""
        self.metrics.count_request(route, status)

    def answer(self, asked: Asked, respond: Callable[[Response], None]) -> None:
        """Answer what is no command."""
        target = asked.target
        try:
            if target.route == "/metrics":
                self.guards.check_scope(asked.token, "read")
                self._answer_scrape(respond)
                return
            respond(self._at_once(asked))
        except HttpError as error:
            respond(refused(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked is answered
            _log.error("answering %s failed", target.route, exc_info=error)
            said = "the server met a bug of its own: its log says more"
            respond(refused(HttpError(500, "INTERNAL", said)))

    def _at_once(self, asked: Asked) -> Response:
        target = asked.target
        if target.route in _PAGES:
            return page(str(target.given.get("file", INDEX)), asked.headers)
        if target.route == "/v1/token":
            return Response(200, about_token(Auth(token=""), asked.token))
        if target.route == "/v1/openapi.json":
            return Response(200, document())
        if target.route == "/ready":
            why = self._state.not_ready()
            if why is not None:
                raise HttpError(503, why[0], why[1])
        return Response(200, _OK)

    def _answer_scrape(self, respond: Callable[[Response], None]) -> None:
        """Give the metrics; those who ask while they are collected get the same."""
        if self._scrape is None or self._scrape.done():
            self._scrape = self._loop.create_task(self.metrics.text())

        def done(task: asyncio.Task[str]) -> None:
            if task.cancelled():
                return
            if (error := task.exception()) is not None:
                _log.error("collecting the metrics failed", exc_info=error)
                respond(refused(HttpError(500, "INTERNAL", "see the server's log")))
            else:
                respond(Response(200, task.result().encode(), TEXT))

        self._scrape.add_done_callback(done)

    def _sweep(self) -> None:
        # First, and each by itself: one that fails must not keep the others' places.
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)
        now_s = self.now_s()
        for connection in list(self.connections):
            try:
                connection.check_time(now_s)
            except Exception:  # noqa: BLE001 - the others are looked at all the same
                _log.exception("an HTTP connection that was too slow failed, and ends")
                connection.abort()


class HttpPlaces(Places):
    """How many connections there may be, and what others are told."""

    @property
    def last_words(self) -> bytes:
        """What a client over the bound is told."""
        error = HttpError(503, "FULL", f"there are {self.most} HTTP connections already")
        return refused(error).written(keeps_alive=False, with_body=True)


def _nothing() -> None:
    pass
