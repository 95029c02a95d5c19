"""Moved by the imports of server/ and cores/, and by how kernels are compiled and cached.

From starting the process to the line that says where it listens. `cold` is the first ever
start, with an empty folder for compiled kernels; `warm` is any later one.
"""

import statistics
import subprocess
import tempfile
import time

from benchmarks.in_process import CORES, new_core
from benchmarks.processes import end, environment, listening_port, serve_command
from benchmarks.workloads import sized

STARTS = sized(5, 3, 1)
NOT_COMPILED = sized("0", "0", "1")


def start_s(core, **variables):
    """Start a server and stop it; gives the seconds until it listened."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        serve_command(core),
        env=environment(PYTHONUNBUFFERED="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        listening_port(process)
        return time.perf_counter() - begin
    finally:
        end(process)


class Start:
    params = [CORES]
    param_names = ["core"]
    unit = "s"
    timeout = 300

    def setup(self, core):
        new_core(core)

    def track_warm(self, core):
        return statistics.median(start_s(core) for _ in range(STARTS))


class FirstStart:
    params = [["array"]]
    param_names = ["core"]
    unit = "s"
    timeout = 300

    def setup(self, core):
        new_core(core)

    def track_cold(self, core):
        with tempfile.TemporaryDirectory() as folder:
            return start_s(
                core, MAGICQUEUE_CACHE_DIR=folder, NUMBA_DISABLE_JIT=NOT_COMPILED
            )
