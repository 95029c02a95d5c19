"""What HTTP is made of here: the head of a request, a refusal, a response."""

from typing import Final

import msgspec

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"

STATUS_OF: Final = {
    "BAD_JSON": 400,
    "BAD_REQUEST": 400,
    "UNKNOWN_COMMAND": 404,
    "NOT_FOUND": 404,
    "STALE": 409,
    "DUPLICATE": 409,
    "TOO_LARGE": 413,
    "FULL": 429,
    "PAUSED": 409,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "READ_ONLY": 503,
    "SHUTTING_DOWN": 503,
    "INTERNAL": 500,
}
"""The status that a reply's code has over HTTP; one that is not here is a 400."""


class HttpError(Exception):
    """A request that is refused before it is a command; its text is for people."""

    def __init__(self, status: int, code: str, sentence: str, more: bytes = b"") -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.more = more
        """Further header lines, each with its end."""


class Head(msgspec.Struct):
    """A request's first line and the headers that mean something here."""

    method: str = ""
    target: bytes = b""
    version: str = "1.1"
    headers: dict[bytes, bytes] = {}
    """By lower-case name."""


class Response(msgspec.Struct, frozen=True):
    """What is answered."""

    status: int
    body: bytes
    kind: bytes = JSON
    more: bytes = b""
    caching: bytes = b"no-store"

    def written(self, *, keeps_alive: bool, with_body: bool) -> bytes:
        """Give it as it goes over the wire."""
        return _FORM % (
            _STARTS[self.status],
            self.caching,
            self.kind,
            len(self.body),
            b"" if keeps_alive else b"Connection: close\r\n",
            self.more,
            self.body if with_body else b"",
        )


def refused(error: HttpError) -> Response:
    """Give the response to a request that is refused."""
    text = {"ok": False, "error": str(error), "code": error.code}
    return Response(error.status, msgspec.json.encode(text) + b"\n", more=error.more)


class _Reply(msgspec.Struct):
    ok: bool
    code: str = ""


_read: Final = msgspec.json.Decoder(_Reply).decode


def response_of(reply: bytes) -> Response:
    """Give the response of a reply line: the very line, under the status it stands for."""
    if reply.startswith(b'{"ok":true'):
        return Response(200, reply)
    status = STATUS_OF.get(_read(reply).code, 400)
    return Response(status, reply, more=CHALLENGE if status == _UNAUTHORIZED else b"")


CHALLENGE: Final = b'WWW-Authenticate: Bearer realm="magicqueue"\r\n'
_UNAUTHORIZED: Final = 401
_ALWAYS: Final = b"X-Content-Type-Options: nosniff\r\n"
_FORM: Final = (
    b"%bCache-Control: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n%b"
)
_PHRASES: Final = {
    200: b"OK",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}
"""All that are answered; Python's `http` has them too, and is not in the executable."""
_STARTS: Final = {
    status: b"HTTP/1.1 %d %b\r\n%b" % (status, phrase, _ALWAYS)
    for status, phrase in _PHRASES.items()
}
