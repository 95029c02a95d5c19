"""Replies that say no, and what a server is known to lack before it could."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from magicqueue.errors import TooLarge, Unauthorized, Unsupported, error_from_reply
from magicqueue.plain_text import plain
from magicqueue.wire import requests
from magicqueue.wire.framing import LINE_TOO_LONG
from magicqueue.wire.replies import ServerInfo

Line: TypeAlias = bytes | bytearray
"""A reply, with or without its line end."""

SHOWN_BYTES: Final = 80
"""As much of a reply that is none is shown."""


def lack_of(server: ServerInfo | None, needs: Sequence[str]) -> Unsupported | None:
    """Say what a server lacks of what a request needs; None if nothing.

    server: what it told in HELLO; None is one that knows no HELLO.
    """
    told = () if server is None else server.capabilities
    lacking = [word for word in needs if word not in told]
    if not lacking:
        return None
    if server is None:
        who = "the server, which does not answer HELLO,"
    else:
        who = f"the server ({plain(server.server)} {plain(server.version)})"
    return Unsupported(
        f"{who} does not offer {lacking[0]!r}, which this request needs: nothing was sent."
        " Run a newer server, or do without"
    )


class _Reply(msgspec.Struct):
    ok: bool
    error: str | None = None
    code: str | None = None
    id: Any = None
    rid: Raw = requests.NO_RID


_reply: Final = msgspec.json.Decoder(_Reply).decode


def refusal_in(line: Line, rid: bytes) -> Exception | None:
    """Read a reply's refusal, None if it is ok. Raises ValueError for one that is none."""
    reply = _reply(line)
    echo = bytes(reply.rid)
    if echo and echo != rid:
        raise ValueError(f"its rid is {echo[:SHOWN_BYTES]!r}, not {rid!r}")
    if reply.ok:
        return None
    if reply.error is None or not reply.code:
        raise ValueError("it is neither ok nor an error with its code")
    holder = reply.id if isinstance(reply.id, int) else None
    return error_from_reply(reply.code, reply.error, holder)


def hangs_up(refusal: Exception) -> bool:
    """Tell whether the server closes the connection after it."""
    if isinstance(refusal, TooLarge):
        return str(refusal).startswith(LINE_TOO_LONG)
    return isinstance(refusal, Unauthorized)
