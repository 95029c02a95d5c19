"""Where the server listens: TCP addresses of one or both families, or a Unix socket."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from magicqueue_server.acceptor import QUEUE, Acceptor, Places, tcp_socket
from magicqueue_server.logs import event
from magicqueue_server.tls import ServerTls
from magicqueue_server.unix_socket import MODE, CannotBind, UnixSocket

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


class NotForStrangers(StartError):
    """Others could come in, and nothing keeps them out."""

    exit_code = 2


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach an address."""
    return host.startswith(_LOOPBACK)


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

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can reach the server."""
        return self.path is not None or all(is_loopback(h) for h, _ in self.tcp)


class Doors:
    """The listening sockets.

    protocol: makes the protocol of a connection. tls: what TCP is encrypted with, if it is.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        places: Places,
        tls: ServerTls | None = None,
    ) -> None:
        self._protocol = protocol
        self._places = places
        self._tls = tls
        self._acceptors: list[Acceptor] = []
        self._unix: UnixSocket | None = None

    def open_unix(self, path: Path, mode: int = MODE, group: str = "") -> Address:
        """Listen at a path; see `UnixSocket`. Raises StartError."""
        try:
            self._unix = UnixSocket(path, QUEUE, mode, group)
        except CannotBind as error:
            raise StartError(str(error)) from None
        self._accept(self._unix.sock, None)
        return Address(path=path)

    def take(self, handed: Sequence[socket.socket], *, only_here: bool = False) -> Address:
        """Accept at sockets that somebody listens at for us; raises StartError.

        only_here: refuse those at which other machines can reach the server.
        """
        tcp: list[tuple[str, int]] = []
        path: Path | None = None
        for sock in handed:
            name = sock.getsockname()
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise StartError(
                    f"{name} was handed over and nobody listens at it: a socket unit says"
                    " ListenStream=, and Accept=no"
                )
            if sock.family == socket.AF_UNIX:
                path = Path(os.fsdecode(name))
                self._accept(sock, None)
                continue
            if only_here and not is_loopback(name[0]):
                raise _not_for_strangers(name[0])
            tcp.append(self._accept(sock, self._tls).name)
        return Address(tcp=tuple(tcp), path=None if tcp else path)

    async def open_tcp(self, host: str, port: int, *, only_here: bool = False) -> Address:
        """Listen on all addresses of a host, at one port; raises StartError.

        only_here: refuse those at which other machines can reach the server.
        """
        addresses = await _resolve(host)
        if only_here and not all(is_loopback(address) for _, address in addresses):
            raise _not_for_strangers(host or "all addresses")
        bound: list[tuple[str, int]] = []
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                bound = self._listen_on_all(addresses, port)
                break
            except PortInUse:
                # A port that the system chose for one address may be taken on another.
                if port or not tries_left or not self._acceptors:
                    raise
                self.close()
        if not bound:
            raise StartError(f"cannot listen on {host}: none of its addresses can be used")
        return Address(tcp=tuple(bound))

    def remove_file(self) -> None:
        """Remove the Unix socket's file, if there is one and it is still ours."""
        if self._unix is not None:
            self._unix.remove_file()

    def close(self) -> None:
        """Accept no more; the socket's file goes first, while it surely is our own."""
        self.remove_file()
        while self._acceptors:
            self._acceptors.pop().close()

    def _listen_on_all(
        self, addresses: list[tuple[int, str]], port: int
    ) -> list[tuple[str, int]]:
        bound: list[tuple[str, int]] = []
        for family, address in addresses:
            try:
                sock = tcp_socket(family, address, port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortInUse(
                        f"port {port} of {address} is in use: another server may be"
                        " running; stop it, or choose another --port"
                    ) from None
                if family == socket.AF_INET6:
                    event(_log, logging.WARNING, "no IPv6", address=address, why=error)
                    continue
                raise StartError(f"cannot listen on {address}:{port}: {error}") from None
            bound.append(self._accept(sock, self._tls).name)
            port = bound[-1][1]
        return bound

    def _accept(self, sock: socket.socket, tls: ServerTls | None) -> Acceptor:
        acceptor = Acceptor(sock, self._protocol, self._places, tls)
        self._acceptors.append(acceptor)
        return acceptor


def _not_for_strangers(where: str) -> NotForStrangers:
    return NotForStrangers(
        f"at {where} anyone could push and pull jobs: give --tokens a file (`magicqueue"
        " token new` makes its lines), or say --insecure if nobody else can reach this"
        " network"
    )


async def _resolve(host: str) -> list[tuple[int, str]]:
    """Give the addresses of a host; an empty one and `::` are all of both families."""
    if not host:
        return [(socket.AF_INET, _ANY_IPV4), (socket.AF_INET6, _ANY_IPV6)]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
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
