"""What operators ask of a server costs it: REST, scrapes, an open dashboard, TLS.

    python -m benchmarks.operators [--cores array,python] [--rounds 7] [--parts rest,tls]

What counts is the server's CPU time. What is compared (a push by REST beside one by a
line, TLS beside plain, a server with an open dashboard beside one without HTTP) takes turns
within each round. A figure that stands alone is the least of the rounds, since what else
the machine does only adds to it; a ratio is the median of the rounds' own.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from benchmarks import page
from benchmarks.against import paired
from benchmarks.in_process import Desk
from benchmarks.page import OPERATORS, operators_part
from benchmarks.pauses import Line, many_queues
from benchmarks.peers import machine
from benchmarks.processes import cpu_ns, free_port, server
from benchmarks.spinners import spinners
from benchmarks.workloads import QUICK, TINY, sized
from magicqueue_server.clock import SystemClock
from magicqueue_server.http.metrics import Metrics, ServerState

ASKS = sized(2_000, 500, 20)
SCRAPES = sized(40, 20, 2)
OPEN_S = sized(5.0, 4.0, 0.2)
BULKS = sized(40, 20, 2)
BULK_JOBS = sized(5_000, 5_000, 10)
SCRAPED_QUEUES = 1_000
BOARD_QUEUES = sized(100_000, 20_000, 1_000)
ROOM = f"--max-queues={BOARD_QUEUES + 10}"
PIPELINED = 16
BOARD_LOADS = ("push", "drain", "singles")
JSON = {"Content-Type": "application/json"}
REST_US_MAX, SCRAPE_MS_MAX, STEP_MS_MAX = 40, 10, 5
OPEN_SHARE_MAX, SINGLE_RATIO_MAX, BULK_RATIO_MIN = 0.03, 2.5, 0.5


ROWS = []
"""What was said, for the page."""


def say(what, measured, target, *, met):
    """Print a figure beside its target; gives whether it is met."""
    ROWS.append((what.strip(), measured, target, met))
    print(f"{what:58}{measured:>22}   {target:24}{'' if met else 'NOT MET'}", flush=True)
    return met


@contextlib.contextmanager
def with_http(core, *options):
    """Run a server with HTTP; gives its pid, port and port of HTTP."""
    web = free_port()
    with server(core, "--log-level=error", f"--http=127.0.0.1:{web}", *options) as (
        pid,
        port,
    ):
        yield pid, port, web


def ask(connection, method, path, body=None):
    """Ask by HTTP, on a connection that is kept; gives the body."""
    connection.request(method, path, body, {} if body is None else JSON)
    response = connection.getresponse()
    read = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path}: {response.status} {read[:200]!r}")
    return read


def each_us(pid, count, work):
    """Run something that asks so often; gives the server's CPU µs for each."""
    before = cpu_ns(pid)
    work()
    return (cpu_ns(pid) - before) / count / 1000


