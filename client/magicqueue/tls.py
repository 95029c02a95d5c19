"""TLS as a client speaks it: which certificates it trusts, and its own.

Python's `ssl` is imported only where TLS is asked for.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from magicqueue.errors import BadAddress

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM; empty: the system's certificates are trusted, and none is shown."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> "ssl.SSLContext":
        """Give what connections are made with, anew when a file has changed.

        Raises BadAddress for a file that cannot be used.
        """
        files = (self.ca, self.cert, self.key)
        try:
            changed = tuple(Path(name).stat().st_mtime_ns for name in files if name)
            return _context(self, changed)
        except OSError as error:
            raise BadAddress(
                f"TLS with ca={self.ca!r}, cert={self.cert!r}, key={self.key!r} cannot"
                f" be: {error.strerror or error}"
            ) from None


@lru_cache(maxsize=16)
def _context(tls: Tls, _changed: tuple[int, ...]) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - slow, and only where it is wanted

    context = ssl.create_default_context(cafile=tls.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key or None)
    return context
