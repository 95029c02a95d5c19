"""TLS: the certificate that the server shows, and whose certificates it lets in.

The files are read at the start and again on SIGHUP, each time into a context of their own:
new connections have the new one, those that are there keep theirs, and a file that cannot
be used changes nothing. Python's `ssl` is imported only where TLS is asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import ssl

VERSIONS: Final = ("1.3", "1.2")
HANDSHAKE_S: Final = 10.0
SHUTDOWN_S: Final = 2.0


class BadTls(Exception):
    """The files cannot be used; the text says which, why and what to do."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What TLS is made of."""

    cert: str
    key: str = ""
    client_ca: str = ""
    """Certificates that a client's has to be signed by; empty: it needs none."""
    least: str = VERSIONS[0]


class ServerTls:
    """Keeps the `context` of the next connection. Raises BadTls."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context = _context(files)

    def reload(self) -> None:
        """Read the files again. Raises BadTls, and keeps what there was."""
        self.context = _context(self._files)

    def __str__(self) -> str:
        clients = ", for clients with a certificate" if self._files.client_ca else ""
        return f"TLS {self._files.least} or later with {self._files.cert}{clients}"


def _context(files: TlsFiles) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - 6 MB of OpenSSL, which a server without TLS never loads

    cert, key = files.cert, files.key or files.cert
    try:
        for path in filter(None, (cert, key, files.client_ca)):
            Path(path).open("rb").close()  # ssl does not say which file it cannot read
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = (
            ssl.TLSVersion.TLSv1_2 if files.least == "1.2" else ssl.TLSVersion.TLSv1_3
        )
        context.load_cert_chain(cert, key, password=_no_password)
        if files.client_ca:
            context.load_verify_locations(files.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        where = error.filename or f"the certificate {cert} and its key {key}"
        if files.client_ca and error.filename is None:
            where += f", or {files.client_ca}"
        raise BadTls(f"cannot use {where}: {error.strerror or error}") from None
    return context


def _no_password() -> str:
    """Refuse an encrypted key, rather than ask at a terminal that may not be there."""
    raise OSError("the key is encrypted: give it without a password, in a file of mode 600")
