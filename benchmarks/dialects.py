"""How a server is talked to at its best: pipelined, in the largest useful requests.

A dialect makes requests and says how many lines a reply has; its `taker` is the consumer's
side: it is fed whatever has arrived and gives (jobs settled, what to send next). Takers
keep requests in flight, so that a server need not wait for its client.

Here is what is common, and our own protocol: PUSHB, PULLB and ACKB. Those of other
servers are in `peer_dialects`.
"""

import time
from collections import deque

import numpy as np

QUEUE = b"bench"


class Refused(Exception):
    """A server answered with an error."""


FORMS = {
    "bare": (b"", b""),
    "original": (b"", b',"priority":%d'),
    "client": (b',"backoff":1000,"jitter":true', b""),
    "client_repeated": (b"", b',"backoff":1000,"jitter":true'),
}
"""What clients say of jobs beside the list, and in each job behind its data.

The original's client gives each job a priority. Ours says once what jobs share, or in each
job to a server that has not told that it heeds it beside them.
"""


class Dialect:
    """What is common: one line a reply."""

    pull_lines = 1
    form = "bare"
    """One of FORMS; other servers get what they need in any case."""

    def prepare(self, sock):
        """Do what a new connection needs."""

    def push_lines(self, batch):
        """Say how many lines the reply to a push of `batch` jobs has."""
        return 1

    def wake_bytes(self, lines):
        """Say how many bytes to wait for when `lines` are still to come."""
        return 1

    def clear(self, sock):
        """Empty the queue at once; False if that cannot be done."""
        return False


class Taker:
    """The consumer's side: how long each pull took is in `latencies`."""

    def __init__(self):
        self.latencies = []
        self._sent = deque()

    def note_sent(self, count=1):
        """Note that `count` pulls go out now."""
        self._sent.extend([time.perf_counter_ns()] * count)

    def note_answered(self):
        """Note that the oldest pull was answered."""
        self.latencies.append((time.perf_counter_ns() - self._sent.popleft(), 1))


class MagicQueue(Dialect):
    """Our own protocol."""

    def push(self, datas, ranks):
        """Make a PUSH, or a PUSHB for more than one job."""
        beside, each = FORMS[self.form]
        if b"%d" not in each:
            each = b"%b" + each
            says = any(ranks)
            ranks = [b',"priority":%d' % rank if says else b"" for rank in ranks]
        if len(datas) == 1:
            item = b'"data":%s' % datas[0] + each % ranks[0] + beside
            return b'{"cmd":"PUSH","queue":"%s",%s}\n' % (QUEUE, item)
        pairs = zip(datas, ranks, strict=True)
        items = [b'{"data":%s%b}' % (data, each % rank) for data, rank in pairs]
        jobs = b",".join(items)
        return b'{"cmd":"PUSHB","queue":"%s"%b,"jobs":[%s]}\n' % (QUEUE, beside, jobs)

    def check(self, data):
        """Raise for a refusal."""
        if b'"ok":false' in data:
            raise Refused(bytes(data[:200]))

    def taker(self, workload, waiting):
        """Make the consumer's side."""
        return MagicQueueTaker(workload, waiting)

    def settle_one(self, reply):
        """Make the ACK for a PULL's reply."""
        self.check(reply)
        start = reply.index(b'"id":') + 5
        return b'{"cmd":"ACK","id":%s}\n' % reply[start : reply.index(b",", start)]

    def clear(self, sock):
        """Send DRAIN."""
        sock.setblocking(True)  # noqa: FBT003 - its only argument
        sock.sendall(b'{"cmd":"DRAIN","queue":"%s"}\n' % QUEUE)
        self.check(sock.recv(4096))
        return True


class MagicQueueTaker(Taker):
    """Keeps `workload.window` PULLBs in flight; each ACKB travels with the next PULLB."""

    one = b'{"cmd":"PULL","queue":"%s"}\n' % QUEUE

    def __init__(self, workload, waiting):
        super().__init__()
        wait = b"" if waiting else b',"timeout":0'
        form = b'{"cmd":"PULLB","queue":"%s","count":%d%s}\n'
        self._pull = form % (QUEUE, workload.pull, wait)
        self._window = 1 if waiting else workload.window
        self._buffer = bytearray()

    def begin(self):
        """Ask for the first batches."""
        self.note_sent(self._window)
        return self._pull * self._window

    def received(self, data):
        """Go through the replies that are complete."""
        buffer, out, settled, at = self._buffer, [], 0, 0
        buffer += data
        while (end := buffer.find(b"\n", max(at, len(buffer) - len(data)))) >= 0:
            line = memoryview(buffer)[at : end + 1]
            head = bytes(line[:24])
            if head.startswith(b'{"ok":true,"jobs":['):
                self.note_answered()
                ids = ids_of(line)
                if ids:
                    self.note_sent()
                    out.append(b'{"cmd":"ACKB","ids":[%s]}\n%s' % (ids, self._pull))
            elif head.startswith(b'{"ok":true,"ids":['):
                if bytes(line[-14:-1]) != b'"missing":[]}':
                    raise Refused(bytes(line[:200]))
                settled += int(bytes(line[18:40]).partition(b"]")[0])
            else:
                raise Refused(bytes(line[:200]))
            line.release()
            at = end + 1
        del buffer[:at]
        return settled, b"".join(out)


_KEY = np.frombuffer(b'{"id":', np.uint8)
_DIGITS_MAX = 12
_COMMA = ord(",")


def ids_of(reply):
    """Give the ids of a PULLB's reply, with commas (and spaces) between; no loop a job."""
    text = np.frombuffer(reply, np.uint8)
    starts = np.flatnonzero(text[: -_DIGITS_MAX - len(_KEY)] == _KEY[0])
    starts = starts[text[starts + 2] == _KEY[2]]
    starts = starts[text[starts + 3] == _KEY[3]]
    if not len(starts):
        return b""
    starts += len(_KEY)
    digits = _fields(
        text, starts, text[starts[0] : starts[0] + _DIGITS_MAX].tobytes().index(b",") + 1
    )
    if not (digits[:, -1] == _COMMA).all():
        digits = _fields(text, starts, _DIGITS_MAX)
        ended = np.logical_or.accumulate(digits == _COMMA, axis=1)
        digits[ended] = ord(" ")
        digits[:, -1] = _COMMA
    return digits.tobytes()[:-1]


def _fields(text, starts, width):
    """Copy `width` bytes from each start, a row each."""
    windows = np.ndarray(len(text) - width + 1, f"V{width}", text, strides=(1,))
    return windows[starts].view(np.uint8).reshape(-1, width)
