"""What bounds a request over HTTP, by size and time, beside what bounds a command."""

from typing import Final

from magicqueue_server.http.messages import HttpError

HEAD_BYTES_MAX: Final = 16 * 1024
HEADERS_MAX: Final = 100
HEAD_S: Final = 10.0
IDLE_S: Final = 75.0
UNREAD_S: Final = 60.0
BODY_BYTES_PER_S: Final = 64 * 1024
_CHUNKED_EXTRA: Final = 8
"""A body in chunks may be so much longer than what is in them."""


def too_large(most: int) -> HttpError:
    """Make the refusal of a body of more bytes than that."""
    return HttpError(413, "TOO_LARGE", f"the body is too long: the limit is {most} bytes")


def refuse_size(fed: int, body: int, most: int, *, coded: bool) -> HttpError | None:
    """Make the refusal of a body that is too long as it is sent; None if it is not.

    fed: bytes that were sent of it so far, of which `body` are in it. coded: in chunks.
    """
    if fed - _CHUNKED_EXTRA * body > most + HEAD_BYTES_MAX:
        return too_large(most)
    if coded and fed > HEAD_BYTES_MAX + _CHUNKED_EXTRA * body:
        return HttpError(413, "TOO_LARGE", "too little is in its chunks")
    return None
