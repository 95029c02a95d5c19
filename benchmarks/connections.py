"""Connections of the load generator: who sends what, and when the next."""

import socket
import time
from collections import deque

from benchmarks.payloads import payloads, priorities


class Connection:
    """Sends without blocking; what the socket does not take yet waits in `unsent`."""

    def __init__(self, sock):
        self.sock = sock
        self.unsent = deque()
        self.latencies = []
        self._wake_bytes = 1

    def wake_at(self, size_bytes):
        """Be woken when so much has arrived, for servers that send each line by itself."""
        if size_bytes != self._wake_bytes:
            self._wake_bytes = size_bytes
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)

    def send(self, data):
        """Send now, or as soon as the socket takes it."""
        self.unsent.append(memoryview(data))
        self.flush()

    def flush(self):
        """Send what waits, as far as the socket takes it."""
        unsent = self.unsent
        while unsent:
            try:
                sent = self.sock.send(unsent[0])
            except BlockingIOError:
                return
            if sent == len(unsent[0]):
                unsent.popleft()
            else:
                unsent[0] = unsent[0][sent:]


class Producer(Connection):
    """Pushes jobs, `workload.window` requests in flight.

    Requests lie in one piece of memory, so the next few are one slice and one send.
    """

    def __init__(self, sock, dialect, workload, first, jobs, batch):
        super().__init__(sock)
        self.done = False
        self._dialect = dialect
        self._window = workload.window
        count = max(jobs // batch, 1)
        self.jobs = count * batch
        datas = payloads(first, self.jobs, workload.payload_bytes)
        ranks = priorities(self.jobs, workload.priorities)
        requests = [
            dialect.push(datas[at : at + batch], ranks[at : at + batch])
            for at in range(0, self.jobs, batch)
        ]
        self._requests = memoryview(b"".join(requests))
        self._starts = [0]
        for request in requests:
            self._starts.append(self._starts[-1] + len(request))
        self._count = count
        self._lines_each = dialect.push_lines(batch)
        self._lines = 0
        self._next = 0
        self._answered = 0
        self._sent = deque()

    def begin(self):
        """Send the first requests."""
        self._send_some(self._window)

    def received(self, data):
        """Count the requests that are answered, and send as many."""
        self._dialect.check(data)
        self._lines += data.count(b"\n")
        answered, self._lines = divmod(self._lines, self._lines_each)
        if answered:
            self._answered += answered
            self._time(answered)
            self.done = self._answered >= self._count
            self._send_some(answered)
        outstanding = (self._next - self._answered) * self._lines_each - self._lines
        self.wake_at(self._dialect.wake_bytes(outstanding))

    def _send_some(self, count):
        first = self._next
        self._next = end = min(first + count, self._count)
        if end > first:
            self._sent.append([end - first, time.perf_counter_ns()])
            self.send(self._requests[self._starts[first] : self._starts[end]])

    def _time(self, answered):
        now = time.perf_counter_ns()
        while answered:
            oldest = self._sent[0]
            count = min(answered, oldest[0])
            self.latencies.append((now - oldest[1], count))
            answered -= count
            oldest[0] -= count
            if not oldest[0]:
                self._sent.popleft()


class Consumer(Connection):
    """Pulls and settles until all consumers together have settled `goal[0]` jobs."""

    def __init__(self, sock, taker, goal):
        super().__init__(sock)
        self._taker = taker
        self._goal = goal
        self.latencies = taker.latencies

    @property
    def done(self):
        """Whether nothing is left to do."""
        return self._goal[0] <= 0

    def begin(self):
        """Ask for the first jobs."""
        self.send(self._taker.begin())

    def received(self, data):
        """Settle what came, and ask for more."""
        settled, requests = self._taker.received(data)
        self._goal[0] -= settled
        if requests:
            self.send(requests)


class Cycle(Connection):
    """Push, pull, settle one job after the other, waiting for each reply."""

    def __init__(self, sock, dialect, workload):
        super().__init__(sock)
        self._dialect = dialect
        self.jobs = workload.jobs
        self._push = dialect.push(payloads(0, 1, workload.payload_bytes), [0])
        self._pull = dialect.taker(workload, waiting=True).one

    def run(self, cycles):
        """Run some cycles, and note how long each took."""
        sock, push, pull = self.sock, self._push, self._pull
        settle, lines = self._dialect.settle_one, self._dialect.pull_lines
        for _ in range(cycles):
            start = time.perf_counter_ns()
            sock.sendall(push)
            self._dialect.check(self._reply(1))
            sock.sendall(pull)
            verdict = settle(self._reply(lines))
            if verdict:
                sock.sendall(verdict)
                self._dialect.check(self._reply(1))
            self.latencies.append((time.perf_counter_ns() - start, 1))

    def _reply(self, lines):
        data = self.sock.recv(65_536)
        while data.count(b"\n") < lines:
            data += self.sock.recv(65_536)
        return data
