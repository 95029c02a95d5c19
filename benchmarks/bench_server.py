"""Moved by everything on the server's side: listener, engine, wire codec, cores, kernels.

The whole server over loopback, a process of its own, under `loadgen`. The cores take
turns in each round, and each figure is the median of the rounds. All figures come from
the same runs, which `setup_cache` makes once.
"""

import contextlib

from benchmarks.in_process import CORES, new_core
from benchmarks.processes import server
from benchmarks.rounds import interleave
from benchmarks.workloads import ROUNDS, WORKLOADS


def measure():
    """Run all workloads on all cores that can run here."""
    servers = {}
    with contextlib.ExitStack() as stack:
        for core in CORES:
            try:
                new_core(core)
            except NotImplementedError:
                continue
            servers[core] = ("magicqueue", *stack.enter_context(server(core)), 1.0)
        return interleave(servers, WORKLOADS, ROUNDS)


class Server:
    params = [CORES, list(WORKLOADS)]
    param_names = ["core", "workload"]
    timeout = 1800

    def setup_cache(self):
        return measure()

    setup_cache.timeout = 1800

    def setup(self, medians, core, workload):
        if (workload, core) not in medians:
            raise NotImplementedError(f"the {core} core cannot run here")

    def track_throughput(self, medians, core, workload):
        return medians[workload, core]["jobs_per_s"]

    track_throughput.unit = "jobs/s"

    def track_server_cpu(self, medians, core, workload):
        return medians[workload, core]["server_cpu_ns"]

    track_server_cpu.unit = "ns/job"

    def track_client_cpu(self, medians, core, workload):
        return medians[workload, core]["client_cpu_ns"]

    track_client_cpu.unit = "ns/job"

    def track_p50(self, medians, core, workload):
        return medians[workload, core]["p50_us"]

    track_p50.unit = "us"

    def track_p99(self, medians, core, workload):
        return medians[workload, core]["p99_us"]

    track_p99.unit = "us"
