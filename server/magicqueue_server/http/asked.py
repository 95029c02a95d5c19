"""A request that is whole, on its way from a connection to whoever answers it."""

import msgspec

from magicqueue_server.http.routes import Target
from magicqueue_server.tokens import Token


class Asked(msgspec.Struct):
    """A request that is whole."""

    target: Target
    query: str
    token: Token | None
    headers: dict[bytes, bytes]
    body: bytes
    keeps_alive: bool
    with_body: bool
