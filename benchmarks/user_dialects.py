"""What each server is sent, by the generator in `drive.c`: one job's life, in steps.

Everybody gets the same data. Our pushes are as our client sends them (`workloads` and
`dialects` have the batches of other forms). Redis is taken at its best in two ways: by
*Streams*, its usual queue with an ack, which has no priorities; and by *lean scripts* with
the promises of those in `peer_dialects`, but the data in the member, so that there is no
hash to keep. Nothing returns expired leases in either.
"""

import socket

from benchmarks.dialects import FORMS
from benchmarks.native import Step
from benchmarks.peer_dialects import LEASE_S, WAIT_S, resp

DATA = b'{"i":1}'
IDS, SIZE = b"\x01", b"\x02"
_NO_PRIORITY = b"1000000"


def data_of(size_bytes):
    """Make data of that size."""
    return DATA if not size_bytes else b'{"text":"%b"}' % (b"x" * (size_bytes - 11))


def _said(form):
    """Give what a form says beside the list, and in each job; all have one priority."""
    return [said.replace(b"%d", b"0") for said in FORMS[form]]


class MagicQueue:
    """Our protocol."""

    def prepare(self, port):
        """Do nothing."""

    def clear(self, port):
        """Forget all jobs that are left."""
        ask(port, b'{"cmd":"DRAIN","queue":"bench"}\n')

    def push(self, form="client"):
        """Push one job."""
        said = b"".join(_said(form))
        text = b'{"cmd":"PUSH","queue":"bench","data":%b%b}\n' % (DATA, said)
        return [Step(text)]

    def push_batch(self, jobs, size_bytes=0, form="client"):
        """Push a batch: our client says once what jobs share, the original's in each."""
        beside, each = _said(form)
        items = b",".join([b'{"data":%b%b}' % (data_of(size_bytes), each)] * jobs)
        text = b'{"cmd":"PUSHB","queue":"bench"%b,"jobs":[%b]}\n' % (beside, items)
        return [Step(text)]

    def cycle(self):
        """Push, pull, acknowledge."""
        return [*self.push(), self._pull(), self._ack()]

    def woken(self):
        """Pull, push, acknowledge."""
        return [self._pull(), *self.push(), self._ack()]

    def take_batch(self, jobs):
        """Pull a batch and acknowledge it."""
        pull = b'{"cmd":"PULLB","queue":"bench","count":%d,"timeout":0}\n' % jobs
        ack = b'{"cmd":"ACKB","ids":[%b]}\n' % IDS
        return [Step(pull, 1, b'"id":', 5), Step(ack)]

    def _pull(self):
        return Step(b'{"cmd":"PULL","queue":"bench"}\n', 1, b'"id":', 5)

    def _ack(self):
        return Step(b'{"cmd":"ACK","id":%b}\n' % IDS)


class Beanstalkd:
    """Its text protocol, tube `default`."""

    def prepare(self, port):
        """Do nothing."""

    clear = prepare

    def cycle(self):
        """Put, reserve, delete."""
        return [self._put(), self._reserve(), self._delete()]

    def woken(self):
        """Reserve, put, delete."""
        return [self._reserve(), self._put(), self._delete()]

    def _put(self):
        words = _NO_PRIORITY, LEASE_S, len(DATA), DATA
        return Step(b"put %b 0 %d %d\r\n%b\r\n" % words)

    def _reserve(self):
        return Step(b"reserve-with-timeout %d\r\n" % WAIT_S, 2, b"RESERVED ", 9)

    def _delete(self):
        return Step(b"delete %b\r\n" % IDS)


class RedisList:
    """A plain list: the cheapest that it can store."""

    def prepare(self, port):
        """Begin with nothing."""
        self.clear(port)

    def clear(self, port):
        """Forget everything."""
        ask(port, resp(b"FLUSHALL"))

    def push(self):
        """Push one job."""
        return [Step(resp(b"LPUSH", b"bench", DATA))]


class RedisStreams(RedisList):
    """Streams, with one group of consumers."""

    def prepare(self, port):
        """Make stream and group."""
        self.clear(port)
        ask(port, resp(b"XGROUP", b"CREATE", b"bench", b"workers", b"$", b"MKSTREAM"))

    def push(self):
        """Add an entry; the reply has its length and its id."""
        return [Step(resp(b"XADD", b"bench", b"*", b"d", DATA), 2)]

    def cycle(self):
        """Add, read as a consumer, acknowledge and delete."""
        return [*self.push(), self._read(), self._settle()]

    def woken(self):
        """Read with a wait, add, acknowledge and delete."""
        wait = b"BLOCK", b"%d" % (WAIT_S * 1000)
        return [self._read(*wait), *self.push(), self._settle()]

    def _read(self, *wait):
        words = (
            b"GROUP",
            b"workers",
            b"w",
            b"COUNT",
            b"1",
            *wait,
            b"STREAMS",
            b"bench",
            b">",
        )
        # an id is milliseconds since 1970: the only line that begins with a 1
        return Step(resp(b"XREADGROUP", *words), 13, b"\r\n1", 2)

    def _settle(self):
        text = b"*4\r\n$4\r\nXACK\r\n$5\r\nbench\r\n$7\r\nworkers\r\n$%b\r\n%b\r\n"
        text += b"*3\r\n$4\r\nXDEL\r\n$5\r\nbench\r\n$%b\r\n%b\r\n"
        return Step(text % (SIZE, IDS, SIZE, IDS), 2)


_PUSH = b"""
local id = redis.call('INCR', 'seq')
return redis.call('ZADD', 'ready', id - ARGV[2] * 4294967296, 'j' .. id .. ARGV[1])
"""
_PULL = b"""
local popped = redis.call('ZPOPMIN', 'ready', ARGV[1])
if #popped == 0 then return {} end
redis.call('ZADD', 'leases', redis.call('TIME')[1] + ARGV[2], popped[1])
return {popped[1]}
"""


class RedisScripts(RedisList):
    """Two scripts and a ZREM; a member is an id with its data behind."""

    def prepare(self, port):
        """Load the scripts."""
        self.clear(port)
        load = (ask(port, resp(b"SCRIPT", b"LOAD", text)) for text in (_PUSH, _PULL))
        self._push, self._pull = (reply.split(b"\r\n")[1] for reply in load)

    def push(self):
        """Call the push script."""
        return [Step(resp(b"EVALSHA", self._push, b"0", DATA, b"0"))]

    def cycle(self):
        """Push, pull, take off the leases."""
        pull = resp(b"EVALSHA", self._pull, b"0", b"1", b"%d" % LEASE_S)
        settle = b"*3\r\n$4\r\nZREM\r\n$6\r\nleases\r\n$%b\r\n%b\r\n" % (SIZE, IDS)
        return [*self.push(), Step(pull, 3, b"\r\nj", 2), Step(settle)]


def ask(port, request):
    """Send one request; gives its reply."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        return _ask(sock, request)


def record(port, steps):
    """Send steps to one of our servers; gives {how a request begins: its reply}."""
    replies, ids = {}, b""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for step in steps:
            replies[step.kind] = reply = _ask(sock, step.request.replace(IDS, ids))
            parts = reply.split(step.key)[1:] if step.key else []
            ids = b",".join(part.partition(b",")[0] for part in parts)
    return replies


def _ask(sock, request):
    sock.sendall(request)
    reply = sock.recv(1 << 20)
    while not reply.endswith(b"\n"):
        reply += sock.recv(1 << 20)
    if b'"ok":false' in reply[:20] or reply.startswith(b"-"):
        raise RuntimeError(f"{request[:100]}: {reply[:200]}")
    return reply