def rest(core, rounds):
    """A job pushed by REST, awaited and sixteen at once, beside a line."""
    body = b'{"queue":"rest","data":{"to":"someone@example.org","n":123456}}'
    head = (
        b"POST /v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    )
    whole = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    line = b'{"cmd":"PUSH",' + body[1:] + b"\n"
    found = {"awaited": [], "pipelined": [], "line": []}
    with with_http(core) as (pid, port, web), spinners():
        peers = {"awaited": (web, whole, 1), "line": (port, line, 1)}
        peers["pipelined"] = web, whole, PIPELINED
        for _ in range(rounds):
            for name, (at, request, together) in peers.items():
                with socket.create_connection(("127.0.0.1", at)) as sock:
                    work = lambda s=sock, r=request, t=together: pushes(s, r, t)  # noqa: E731
                    found[name].append(each_us(pid, ASKS, work))
    us = {name: min(rows) for name, rows in found.items()}
    met = us["awaited"] <= REST_US_MAX
    bound = f"at most {REST_US_MAX} us"
    say(f"{core}: REST push, awaited", f"{us['awaited']:.1f} us", bound, met=met)
    say(
        f"{core}: REST push, {PIPELINED} at once",
        f"{us['pipelined']:.1f} us",
        "-",
        met=True,
    )
    say(f"{core}: PUSH by a line, awaited", f"{us['line']:.1f} us", "-", met=True)
    return met


def pushes(sock, request, together):
    """Push ASKS jobs, so many in flight; replies are counted by the word that all have."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(0, ASKS, together):
        sock.sendall(request * together)
        seen = b""
        while seen.count(b'{"ok":true') < together or not seen.endswith(b"\n"):
            read = sock.recv(65536)
            if not read or b'"ok":false' in read:
                raise RuntimeError(f"a push: {read[:200]!r}")
            seen += read


def scrape(core, rounds):
    """A scrape of many queues: CPU in all, and of the longest step that others wait for."""
    with with_http(core) as (pid, port, web), spinners():
        line = Line(port)
        many_queues(line, SCRAPED_QUEUES)
        connection = http.client.HTTPConnection("127.0.0.1", web)

        def scrapes():
            for _ in range(SCRAPES):
                ask(connection, "GET", "/metrics")

        ms = min(each_us(pid, SCRAPES, scrapes) for _ in range(rounds)) / 1000
        connection.close()
        line.close()
    what = f"{core}: scrape of {SCRAPED_QUEUES:,} queues"
    met = say(what, f"{ms:.2f} ms", f"at most {SCRAPE_MS_MAX} ms", met=ms <= SCRAPE_MS_MAX)
    step = longest_step_ms(core)
    bound = f"at most {STEP_MS_MAX} ms"
    return (
        say("  its longest step", f"{step:.2f} ms", bound, met=step <= STEP_MS_MAX) and met
    )


def longest_step_ms(core):
    """Give the CPU ms of a scrape's longest step, the least of some scrapes, in here."""
    desk = Desk(core)
    for number in range(SCRAPED_QUEUES):
        desk.feed(b'{"cmd":"PUSH","queue":"q%d","data":1}\n' % number)
    quiet = {"not_ready": lambda: None, "read_only": lambda: False, "log": lambda: None}
    state = ServerState("0", "off", memory_bytes_max=0, deaths={}, **quiet)
    metrics = Metrics(desk.engine, SystemClock(), state, SCRAPED_QUEUES)
    loop = asyncio.new_event_loop()
    metrics.begin(loop)
    found = min(max(steps_ms(metrics.text())) for _ in range(SCRAPES))
    metrics.end()
    loop.close()
    return found


def steps_ms(writing):
    """Run a coroutine that lets others run now and then; gives what each step took."""
    took = []
    while True:
        begun = time.thread_time_ns()
        try:
            writing.send(None)
        except StopIteration:
            took.append((time.thread_time_ns() - begun) / 1e6)
            return took
        took.append((time.thread_time_ns() - begun) / 1e6)


class Board:
    """A tab with the overview open: asks what the page asks, as often as it does."""

    def __init__(self, web):
        self._web = web
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._web)
        turn = 0
        while not self._over.is_set():
            ask(connection, "GET", "/v1/stats")
            ask(connection, "GET", "/ready")
            if turn % 2 == 0:
                ask(connection, "GET", "/v1/queues?count=10")
            turn += 1
            self._over.wait(1.0)
        connection.close()


def board(core, rounds):
    """An open dashboard over very many queues: its share of a CPU, and what jobs cost."""
    alone = server(core, "--log-level=error", ROOM)
    with with_http(core, ROOM) as (pid, port, web), alone as bare:
        for at in (port, bare[1]):
            line = Line(at)
            many_queues(line, BOARD_QUEUES)
            line.close()
        shares = []
        for _ in range(rounds):
            shut = each_us(pid, 1, lambda: time.sleep(OPEN_S))
            with Board(web):
                shown = each_us(pid, 1, lambda: time.sleep(OPEN_S))
            shares.append((shown - shut) / OPEN_S / 1e6)
        share = median(shares)
        bound = f"at most {OPEN_SHARE_MAX:.0%}"
        what = f"{core}: a dashboard open on {BOARD_QUEUES:,} queues"
        met = say(what, f"{share:.3%} of a CPU", bound, met=share <= OPEN_SHARE_MAX)
        with Board(web):
            for workload in BOARD_LOADS:
                found = paired([(pid, port), bare], workload, rounds, cold=False)
                lost = median(here / there for here, there in found) - 1
                within = lost <= OPEN_SHARE_MAX
                name = f"  CPU of {workload} beside a server without HTTP"
                met = say(name, f"{lost:+.1%}", bound, met=within) and met
    return met


