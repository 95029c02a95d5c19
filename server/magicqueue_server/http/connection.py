"""One HTTP connection: requests out of bytes, one after the other, and their responses.

llhttp reads the grammar. What it does not bound is bounded here: heads by bytes, number
and time, bodies by bytes and speed, trailers by not being taken. A request whose head is
refused is answered, and the connection closed, before its body is read: so nobody who may
not ask costs more than a head. While a request runs, no more is parsed.
"""

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import httptools

from magicqueue.errors import RequestError
from magicqueue_server.http.asked import Asked
from magicqueue_server.http.bounds import (
    BODY_BYTES_PER_S,
    HEAD_BYTES_MAX,
    HEAD_S,
    HEADERS_MAX,
    IDLE_S,
    UNREAD_S,
    refuse_size,
    too_large,
)
from magicqueue_server.http.messages import Head, HttpError, Response, refused, response_of
from magicqueue_server.http.routes import Target, find, line_of
from magicqueue_server.http.streams import BEAT, BEAT_S, BEGIN, frames
from magicqueue_server.session import Session
from magicqueue_server.tokens import Token
from magicqueue_server.unread import LINGER_S, TLS_LINGER_S, WRITE_BYTES_HIGH

if TYPE_CHECKING:
    from magicqueue_server.http.server import HttpServer

