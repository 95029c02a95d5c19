"""A socket that speaks TLS and, like a plain one, never blocks by itself.

OpenSSL may hold what it has read already, which no poll tells of; so `recv` gives all
that is there, more than was asked for if need be.
"""

import socket
from typing import TYPE_CHECKING

from magicqueue.tls import Tls

if TYPE_CHECKING:
    import ssl


class TlsSocket:
    """What a `SyncConnection` uses of a socket."""

    def __init__(self, sock: "ssl.SSLSocket") -> None:
        import ssl  # noqa: PLC0415 - as in `tls`

        self._sock = sock
        self._later = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

    def fileno(self) -> int:
        """Give its descriptor."""
        return self._sock.fileno()

    def send(self, data: bytes | bytearray, _flags: int = 0) -> int:
        """Write what can be written. Raises BlockingIOError if nothing can."""
        try:
            return self._sock.send(data)
        except self._later:
            raise BlockingIOError from None

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """Read what is there. Raises BlockingIOError if nothing is."""
        try:
            piece = self._sock.recv(size)
            while self._sock.pending():
                piece += self._sock.recv(size)
        except self._later:
            raise BlockingIOError from None
        return piece

    def close(self) -> None:
        """Close it."""
        self._sock.close()


def speak_tls(sock: socket.socket, tls: Tls, host: str) -> TlsSocket:
    """Greet the server over a connected socket, within its time-out. Raises OSError."""
    wrapped = tls.context().wrap_socket(sock, server_hostname=host)
    wrapped.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return TlsSocket(wrapped)
