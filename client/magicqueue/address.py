"""Where a server is: addresses as people write them, and the sockets they mean.

    localhost:6789, example.org, [::1]:7000, :7000     TCP; the port may be left out
    magicqueue://example.org:6789                      the same as a URL
    unix:///run/magic-queue.sock, /run/magic-queue.sock, ./q.sock    a Unix socket

`localhost` is both 127.0.0.1 and ::1, whatever the machine's hosts file says. Without an
address the environment's MAGICQUEUE_URL counts, and without that `localhost:6789`.
"""

import os
import socket
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from magicqueue.errors import BadAddress

DEFAULT: Final = "localhost:6789"
PORT: Final = 6789
VARIABLE: Final = "MAGICQUEUE_URL"
_PORT_MAX: Final = 65535

Target: TypeAlias = tuple[socket.AddressFamily, str | tuple[str, int]]
"""What a socket is made for and connected to."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server's place: a path for a Unix socket, else a host and port."""

    host: str = ""
    port: int = PORT
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

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


def parse_address(text: str | None = None) -> Address:
    """Read an address; None means MAGICQUEUE_URL or the default. Raises BadAddress."""
    if text is None:
        text = os.environ.get(VARIABLE) or DEFAULT
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if scheme == "unix" or (not scheme and _is_path(rest)):
        path = unquote(rest) if scheme else rest
        if not path:
            raise _bad(text, "the socket's path is missing")
        return Address(path=path)
    if scheme not in {"", "magicqueue", "tcp"}:
        raise _bad(text, f"{scheme}:// is none of magicqueue:// and unix://")
    host, port = _split_port(rest.removesuffix("/"), text)
    if "/" in host or "@" in host or " " in host:
        raise _bad(text, "there is more than a host and a port")
    return Address(host=host or "localhost", port=port)


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
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MAX):
        raise _bad(whole, f"the port {port!r} is no number from 1 to {_PORT_MAX}")
    return host, int(port)


def _bad(text: str, why: str) -> BadAddress:
    return BadAddress(
        f"the address {text!r} cannot be read: {why}"
        " (write host:port, magicqueue://host:port or unix:///path)"
    )
