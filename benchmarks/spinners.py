"""Keep every CPU awake while something that sleeps between messages is measured.

A virtual CPU that idles is halted, and waking it takes the hypervisor up to 100 µs: then
one-at-a-time figures measure the hypervisor, and a quieter machine looks slower. So one
process a CPU spins in the idle class (SCHED_IDLE): it runs only when nothing else would,
and takes nothing measurable from what is measured. `nice` would not do: where the kernel
groups by session it has no effect between groups.
"""

import contextlib
import os
import subprocess
import sys

from benchmarks.processes import start

_SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print(flush=True)
while True:
    pass
"""


@contextlib.contextmanager
def spinners():
    """Spin on each CPU that this process may use, until the end of the `with`."""
    processes = []
    try:
        for cpu in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-S", "-c", _SPIN, str(cpu)]
            processes.append(start(command, stdout=subprocess.PIPE))
        for process in processes:
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