_SLICE: Final = 4096
_ONCE: Final = frozenset(
    {b"host", b"authorization", b"content-type", b"content-length", b"transfer-encoding"}
)
_CONTROL: Final = bytes(set(range(32)) - {9}) + b"\x7f"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """Made for each connection; `parser` calls the methods that begin with `on_`."""

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._session: Session
        self._head = Head()
        self._refusal: HttpError | None = None
        self._in_head = self._in_body = False
        self._fed = 0
        """Bytes of the head, or of the body as it is sent, so far."""
        self._headers = 0
        self._target: Target
        self._query = ""
        self._token: Token | None = None
        self._body = bytearray()
        self._asked: deque[Asked] = deque()
        self._runs: Asked | None = None
        self._pumping = self._deaf = self._full = False
        self._later = b""
        """What came while a request ran."""
        self.streams = False
        """Events are sent, until the connection ends."""
        self.until_s = 0.0
        """By then something has to have happened."""

    @property
    def session(self) -> Session:
        """The session that its commands are run in."""
        return self._session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls this)."""
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
        self._session = self._server.begin(self, self._reply, self._hang_up)
        self._allow(HEAD_S)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End (asyncio calls this): a pull that waits takes no job."""
        self._drop_body()
        self._deaf = True
        self._server.gone(self)

    def eof_received(self) -> bool:
        """Be told that no more comes (asyncio calls this; True: I close, later).

        What runs is answered, but for a pull that waits: it would take a job for nobody.
        """
        asked = self._runs
        if asked is None or self._session.parked or self._deaf or self.streams:
            return False
        asked.keeps_alive = False
        return self._transport.can_write_eof()

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio calls this)."""
        if self._deaf:
            return
        if self._runs is not None or self._asked or self._later:
            self._later += data
            self._transport.pause_reading()
        else:
            self._feed(data)

    def pause_writing(self) -> None:
        """The response is not being read (asyncio calls this)."""
        self._full = self._session.congested = True
        self._server.unread.add(self, self._transport.get_write_buffer_size())
        self._allow(UNREAD_S)

    def resume_writing(self) -> None:
        """It has been read (asyncio calls this)."""
        self._full = self._session.congested = False
        self._session.on_read()
        self._server.unread.remove(self)
        self._allow(IDLE_S)
        self._server.resume(self._session)
        self._pump()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def close(self) -> None:
        """Close once what was written is sent."""
        self._transport.close()

    def end_session(self, error: RequestError) -> None:
        """Close, since the token of this connection is no good any more."""
        if self._runs is None or self.streams:
            self._transport.close()
        else:
            self._answer(refused(HttpError(401, error.code, str(error))), close=True)
            self._server.gone(self)

    def check_time(self, now_s: float) -> None:
        """Close what is too slow; called every second."""
        if self.streams and not self._full and now_s >= self.until_s and not self._deaf:
            self._transport.write(BEAT)
            self._allow(BEAT_S)
        if now_s < self.until_s or (self._runs is not None and not self._full):
            return
        if self._in_head or self._in_body:
            part = "head" if self._in_head else "body"
            self._refuse(HttpError(408, "BAD_REQUEST", f"the {part} came too slowly"))
        elif self._deaf and not self._transport.can_write_eof():
            self._transport.close()  # TLS: the end of both directions, said
        else:
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = Head(headers={})
        self._headers = self._fed = 0
        self._in_head = True
        self._allow(HEAD_S)

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self._head.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Raises HttpError."""
        self._headers += 1
        name = name.lower()
        if self._in_body:
            raise self._no(HttpError(400, "BAD_REQUEST", "trailers are not taken"))
        if self._headers > HEADERS_MAX:
            raise self._no(HttpError(431, "TOO_LARGE", f"more than {HEADERS_MAX} headers"))
        if name in _ONCE and name in self._head.headers:
            raise self._no(HttpError(400, "BAD_REQUEST", "a header is there twice"))
        if value.translate(None, _CONTROL) != value:
            raise self._no(
                HttpError(400, "BAD_REQUEST", "a header has a control character")
            )
        self._head.headers[name] = value

    def on_headers_complete(self) -> None:
        """Look at a head: who may not ask this is answered now. Raises HttpError."""
        self._in_head, self._in_body, self._fed = False, True, 0
        head = self._head
        head.method = self._parser.get_method().decode("latin-1")
        head.version = self._parser.get_http_version()
        try:
            self._check_head(head)
        except HttpError as error:
            raise self._no(error) from None

    def on_body(self, part: bytes) -> None:
        """Take a part of the body. Raises HttpError."""
        if len(self._body) + len(part) > self._server.body_bytes_max:
            raise self._no(too_large(self._server.body_bytes_max))
        self._body += part
        if not self._server.make_room(len(part)):
            raise self._no(HttpError(429, "FULL", "requests take too much memory now"))

    def on_message_complete(self) -> None:
        """Have a request run when those before it are answered."""
        asked = Asked(
            self._target,
            self._query,
            self._token,
            self._head.headers,
            bytes(self._body),
            self._parser.should_keep_alive(),
            self._head.method != "HEAD",
        )
        self._drop_body()
        self._in_body = False
        self._asked.append(asked)

    def _check_head(self, head: Head) -> None:
        if head.version not in {"1.0", "1.1"}:
            raise HttpError(505, "BAD_REQUEST", "only HTTP/1.0 and 1.1 are spoken here")
        guards = self._server.guards
        guards.check(head)
        coding = head.headers.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or head.version == "1.0"):
            raise HttpError(501, "BAD_REQUEST", "the only Transfer-Encoding is chunked")
        self._target, self._query = find(head)
        self._token = guards.check_target(head, self._target)
        size = int(head.headers.get(b"content-length", b"0"))
        if size > self._server.body_bytes_max:
            raise too_large(self._server.body_bytes_max)
        if (size or coding) and not self._target.takes_body:
            raise HttpError(400, "BAD_REQUEST", f"{head.method} takes no body")
        self._allow(HEAD_S + size / BODY_BYTES_PER_S)
        expects = head.headers.get(b"expect")
        if expects is not None and expects.lower() != b"100-continue":
            raise HttpError(417, "BAD_REQUEST", "nothing but 100-continue can be expected")
        if expects is not None and not self._asked and head.version == "1.1":
            self._transport.write(_CONTINUE)

    def _no(self, error: HttpError) -> HttpError:
        """Keep why a request is refused: the parser has an exception of its own."""
        self._refusal = error
        return error

    def _feed(self, data: bytes) -> None:
        """Parse, until a request is whole; the rest waits for its end."""
        at = 0
        while at < len(data) and not self._deaf:
            piece = data[at : at + _SLICE]
            at += len(piece)
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self._asked.clear()
                self._refuse(HttpError(400, "BAD_REQUEST", "nothing is upgraded here"))
            except httptools.HttpParserError:
                # those before it are answered first
                self._refusal = self._refusal or HttpError(
                    400, "BAD_REQUEST", "this is no request of HTTP/1.1"
                )
            self._count(len(piece))
            self._pump()
            if self._runs is not None or self._asked:
                self._later += data[at:]
                if self._later:
                    self._transport.pause_reading()
                return

    def _count(self, size: int) -> None:
        """Bound what a head, or a body with all that is around its chunks, may be."""
        if self._refusal is not None:
            return
        self._fed = self._fed + size if self._in_head or self._in_body else 0
        coded = b"transfer-encoding" in self._head.headers
        if self._in_head and self._fed > HEAD_BYTES_MAX:
            self._refusal = HttpError(
                431, "TOO_LARGE", f"the head is over {HEAD_BYTES_MAX} bytes"
            )
        elif self._in_body:
            most = self._server.body_bytes_max
            self._refusal = refuse_size(self._fed, len(self._body), most, coded=coded)
            if coded:
                self._allow(HEAD_S)

    def _pump(self) -> None:
        """Run requests, one after the other, as far as they are answered at once."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._asked and self._runs is None and not (self._deaf or self._full):
                asked = self._asked.popleft()
                self._runs = asked
                self._start(asked)
        except Exception:
            self._transport.abort()  # what was asked would never be answered
            raise
        finally:
            self._pumping = False
        if self._deaf or self._runs is not None or self._full:
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._later and not self._asked:
            data, self._later = self._later, b""
            self._transport.resume_reading()
            self._feed(data)

    def _start(self, asked: Asked) -> None:
        if asked.target.streams and (refusal := self._server.refuse_stream(asked)):
            self._answer(refusal)
            return
        if not asked.target.command:
            self._server.answer(asked, partial(self._answer_to, asked))
            return
        try:
            line = line_of(asked.target, asked.query, asked.body)
        except HttpError as error:
            self._answer(refused(error))
            return
        self._server.run(self._session, asked.token, line)

    def _answer_to(self, asked: Asked, response: Response) -> None:
        """Answer a request, unless it is answered or the connection gone."""
        if self._runs is asked and not self._deaf:
            self._answer(response)

    def _reply(self, reply: bytes) -> None:
        """Take what the engine replies: nothing, where a pull begins to wait."""
        if not reply or self._runs is None or self._deaf:
            return
        if self.streams:
            self._transport.write(frames(reply))
        elif self._runs.target.streams and reply.startswith(b'{"ok":true'):
            self._begin_stream(reply)
        else:
            self._answer(response_of(reply))

    def _begin_stream(self, reply: bytes) -> None:
        """Send events from now on; what came with the reply is of them already."""
        assert self._runs is not None, "nobody asked"
        self._server.count(self._runs.target.route, 200)
        self.streams = True
        self._transport.write(BEGIN + frames(reply.partition(b"\n")[2]))
        self._allow(BEAT_S)

    def _answer(self, response: Response, *, close: bool = False) -> None:
        asked, self._runs = self._runs, None
        assert asked is not None, "nobody asked"
        last = close or not asked.keeps_alive or self._session.last_words is not None
        self._server.count(asked.target.route, response.status)
        self._transport.write(
            response.written(keeps_alive=not last, with_body=asked.with_body)
        )
        if last:
            self._finish()
            return
        self._allow(UNREAD_S if self._full else IDLE_S)
        self._pump()

    def _refuse(self, error: HttpError) -> None:
        """Answer what is no request, or none that may be, and close."""
        if self._deaf:
            return
        self._server.count("refused", error.status)
        self._transport.write(refused(error).written(keeps_alive=False, with_body=True))
        self._finish()

    def _hang_up(self) -> None:
        if not self._deaf:
            self._finish()

    def _finish(self) -> None:
        """Close so that the last response arrives: what still comes is dropped."""
        self._deaf = True
        self._in_head = self._in_body = False
        self._asked.clear()
        self._later = b""
        self._drop_body()
        transport = self._transport
        if transport.is_closing():
            return
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
            self._allow(LINGER_S)
        else:
            self._allow(TLS_LINGER_S)

    def _drop_body(self) -> None:
        self._server.make_room(-len(self._body))
        self._body = bytearray()

    def _allow(self, seconds: float) -> None:
        self.until_s = self._server.now_s() + seconds
