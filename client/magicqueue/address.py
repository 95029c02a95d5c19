"""Where a server is: addresses as people write them, and the sockets they mean.

    localhost:6789, example.org, [::1]:7000, :7000     TCP; the port may be left out
    magicqueue://example.org:6789                      the same as a URL
    magicqueue://a,b:7000,c/                           several, of which one serves
    magicqueue://:TOKEN@example.org                    with a token
    magicqueues://example.org?ca=/etc/mq/ca.pem        over TLS, see `tls`
    unix:///run/magic-queue.sock, /run/magic-queue.sock, ./q.sock    a Unix socket

`localhost` is both 127.0.0.1 and ::1, whatever the machine's hosts file says. Without an
address the environment's MAGICQUEUE_URL counts, and without that `localhost:6789`; without
a token in it MAGICQUEUE_TOKEN, without a CA for TLS MAGICQUEUE_CA, and so on.

What is shown of an address, in errors and logs too, is never its token.
"""

import os
import re
import socket
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Final, TypeAlias, TypedDict
from urllib.parse import parse_qsl, unquote

from magicqueue.errors import BadAddress
from magicqueue.tls import Tls
from magicqueue.wire.limits import PORT_MAX

DEFAULT: Final = "localhost:6789"
PORT: Final = 6789
VARIABLE: Final = "MAGICQUEUE_URL"
TOKEN_VARIABLE: Final = "MAGICQUEUE_TOKEN"  # noqa: S105 - where to find one
_TLS_FIELDS: Final = ("ca", "cert", "key")
_USER: Final = re.compile("//[^/]*@")

_WITH_TLS: Final = frozenset({"magicqueues", "tls"})

Target: TypeAlias = tuple[socket.AddressFamily, str | tuple[str, int]]
"""What a socket is made for and connected to."""


class AccessOptions(TypedDict, total=False):
    """How to be let in, where that is not in the address or the environment.

    token: the secret of one. ca: a file of certificates to trust instead of the system's;
    cert, key: files of this client's own certificate. These three are for TLS.
    """

    token: str | None
    ca: str | PathLike[str] | None
    cert: str | PathLike[str] | None
    key: str | PathLike[str] | None


_ACCESS: Final = AccessOptions.__optional_keys__


@dataclass(frozen=True, slots=True)
class Address:
    """A server's place: a path for a Unix socket, else a host and port.

    others: where it may be instead, in order, see `hosts`.
    """

    host: str = ""
    port: int = PORT
    path: str = ""
    token: str = field(default="", repr=False)
    """What is shown to the server first; empty: nothing."""
    tls: Tls | None = None
    others: "tuple[Address, ...]" = ()

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        places = ",".join(f"{_bracketed(one.host)}:{one.port}" for one in self.each())
        return f"{'' if self.tls is None else 'magicqueues://'}{places}"

    def each(self) -> "list[Address]":
        """List the places, each an address of its own."""
        return [replace(self, others=()), *self.others] if self.others else [self]

    def targets(self) -> list[Target]:
        """List what to try, in order. Looks a name up (blocking); raises OSError."""
        if self.path:
            return [(socket.AF_UNIX, self.path)]
        if self.host == "localhost":
            return [
                (socket.AF_INET, ("127.0.0.1", self.port)),
                (socket.AF_INET6, ("::1", self.port)),
            ]
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return [(family, (str(at[0]), self.port)) for family, _, _, _, at in found]


def parse_address(text: str | None = None, access: AccessOptions | None = None) -> Address:
    """Read an address; None means MAGICQUEUE_URL or the default. Raises BadAddress.

    TypeError where access has what is none of AccessOptions.
    """
    check_access(access or {})
    if text is None:
        text = os.environ.get(VARIABLE) or DEFAULT
    access = access or {}
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    token = access.get("token") or os.environ.get(TOKEN_VARIABLE, "")
    if scheme == "unix" or (not scheme and _is_path(rest)):
        path = unquote(rest) if scheme else rest
        if not path:
            raise _bad(text, "the socket's path is missing")
        _tls_of(text, {}, access, wanted=False)
        return Address(path=path, token=_sendable(token))
    if scheme not in {"", "magicqueue", "tcp", "magicqueues", "tls"}:
        raise _bad(
            text, f"{scheme}:// is none of magicqueue://, magicqueues:// and unix://"
        )
    user, _, place = rest.rpartition("@") if scheme else ("", "", rest)
    if user and not access.get("token"):
        token = unquote(user.rpartition(":")[2])
    place, _, query = place.partition("?")
    places = _places_of(place.removesuffix("/"), text)
    tls = _tls_of(text, dict(parse_qsl(query)), access, wanted=scheme in _WITH_TLS)
    token = _sendable(token)
    first, *others = [Address(host, port, token=token, tls=tls) for host, port in places]
    return replace(first, others=tuple(others))


def check_access(access: AccessOptions) -> None:
    """Refuse what is no way to be let in: mostly a misspelt keyword. Raises TypeError."""
    for name in access:
        if name not in _ACCESS:
            raise TypeError(f"unexpected keyword argument {name!r}")


def _places_of(text: str, whole: str) -> list[tuple[str, int]]:
    """Read hosts and their ports, with commas between."""
    places = []
    for one in text.split(","):
        host, port = _split_port(one, whole)
        if "/" in host or "@" in host or " " in host:
            raise _bad(whole, "there is more than a host and a port")
        if not one and "," in text:
            raise _bad(whole, "a host is missing beside a comma")
        places.append((host or "localhost", port))
    return places


def _tls_of(
    text: str, query: dict[str, str], access: AccessOptions, *, wanted: bool
) -> Tls | None:
    """Say with which files TLS is spoken; those of the environment count only if it is."""
    unknown = sorted(query.keys() - set(_TLS_FIELDS))
    if unknown:
        raise _bad(text, f"{unknown[0]!r} is none of ?ca=, ?cert= and ?key=")
    named = {"ca": access.get("ca"), "cert": access.get("cert"), "key": access.get("key")}
    given = query | {name: os.fspath(file) for name, file in named.items() if file}
    if not wanted:
        if given:
            raise _bad(text, f"{min(given)} is for TLS, and magicqueues:// asks for that")
        return None
    for name in _TLS_FIELDS:
        given.setdefault(name, os.environ.get(f"MAGICQUEUE_{name.upper()}", ""))
    tls = Tls(**given)
    tls.context()  # so that a file that cannot be read is told here
    return tls


def _sendable(token: str) -> str:
    """Check a token as far as a client can. Raises BadAddress, without showing it."""
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise BadAddress("the token has a character that no token has: copy it anew")
    return token


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~/"))


def _split_port(text: str, whole: str) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise _bad(whole, "an IPv6 address is written [::1]:6789")
        port = port[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not port:
        return host, PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
        raise _bad(whole, f"the port {port!r} is no number from 1 to {PORT_MAX}")
    return host, int(port)


def _bad(text: str, why: str) -> BadAddress:
    return BadAddress(
        f"the address {_USER.sub('//…@', text)!r} cannot be read: {why}"
        " (write host:port, magicqueue://host:port or unix:///path)"
    )
