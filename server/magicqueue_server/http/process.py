"""What the system tells of this process, under the names that every exporter uses."""

import os
import resource
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/self/stat")
_SYSTEM: Final = Path("/proc/stat")
_FILES: Final = Path("/proc/self/fd")
_USER, _KERNEL, _START, _PAGES = (n - 3 for n in (14, 15, 22, 24))


def process_facts() -> dict[str, float]:
    """Give CPU time, memory, open files and the start; what is not told is left out."""
    facts: dict[str, float] = {}
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY:
        facts["process_max_fds"] = limit
    try:
        fields = _STAT.read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        facts["process_cpu_seconds_total"] = (
            int(fields[_USER]) + int(fields[_KERNEL])
        ) / ticks
        facts["process_resident_memory_bytes"] = int(fields[_PAGES]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        facts["process_open_fds"] = sum(1 for _ in _FILES.iterdir())
        booted = next(
            int(line.split()[1])
            for line in _SYSTEM.read_text().splitlines()
            if line.startswith("btime")
        )
        facts["process_start_time_seconds"] = booted + int(fields[_START]) / ticks
    except (OSError, StopIteration):
        pass
    return facts
