"""Events as server-sent events: what a SUBSCRIBE brings, for as long as it lasts.

Each line of the protocol is the data of one message without a name, so `onmessage` of a
browser's EventSource gets them all. While nothing happens a comment is sent now and then:
whatever stands between would close a connection that is silent, and a client that is gone
is noticed.
"""

from typing import Final

STREAMS_MAX: Final = 64
BEAT_S: Final = 15.0
BEAT: Final = b":\n\n"
EVENT_STREAM: Final = b"text/event-stream"
BEGIN: Final = (
    b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: text/event-stream\r\n"
    b"X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
)
"""Without a length: it lasts until the connection ends, in HTTP/1.0 and 1.1 alike."""


def frames(lines: bytes) -> bytes:
    """Write the lines of events as messages, one of each."""
    return b"".join([b"data: %b\n\n" % line for line in lines.split(b"\n") if line])
