"""Tasks in MagicQueue and in other frameworks, in turn: a push, many, no-ops, latency.

    python -m benchmarks.frameworks [--jobs 2000] [--rounds 3] [--only RQ,arq]

`make bench-frameworks` does this. Each framework has a server of its own (ours in memory,
Redis without persistence, PostgreSQL as it comes) and one worker process, with the settings
of `framework_apps`. A framework, or a server, that is not installed is left out, and said.

Rows: *single push*, each awaited before the next; *bulk*, in the quickest way there is to
store many; *process*, no-op tasks a second of a worker that finds them all there;
*latency*, from before a push until an idle worker's task begins. In each round every
framework has its turn, and figures are medians of the rounds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pwd
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.framework_apps import FRAMEWORKS, PORT, TOLD
from benchmarks.processes import (
    ROOT,
    end,
    environment,
    free_port,
    import_sources,
    peer,
    server,
    start,
)

FILE = ROOT / ".asv" / "frameworks.json"
WAIT_S = 60.0
PAUSE_S = 0.01
LATENCIES = 100
ROWS = {
    "single_push_per_s": "single push/s",
    "bulk_per_s": "bulk/s",
    "process_per_s": "process/s",
    "latency_p50_us": "latency p50, us",
}


class Told:
    """Where tasks tell when they began."""

    def __init__(self, folder):
        self.path = str(folder / "told")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(WAIT_S)

    def next(self):
        """Wait for the next; gives the time."""
        return struct.unpack("d", self._socket.recv(8))[0]

    def close(self):
        """End it."""
        self._socket.close()


@contextlib.contextmanager
def postgresql():
    """Run a PostgreSQL server in an empty folder; gives its port."""
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None
    )
    if found is None:
        raise FileNotFoundError("PostgreSQL is not installed")
    as_other = {}
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:  # which it refuses to run as
            try:
                as_other = {"user": pwd.getpwnam("postgres").pw_uid}
            except KeyError:
                raise FileNotFoundError("PostgreSQL needs a user postgres") from None
            os.chown(folder, as_other["user"], -1)
        data, port = f"{folder}/data", free_port()
        make = [found, "-D", data, "-U", "postgres", "-A", "trust"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **as_other)
        command = [str(Path(found).with_name("postgres")), "-D", data, "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-k", folder]
        process = start(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_other,
        )
        try:
            ready = [str(Path(found).with_name("pg_isready")), "-h", "127.0.0.1"]
            until = time.monotonic() + WAIT_S
            while subprocess.run([*ready, "-p", str(port), "-q"], check=False).returncode:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("PostgreSQL did not start")
                time.sleep(0.1)
            yield port
        finally:
            end(process)


@contextlib.contextmanager
def server_of(kind):
    """Run the server that a framework needs; gives its port."""
    if kind == "magicqueue":
        with server("array", "--log-level=error") as (_, port):
            yield port
    elif kind == "postgresql":
        with postgresql() as port:
            yield port
    elif shutil.which("redis-server") is None:
        raise FileNotFoundError("redis-server is not installed")
    else:
        port = free_port()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        with peer([*words, "--save", "", "--appendonly", "no"], port):
            yield port


@contextlib.contextmanager
def worker_of(framework, port, told):
    """Run one worker process of a framework."""
    process = start(
        framework.worker(),
        cwd=ROOT,
        env=environment(**{PORT: str(port), TOLD: told.path}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        end(process)


async def measure(kind, jobs):
    """Measure one framework once; gives its figures by row."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(server_of(kind.server))
        os.environ[PORT] = str(port)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        told = Told(folder)
        stack.callback(told.close)
        framework = kind()
        try:
            await framework.push(0)  # connects
            begun = time.perf_counter()
            for number in range(jobs):
                await framework.push(number)
            single_s = time.perf_counter() - begun
            begun = time.perf_counter()
            await framework.push_many(jobs)
            bulk_s = time.perf_counter() - begun
            stack.enter_context(worker_of(framework, port, told))
            first = told.next()
            times = [told.next() for _ in range(2 * jobs)]
            took = []
            for number in range(LATENCIES):
                await asyncio.sleep(PAUSE_S)
                begun = time.perf_counter()
                await framework.push(number)
                took.append((await asyncio.to_thread(told.next)) - begun)
        finally:
            await framework.close()
    return {
        "single_push_per_s": jobs / single_s,
        "bulk_per_s": jobs / bulk_s,
        "process_per_s": 2 * jobs / (max(times) - first),
        "latency_p50_us": statistics.median(took) * 1e6,
    }


def measure_all(names, rounds, jobs):
    """Measure all in turn; gives {name: [figures, one a round] or why there are none}."""
    found = {}
    for number in range(rounds):
        for name in names:
            if isinstance(found.get(name), str):
                continue
            try:
                figures = asyncio.run(measure(FRAMEWORKS[name], jobs))
            except (ImportError, FileNotFoundError) as error:
                found[name] = f"not measured: {error}"
            except TimeoutError:
                found[name] = "not measured: its worker did not run the tasks"
            else:
                found.setdefault(name, []).append(figures)
            print(f"  round {number + 1}  {name:16}{found[name]!s:.120}", flush=True)
    return found


def median_of(results):
    """Give the medians of a framework's rounds, or why there are none."""
    if isinstance(results, str):
        return results
    return {row: statistics.median(one[row] for one in results) for row in ROWS}


def print_all(figures):
    """Print a table."""
    print(f"\n{'':16}" + "".join(f"{title:>20}" for title in ROWS.values()))
    for name, found in figures.items():
        if isinstance(found, str):
            print(f"{name:16}{found}")
        else:
            print(f"{name:16}" + "".join(f"{found[row]:>20,.0f}" for row in ROWS))


def main(arguments=None):
    """Measure, store, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(FRAMEWORKS), help="names, with commas")
    options = parser.parse_args(arguments)
    import_sources()
    found = measure_all(options.only.split(","), options.rounds, options.jobs)
    figures = {name: median_of(results) for name, results in found.items()}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"jobs": options.jobs, "figures": figures}, indent=1))
    print_all(figures)


if __name__ == "__main__":
    main()
