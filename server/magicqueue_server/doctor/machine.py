"""What a server finds on its machine: code, open files, memory, the clock."""

import importlib.util
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from magicqueue_cores import array_kernels, has_array_kernels
from magicqueue_server.about import version
from magicqueue_server.clock import Clock, is_synchronised
from magicqueue_server.config import Config
from magicqueue_server.doctor.finding import Finding, failed, ok, size, warning

_FILES_BESIDE: Final = 128
"""The log's, those kept in reserve, and those that Python has open."""
_SHARE_MAX: Final = 0.75
"""What jobs may have of the memory: replies, results and the log need some, too."""
_EXTRA: Final = "install the extra `server`"
_STRICT: Final = "2"
_BUILT_MS: Final = 1_767_225_600_000
"""2026-01-01: no clock is right that is before this was written."""
_MEMINFO: Final = Path("/proc/meminfo")
_OVERCOMMIT: Final = Path("/proc/sys/vm/overcommit_memory")
_CGROUP: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def code(config: Config) -> Iterator[Finding]:
    """Look at what runs."""
    if config["core"] == "array" and not has_array_kernels():
        yield failed(
            "core",
            f"core is array, and the array core is {array_kernels()}",
            "install the wheel that `make wheel` builds, or the extra `array`",
        )
    elif config["core"] == "auto" and not has_array_kernels():
        yield warning(
            "core",
            f"magicqueue {version()} with the python core: the array core, which is"
            f" faster, is {array_kernels()}",
            "install the wheel that `make wheel` builds, or the extra `array`",
        )
    else:
        name = "python core" if config["core"] == "python" else "array core"
        yield ok("core", f"magicqueue {version()}, {name}")
    if config["loop"] != "asyncio" and importlib.util.find_spec("uvloop") is None:
        say = warning if config["loop"] == "auto" else failed
        yield say("core", "uvloop is not installed", _EXTRA)
    if config["http"] and importlib.util.find_spec("httptools") is None:
        yield failed("core", "http is set, and httptools is not installed", _EXTRA)


def open_files(config: Config) -> Iterator[Finding]:
    """Compare the connections that there may be with the files that may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most, wanted = config["max_connections"], config["max_connections"] + _FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield warning(
            "open files",
            f"max_connections is {most:,}, and this process may open {hard:,} files: some"
            f" {max(1, hard - _FILES_BESIDE):,} connections are taken, others refused",
            f"allow more (LimitNOFILE={wanted} in the unit, ulimit -n {wanted}), or set"
            f" max_connections to what you need",
        )
    else:
        allowed = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
        yield ok("open files", f"{allowed} (now {soft:,}), for {most:,} connections")
    biggest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if config["persist"] and 0 <= biggest < config["segment_size"]:
        yield failed(
            "file size",
            f"files may be {size(biggest)} large, and a segment of the log is"
            f" {size(config['segment_size'])}",
            "raise the limit (ulimit -f, LimitFSIZE=), or set a smaller segment_size",
        )


def memory(config: Config) -> Iterator[Finding]:
    """Compare the memory that jobs may have with what there is."""
    there = memory_bytes()
    bound = config["max_memory"]
    if there is None:
        yield ok("memory", "how much there is cannot be seen here")
    elif not bound:
        yield warning(
            "memory",
            f"jobs may take all of {size(there)}: then the system ends the server",
            f'set max_memory = "{there // 2**21}MiB" or what suits: pushes beyond it are'
            " refused, all else goes on",
        )
    elif bound > there * _SHARE_MAX:
        yield warning(
            "memory",
            f"max_memory is {size(bound)} of {size(there)}: what is not jobs (replies,"
            " results, the log's buffers) has too little",
            f'set max_memory = "{int(there * _SHARE_MAX) // 2**20}MiB" at most, or give the'
            " server more",
        )
    else:
        yield ok("memory", f"max_memory is {size(bound)} of {size(there)}")
    if config["core"] == "python" or not has_array_kernels():
        return
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        yield warning(
            "address space",
            "it is limited, and the array core reserves more of it than it uses",
            "take the limit away (ulimit -v, LimitAS=), and set max_memory instead",
        )
    if _read(_OVERCOMMIT).strip() == _STRICT:
        yield warning(
            "address space",
            "vm.overcommit_memory is 2, and the array core reserves more than it uses",
            "set it to 0 (sysctl vm.overcommit_memory=0), or choose --core python",
        )


def memory_bytes() -> int | None:
    """How much memory this process may have: the machine's, or its cgroup's if less."""
    found = [
        int(line.split()[1]) * 1024
        for line in _read(_MEMINFO).splitlines()
        if line.startswith("MemTotal:")
    ]
    below = [
        line[3:].strip("/") for line in _read(_CGROUP).splitlines() if line[:3] == "0::"
    ]
    places = [_CGROUPS / name / "memory.max" for name in (*below, "")]
    places.append(_CGROUPS / "memory" / "memory.limit_in_bytes")
    found += [int(text) for text in map(_read, places) if text.strip().isdecimal()]
    return min(found, default=None)


def clock(time: Clock) -> Iterator[Finding]:
    """Look whether the time can be right."""
    now_ms = time.now_ms()
    if now_ms < _BUILT_MS:
        yield failed(
            "clock",
            f"it is before 2026 by this machine's clock ({now_ms} ms since 1970)",
            "set the clock: what is delayed, leased and scheduled goes by it",
        )
    elif is_synchronised() is False:
        yield warning(
            "clock",
            "nothing keeps this machine's clock right, says its kernel",
            "run an NTP client (timedatectl set-ntp true): `run_at`, ends of tokens and"
            " times in logs go by it; steps do no harm to jobs",
        )
    else:
        yield ok("clock", "it can be right")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
