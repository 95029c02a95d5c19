"""Receiving and sending for many connections in one call: the kernels that ask the system.

They know descriptors, not sockets: whoever calls them opens, watches and closes those.
`poller` is an epoll descriptor that watches connections edge-triggered (EPOLLET), so each
event comes once, and a read that takes all that is there costs no second look.

Nothing here looks at an error's number. A descriptor that has more to tell than bytes (its
end, an error, more bytes than a feed takes) is marked, and Python finds out what it is.
"""

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import (
    Memory,
    halves_of,
    kernel,
    poll_events,
    receive_bytes,
    send_bytes,
    words_of,
)


@kernel("int64(int64[::1], int64)")
def receive(memory: Memory, poller: int) -> int:
    """Receive from the descriptors that are ready; gives marked feeds << 32 | all feeds.

    A round ends with FEEDS_MAX feeds, or with FEEDS_BYTES_MAX bytes. What was polled and
    not received then comes first in the next round, so that each has its turn.
    """
    w, h = words_of(memory), halves_of(memory)
    if w[lo.S_POLLED_AT] >= w[lo.S_POLLED]:
        w[lo.S_POLLED] = poll_events(memory, poller, 4 * lo.POLLED_H, lo.FEEDS_MAX)
        w[lo.S_POLLED_AT] = 0
    at = lo.RECEIVED_B
    end = at + lo.FEEDS_BYTES_MAX - lo.FEED_BYTES_MAX
    count = 0
    marked = 0
    while w[lo.S_POLLED_AT] < w[lo.S_POLLED] and at <= end:
        event = lo.POLLED_H + 3 * w[lo.S_POLLED_AT]
        w[lo.S_POLLED_AT] += 1
        descriptor = h[event + 1]
        size = receive_bytes(memory, descriptor, at, lo.FEED_BYTES_MAX)
        feed = lo.FEEDS_W + count * lo.FEED_WORDS
        w[feed + lo.F_DESCRIPTOR] = descriptor
        w[feed + lo.F_SESSION] = w[lo.PEERS_W + descriptor]
        w[feed + lo.F_AT] = at
        w[feed + lo.F_BYTES] = size
        w[feed + lo.F_RAN] = 0
        w[feed + lo.F_REPLY_BYTES] = 0
        w[feed + lo.F_SENT] = 0
        w[feed + lo.F_MARKED] = 0
        if size <= 0 or size == lo.FEED_BYTES_MAX or h[event] != lo.POLLED_INPUT:
            w[feed + lo.F_MARKED] = 1
            marked += 1
        count += 1
        if size > 0:
            at += (size + 127) // 64 * 64
    return marked << 32 | count


@kernel("int64(int64[::1], int64)")
def send(memory: Memory, count: int) -> int:
    """Send the replies of `count` feeds; gives how many could not be sent whole."""
    w = words_of(memory)
    left = 0
    for k in range(count):
        feed = lo.FEEDS_W + k * lo.FEED_WORDS
        size = w[feed + lo.F_REPLY_BYTES]
        if size > 0:
            at = w[feed + lo.F_REPLY_AT]
            sent = send_bytes(memory, w[feed + lo.F_DESCRIPTOR], at, size)
            w[feed + lo.F_SENT] = max(sent, 0)
            if sent != size:
                left += 1
    return left
