"""The longest pause that one connection sees while another one is busy.

A process of its own sends a PING every 2 ms and notes how long each answer takes. Beside
it another process floods the server with lines, or asks for one command on very many jobs.
The row "nothing beside" is the control: what the machine itself adds. `make bench-pauses`
prints p50, p99, p99.9 and the worst, in milliseconds, for each core.
"""

import argparse
import contextlib
import json
import multiprocessing
import socket
import threading
import time

from benchmarks.processes import import_sources, server
from benchmarks.spinners import spinners

PING = b'{"cmd":"PING"}\n'
PING_EVERY_S = 0.002
FLOOD_BYTES = 10_000_000
FLOOD_S = 5.0
QUIET_S = 5.0
PINGS_MIN = 20
FLOODS = {
    "empty lines": b"\n",
    "PINGs": PING,
    "STATS": b'{"cmd":"STATS"}\n',
    "junk lines": b"what is this?\n",
    "unknown commands": b'{"cmd":"NOPE"}\n',
    "PUSHes": b'{"cmd":"PUSH","queue":"f","data":1}\n',
}
COLUMNS = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0))


class Line:
    """A connection that asks one thing at a time."""

    def __init__(self, port):
        self.port = port
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.sock.makefile("rb")

    def ask(self, **request):
        """Send a request and wait for its reply."""
        return self.ask_all([request])[0]

    def ask_all(self, requests):
        """Send requests in one piece and wait for all their replies."""
        lines = [json.dumps(request).encode() + b"\n" for request in requests]
        self.sock.sendall(b"".join(lines))
        replies = [json.loads(self._file.readline()) for _ in lines]
        for reply in replies:
            if not reply["ok"]:
                raise RuntimeError(f"{requests[0]['cmd']}: {reply['error']}")
        return replies

    def push(self, queue, jobs, batch=50_000, **options):
        """Push so many jobs in batches."""
        for _ in range(0, jobs, batch):
            rows = [{"data": 1, **options}] * min(batch, jobs)
            self.ask(cmd="PUSHB", queue=queue, jobs=rows)

    def pull(self, queue, jobs, **options):
        """Pull so many jobs and give their ids."""
        ids = []
        while len(ids) < jobs:
            reply = self.ask(cmd="PULLB", queue=queue, count=10_000, timeout=0, **options)
            if not reply["jobs"]:
                raise RuntimeError(f"only {len(ids)} of {jobs} jobs are there")
            ids += [job["id"] for job in reply["jobs"]]
        return ids

    def close(self):
        """Close, also where a forked process has the same socket."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self.sock.close()


def flood(port, line, size_bytes):
    """Send so many bytes of one line in one piece, and read all the answers."""
    sock = socket.create_connection(("127.0.0.1", port))
    data = line * (size_bytes // len(line))

    def send():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while sock.recv(1 << 20):
        pass
    sender.join()
    sock.close()


def floods(port, line):
    """Flood for some seconds, again and again."""
    until = time.monotonic() + FLOOD_S
    while True:
        flood(port, line, FLOOD_BYTES)
        if time.monotonic() >= until:
            return


def drain(line, jobs):
    """Push jobs; gives the DRAIN that empties the queue."""
    line.push("drain", jobs)
    return lambda: line.ask(cmd="DRAIN", queue="drain")


def close_session(line, jobs):
    """Lease jobs; gives what closes their session, and waits until all are back."""
    line.push("close", jobs)
    line.pull("close", jobs, lease=3_600_000)

    def close():
        line.close()
        wait_for(line.port, queue="close", queued=jobs)

    return close


def leases_end(line, jobs):
    """Lease jobs that nobody acknowledges; gives the wait until all are back."""
    line.push("lost", jobs)
    started = time.monotonic()
    ends_ms = 20_000
    line.pull("lost", jobs, lease=ends_ms)
    time.sleep(max(0, ends_ms / 1000 - 1 - (time.monotonic() - started)))
    return lambda: wait_for(line.port, queue="lost", queued=jobs)


def come_due(line, jobs):
    """Push jobs for one and the same moment; gives the wait for it."""
    at = int(time.time() * 1000) + 15_000
    line.push("due", jobs, run_at=at)
    time.sleep(max(0, at / 1000 - 1 - time.time()))
    return lambda: wait_for(line.port, queue="due", queued=jobs)


def retry_dead(line, jobs):
    """Let jobs die; gives their RETRYDEAD."""
    line.push("dead", jobs, max_attempts=1)
    for at in range(0, jobs, 10_000):
        ids = line.pull("dead", min(10_000, jobs - at))
        line.ask(cmd="FAILB", jobs=[{"id": job_id} for job_id in ids])
    return lambda: line.ask(cmd="RETRYDEAD", queue="dead")


def purge_dead(line, jobs):
    """Let jobs die; gives their PURGEDEAD."""
    retry_dead(line, jobs)
    return lambda: line.ask(cmd="PURGEDEAD", queue="dead")


def many_queues(line, jobs):
    """Push a job to each of so many queues."""
    for at in range(0, jobs, 1000):
        names = [f"q{number}" for number in range(at, at + 1000)]
        line.ask_all([{"cmd": "PUSH", "queue": name, "data": 1} for name in names])


def queues(line, jobs):
    """Make queues; gives a QUEUES that lists them."""
    many_queues(line, jobs)
    return lambda: line.ask(cmd="QUEUES")


def stats_over_queues(line, jobs):
    """Make queues; gives 5,000 STATS over all of them, in one piece."""
    many_queues(line, jobs)
    return lambda: flood(line.port, FLOODS["STATS"], 5_000 * len(FLOODS["STATS"]))


def wait_for(port, queue, **counts):
    """Wait until STATS of a queue says this."""
    line = Line(port)
    while any(
        line.ask(cmd="STATS", queue=queue)[name] != count for name, count in counts.items()
    ):
        time.sleep(0.05)
    line.close()


COMMANDS = {
    "DRAIN, 1 M jobs": (drain, 1_000_000),
    "a session with 1 M leases closes": (close_session, 1_000_000),
    "1 M leases end": (leases_end, 1_000_000),
    "1 M delayed jobs come due": (come_due, 1_000_000),
    "RETRYDEAD, 100,000 jobs": (retry_dead, 100_000),
    "PURGEDEAD, 100,000 jobs": (purge_dead, 100_000),
    "QUEUES, 100,000 queues": (queues, 100_000),
    "5,000 STATS, 100,000 queues": (stats_over_queues, 100_000),
}


def ping(port, pipe):
    """Send a PING every 2 ms until told to stop; gives what each took, in seconds."""
    line = Line(port)
    sock, took = line.sock, []
    pipe.send("ready")
    while not pipe.poll() or len(took) < PINGS_MIN:
        begun = time.perf_counter()
        sock.sendall(PING)
        sock.recv(1000)
        spent = time.perf_counter() - begun
        took.append(spent)
        time.sleep(max(0.0, PING_EVERY_S - spent))
    pipe.send(took)


def beside(port, work):
    """Give what PINGs took while this work was done."""
    here, there = multiprocessing.Pipe()
    pinger = multiprocessing.Process(target=ping, args=(port, there), daemon=True)
    pinger.start()
    here.recv()
    work()
    here.send("stop")
    took = here.recv()
    pinger.join()
    return took


def row(name, took):
    """Say the quantiles, in milliseconds; gives them by name."""
    took = sorted(took)
    cells = {
        column: took[min(len(took) - 1, int(len(took) * part))] * 1000
        for column, part in COLUMNS
    }
    figures = "".join(f"{cell:10.2f}" for cell in cells.values())
    print(f"{name:36}{figures}{len(took):9}", flush=True)
    return cells


def measure(core, options, divisor):
    """Print the rows of one core; gives {what is beside: quantiles in milliseconds}."""
    found = {}
    heads = "".join(f"{name:>10}" for name, _ in COLUMNS)
    print(f"\n{f'{core} core {options}':36}{heads}{'PINGs':>9}")
    with server(core, "--log-level=error", *options.split()) as (_, port):
        row("nothing beside", beside(port, lambda: time.sleep(QUIET_S)))
        for name, line in FLOODS.items():
            took = beside(port, lambda line=line: floods(port, line))
            found[f"10 MB of {name}"] = row(f"10 MB of {name}", took)
    for name, (prepare, jobs) in COMMANDS.items():
        more = ["--max-dead=1000000"] if "DEAD" in name else []
        with (
            server(core, "--log-level=error", *more, *options.split()) as (_, port),
            contextlib.closing(Line(port)) as line,
        ):
            found[name] = row(name, beside(port, prepare(line, jobs // divisor)))
    return found


def main():
    """Measure what was asked for."""
    import_sources()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="array,python")
    parser.add_argument("--options", default="", help="options of the server")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the jobs")
    arguments = parser.parse_args()
    print("How long a PING takes beside other work, in ms")
    with spinners():
        for core in arguments.cores.split(","):
            measure(core, arguments.options, 100 if arguments.quick else 1)


if __name__ == "__main__":
    main()
