"""Who may ask over HTTP: the Host that a browser names, where it comes from, the token.

Without tokens anybody on this machine may ask, and a browser here runs strangers' pages.
So the Host must be a name of this machine or an address (a page of a name that its owner
had point here says its own name: DNS rebinding), a request that changes something must be
JSON (which no form can send, and a script of another origin only after asking for leave,
which nobody gives), and a browser must not say that another site sent it. Nor must it say
so of a stream, of which there are only a few.
"""

import ipaddress
from typing import Final

from magicqueue_server.access import Access
from magicqueue_server.http.messages import CHALLENGE, Head, HttpError
from magicqueue_server.http.routes import OPEN_TO_ALL, Target
from magicqueue_server.tokens import SECRET_CHARS_MAX, Token

_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
_BEARER: Final = b"bearer "
_HOST_CHARS_MAX: Final = 300


class Guards:
    """Refuses requests. access: where tokens are asked for. any_host: whatever it is."""

    def __init__(self, access: Access | None, *, any_host: bool) -> None:
        self._access = access
        self._any_host = any_host

    def check(self, head: Head) -> None:
        """Refuse what no request may be. Raises HttpError."""
        host = head.headers.get(b"host")
        if host is None and head.version != "1.0":
            raise HttpError(400, "BAD_REQUEST", "a request needs a Host")
        if host is not None and not self._any_host and not is_of_here(host):
            raise HttpError(
                403,
                "FORBIDDEN",
                "the Host is no name of this machine, and no address: without tokens the"
                " server answers to localhost only",
            )

    def check_target(self, head: Head, target: Target) -> Token | None:
        """Refuse who may not ask for this; gives the token that was shown.

        Raises HttpError.
        """
        token = self._token(head)
        if token is None and self._access is not None and target.route not in OPEN_TO_ALL:
            raise HttpError(
                401,
                "UNAUTHORIZED",
                "it needs a token: send Authorization: Bearer …",
                CHALLENGE,
            )
        if target.method == "GET" and not target.streams:
            return token
        if target.takes_body:
            _refuse_other_types(head)
        site = head.headers.get(b"sec-fetch-site")
        origin = head.headers.get(b"origin")
        if site is not None:
            foreign = site.strip().lower() not in _OWN_SITES
        else:
            foreign = origin is not None and not _is_same(origin, head)
        if foreign:
            raise HttpError(403, "FORBIDDEN", "another site may not ask for this")
        return token

    def check_scope(self, token: Token | None, scope: str) -> None:
        """Refuse whose token lacks a scope for the whole server. Raises HttpError."""
        if self._access is None:
            return
        if token is None or token.queues is not None or not token.scopes & {scope, "admin"}:
            raise HttpError(
                403, "FORBIDDEN", f"it needs a token for all queues with the scope {scope}"
            )

    def _token(self, head: Head) -> Token | None:
        shown = head.headers.get(b"authorization")
        if self._access is None or shown is None:
            return None
        secret = shown[len(_BEARER) :].strip()
        known = None
        if shown[: len(_BEARER)].lower() == _BEARER and len(secret) <= SECRET_CHARS_MAX:
            known = self._access.find(secret.decode("latin-1"))
        if known is None:
            raise HttpError(
                401, "UNAUTHORIZED", "the token is not known, or has expired", CHALLENGE
            )
        return known


def _refuse_other_types(head: Head) -> None:
    kind = head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise HttpError(415, "BAD_REQUEST", "Content-Type must be application/json")


def is_of_here(host: bytes) -> bool:
    """Whether a Host is a loopback name or an address, which no stranger's name can be."""
    if len(host) > _HOST_CHARS_MAX or not host.isascii():
        return False
    name = host.decode().lower()
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        port = port[1:]
    else:
        name, _, port = name.partition(":")
    if port and not port.isdigit():
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: bytes, head: Head) -> bool:
    _, separator, place = origin.partition(b"://")
    host = head.headers.get(b"host", b"")
    return bool(separator) and place.lower() == host.lower()
