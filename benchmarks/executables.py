"""The executables that `make dist` builds, beside the package under the same Python.

    make bench-dist

Rounds alternate between the servers, so that a change in the machine's speed meets all.
What counts is the server's CPU time a job, the least of all rounds: that is what a build
changes, and what other work on the machine disturbs least. Starts are timed from the
start of the process to its first reply; the package's has its kernels in numba's cache.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.dialects import MagicQueue
from benchmarks.loadgen import Run
from benchmarks.workloads import WORKLOADS

WORK = {"push": 1.0, "drain": 1.0, "singles": 1.0, "cycle": 0.25}
CORES = ("array", "python")


def servers():
    """Name the servers: the command line up to `serve`, and its environment."""
    package = [sys.executable, "-m", "magicqueue_server"]
    sources = os.pathsep.join(map(str, processes.SOURCES))
    found = {"package": (package, {**os.environ, "PYTHONPATH": sources})}
    bare = {"PATH": "", "HOME": os.environ.get("HOME", "/")}
    dist = processes.ROOT / "dist"
    for name, pattern in (("folder", "*-linux-*/magicqueue"), ("single", "*.bin")):
        for path in dist.glob(f"magicqueue-{pattern}"):
            found[name] = ([str(path)], bare)
    if len(found) == 1:
        sys.exit("nothing in dist/: run make dist first")
    return found


def start(command, env, core):
    """Start a server; gives (process, port, seconds to its first reply)."""
    begun = time.perf_counter()
    options = ("serve", "--port", "0", "--core", core)
    process = processes.start(
        [*command, *options],
        env={**env, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    port = processes.listening_port(process)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b'{"cmd":"PING"}\n')
        assert sock.recv(100).startswith(b'{"ok":true')
    return process, port, time.perf_counter() - begun


def serving_pid(process):
    """Find the process that serves: a single file's own is the child of what unpacks it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid


def measured(rounds, core):
    """Run all workloads on all servers; gives CPU time a job and the times of starts."""
    cpu_ns, start_s = {}, {}
    for _ in range(rounds):
        for name, (command, env) in servers().items():
            process, port, seconds = start(command, env, core)
            start_s.setdefault(name, []).append(seconds)
            try:
                pid = serving_pid(process)
                for title, share in WORK.items():
                    work = WORKLOADS[title].scaled(share * (0.1 if core == "python" else 1))
                    result = Run(work, MagicQueue(), port, pid).measure()
                    cpu_ns.setdefault((title, name), []).append(result["server_cpu_ns"])
            finally:
                processes.end(process)
    return cpu_ns, start_s


def _least_and_median_ms(seconds):
    ordered = sorted(seconds)
    return f"{1000 * ordered[0]:.0f} / {1000 * ordered[len(ordered) // 2]:.0f}"


def main():
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    names = list(servers())
    print(f"| core | work | {' | '.join(f'{name}, CPU ns a job' for name in names)} |")
    print(f"|---|---|{'---|' * len(names)}")
    for core in CORES:
        cpu_ns, start_s = measured(rounds, core)
        for title in WORK:
            base = min(cpu_ns[title, "package"])
            cells = []
            for name in names:
                least = min(cpu_ns[title, name])
                speed = "" if name == "package" else f" ({base / least:.0%})"
                cells.append(f"{least:,.0f}{speed}")
            print(f"| {core} | {WORKLOADS[title].title} | {' | '.join(cells)} |")
        starts = [_least_and_median_ms(start_s[name]) for name in names]
        print(f"| {core} | start, ms, least / median | {' | '.join(starts)} |")


if __name__ == "__main__":
    main()
