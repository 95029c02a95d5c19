"""Durable pushes side by side: MagicQueue, Redis and beanstalkd, each syncing every reply.

Every server keeps its log in a folder of the same file system, is sent the same payloads
by the same client, and answers only when they are on the disk. Rounds are interleaved;
medians are shown. Servers that are not installed are left out, which is said.
"""

import argparse
import contextlib
import json
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAYLOAD = b'{"to":"someone@example.org","subject":"hello","n":123456789}'
CASES = (
    ("push, 1 connection", 1, 1),
    ("push, 64 connections", 64, 1),
    ("batches of 1,000, 4 connections", 4, 1000),
)


def commands(folder):
    """How each server is started."""
    serve = [sys.executable, "-m", "magicqueue_server", "serve", "--port={port}"]
    serve += ["--persist", "--fsync=always", f"--data-dir={folder}", "--log-level=error"]
    redis = ["redis-server", "--port", "{port}", "--appendonly", "yes"]
    redis += ["--appendfsync", "always", "--save", "", "--dir", str(folder)]
    beanstalkd = ["beanstalkd", "-l", "127.0.0.1", "-p", "{port}", "-b", str(folder), "-f0"]
    return {
        "magicqueue, array core, --fsync always": [*serve, "--core=array"],
        "magicqueue, python core, --fsync always": [*serve, "--core=python"],
        "redis, appendfsync always": redis,
        "beanstalkd -f0": beanstalkd,
    }


def push(name, count):
    """The bytes of a push of `count` jobs, and how many lines its reply has."""
    size = len(PAYLOAD)
    if name.startswith("magicqueue"):
        if count == 1:
            return b'{"cmd":"PUSH","queue":"q","data":%b}\n' % PAYLOAD, 1
        jobs = b",".join([b'{"data":%b}' % PAYLOAD] * count)
        return b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}\n' % jobs, 1
    if name.startswith("redis"):
        head = b"*%d\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n" % (count + 2)
        return head + b"$%d\r\n%b\r\n" % (size, PAYLOAD) * count, 1
    return b"put 0 0 60 %d\r\n%b\r\n" % (size, PAYLOAD) * count, count


@contextlib.contextmanager
def running(command, folder):
    """Start a server on a free port, which is given, with an empty folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = [word.replace("{port}", str(port)) for word in command]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(1200):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            server.kill()


def connect(port, connections):
    """Open connections, and a selector that tells which has replies."""
    selector, opened = selectors.DefaultSelector(), []
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        opened.append(connection)
    return selector, opened


def jobs_per_s(name, port, connections, count, span_s):
    """Keep one push in flight on each connection; gives answered jobs a second."""
    request, lines = push(name, count)
    selector, opened = connect(port, connections)
    waiting = dict.fromkeys(opened, lines)
    for connection in waiting:
        connection.sendall(request)
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < span_s:
        for key, _ in selector.select(1):
            connection = key.fileobj
            waiting[connection] -= connection.recv(262_144).count(b"\n")
            if waiting[connection] <= 0:
                done += count
                waiting[connection] = lines
                connection.sendall(request)
    took_s = time.perf_counter() - begun
    for connection in waiting:
        connection.close()
    return done / took_s


def pushed_in_s(request, port, connections, requests):
    """Send a line so often in all, one in flight on each; gives how long that took."""
    selector, opened = connect(port, connections)
    begun = time.perf_counter()
    for connection in opened:
        connection.sendall(request)
    sent, answered = connections, 0
    while answered < requests:
        for key, _ in selector.select(10):
            connection = key.fileobj
            if connection.recv(262_144).endswith(b"\n"):
                answered += 1
                if sent < requests:
                    connection.sendall(request)
                    sent += 1
    took_s = time.perf_counter() - begun
    for connection in opened:
        connection.close()
    return took_s


def main():
    """Run all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = options.folder / "magicqueue-bench-durable"
    speeds = {name: {} for name in commands(folder)}
    for _ in range(options.rounds):
        for name, command in commands(folder).items():
            if not shutil.which(command[0]):
                continue
            for case, connections, count in CASES:
                with running(command, folder) as port:
                    speed = jobs_per_s(name, port, connections, count, options.seconds)
                speeds[name].setdefault(case, []).append(speed)
    shutil.rmtree(folder, ignore_errors=True)
    table = {
        name: {case: round(statistics.median(found)) for case, found in cases.items()}
        for name, cases in speeds.items()
    }
    if options.json:
        print(json.dumps(table))
        return
    for name, cases in table.items():
        print(name if cases else f"{name}: not installed, left out")
        for case, speed in cases.items():
            print(f"  {case:<34}{speed:>12,} jobs/s")


if __name__ == "__main__":
    main()
