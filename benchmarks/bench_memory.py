"""Moved by the structures of cores/: job_table, ready_order, kernels/layout and arena.

Resident memory that a queued job takes, its data included: what a server grows by while
jobs are pushed, divided by the jobs.
"""

import socket

from benchmarks.in_process import CORES, new_core, push_lines
from benchmarks.processes import resident_bytes, server
from benchmarks.workloads import sized

JOBS = sized(1_000_000, 500_000, 20_000)
LARGE_JOBS = sized(200_000, 100_000, 20_000)
BATCH = 5_000
SMALLEST = 12


class Memory:
    params = [CORES, [SMALLEST, 100, 1_000]]
    param_names = ["core", "payload_bytes"]
    unit = "bytes/job"
    timeout = 300

    def setup(self, core, payload_bytes):
        new_core(core)
        size = 0 if payload_bytes == SMALLEST else payload_bytes
        self.jobs = LARGE_JOBS if payload_bytes >= 1_000 else JOBS
        self.lines = push_lines(BATCH * 4, BATCH, size)

    def track_bytes_per_job(self, core, payload_bytes):
        with server(core) as (pid, port):
            sock = socket.create_connection(("127.0.0.1", port))
            with sock, sock.makefile("rb") as replies:
                sock.sendall(self.lines[0])
                replies.readline()
                before = resident_bytes(pid)
                for number in range(self.jobs // BATCH):
                    sock.sendall(self.lines[number % 4])
                    replies.readline()
                return (resident_bytes(pid) - before) / self.jobs
