"""Compare with beanstalkd and Redis, in the same run: what `make bench-peers` does.

    python -m benchmarks.peers [--rounds 3]

Each server is a process of its own with its jobs in memory only, driven by the same
generator with the same jobs, in turn within each round; each figure is the median of the
rounds. How each is talked to, and what it then promises, stands in `peer_dialects`.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.in_process import CORES, new_core
from benchmarks.processes import ROOT, free_port, peer, server
from benchmarks.rounds import interleave
from benchmarks.table import number, times
from benchmarks.workloads import ROUNDS, WORKLOADS

PEERS_FILE = ROOT / ".asv" / "peers.json"
ROUNDS_LEAST = 3
SLOW_SHARE = 0.2
"""Servers that take microseconds a job get fewer jobs."""
PACKAGES = {"beanstalkd": "beanstalkd", "redis-server": "redis-server"}

ABOUT = {
    "MagicQueue, array core": "memory; lease and ack, at least once; priorities; batches",
    "MagicQueue, python core": "the same",
    "beanstalkd": "memory (no -b); lease and ack, at least once; priorities; no batches",
    "Redis list (no ack)": "memory (no RDB, no AOF); no ack: at most once; no priorities",
    "Redis scripts": "memory (no RDB, no AOF); lease and ack; priorities; batches, in Lua",
}
LEFT_OUT = {("drain_priorities", "Redis list (no ack)")}
"""A list has no priorities."""


def find_peers():
    """Make sure that the programs are there; exits with what to do if not."""
    missing = [package for name, package in PACKAGES.items() if not shutil.which(name)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(
            f"{' and '.join(missing)} not found; running: {' '.join(command)}", flush=True
        )
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            return
    sys.exit(
        f"bench-peers needs {' and '.join(missing)}: install with "
        f"`{' '.join(['sudo', *command])}`, or put the programs on the PATH"
    )


def start_all(stack):
    """Start every server; gives {name: (dialect, pid, port, share of the jobs)}."""
    servers = {}
    for core in reversed(CORES):
        try:
            new_core(core)
        except NotImplementedError as error:
            print(f"left out: {error}")
            continue
        pid_port = stack.enter_context(server(core))
        servers[f"MagicQueue, {core} core"] = ("magicqueue", *pid_port, 1.0)
    port = free_port()
    words = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-z", "65535"]
    pid_port = stack.enter_context(peer(words, port))
    servers["beanstalkd"] = ("beanstalkd", *pid_port, SLOW_SHARE)
    for name, dialect in (
        ("Redis list (no ack)", "redis_list"),
        ("Redis scripts", "redis_script"),
    ):
        port = free_port()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        words += ["--save", "", "--appendonly", "no"]
        pid_port = stack.enter_context(peer(words, port))
        share = SLOW_SHARE if dialect == "redis_script" else 1.0
        servers[name] = (dialect, *pid_port, share)
    return servers


def say(round_number, workload, name, result):
    """Print one result as it comes."""
    speed = number(result["jobs_per_s"], "jobs/s")
    cpu = number(result["server_cpu_ns"], "ns/job")
    print(
        f"  round {round_number + 1}  {workload:18}{name:26}{speed:>12}{cpu:>16}",
        flush=True,
    )


def print_tables(medians, names):
    """Print a table a workload, with the first server as the measure of the others."""
    for workload, about in WORKLOADS.items():
        measured = "cycle" if about.mode == "cycle" else "request"
        print(f"\n{about.title}")
        print(
            f"  {'':26}{'jobs/s':>12}{'CPU a job':>14}{measured + ' p50':>14}{'p99':>12}"
            f"{'speed ratio':>14}{'CPU ratio':>11}"
        )
        ours = medians[workload, names[0]]
        for name in names:
            found = medians.get((workload, name))
            if found is None:
                print(f"  {name:26}{'cannot':>12}")
            else:
                print(f"  {name:26}{_figures(found, ours)}")
    print(f"\nRatios: how many times better {names[0]} is. Jobs, and what is kept of them:")
    for name in names:
        print(f"  {name:26}{ABOUT[name]}")


def _figures(found, ours):
    p50, p99 = (f"{found[key]:,.0f} us" if found[key] else "-" for key in _LATENCIES)
    speed = ours["jobs_per_s"] / found["jobs_per_s"]
    cpu = found["server_cpu_ns"] / ours["server_cpu_ns"]
    return (
        f"{number(found['jobs_per_s'], 'jobs/s'):>12}"
        f"{number(found['server_cpu_ns'], 'ns/job'):>14}{p50:>14}{p99:>12}"
        f"{times(speed):>14}{times(cpu):>11}"
    )


_LATENCIES = ("p50_us", "p99_us")


def machine():
    """Say what this machine is, as the plots do."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line for line in info.splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else "unknown CPU"
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{os.cpu_count()} x {model}, {round(pages / 2**30)} GB"


def main(arguments=None):
    """Run the comparison, store it, print the tables, draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    rounds = max(ROUNDS, ROUNDS_LEAST)
    parser.add_argument("--rounds", type=int, default=rounds)
    options = parser.parse_args(arguments)
    find_peers()
    with contextlib.ExitStack() as stack:
        servers = start_all(stack)
        medians = interleave(servers, WORKLOADS, options.rounds, say=say, left_out=LEFT_OUT)
    names = list(servers)
    stored = {
        "machine": machine(),
        "servers": names,
        "rounds": options.rounds,
        "medians": {"|".join(key): value for key, value in medians.items()},
    }
    PEERS_FILE.parent.mkdir(exist_ok=True)
    PEERS_FILE.write_text(json.dumps(stored, indent=1))
    print(f"\n{machine()}; medians of {options.rounds} interleaved rounds")
    print_tables(medians, names)
    from benchmarks import page, plot  # noqa: PLC0415 - page imports this module

    plot.draw_peers(stored)
    page.main()


if __name__ == "__main__":
    main()
