"""In the executable it stands in for `ssl`: nothing here speaks TLS.

uvloop and asyncio ask for these names while they are imported, wanted or not. OpenSSL
would be a fifth of the download, and a library whose holes would call for new builds.
"""

from typing import Final, NoReturn

SSL_ERROR_WANT_READ: Final = 2
SSL_ERROR_WANT_WRITE: Final = 3
SSL_ERROR_SYSCALL: Final = 5


class Purpose:
    """What a context would be for."""

    CLIENT_AUTH: Final = None
    SERVER_AUTH: Final = None


class SSLError(OSError):
    """Raised by what would need TLS."""


class SSLWantReadError(SSLError):
    """Never raised."""


class SSLSyscallError(SSLError):
    """Never raised."""


class SSLZeroReturnError(SSLError):
    """Never raised."""


class CertificateError(SSLError):
    """Never raised."""


class SSLContext:
    """Cannot be made."""

    def __init__(self, *_: object, **__: object) -> None:
        create_default_context()


class MemoryBIO(SSLContext):
    """Cannot be made."""


def create_default_context(*_: object, **__: object) -> NoReturn:
    """Refuse."""
    raise SSLError("this executable has no TLS: use the one whose name ends in -tls")
