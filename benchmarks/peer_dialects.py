"""How other servers are talked to, and what they then promise. See `dialects`.

- **beanstalkd**: pipelined put, reserve-with-timeout, delete, as many in flight as a batch
  has jobs. The same promises as ours. It has no batches, so it reads commands for each
  job. A consumer that finds nothing blocks in one reserve with no delete behind it.
- **Redis list**: LPUSH of a whole batch, RPOP with a count. No acknowledgement and no
  lease: a job is gone when it is handed out, whatever becomes of the worker. No
  priorities. A consumer that finds nothing asks again.
- **Redis scripts**: the same promises as ours, by Lua scripts over a sorted set
  (priority, then sequence), a hash (data) and a sorted set of leases. Nothing returns
  expired leases here, which a library would have to do as well.
"""

import re

from benchmarks.dialects import QUEUE, Dialect, Refused, Taker

LEASE_S = 300
WAIT_S = 5
_MANY_LINES = 500


class Beanstalkd(Dialect):
    """Its text protocol, tube `default`. A smaller number is more urgent there."""

    pull_lines = 2
    _form = b"put %d 0 %d %d\r\n%s\r\n"

    def wake_bytes(self, lines):
        """Wait for some of the replies to a batch of puts.

        beanstalkd sends each by itself, and a client that woke up for each would be slower
        than it. Not for more than 512 bytes, since so many small packets would fill the
        socket's buffer; and only for puts, as reserves were slower so.
        """
        return 512 if lines >= _MANY_LINES else 1

    def push_lines(self, batch):
        """Say that each put has its reply."""
        return batch

    def push(self, datas, ranks):
        """Make a put for each job."""
        pairs = zip(datas, ranks, strict=True)
        return b"".join(
            self._form % (1_000_000 - rank, LEASE_S, len(data), data)
            for data, rank in pairs
        )

    def check(self, data):
        """Raise for a refusal; all of them shout in capitals, and none is expected."""
        for word in (b"OUT_OF_MEMORY", b"JOB_TOO_BIG", b"BAD_", b"NOT_FOUND", b"BURIED"):
            if word in data:
                raise Refused(bytes(data[:200]))

    def taker(self, workload, waiting):
        """Make the consumer's side."""
        return BeanstalkdTaker(workload.pull, waiting)

    def settle_one(self, reply):
        """Make the delete for a RESERVED."""
        return b"delete %s\r\n" % reply.split(b" ", 2)[1]


class BeanstalkdTaker(Taker):
    """Keeps `count` reserves in flight; each delete travels with the next reserve."""

    one = b"reserve-with-timeout %d\r\n" % WAIT_S
    _ask = b"reserve-with-timeout 0\r\n"
    _reserved = re.compile(rb"RESERVED (\d+) ")

    def __init__(self, count, waiting):
        super().__init__()
        self._count, self._waiting = count, waiting
        self._buffer = b""
        self._in_flight = 0

    def begin(self):
        """Ask for the first jobs."""
        self._in_flight = self._count
        return self._ask * self._count

    def received(self, data):
        """Go through whole lines, in whatever pieces they come."""
        whole, end, rest = (self._buffer + data).rpartition(b"\n")
        self._buffer = rest
        lines = whole + end
        ids = self._reserved.findall(lines)
        self._in_flight -= len(ids) + lines.count(b"TIMED_OUT")
        out = [b"delete %s\r\n" % job_id for job_id in ids]
        if ids:
            out.append(self._ask * (self._count - self._in_flight))
            self._in_flight = self._count
        elif not self._in_flight and self._waiting:
            out.append(self.one)
            self._in_flight = 1
        return lines.count(b"DELETED"), b"".join(out)


def resp(*words):
    """Write a command as Redis wants it."""
    parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%s" % (len(words), b"".join(parts))


class RedisList(Dialect):
    """A plain list, by its fastest commands."""

    def push(self, datas, ranks):
        """Make one LPUSH."""
        return resp(b"LPUSH", QUEUE, *datas)

    def check(self, data):
        """Raise for an error."""
        if data.startswith(b"-") or b"\n-" in data:
            raise Refused(bytes(data[:200]))

    def taker(self, workload, waiting):
        """Make the consumer's side."""
        return RedisListTaker(workload)

    pull_lines = 3

    def settle_one(self, reply):
        """Say that nothing is to be settled."""
        return b""

    def clear(self, sock):
        """Send FLUSHALL."""
        sock.setblocking(True)  # noqa: FBT003 - its only argument
        sock.sendall(resp(b"FLUSHALL"))
        self.check(sock.recv(4096))
        return True