def certificate(folder):
    """Make a certificate of localhost; gives the file with it and its key, or None."""
    path = Path(folder) / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"]
    try:
        subprocess.run(
            [*command, "-keyout", path, "-out", path.with_suffix(".crt")],
            check=True,
            capture_output=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def tls(core, rounds):
    """Single requests and bulk over TLS, beside the same in plain."""
    with tempfile.TemporaryDirectory() as folder:
        both = certificate(folder)
        if both is None:
            print("no openssl here: TLS is not measured")
            return True
        with (
            server(core, "--log-level=error") as plain,
            server(core, "--log-level=error", f"--tls-cert={both}") as secret,
            spinners(),
        ):
            singles, bulks = [], []
            for number in range(rounds):
                order = (plain, secret) if number % 2 == 0 else (secret, plain)
                for rows, one in ((singles, single_us), (bulks, bulk_us)):
                    us = {at[1]: one(*at, is_tls=at is secret) for at in order}
                    rows.append((us[plain[1]], us[secret[1]]))
    return told(core, "TLS, one request at a time", singles, bulk=False) & told(
        core, f"TLS, PUSHB of {BULK_JOBS:,}", bulks, bulk=True
    )


def told(core, what, rows, *, bulk):
    """Say the ratio of rows of (plain, TLS) in µs; gives whether it is met."""
    ratio = median(secret / plain for plain, secret in rows)
    plain, secret = (median(column) for column in zip(*rows, strict=True))
    shown = f"{secret:.1f} / {plain:.1f} us x{ratio:.2f}"
    most = 1 / BULK_RATIO_MIN if bulk else SINGLE_RATIO_MAX
    return say(f"{core}: {what}", shown, f"at most x{most}", met=ratio <= most)


@contextlib.contextmanager
def connected(port, *, is_tls):
    """Open a connection, over TLS or not; nobody is asked who it is."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not is_tls:
            yield sock
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(sock) as wrapped:
            yield wrapped


def single_us(pid, port, *, is_tls):
    """Give the server's CPU µs of a PUSH that is awaited."""
    line = b'{"cmd":"PUSH","queue":"tls","data":{"to":"someone@example.org"}}\n'
    with connected(port, is_tls=is_tls) as sock:
        return each_us(pid, ASKS, lambda: pushes(sock, line, 1))


def bulk_us(pid, port, *, is_tls):
    """Give the server's CPU µs of a large PUSHB."""
    jobs = [{"data": {"i": n}} for n in range(BULK_JOBS)]
    line = json.dumps({"cmd": "PUSHB", "queue": "tls", "jobs": jobs}).encode() + b"\n"

    def work():
        for _ in range(BULKS):
            sock.sendall(line)
            while not sock.recv(1 << 20).endswith(b"\n"):
                pass

    with connected(port, is_tls=is_tls) as sock:
        us = each_us(pid, BULKS, work)
        sock.sendall(b'{"cmd":"DRAIN","queue":"tls"}\n')
        sock.recv(65536)
    return us


PARTS = {"rest": rest, "scrape": scrape, "board": board, "tls": tls}


def main(arguments):
    """Print a row for each figure; gives how many parts miss a target."""
    parser = argparse.ArgumentParser(prog="benchmarks.operators", description=__doc__)
    parser.add_argument("--cores", default="array,python")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parts", default=",".join(PARTS))
    asked = parser.parse_args(arguments)
    chosen = [PARTS[name] for name in asked.parts.split(",")]
    cores = asked.cores.split(",")
    missed = sum(not part(core, asked.rounds) for core in cores for part in chosen)
    store(asked.rounds, arguments)
    return missed


def store(rounds, arguments):
    """Keep the figures for the page; of full runs it is written anew."""
    stored = {
        "machine": machine(),
        "about": f"{'quick sizes; ' if QUICK else ''}{rounds} rounds",
        "command": " ".join(["python -m benchmarks.operators", *arguments]),
        "rows": ROWS,
    }
    if QUICK or TINY:
        print(operators_part(stored))
        return
    OPERATORS.parent.mkdir(exist_ok=True)
    OPERATORS.write_text(json.dumps(stored))
    page.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
