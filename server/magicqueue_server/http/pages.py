"""The dashboard's files, as they stand in `ui`, and what makes a browser careful with them.

They hold no data: the page asks for that by the same paths as everybody, with the token
that its user typed. So they are open to all. They are read at the first request, and
compressed once; a browser keeps them and asks only whether they are still the same.
"""

import hashlib
import zlib
from functools import cache
from pathlib import Path
from typing import Final

from magicqueue_server.http.messages import HttpError, Response

INDEX: Final = "index.html"
_FOLDER: Final = Path(__file__).parent / "ui"
_KINDS: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_POLICY: Final = (
    b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self';"
    b" connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'; require-trusted-types-for 'script';"
    b" trusted-types lit-html\r\n"
    b"Referrer-Policy: no-referrer\r\n"
    b"Cross-Origin-Opener-Policy: same-origin\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\n"
)
_KEPT: Final = b"no-cache"
"""A browser may keep it, and has to ask each time whether it is still so."""
_GZIP_WINDOW: Final = 31


class _File:
    """A file as it is sent."""

    def __init__(self, path: Path) -> None:
        self.plain = path.read_bytes()
        packer = zlib.compressobj(9, wbits=_GZIP_WINDOW)
        self.packed = packer.compress(self.plain) + packer.flush()
        self.kind = _KINDS[path.suffix]
        digest = hashlib.sha256(self.plain).hexdigest()[:20]
        self.tag = f'"{digest}"'.encode()


@cache
def _files() -> dict[str, Path]:
    """Name the files; nothing else below the folder, or outside of it, is ever given."""
    found = (path for path in _FOLDER.rglob("*") if path.suffix in _KINDS)
    return {path.relative_to(_FOLDER).as_posix(): path for path in found}


@cache
def _read(name: str) -> _File:
    return _File(_files()[name])


def page(name: str, headers: dict[bytes, bytes]) -> Response:
    """Return a file of the dashboard. Raises HttpError if it is none.

    headers: the request's, by lower-case name: what it accepts, and what it has already.
    """
    if name not in _files():
        raise HttpError(404, "NOT_FOUND", f"the dashboard has no file {name[:100]!r}")
    file = _read(name)
    more = _POLICY + b"Vary: Accept-Encoding\r\nETag: %b\r\n" % file.tag
    known = headers.get(b"if-none-match", b"").replace(b"W/", b"").split(b",")
    if file.tag in (tag.strip() for tag in known):
        return Response(304, b"", file.kind, more, _KEPT)
    if b"gzip" in headers.get(b"accept-encoding", b"").lower():
        more += b"Content-Encoding: gzip\r\n"
        return Response(200, file.packed, file.kind, more, _KEPT)
    return Response(200, file.plain, file.kind, more, _KEPT)