class RedisListTaker(Taker):
    """Keeps pulls in flight; counts the jobs by their `$`, the replies by their `*`."""

    one = resp(b"BRPOP", QUEUE, b"0")

    def __init__(self, workload):
        super().__init__()
        self._pull = resp(b"RPOP", QUEUE, b"%d" % workload.pull)
        self._window = workload.window

    def begin(self):
        """Ask for the first batches."""
        self.note_sent(self._window)
        return self._pull * self._window

    def received(self, data):
        """Ask for another batch for each that has begun to arrive."""
        replies = data.count(b"*")
        for _ in range(replies):
            self.note_answered()
        self.note_sent(replies)
        return data.count(b"$"), self._pull * replies


_PUSH = b"""
local id = redis.call('INCRBY', 'seq', #ARGV / 2) - #ARGV / 2
local at = 1
while at <= #ARGV do
  local ready, datas = {}, {}
  for i = at, math.min(at + 1998, #ARGV), 2 do
    id = id + 1
    ready[#ready + 1] = string.format('%.17g', id - ARGV[i + 1] * 4294967296)
    ready[#ready + 1] = id
    datas[#datas + 1] = id
    datas[#datas + 1] = ARGV[i]
  end
  redis.call('ZADD', 'ready', unpack(ready))
  redis.call('HSET', 'datas', unpack(datas))
  at = at + 2000
end
return id
"""
_PULL = b"""
local popped = redis.call('ZPOPMIN', 'ready', ARGV[1])
if #popped == 0 then return {} end
local until_s = redis.call('TIME')[1] + ARGV[2]
local ids, leases = {}, {}
for i = 1, #popped, 2 do
  ids[#ids + 1] = popped[i]
  leases[#leases + 1] = until_s
  leases[#leases + 1] = popped[i]
end
redis.call('ZADD', 'leases', unpack(leases))
local reply = redis.call('HMGET', 'datas', unpack(ids))
table.insert(reply, 1, table.concat(ids, ' '))
return reply
"""
_ACK = b"""
redis.call('HDEL', 'datas', unpack(ARGV))
return redis.call('ZREM', 'leases', unpack(ARGV))
"""


class RedisScript(RedisList):
    """A queue that keeps what it promises, as three scripts."""

    def prepare(self, sock):
        """Load the scripts, which gives the same names for them each time."""
        self.names = []
        for script in (_PUSH, _PULL, _ACK):
            sock.sendall(resp(b"SCRIPT", b"LOAD", script))
            reply = sock.recv(4096)
            self.check(reply)
            self.names.append(reply.split(b"\r\n")[1])

    def push(self, datas, ranks):
        """Call the push script."""
        words = [word for pair in zip(datas, ranks, strict=True) for word in pair]
        words[1::2] = [b"%d" % rank for rank in ranks]
        return resp(b"EVALSHA", self.names[0], b"0", *words)

    def taker(self, workload, waiting):
        """Make the consumer's side."""
        return RedisScriptTaker(workload, self.names)

    pull_lines = 5

    def settle_one(self, reply):
        """Call the ack script."""
        return resp(b"EVALSHA", self.names[2], b"0", reply.split(b"\r\n")[2])


class RedisScriptTaker(Taker):
    """Keeps pulls in flight; a line of numbers alone is a reply's list of ids."""

    _ids = re.compile(rb"(?m)^(\d[\d ]*)\r$")
    _acked = re.compile(rb"(?m)^:(\d+)\r$")

    def __init__(self, workload, names):
        super().__init__()
        call = (b"EVALSHA", names[1], b"0")
        self._pull = resp(*call, b"%d" % workload.pull, b"%d" % LEASE_S)
        self.one = resp(*call, b"1", b"%d" % LEASE_S)
        self._ack_name = names[2]
        self._window = workload.window
        self._buffer = b""

    def begin(self):
        """Ask for the first batches."""
        self.note_sent(self._window)
        return self._pull * self._window

    def received(self, data):
        """Settle each batch whose ids have come, and ask for another."""
        whole, end, rest = (self._buffer + data).rpartition(b"\n")
        self._buffer = rest
        lines = whole + end
        out = []
        for ids in self._ids.findall(lines):
            words = ids.split(b" ")
            out += [resp(b"EVALSHA", self._ack_name, b"0", *words), self._pull]
            self.note_answered()
            self.note_sent()
        nothing = lines.count(b"*0\r")
        out.append(self._pull * nothing)
        return sum(map(int, self._acked.findall(lines))), b"".join(out)
