"""How a case is measured with one server, once: the functions that `Case.way` names."""

import json
import subprocess
import sys
import time

from benchmarks import native
from benchmarks import user_cases as names
from benchmarks.processes import ROOT, environment, resident_bytes
from benchmarks.user_dialects import ask
from benchmarks.workloads import sized

WARM_S = sized(0.2, 0.1, 0.02)
PAUSE_US = 2000
APPENDED_BYTES = 120
"""About as much as the record of a push and what stands around it."""
APPENDS = sized(1000, 200, 10)


def cycles(case, name, servers):
    """Run a case by the generator; figures are of a request, or of a job."""
    jobs_max = case.jobs_max // case.jobs
    bounds = (WARM_S, native.RUN_S_MAX if jobs_max else names.SECONDS, jobs_max)
    if name == names.APPEND:
        return append(servers)
    if name == names.FLOOR:
        return floor_cycles(case, bounds, servers)
    pid, port, dialect = servers.get(name)
    dialect.prepare(port)
    method, *given = case.steps
    steps = getattr(dialect, method)(*given)
    if method == "take_batch":
        fill(dialect, port, case)
    found = native.drive(("cycles", port, case.connections, *bounds), steps, pid)
    dialect.clear(port)
    return figures(case, steps, found)


def fill(dialect, port, case):
    """Push the jobs that a case takes."""
    batch = min(case.jobs_max, 5000)
    words = ("cycles", port, 1, 0, 60, -(-case.jobs_max // batch))
    native.drive(words, dialect.push_batch(batch))


def floor_cycles(case, bounds, servers):
    """Run a case on the floor, with the replies of one of our servers."""
    _, port, dialect = servers.get(names.ARRAY)
    method, *given = case.steps
    steps = getattr(dialect, method)(*given)
    if method == "take_batch":
        ask(port, dialect.push_batch(case.jobs)[0].request)
    replies = servers.recorded(port, steps)
    dialect.clear(port)
    with native.floor(replies) as (pid, port):
        found = native.drive(("cycles", port, case.connections, *bounds), steps, pid)
    return figures(case, steps, found)


def figures(case, steps, found):
    """Make figures of what the generator said: CPU is of a request, or of a batch's job."""
    done = found["cycles"] * case.jobs
    parts = done if case.jobs > 1 else found["cycles"] * len(steps)
    shown = {name: found[name] for name in ("p50_us", "p99_us", "p999_us")}
    return shown | {
        "per_s": done / found["seconds"],
        "cpu_us": found["server_cpu_ns"] / 1000 / parts,
    }


def append(servers):
    """Measure what the disk takes by itself."""
    path = servers.folder / "appended"
    found = native.drive(("append", path, APPENDED_BYTES, 10, APPENDS))
    shown = {name: found[name] for name in ("p50_us", "p99_us", "p999_us")}
    return shown | {"per_s": found["cycles"] / found["seconds"]}


def woken(case, name, servers):
    """Measure how soon a consumer that waits has a job."""
    pid, port, dialect = servers.get(name)
    dialect.prepare(port)
    steps = dialect.woken()
    found = native.drive(("woken", port, PAUSE_US, 20, case.jobs_max), steps, pid)
    dialect.clear(port)
    return figures(case, steps, found)


def client(case, name, servers):
    """Measure with a Python client, in a process of its own."""
    ours = name != names.GREENSTALK
    _, port, dialect = servers.get(names.ARRAY if ours else names.BEANSTALKD)
    kind = {names.OURS: "ours", names.MORE_CLIENTS: "ours_asyncio"}.get(name, "greenstalk")
    command = [sys.executable, "-m", "benchmarks.user_clients", *case.steps]
    command += ["--client", kind, "--port", str(port), "--jobs", str(case.jobs_max)]
    text = subprocess.check_output(
        command, cwd=ROOT, env=environment(), process_group=0, timeout=native.RUN_S_MAX
    )
    dialect.clear(port)
    return json.loads(text)


def memory(case, name, servers):
    """Measure what a server keeps of the memory that very many jobs took."""
    with servers.another(name) as (pid, port, dialect):
        empty = resident_bytes(pid)
        fill(dialect, port, case)
        peak = resident_bytes(pid)
        batch = min(1000, case.jobs_max)
        words = ("cycles", port, 1, 0, native.RUN_S_MAX, case.jobs_max // batch)
        native.drive(words, dialect.take_batch(batch))
        time.sleep(1)
        after = resident_bytes(pid)
    return {
        "peak_mb": peak / 1e6,
        "after_mb": after / 1e6,
        "kept": max(0.0, (after - empty) / (peak - empty)),
    }


WAYS = {"cycles": cycles, "woken": woken, "client": client, "memory": memory}
