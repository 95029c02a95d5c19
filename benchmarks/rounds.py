"""Rounds: each workload on each server in turn, several times over, and the medians.

Interleaving is what makes a comparison fair on a machine that others use too: what slows
one server down for a second or a minute slows the next as well. Each run is one process of
`loadgen`; the servers stay up, with empty queues between.
"""

import contextlib
import json
import subprocess
import sys
from statistics import median

from benchmarks.processes import ROOT
from benchmarks.spinners import spinners
from benchmarks.workloads import WORKLOADS

RUN_S_MAX = 300


def run_load(workload, dialect, pid, port, share=1.0, *, warm=False):
    """Run one workload once; gives loadgen's results. warm: see `loadgen.Run`."""
    command = [sys.executable, "-m", "benchmarks.loadgen", "--workload", workload]
    command += ["--dialect", dialect, "--share", str(share)]
    command += ["--port", str(port), "--server-pid", str(pid)]
    command += ["--warm"] * warm
    awake = spinners() if WORKLOADS[workload].awake else contextlib.nullcontext()
    with awake:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=RUN_S_MAX,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{dialect}, {workload}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def interleave(servers, workloads, rounds, *, say=None, left_out=()):
    """Run everything `rounds` times over; gives {(workload, server): medians}.

    servers: {name: (dialect, pid, port, share of the jobs)}. say: called with each result.
    left_out: pairs of (workload, server) that make no sense.
    """
    runs = {}
    for number in range(rounds):
        for workload in workloads:
            for name, (dialect, pid, port, share) in servers.items():
                if (workload, name) in left_out:
                    continue
                result = run_load(workload, dialect, pid, port, share)
                runs.setdefault((workload, name), []).append(result)
                if say is not None:
                    say(number, workload, name, result)
    return {key: _medians(results) for key, results in runs.items()}


def _medians(results):
    return {name: median(result[name] for result in results) for name in results[0]}
