"""Load generator: runs one workload against one server, from a process of its own.

    python -m benchmarks.loadgen --port 6789 --workload push --dialect magicqueue

Requests are made before the clock starts; replies are only scanned with operations that
run at memory speed (counting line ends, finding ids with numpy), so that for batches the
server is the slower side. All connections are driven by one thread and one epoll. The
output is one JSON object: jobs, seconds, the CPU time of both sides for each job, and the
latency of a request (for `cycle`: of the three together). The queue is empty afterwards.
"""

import argparse
import json
import select
import socket
import sys
import time

from benchmarks.connections import Consumer, Cycle, Producer
from benchmarks.dialects import MagicQueue
from benchmarks.peer_dialects import Beanstalkd, RedisList, RedisScript
from benchmarks.processes import cpu_ns
from benchmarks.workloads import WORKLOADS

DIALECTS = {
    "magicqueue": MagicQueue,
    "beanstalkd": Beanstalkd,
    "redis_list": RedisList,
    "redis_script": RedisScript,
}
RECEIVE_BYTES = 1 << 20
SILENCE_S = 60


def run_flows(flows):
    """Drive connections until each is done."""
    with select.epoll() as poll:
        for flow in flows:
            flow.sock.setblocking(False)  # noqa: FBT003 - its only argument
            poll.register(flow.sock.fileno(), select.EPOLLIN)
        for flow in flows:
            flow.begin()
        by_number = {flow.sock.fileno(): flow for flow in flows}
        writing = set()
        while not all(flow.done for flow in flows):
            _follow_unsent(poll, by_number, writing)
            ready = poll.poll(SILENCE_S)
            if not ready:
                raise TimeoutError(f"the server was silent for {SILENCE_S} s")
            for number, events in ready:
                _handle(by_number[number], events)


def _follow_unsent(poll, by_number, writing):
    """Wait for room in those sockets that have something to send."""
    for number, flow in by_number.items():
        if bool(flow.unsent) != (number in writing):
            writing ^= {number}
            poll.modify(number, select.EPOLLIN | (select.EPOLLOUT if flow.unsent else 0))


def _handle(flow, events):
    if events & select.EPOLLOUT:
        flow.flush()
    if events & ~select.EPOLLOUT:
        data = flow.sock.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed a connection")
        flow.received(data)


class Run:
    """One workload in one dialect against one port.

    warm: before a push that is timed as much is pushed and drained that is not, so that it
    goes into memory in use: some servers give back what was not needed for a second.
    """

    def __init__(self, workload, dialect, port, server_pid, *, warm=False):
        self._warm = warm
        self.workload = workload
        self.dialect = dialect
        dialect.form = workload.form
        self._port = port
        self._server_pid = server_pid
        self._sockets = []

    def connect(self):
        """Open a connection."""
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(sock)
        self.dialect.prepare(sock)
        return sock

    def measure(self):
        """Run it; gives the results as a dict."""
        phase = getattr(self, f"_{self.workload.mode}")
        try:
            return phase()
        finally:
            for sock in self._sockets:
                sock.close()

    def _timed(self, flows, jobs, drive=run_flows):
        own, theirs = time.process_time_ns(), cpu_ns(self._server_pid)
        start = time.perf_counter_ns()
        drive(flows)
        seconds = (time.perf_counter_ns() - start) / 1e9
        own, theirs = time.process_time_ns() - own, cpu_ns(self._server_pid) - theirs
        latencies = sorted(pair for flow in flows for pair in flow.latencies)
        return {
            "jobs": jobs,
            "seconds": seconds,
            "jobs_per_s": jobs / seconds,
            "server_cpu_ns": theirs / jobs,
            "client_cpu_ns": own / jobs,
            "p50_us": percentile(latencies, 0.50) / 1000,
            "p99_us": percentile(latencies, 0.99) / 1000,
        }

    def _producers(self, count, batch):
        jobs = self.workload.jobs // count
        return [
            Producer(
                self.connect(), self.dialect, self.workload, number * jobs, jobs, batch
            )
            for number in range(count)
        ]

    def _consumers(self, count, jobs, waiting):
        goal = [jobs]
        return [
            Consumer(self.connect(), self.dialect.taker(self.workload, waiting), goal)
            for _ in range(count)
        ]

    def _push(self):
        made = [
            self._producers(self.workload.connections, self.workload.batch)
            for _ in range(1 + self._warm)
        ]
        flows = made.pop()
        for before in made:
            run_flows(before)
            self._empty(sum(flow.jobs for flow in before))
        result = self._timed(flows, sum(flow.jobs for flow in flows))
        self._empty(result["jobs"])
        return result

    def _singles(self):
        return self._push()

    def _drain(self):
        producers = self._producers(1, self.workload.batch)
        run_flows(producers)
        jobs = producers[0].jobs
        consumers = self._consumers(self.workload.connections, jobs, waiting=False)
        return self._timed(consumers, jobs)

    def _mixed(self):
        count = self.workload.connections
        producers = self._producers(count, self.workload.batch)
        jobs = sum(flow.jobs for flow in producers)
        consumers = self._consumers(count, jobs, waiting=True)
        return self._timed([*producers, *consumers], jobs)

    def _cycle(self):
        flow = Cycle(self.connect(), self.dialect, self.workload)
        flow.run(max(self.workload.jobs // 10, 1))
        flow.latencies.clear()
        return self._timed([flow], self.workload.jobs, lambda _: flow.run(flow.jobs))

    def _empty(self, jobs):
        if not self.dialect.clear(self._sockets[0]):
            run_flows(self._consumers(1, jobs, waiting=False))


def percentile(latencies, share):
    """Give the latency that `share` of the requests did not exceed.

    latencies: sorted pairs of (nanoseconds, requests).
    """
    left = share * sum(count for _, count in latencies)
    for latency_ns, count in latencies:
        left -= count
        if left <= 0:
            return latency_ns
    return 0


def main(arguments=None):
    """Run one workload as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadgen")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--server-pid", type=int, required=True)
    parser.add_argument("--workload", choices=WORKLOADS, required=True)
    parser.add_argument("--dialect", choices=DIALECTS, default="magicqueue")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual jobs")
    parser.add_argument("--warm", action="store_true")
    options = parser.parse_args(arguments)
    workload = WORKLOADS[options.workload].scaled(options.share)
    dialect = DIALECTS[options.dialect]()
    run = Run(workload, dialect, options.port, options.server_pid, warm=options.warm)
    json.dump(run.measure(), sys.stdout)


if __name__ == "__main__":
    main()
